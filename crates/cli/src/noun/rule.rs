//! What rules say with fewer words than the API.

use anet_api::query::Object;
use clap::ArgMatches;
use serde_json::{Value, json};

use super::text;
use crate::error::CliError;

/// Adds what follows from the flags: direction, IP version, ports.
pub(super) fn complete(attributes: &mut Object, matches: &ArgMatches) -> Result<(), CliError> {
    attributes
        .entry("direction")
        .or_insert_with(|| Value::from("ingress"));
    if !attributes.contains_key("ethertype") && is_ipv6(attributes) {
        attributes.insert("ethertype".to_string(), json!("IPv6"));
    }
    let ports = text(matches, "dst-port");
    let number = |name: &str| matches.get_one::<u8>(name).map(|n| json!(n));
    let [first, last] = if ports.is_empty() {
        [number("icmp-type"), number("icmp-code")]
    } else {
        range(ports)?.map(|port| Some(json!(port)))
    };
    attributes.extend(first.map(|value| ("port_range_min".to_string(), value)));
    attributes.extend(last.map(|value| ("port_range_max".to_string(), value)));
    Ok(())
}

fn is_ipv6(attributes: &Object) -> bool {
    let text = |name: &str| attributes.get(name).and_then(Value::as_str).unwrap_or_default();
    text("remote_ip_prefix").contains(':') || text("protocol").starts_with("ipv6-")
}

fn range(text: &str) -> Result<[u16; 2], CliError> {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok([first, last]),
        _ => Err(CliError::Usage(format!(
            "--dst-port: '{text}' is not a port, or a first and a last one such as 8000:8080"
        ))),
    }
}
