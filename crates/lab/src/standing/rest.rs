//! The controller's API, as a lab uses it.

use anet_api::client::{Client, ClientError, Configuration};
use anet_api::hosts::{HostToken, HostTokenRequest};
use anet_api::resource::Resource;
use serde_json::{Map, Value, json};

use super::place::Place;
use crate::LabError;

/// A lab's way to its controller.
#[derive(Debug)]
pub struct Rest {
    client: Client,
}

impl Rest {
    /// Reads how a lab's controller is reached.
    pub fn of(place: &Place) -> Result<Self, LabError> {
        let configuration = Configuration::read(&place.client_file());
        let client = configuration.and_then(|configuration| Client::new(&configuration));
        Ok(Self {
            client: client.map_err(|error| told("find the controller", error))?,
        })
    }

    /// The client itself, for what a lab does not ask by itself.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// True where the controller answers.
    pub fn answers(&self) -> bool {
        self.client.list(Resource::Host, &[]).is_ok()
    }

    /// Makes an object; what it became.
    pub fn create(&self, resource: Resource, attributes: Value) -> Result<Value, LabError> {
        let what = format!("make {}", resource.singular());
        let made = self.client.create(resource, object(attributes));
        made.map(Value::Object).map_err(|error| told(&what, error))
    }

    /// Makes several objects by one request, all or none of them; what they became.
    pub fn create_many(&self, resource: Resource, attributes: &[Value]) -> Result<Vec<Value>, LabError> {
        let what = format!("make {} {}", attributes.len(), resource.plural());
        let body = Map::from_iter([(resource.plural().to_owned(), json!(attributes))]);
        let made = self.client.post(resource.path(), &body);
        let mut made: Map<String, Value> = made.map_err(|error| told(&what, error))?;
        match made.remove(resource.plural()) {
            Some(Value::Array(made)) => Ok(made),
            _ => Err(LabError::NotUnderstood {
                what: format!("the controller's answer to a request to {what}"),
                found: format!("no {}", resource.plural()),
            }),
        }
    }

    /// As [`Rest::create`], but content where the same is there already.
    pub fn create_unless_there(&self, resource: Resource, attributes: Value) -> Result<(), LabError> {
        match self.client.create(resource, object(attributes)) {
            Err(ClientError::Refused(refusal))
                if refusal.status == 409 && refusal.kind.ends_with("Exists") =>
            {
                Ok(())
            }
            made => made
                .map(drop)
                .map_err(|error| told(&format!("make {}", resource.singular()), error)),
        }
    }

    /// Changes an object.
    pub fn update(&self, resource: Resource, id: &str, attributes: Value) -> Result<Value, LabError> {
        let what = format!("change {} {id}", resource.singular());
        let changed = self.client.update(resource, id, object(attributes));
        changed.map(Value::Object).map_err(|error| told(&what, error))
    }

    /// A token with which one host may join.
    pub fn host_token(&self, host: &str) -> Result<String, LabError> {
        let request = HostTokenRequest {
            host: Some(host.to_owned()),
            valid_for_s: None,
        };
        let token: Result<HostToken, _> = self.client.post("/anet/v1/host-tokens", &request);
        token
            .map(|token| token.token)
            .map_err(|error| told(&format!("make a token for {host}"), error))
    }

    /// The hosts whose data plane is not exactly as planned.
    pub fn behind(&self) -> Result<Vec<String>, LabError> {
        let hosts = self.client.list(Resource::Host, &[]);
        let hosts = hosts.map_err(|error| told("list hosts", error))?;
        let behind = hosts
            .iter()
            .filter(|host| host.get("in_step").and_then(Value::as_bool) != Some(true));
        let names = behind.filter_map(|host| host.get("name")?.as_str().map(str::to_owned));
        Ok(names.collect())
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn told(what: &str, error: ClientError) -> LabError {
    LabError::Api {
        what: what.to_owned(),
        why: error.to_string(),
    }
}
