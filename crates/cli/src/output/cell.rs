//! Values of attributes as texts for people.

use serde_json::{Map, Value};

use super::plain;

/// The title of a column.
pub(crate) fn title(attribute: &str) -> String {
    let name = attribute.rsplit(':').next().unwrap_or(attribute);
    name.to_uppercase().replace('_', " ")
}

/// A value in a list of objects.
pub(crate) fn short(name: &str, value: Option<&Value>) -> String {
    match value {
        None => "-".to_string(),
        Some(Value::String(text)) if text.is_empty() => "-".to_string(),
        Some(Value::Array(items)) if items.is_empty() => "-".to_string(),
        Some(value) => lines(name, value).join(", "),
    }
}

/// A value in a list of attributes: lists have a line for each entry.
pub(crate) fn lines(name: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) if items.is_empty() => vec![String::new()],
        Value::Array(items) => items.iter().map(|item| entry(name, item)).collect(),
        other => vec![entry(name, other)],
    }
}

fn entry(name: &str, value: &Value) -> String {
    let Value::Object(object) = value else {
        return plain(value);
    };
    let of = |key: &str| object.get(key).map(plain).unwrap_or_default();
    match name {
        "fixed_ips" => of("ip_address"),
        "allocation_pools" => format!("{}-{}", of("start"), of("end")),
        "host_routes" => format!("{} via {}", of("destination"), of("nexthop")),
        "stations" => station(object),
        "allowed_address_pairs" => format!("{} {}", of("ip_address"), of("mac_address"))
            .trim_end()
            .to_string(),
        "security_group_rules" => rule(object),
        _ => pairs(object),
    }
}

/// By key, in the order of keys.
fn pairs(object: &Map<String, Value>) -> String {
    let mut pairs: Vec<String> = object
        .iter()
        .map(|(key, value)| format!("{key}={}", plain(value)))
        .collect();
    pairs.sort();
    pairs.join(" ")
}

/// A MAC, then addresses.
fn station(object: &Map<String, Value>) -> String {
    let addresses = object.get("ip_addresses").and_then(Value::as_array);
    let addresses = addresses.into_iter().flatten();
    let all = object.get("mac_address").into_iter().chain(addresses);
    all.map(plain).collect::<Vec<_>>().join(" ")
}

/// A rule in one line, as one would say it.
fn rule(rule: &Map<String, Value>) -> String {
    let of = |key: &str| rule.get(key).filter(|value| !value.is_null()).map(plain);
    let mut words = vec![
        of("id").unwrap_or_default(),
        of("direction").unwrap_or_default(),
        of("ethertype").unwrap_or_default(),
        of("protocol").unwrap_or_else(|| "any".to_string()),
    ];
    words.extend(match (of("port_range_min"), of("port_range_max")) {
        (Some(first), Some(last)) if first != last => Some(format!("{first}:{last}")),
        (Some(first), _) => Some(first),
        _ => None,
    });
    words.extend(of("remote_ip_prefix").map(|prefix| format!("remote {prefix}")));
    words.extend(of("remote_group_id").map(|group| format!("remote group {group}")));
    words.join(" ")
}
