//! A blocking client of the API, for tools: finds the fabric by itself, keeps its connection, and says what went wrong in one line.

mod configuration;
mod error;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use ureq::http::{Request, Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::query::{Object, encode};
use crate::resource::Resource;
pub use configuration::{Configuration, Place};
pub use error::{ClientError, Refusal};

/// Header with the token.
pub const TOKEN_HEADER: &str = "X-Auth-Token";
/// Header with which a POST or DELETE that is sent again is known as the same one.
pub const IDEMPOTENCY_HEADER: &str = "Idempotency-Key";
/// How long a connection may take to come up, and a whole request.
const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(60);
/// Bytes of the longest answer.
const LONGEST: u64 = 1 << 30;

/// A way to the fabric. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    url: String,
    token: String,
}

impl Client {
    /// The fabric that is found: see [`Configuration::discover`].
    pub fn discover() -> Result<Self, ClientError> {
        Self::new(&Configuration::discover(&Place::default())?)
    }

    /// The fabric of a configuration.
    pub fn new(configuration: &Configuration) -> Result<Self, ClientError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&authorities(configuration)?))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(WHOLE))
            .user_agent(concat!("anet/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        Ok(Self {
            agent: agent.new_agent(),
            url: configuration.url.trim_end_matches('/').to_string(),
            token: configuration.token.clone(),
        })
    }

    /// The address that it speaks to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All objects of a resource for which the parameters hold.
    pub fn list(&self, resource: Resource, parameters: &[(&str, &str)]) -> Result<Vec<Object>, ClientError> {
        let pairs = parameters.iter();
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        let mark = if pairs.is_empty() { "" } else { "?" };
        let path = format!("{}{mark}{}", resource.path(), pairs.join("&"));
        let mut answer: Map<String, Value> = self.get(&path)?;
        match answer.remove(resource.plural()) {
            Some(Value::Array(items)) => items.into_iter().map(|item| self.object(item)).collect(),
            _ => Err(self.not_understood(format!("no list of {}", resource.plural()))),
        }
    }

    /// One object.
    pub fn show(&self, resource: Resource, id: &str) -> Result<Object, ClientError> {
        self.unwrapped(resource, self.get(&object_path(resource, id))?)
    }

    /// Makes an object; answers what it became.
    pub fn create(&self, resource: Resource, attributes: Object) -> Result<Object, ClientError> {
        self.unwrapped(
            resource,
            self.post(resource.path(), &wrapped(resource, attributes))?,
        )
    }

    /// Changes an object; answers what it became.
    pub fn update(&self, resource: Resource, id: &str, attributes: Object) -> Result<Object, ClientError> {
        let path = object_path(resource, id);
        let body = to_bytes(&wrapped(resource, attributes));
        self.unwrapped(resource, self.read(self.send("PUT", &path, body)?)?)
    }

    /// Deletes an object.
    pub fn delete(&self, resource: Resource, id: &str) -> Result<(), ClientError> {
        self.send("DELETE", &object_path(resource, id), Vec::new())
            .map(drop)
    }

    /// The object with that id or, where there is none, the only one with that name among those for which the parameters hold.
    pub fn find(
        &self,
        resource: Resource,
        text: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Object, ClientError> {
        let missing = || ClientError::NoMatch {
            resource,
            text: text.to_string(),
        };
        if anet_model::id::Id::<()>::new(text).is_ok() {
            match self.show(resource, text) {
                Err(ClientError::Refused(refusal)) if refusal.status == 404 => {}
                other => return other,
            }
        }
        let by_name = resource.attribute("name").is_some_and(|name| name.filter);
        if !by_name {
            return Err(missing());
        }
        let mut all = vec![("name", text)];
        all.extend(parameters);
        let mut found = self.list(resource, &all)?;
        match found.len() {
            0 => Err(missing()),
            1 => Ok(found.remove(0)),
            _ => Err(ClientError::Ambiguous {
                resource,
                text: text.to_string(),
                ids: found
                    .iter()
                    .filter_map(|o| o.get("id")?.as_str().map(str::to_string))
                    .collect(),
            }),
        }
    }

    /// `GET` of a path with its query; the answer as a `T`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.read(self.send("GET", path, Vec::new())?)
    }

    /// `POST` of a body to a path; the answer as a `T`.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.read(self.send("POST", path, to_bytes(body))?)
    }

    /// Sends a request. What can be sent twice without harm is sent again, once, where the connection broke: a connection that was
    /// kept may have been closed at the other end.
    fn send(&self, method: &str, path: &str, body: Vec<u8>) -> Result<Response<Body>, ClientError> {
        let key = match method {
            "POST" | "DELETE" => idempotency_key(),
            _ => String::new(),
        };
        let attempt = || -> Result<Response<Body>, ureq::Error> {
            let mut request = Request::builder()
                .method(method)
                .uri(format!("{}{path}", self.url))
                .header(TOKEN_HEADER, &self.token);
            if !key.is_empty() {
                request = request.header(IDEMPOTENCY_HEADER, &key);
            }
            if body.is_empty() {
                return self.agent.run(request.body(())?);
            }
            let request = request.header("Content-Type", "application/json");
            self.agent.run(request.body(body.as_slice())?)
        };
        let broken = |error: &ureq::Error| matches!(error, ureq::Error::Io(_) | ureq::Error::Protocol(_));
        let outcome = match attempt() {
            Err(error) if broken(&error) => attempt(),
            other => other,
        };
        let response = outcome.map_err(|error| ClientError::unreachable(&self.url, &error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response))
    }

    fn refusal(&self, response: Response<Body>) -> ClientError {
        let status = response.status();
        let text = self.bytes(response).unwrap_or_default();
        match Refusal::of(status.as_u16(), &text) {
            Some(refusal) => ClientError::Refused(refusal),
            None => self.not_understood(format!(
                "status {}{}",
                status.as_u16(),
                StatusCode::canonical_reason(&status).map_or(String::new(), |reason| format!(" ({reason})"))
            )),
        }
    }

    fn bytes(&self, response: Response<Body>) -> Result<Vec<u8>, ClientError> {
        let reader = response.into_body().into_with_config().limit(LONGEST);
        reader
            .read_to_vec()
            .map_err(|error| ClientError::unreachable(&self.url, &error))
    }

    fn read<T: DeserializeOwned>(&self, response: Response<Body>) -> Result<T, ClientError> {
        let bytes = self.bytes(response)?;
        serde_json::from_slice(&bytes).map_err(|error| self.not_understood(error.to_string()))
    }

    fn unwrapped(&self, resource: Resource, mut answer: Map<String, Value>) -> Result<Object, ClientError> {
        let inner = answer.remove(resource.singular());
        let inner = inner.ok_or_else(|| self.not_understood(format!("no {}", resource.singular())))?;
        self.object(inner)
    }

    fn object(&self, value: Value) -> Result<Object, ClientError> {
        match value {
            Value::Object(object) => Ok(object),
            other => Err(self.not_understood(format!("{other} is no object"))),
        }
    }

    fn not_understood(&self, what: String) -> ClientError {
        ClientError::NotUnderstood {
            url: self.url.clone(),
            what,
        }
    }
}

