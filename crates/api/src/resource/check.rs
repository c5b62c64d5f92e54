//! Whether one JSON value is legal for its attribute. Reasons name what was found and what would be accepted.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;

use anet_model::host_plan::AddressPair;
use anet_model::id::Id;
use anet_model::intent::Station;
use anet_packet::addr::{IpPrefix, Mac};
use serde_json::{Map, Value};

use super::protocol;
use super::{Attribute, FixedIpRequest, Kind, Literal, Typed};
use crate::error::excerpt;

/// Addresses of one station behind a foreign endpoint.
const ADDRESSES_OF_A_STATION: usize = anet_model::limits::ADDRESSES_PER_STATION;
/// Characters of a host name (RFC 1123, section 2.1), and of one of its labels.
const HOST_NAME: usize = anet_model::limits::HOSTNAME_BYTES;
const LABEL: usize = 63;

type Checked<T> = Result<T, String>;

/// The value, checked, or why it is not legal.
pub fn value(attribute: &Attribute, value: &Value) -> Checked<Typed> {
    if let Kind::Only(literal) = attribute.kind {
        return only(literal, attribute.nullable, value);
    }
    // Neutron's clients clear an id or a host name with an empty text as well.
    let cleared = value == "" && matches!(attribute.kind, Kind::Id | Kind::HostName);
    if attribute.nullable && (value.is_null() || cleared) {
        return Ok(Typed::Null);
    }
    plain(attribute.kind, value).unwrap_or_else(|| list(attribute.kind, value))
}

/// Kinds of one value each; `None` for lists.
fn plain(kind: Kind, value: &Value) -> Option<Checked<Typed>> {
    Some(match kind {
        Kind::Id => id(value).map(Typed::Text),
        Kind::Text(longest) => text(value, longest).map(Typed::Text),
        Kind::HostName => host_name(value).map(Typed::Text),
        Kind::Boolean => boolean(value).map(Typed::Boolean),
        Kind::Integer(first, last) => integer(value, first, last).map(Typed::Integer),
        Kind::Address => address(value).map(Typed::Address),
        Kind::Cidr => cidr(value).map(Typed::Prefix),
        Kind::Prefix => prefix(value).map(Typed::Prefix),
        Kind::Mac => mac(value).map(Typed::Mac),
        Kind::Word(words) => word(value, words).map(Typed::Text),
        Kind::Protocol => protocol::parse(value).map(Typed::Protocol),
        _ => return None,
    })
}

fn list(kind: Kind, value: &Value) -> Checked<Typed> {
    match kind {
        Kind::Ids(most) => different(value, most, id).map(Typed::Ids),
        Kind::Addresses(most) => different(value, most, address).map(Typed::Addresses),
        Kind::Pools(most) => items(value, most, pool).map(Typed::Pools),
        Kind::FixedIps(most) => items(value, most, fixed_ip).map(Typed::FixedIps),
        Kind::HostRoutes(most) => items(value, most, host_route).map(Typed::HostRoutes),
        Kind::AddressPairs(most) => items(value, most, address_pair).map(Typed::AddressPairs),
        Kind::Stations(most) => items(value, most, station).map(Typed::Stations),
        _ => Err("it is made by the fabric".to_string()),
    }
}

/// What was found, short and on one line.
fn found(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{}'", excerpt(text)),
        other => format!("'{}'", excerpt(&other.to_string())),
    }
}

fn expected<T>(value: &Value, what: impl Display) -> Checked<T> {
    Err(format!("{} is not {what}", found(value)))
}

fn only(literal: Literal, nullable: bool, value: &Value) -> Checked<Typed> {
    if *value == literal.to_json() || (nullable && value.is_null()) {
        return Ok(Typed::Only);
    }
    Err(format!(
        "{} is not supported: leave it out or give {}",
        found(value),
        literal.to_json()
    ))
}

fn id(value: &Value) -> Checked<String> {
    let is_id = |text: &&str| Id::<()>::new(text).is_ok();
    match value.as_str().filter(is_id) {
        Some(text) => Ok(text.to_string()),
        None => expected(value, "an id: 1 to 64 characters out of a-z A-Z 0-9 . _ : -"),
    }
}

