//! The API: requests over TLS, bounded in size, time and number.
//!
//! [`serve`] has the connections, this file one request: who asks, what for, and which noun it goes to. Reads answer from the mirror when
//! it has caught up with the store; writes go through [`crate::driver::Driver::write`], and nowhere else.

mod body;
mod fabric;
mod list;
mod neutron;
mod pace;
mod places;
pub mod serve;
mod tell;
mod versions;

use std::sync::Arc;

use anet_api::{ApiError, Resource};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::Value;

use anet_cluster::Bytes;

use crate::core::admit::idempotency::{Keyed, keyed};
use crate::core::admit::{Caller, revision};
use crate::shared::Shared;

/// An answer with its whole body.
pub type Reply = Response<Full<Bytes>>;

/// What a request is, when its body is read.
#[derive(Debug)]
pub(crate) struct Asking {
    /// Who asks.
    caller: Caller,
    method: Method,
    /// The path's parts.
    path: Vec<String>,
    /// Behind the `?`.
    query: String,
    body: Vec<u8>,
    /// The revision number that the object must have.
    expected: Option<u64>,
    /// With an idempotency key.
    keyed: Option<Keyed>,
    /// The scheme and host that the client used, for links.
    base: String,
}

/// Status and JSON of an answer; null for no body.
type Outcome = Result<(u16, Value), ApiError>;

/// Answers one request.
pub async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Reply {
    let outcome = route(&shared, request).await;
    match outcome {
        Ok((status, body)) => reply(status, &body),
        Err(error) => reply(error.status, &error.body()),
    }
}

fn reply(status: u16, body: &Value) -> Reply {
    let bytes = match body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    let mut reply = Response::new(Full::new(Bytes::from(bytes)));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if !body.is_null() {
        let json = header::HeaderValue::from_static("application/json");
        reply.headers_mut().insert(header::CONTENT_TYPE, json);
    }
    if status == 401 {
        let scheme = header::HeaderValue::from_static("Bearer realm=\"anet\"");
        reply.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    reply
}

async fn route(shared: &Shared, request: Request<Incoming>) -> Outcome {
    let (head, incoming) = request.into_parts();
    let text = head.uri.path().to_owned();
    let path: Vec<String> = text
        .split('/')
        .filter(|part| !part.is_empty())
        .map(anet_api::query::decode_part)
        .collect::<Result<_, _>>()?;
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let base = format!("{}{}", shared.configuration.url(), text.trim_end_matches('/'));
    if let Some(document) = versions::document(shared, &parts) {
        return match head.method {
            Method::GET | Method::HEAD => Ok(document),
            other => Err(ApiError::method_not_allowed(other.as_str(), &text)),
        };
    }
    if parts == ["anet", "v1", "join"] {
        let body = body::read(&head.headers, incoming, body::STRANGERS_MAXIMUM).await?;
        return match head.method {
            Method::POST => fabric::join(shared, &body).await,
            other => Err(ApiError::method_not_allowed(other.as_str(), &text)),
        };
    }
    let caller = caller(shared, &head.headers)?;
    let body = body::read(&head.headers, incoming, body::BODY_MAXIMUM).await?;
    let key = head.headers.get("idempotency-key");
    let key = key.map(|key| key.to_str().unwrap_or_default());
    let matched = head.headers.get(header::IF_MATCH);
    let matched = matched.map(|value| revision::expected(value.to_str().unwrap_or_default()));
    let asking = Asking {
        expected: matched.transpose()?.flatten(),
        keyed: key
            .filter(|_| {
                head.method == Method::POST || head.method == Method::PUT || head.method == Method::DELETE
            })
            .map(|key| keyed(&caller, key, head.method.as_str(), &text, &body))
            .transpose()?,
        caller,
        method: head.method,
        query: head.uri.query().unwrap_or_default().to_owned(),
        path: path.clone(),
        body,
        base,
    };
    match parts.as_slice() {
        ["v2.0", collection] => {
            neutron::collection(shared, find(collection, "/v2.0/", &text)?, &asking).await
        }
        ["v2.0", collection, id] => {
            neutron::one(shared, find(collection, "/v2.0/", &text)?, id, &asking).await
        }
        ["anet", "v1", rest @ ..] => match (find(rest.first().unwrap_or(&""), "/anet/v1/", &text), rest) {
            (Ok(resource), [_]) => neutron::collection(shared, resource, &asking).await,
            (Ok(resource), [_, id]) => neutron::one(shared, resource, id, &asking).await,
            _ => fabric::route(shared, rest, &asking, &text).await,
        },
        _ => Err(ApiError::no_such_path(&text)),
    }
}

fn find(collection: &str, root: &str, path: &str) -> Result<Resource, ApiError> {
    let all = Resource::ALL.into_iter();
    let mut named = all.filter(|resource| resource.path().strip_prefix(root) == Some(collection));
    named.next().ok_or_else(|| ApiError::no_such_path(path))
}

fn caller(shared: &Shared, headers: &http::HeaderMap) -> Result<Caller, ApiError> {
    let own = headers.get("x-auth-token").and_then(|value| value.to_str().ok());
    let bearer = || {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    };
    let token = own.or_else(bearer).ok_or_else(ApiError::unauthorized)?;
    shared.tokens.caller(token).ok_or_else(ApiError::unauthorized)
}