fn object_path(resource: Resource, id: &str) -> String {
    format!("{}/{}", resource.path(), encode(id))
}

fn wrapped(resource: Resource, attributes: Object) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert(resource.singular().to_string(), Value::Object(attributes));
    body
}

/// JSON of what has no keys other than texts is always there.
fn to_bytes(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

/// 128 bits of the process's randomness for hash tables: unlikely to come twice, and nobody's secret.
fn idempotency_key() -> String {
    let part = || RandomState::new().hash_one(std::time::SystemTime::now());
    format!("{:016x}{:016x}", part(), part())
}

fn authorities(configuration: &Configuration) -> Result<Vec<Certificate<'static>>, ClientError> {
    let wrong = |problem: String| ClientError::Configuration {
        file: configuration.source.clone(),
        problem,
    };
    let mut pem = configuration.ca_pem.as_bytes();
    let certificates: Vec<_> = rustls_pemfile::certs(&mut pem)
        .map(|der| der.map(|der| Certificate::from_der(&der).to_owned()))
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(format!("the authority's certificate is not PEM: {error}")))?;
    if certificates.is_empty() && configuration.url.starts_with("https:") {
        return Err(wrong(
            "https needs the authority's certificate: give ca_file or ca_pem".to_string(),
        ));
    }
    Ok(certificates)
}