fn text(value: &Value, longest: usize) -> Checked<String> {
    match value.as_str() {
        Some(text) if text.chars().nth(longest).is_none() => Ok(text.to_string()),
        _ => expected(value, format_args!("a text of at most {longest} characters")),
    }
}

fn host_name(value: &Value) -> Checked<String> {
    let label = |label: &str| {
        (1..=LABEL).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match value.as_str() {
        Some(text) if text.len() <= HOST_NAME && text.split('.').all(label) => Ok(text.to_string()),
        _ => expected(
            value,
            "a host name: labels of a-z A-Z 0-9 - joined by dots, 253 characters at most",
        ),
    }
}

/// Neutron takes these words and numbers for a boolean.
fn boolean(value: &Value) -> Checked<bool> {
    let lower = value.as_str().map(str::to_ascii_lowercase);
    match (value, lower.as_deref(), value.as_i64()) {
        (Value::Bool(value), ..) => Ok(*value),
        (_, Some("true" | "1"), _) | (_, _, Some(1)) => Ok(true),
        (_, Some("false" | "0"), _) | (_, _, Some(0)) => Ok(false),
        _ => expected(value, "true or false"),
    }
}

/// A number, or a text that is one.
fn integer(value: &Value, first: i64, last: i64) -> Checked<i64> {
    let digits = |text: &&str| text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let number = match value {
        Value::String(text) => Some(text.as_str()).filter(digits).and_then(|t| t.parse().ok()),
        other => other.as_i64(),
    };
    match number {
        Some(number) if (first..=last).contains(&number) => Ok(number),
        _ => expected(value, format_args!("a whole number from {first} to {last}")),
    }
}

/// A unicast address. An IPv4 address in IPv6's clothes would pass for another one.
fn address(value: &Value) -> Checked<IpAddr> {
    match any_address(value)? {
        address if is_unicast(address) => Ok(address),
        _ => expected(value, "a unicast IP address"),
    }
}

fn any_address(value: &Value) -> Checked<IpAddr> {
    let parsed = value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
    match parsed.filter(|address| address.to_canonical() == *address) {
        Some(address) => Ok(address),
        None => expected(value, "an IP address such as 192.0.2.1 or 2001:db8::1"),
    }
}

fn is_unicast(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(a) if a.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || broadcast)
}

fn cidr(value: &Value) -> Checked<IpPrefix> {
    if !value.as_str().is_some_and(|text| text.contains('/')) {
        return expected(value, "a range such as 192.0.2.0/24 or 2001:db8::/64");
    }
    prefix(value)
}

/// Bits behind the length are cleared, as Neutron does.
fn prefix(value: &Value) -> Checked<IpPrefix> {
    let wrong = || expected(value, "an IP address or a range such as 192.0.2.0/24");
    let Some(text) = value.as_str() else {
        return wrong();
    };
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let Ok(address) = any_address(&Value::from(address)) else {
        return wrong();
    };
    let Some(length) = length else {
        return Ok(IpPrefix::host(address));
    };
    let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    let length = length.parse::<u8>().ok().filter(|_| digits);
    let prefix = length.and_then(|length| IpPrefix::containing(address, length).ok());
    prefix.map_or_else(wrong, Ok)
}

fn mac(value: &Value) -> Checked<Mac> {
    let parsed = value.as_str().and_then(|text| text.parse::<Mac>().ok());
    match parsed.filter(|mac| mac.is_station()) {
        Some(mac) => Ok(mac),
        None => expected(value, "a station's MAC address such as 02:00:00:00:00:01"),
    }
}

fn word(value: &Value, words: &[&str]) -> Checked<String> {
    let text = value.as_str().unwrap_or_default();
    match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
        Some(word) => Ok((*word).to_string()),
        None => expected(value, words.join(" or ")),
    }
}

