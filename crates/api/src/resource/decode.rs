//! From a request's JSON to checked attributes: the one decoder for all resources.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::check;
use super::{Access, Attribute, Attributes, Initial, Resource, Role, Typed};
use crate::error::{ApiError, excerpt};
use crate::json;

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// POST
    Create,
    /// PUT
    Update,
}

impl Operation {
    const fn access(self, attribute: &Attribute) -> Access {
        match self {
            Operation::Create => attribute.create,
            Operation::Update => attribute.update,
        }
    }

    const fn method(self) -> &'static str {
        match self {
            Operation::Create => "POST",
            Operation::Update => "PUT",
        }
    }
}

/// One object of a request, or several made at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requests<T> {
    /// `{"network": {…}}`
    One(T),
    /// `{"networks": [{…}, …]}`: all of them or none; at least one.
    Many(Vec<T>),
}

impl<T> Requests<T> {
    /// The same, each turned into something else.
    pub fn try_map<U>(self, mut turn: impl FnMut(T) -> Result<U, ApiError>) -> Result<Requests<U>, ApiError> {
        Ok(match self {
            Requests::One(item) => Requests::One(turn(item)?),
            Requests::Many(items) => Requests::Many(items.into_iter().map(turn).collect::<Result<_, _>>()?),
        })
    }
}

/// The attributes in a request's body.
pub fn decode(
    resource: Resource,
    operation: Operation,
    role: Role,
    body: &[u8],
) -> Result<Requests<Attributes>, ApiError> {
    let Value::Object(mut outer) = json::parse(body)? else {
        return Err(wrong_envelope(resource, operation));
    };
    let one = outer.remove(resource.singular());
    let many = outer.remove(resource.plural());
    if !outer.is_empty() {
        return Err(wrong_envelope(resource, operation));
    }
    match (one, many, operation) {
        (Some(Value::Object(object)), None, _) => {
            decode_object(resource, operation, role, object).map(Requests::One)
        }
        (None, Some(Value::Array(items)), Operation::Create) if !items.is_empty() => {
            let decoded = items.into_iter().map(|item| match item {
                Value::Object(object) => decode_object(resource, operation, role, object),
                _ => Err(wrong_envelope(resource, operation)),
            });
            decoded.collect::<Result<_, _>>().map(Requests::Many)
        }
        _ => Err(wrong_envelope(resource, operation)),
    }
}

fn wrong_envelope(resource: Resource, operation: Operation) -> ApiError {
    let (one, many) = (resource.singular(), resource.plural());
    let bulk = match operation {
        Operation::Create => format!(" or {{\"{many}\": [{{…}}, …]}}"),
        Operation::Update => String::new(),
    };
    ApiError::bad_request(format!(
        "The body is not as expected: {{\"{one}\": {{…}}}}{bulk}."
    ))
}

fn decode_object(
    resource: Resource,
    operation: Operation,
    role: Role,
    mut object: Map<String, Value>,
) -> Result<Attributes, ApiError> {
    if resource.attribute("tenant_id").is_some() {
        merge_tenant(&mut object)?;
    }
    let mut values = BTreeMap::new();
    for (name, value) in &object {
        let attribute = admitted(resource, operation, role, name)?;
        let typed =
            check::value(attribute, value).map_err(|reason| ApiError::invalid(attribute.name, reason))?;
        values.insert(attribute.name, typed);
    }
    if operation == Operation::Create {
        add_defaults(resource, &mut values)?;
    }
    Ok(Attributes { resource, values })
}

/// `tenant_id` is the older name of `project_id`.
fn merge_tenant(object: &mut Map<String, Value>) -> Result<(), ApiError> {
    let Some(tenant) = object.remove("tenant_id") else {
        return Ok(());
    };
    let project = object.entry("project_id").or_insert_with(|| tenant.clone());
    if *project != tenant {
        return Err(ApiError::bad_request(
            "'project_id' and 'tenant_id' do not match: give one of the two.",
        ));
    }
    Ok(())
}

/// The attribute of that name, if the request may say it.
fn admitted(
    resource: Resource,
    operation: Operation,
    role: Role,
    name: &str,
) -> Result<&'static Attribute, ApiError> {
    let unknown = || {
        let known = resource
            .attributes()
            .iter()
            .filter(|a| operation.access(a).permits(role) && a.name != "tenant_id");
        let known: Vec<&str> = known.map(|a| a.name).collect();
        let message = format!("Unrecognized attribute(s) '{}'.", excerpt(name));
        ApiError::bad_request(message).with_detail(format!("expected: {}", known.join(", ")))
    };
    let attribute = resource.attribute(name).ok_or_else(unknown)?;
    let access = operation.access(attribute);
    if access.permits(role) {
        return Ok(attribute);
    }
    if access == Access::Admin {
        let verb = operation.method().to_lowercase();
        return Err(ApiError::forbidden(format!(
            "{verb} of attribute '{name}' of a {}",
            resource.title().to_lowercase()
        )));
    }
    let method = operation.method();
    Err(ApiError::bad_request(format!(
        "Attribute '{name}' not allowed in {method}."
    )))
}

fn add_defaults(resource: Resource, values: &mut BTreeMap<&'static str, Typed>) -> Result<(), ApiError> {
    for attribute in resource.attributes() {
        if attribute.create == Access::Nobody || values.contains_key(attribute.name) {
            continue;
        }
        match attribute.initial {
            Initial::Chosen => {}
            Initial::Required => {
                return Err(ApiError::bad_request(format!(
                    "Failed to parse request. Required attribute '{}' not specified.",
                    attribute.name
                )));
            }
            Initial::Is(literal) => {
                let typed = check::value(attribute, &literal.to_json())
                    .map_err(|reason| ApiError::internal(format!("{}: {reason}", attribute.name)))?;
                values.insert(attribute.name, typed);
            }
        }
    }
    Ok(())
}
