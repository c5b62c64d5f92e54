//! Filters: `?name=a&name=b&mtu=1450`: an object matches where, for each name, one of its values does.

use serde_json::Value;

use super::Object;
use crate::error::{ApiError, excerpt};
use crate::resource::{Attribute, Kind, Resource, Role, legal_value};

/// One attribute, and the values it may have.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    attribute: &'static Attribute,
    /// For objects in lists: the key inside of them.
    key: Option<&'static str>,
    values: Vec<Value>,
}

impl Filter {
    pub(super) fn matches(&self, object: &Object) -> bool {
        let Some(found) = object.get(self.attribute.name) else {
            return false;
        };
        let one_of = |value: &Value| self.values.contains(value);
        match (found, self.key) {
            (Value::Array(items), Some(key)) => items.iter().any(|item| item.get(key).is_some_and(one_of)),
            (Value::Array(items), None) => items.iter().any(one_of) || (items.is_empty() && one_of(found)),
            (value, _) => one_of(value),
        }
    }
}

/// Adds one parameter to the filters.
pub(super) fn add(
    filters: &mut Vec<Filter>,
    resource: Resource,
    role: Role,
    name: &str,
    text: &str,
) -> Result<(), ApiError> {
    let attribute = resource.attribute(name);
    let attribute = attribute
        .filter(|attribute| attribute.filter && attribute.show.permits(role))
        .ok_or_else(|| unknown(resource, role, name))?;
    let (key, value) = match attribute.kind {
        Kind::FixedIps(_) => inside_fixed_ips(text)?,
        Kind::Ids(_) => (None, Value::from(text)),
        _ => (None, comparable(attribute, text)?),
    };
    let same = |filter: &&mut Filter| filter.attribute.name == attribute.name && filter.key == key;
    match filters.iter_mut().find(same) {
        Some(filter) => filter.values.push(value),
        None => filters.push(Filter {
            attribute,
            key,
            values: vec![value],
        }),
    }
    Ok(())
}

fn unknown(resource: Resource, role: Role, name: &str) -> ApiError {
    let known = resource.attributes().iter();
    let known: Vec<&str> = known
        .filter(|a| a.filter && a.show.permits(role))
        .map(|a| a.name)
        .collect();
    let message = format!("['{}'] is invalid attribute for filtering.", excerpt(name));
    ApiError::bad_request(message).with_detail(format!("expected: {}", known.join(", ")))
}

/// The value as it would stand in an object. An id that cannot be one matches nothing, which is no error: clients look up
/// whatever a user typed by id and by name.
fn comparable(attribute: &Attribute, text: &str) -> Result<Value, ApiError> {
    if let Kind::Only(literal) = attribute.kind {
        // Both values may be asked for; all objects have the one.
        let lower = text.to_ascii_lowercase();
        return Ok(match lower.as_str() {
            "true" | "1" => Value::Bool(true),
            "false" | "0" => Value::Bool(false),
            "" => literal.to_json(),
            _ => Value::from(text),
        });
    }
    if matches!(attribute.kind, Kind::Id | Kind::Text(_) | Kind::HostName) {
        return Ok(Value::from(text));
    }
    let any = attribute.kind == Kind::Protocol && text.eq_ignore_ascii_case("any");
    if any || (attribute.nullable && (text.is_empty() || text == "null")) {
        return Ok(Value::Null);
    }
    legal_value(attribute, &Value::from(text)).map_err(|reason| ApiError::invalid(attribute.name, reason))
}

fn inside_fixed_ips(text: &str) -> Result<(Option<&'static str>, Value), ApiError> {
    let wrong = || {
        ApiError::invalid(
            "fixed_ips",
            format_args!("'{}' is not ip_address=ADDRESS or subnet_id=ID", excerpt(text)),
        )
    };
    match text.split_once('=') {
        Some(("subnet_id", id)) => Ok((Some("subnet_id"), Value::from(id))),
        Some(("ip_address", address)) => {
            let address: std::net::IpAddr = address.parse().map_err(|_| wrong())?;
            Ok((Some("ip_address"), Value::from(address.to_string())))
        }
        _ => Err(wrong()),
    }
}