fn items<T>(value: &Value, most: usize, item: impl Fn(&Value) -> Checked<T>) -> Checked<Vec<T>> {
    let Some(values) = value.as_array() else {
        return expected(value, "a list");
    };
    if values.len() > most {
        return Err(format!("{} entries are too many: at most {most}", values.len()));
    }
    let numbered = values.iter().enumerate();
    numbered
        .map(|(at, value)| item(value).map_err(|reason| format!("entry {}: {reason}", at + 1)))
        .collect()
}

fn different<T: Ord + Clone + Display>(
    value: &Value,
    most: usize,
    item: impl Fn(&Value) -> Checked<T>,
) -> Checked<Vec<T>> {
    let items = items(value, most, item)?;
    let mut seen = BTreeSet::new();
    match items.iter().find(|item| !seen.insert(*item)) {
        Some(twice) => Err(format!("'{twice}' is there twice")),
        None => Ok(items),
    }
}

/// An object that has no other than the given keys; `null` is as if the key were not there.
fn object<'a, const N: usize>(value: &'a Value, keys: [&str; N]) -> Checked<[Option<&'a Value>; N]> {
    let wrong = || format!("{} is not an object of {}", found(value), keys.join(", "));
    let object: &Map<String, Value> = value.as_object().ok_or_else(wrong)?;
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(other) => Err(format!("'{}' is not one of {}", excerpt(other), keys.join(", "))),
        None => Ok(keys.map(|key| object.get(key).filter(|value| !value.is_null()))),
    }
}

/// The value of a key of an object inside a list.
fn inner<T>(key: &str, value: Option<&Value>, check: impl Fn(&Value) -> Checked<T>) -> Checked<T> {
    let value = value.ok_or_else(|| format!("'{key}' is missing"))?;
    check(value).map_err(|reason| format!("{key}: {reason}"))
}

fn optional<T>(key: &str, value: Option<&Value>, check: impl Fn(&Value) -> Checked<T>) -> Checked<Option<T>> {
    value.map(|value| inner(key, Some(value), check)).transpose()
}

fn pool(value: &Value) -> Checked<(IpAddr, IpAddr)> {
    let [start, end] = object(value, ["start", "end"])?;
    let (start, end) = (inner("start", start, address)?, inner("end", end, address)?);
    if start.is_ipv4() != end.is_ipv4() || start > end {
        return Err(format!(
            "{start} to {end} is not a range from its lowest to its highest address"
        ));
    }
    Ok((start, end))
}

fn fixed_ip(value: &Value) -> Checked<FixedIpRequest> {
    let [subnet, ip] = object(value, ["subnet_id", "ip_address"])?;
    let subnet_id = optional("subnet_id", subnet, id)?;
    let request = FixedIpRequest {
        subnet_id: subnet_id
            .map(|id| Id::new(&id))
            .transpose()
            .map_err(|e| e.to_string())?,
        ip_address: optional("ip_address", ip, address)?,
    };
    if request.subnet_id.is_none() && request.ip_address.is_none() {
        return Err("'subnet_id' or 'ip_address' is needed".to_string());
    }
    Ok(request)
}

fn host_route(value: &Value) -> Checked<(IpPrefix, IpAddr)> {
    let [destination, next_hop] = object(value, ["destination", "nexthop"])?;
    let destination = inner("destination", destination, cidr)?;
    // 0.0.0.0 is legal here: on-link.
    Ok((destination, inner("nexthop", next_hop, any_address)?))
}

fn address_pair(value: &Value) -> Checked<AddressPair> {
    let [ip, pair_mac] = object(value, ["ip_address", "mac_address"])?;
    let prefix = inner("ip_address", ip, prefix)?;
    if prefix.address().is_multicast() {
        return Err(format!("ip_address: {prefix} is not unicast"));
    }
    let mac = optional("mac_address", pair_mac, mac)?;
    Ok(AddressPair { mac, prefix })
}

fn station(value: &Value) -> Checked<Station> {
    let [station_mac, addresses] = object(value, ["mac_address", "ip_addresses"])?;
    let mac = inner("mac_address", station_mac, mac)?;
    let list = |value: &Value| different(value, ADDRESSES_OF_A_STATION, address);
    let addresses = optional("ip_addresses", addresses, list)?.unwrap_or_default();
    Ok(Station { mac, addresses })
}
