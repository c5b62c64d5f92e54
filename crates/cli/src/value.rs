//! From what was typed to JSON.

use anet_api::resource::{Attribute, Kind};
use clap::ArgMatches;
use serde_json::{Map, Value, json};

use crate::Session;
use crate::error::CliError;
use crate::flag::Flag;
use crate::resolve::{self, Scope};

/// What a flag or its opposite says.
pub(crate) fn switch(attribute: &Attribute, flag: &Flag, matches: &ArgMatches) -> Option<Value> {
    let said = match (matches.get_flag(attribute.name), matches.get_flag(flag.opposite)) {
        (true, _) => true,
        (false, true) => false,
        (false, false) => return None,
    };
    Some(match attribute.kind {
        Kind::Boolean => json!(said),
        _ if said => json!(flag.name),
        _ => json!(flag.opposite),
    })
}

/// One entry of a list.
pub(crate) fn entry(
    session: &Session<'_>,
    attribute: &Attribute,
    text: &str,
    scope: &Scope,
) -> Result<Value, CliError> {
    match attribute.kind {
        Kind::FixedIps(_) => fixed_ip(session, text, scope),
        Kind::Pools(_) => object(text, &[("start", "start"), ("end", "end")]),
        Kind::HostRoutes(_) => object(text, &[("destination", "destination"), ("gateway", "nexthop")]),
        Kind::AddressPairs(_) => object(
            text,
            &[("ip-address", "ip_address"), ("mac-address", "mac_address")],
        ),
        Kind::Stations(_) => station(text),
        _ => Ok(Value::from(resolve::reference(
            session,
            attribute.name,
            text,
            scope,
        )?)),
    }
}

/// `key=value,key=value`, with these keys only.
pub(crate) fn parts<'a>(
    text: &'a str,
    keys: &[&'static str],
) -> Result<Vec<(&'static str, &'a str)>, CliError> {
    let part = |part: &'a str| {
        let (key, value) = part.split_once('=')?;
        let key = keys.iter().find(|known| **known == key)?;
        Some((*key, value))
    };
    let wrong = || {
        let expected: Vec<String> = keys.iter().map(|key| format!("{key}=…")).collect();
        CliError::Usage(format!("'{text}' is not of the form {}", expected.join(",")))
    };
    text.split(',').map(|text| part(text).ok_or_else(wrong)).collect()
}

fn object(text: &str, keys: &[(&'static str, &'static str)]) -> Result<Value, CliError> {
    let typed: Vec<&'static str> = keys.iter().map(|(typed, _)| *typed).collect();
    let mut object = Map::new();
    for (key, value) in parts(text, &typed)? {
        let (_, name) = keys.iter().find(|(typed, _)| *typed == key).unwrap_or(&("", ""));
        object.insert((*name).to_string(), json!(value));
    }
    Ok(Value::Object(object))
}

fn fixed_ip(session: &Session<'_>, text: &str, scope: &Scope) -> Result<Value, CliError> {
    let mut object = Map::new();
    for (key, value) in parts(text, &["subnet", "ip-address"])? {
        match key {
            "subnet" => object.insert(
                "subnet_id".to_string(),
                json!(resolve::subnet(session, value, scope)?),
            ),
            _ => object.insert("ip_address".to_string(), json!(value)),
        };
    }
    Ok(Value::Object(object))
}

fn station(text: &str) -> Result<Value, CliError> {
    let parts = parts(text, &["mac-address", "ip-address"])?;
    let of = |wanted: &str| -> Vec<&str> {
        let matching = parts.iter().filter(|(key, _)| *key == wanted);
        matching.map(|(_, value)| *value).collect()
    };
    Ok(json!({"mac_address": of("mac-address").first(), "ip_addresses": of("ip-address")}))
}
