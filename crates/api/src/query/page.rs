//! Order, pages, and links between pages.

use std::cmp::Ordering;
use std::net::IpAddr;

use anet_packet::addr::IpPrefix;
use serde_json::{Value, json};

use super::parameters::encode;
use super::{Direction, Object, Query};
use crate::error::ApiError;
use crate::resource::Attribute;

/// Sorts by the keys asked for, then by id, so that pages never overlap.
pub(super) fn sort(objects: &mut [Object], order: &[(&'static Attribute, Direction)]) {
    objects.sort_by(|a, b| {
        let keyed = order.iter().map(|(attribute, direction)| {
            let ordering = compare(a.get(attribute.name), b.get(attribute.name));
            match direction {
                Direction::Ascending => ordering,
                Direction::Descending => ordering.reverse(),
            }
        });
        let last = std::iter::once_with(|| compare(a.get("id"), b.get("id")));
        keyed.chain(last).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    });
}

/// Nothing comes before `null`, that before values; texts that are addresses in the order of addresses.
fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_i64().cmp(&b.as_i64()),
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
        (Some(Value::String(a)), Some(Value::String(b))) => address(a)
            .zip(address(b))
            .map_or_else(|| a.cmp(b), |(a, b)| a.cmp(&b)),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn address(text: &str) -> Option<(IpAddr, u8)> {
    let begins = text.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':');
    let prefix = begins.then(|| text.parse::<IpPrefix>().ok()).flatten();
    prefix.map(|prefix| (prefix.address(), prefix.length()))
}

const fn rank(value: Option<&Value>) -> u8 {
    match value {
        None => 0,
        Some(Value::Null) => 1,
        Some(Value::Bool(_)) => 2,
        Some(Value::Number(_)) => 3,
        Some(Value::String(_)) => 4,
        Some(_) => 5,
    }
}

/// The page asked for, in order.
pub(super) fn cut(query: &Query, mut objects: Vec<Object>) -> Result<Vec<Object>, ApiError> {
    if let Some(marker) = &query.marker {
        let at = objects
            .iter()
            .position(|object| object.get("id").and_then(Value::as_str) == Some(marker));
        let at = at.ok_or_else(|| ApiError::not_found(query.resource, marker))?;
        if query.page_reverse {
            objects.truncate(at);
        } else {
            objects.drain(..=at);
        }
    }
    let Some(limit) = query.limit else {
        return Ok(objects);
    };
    if query.page_reverse {
        objects.drain(..objects.len().saturating_sub(limit));
    } else {
        objects.truncate(limit);
    }
    Ok(objects)
}

/// Links as Neutron gives them: a page that is full may be followed by another one, and clients go on until one is not full.
pub(super) fn links(query: &Query, page: &[Object], base: &str) -> Vec<Value> {
    let Some(limit) = query.limit else {
        return Vec::new();
    };
    let full = page.len() >= limit;
    let id = |object: Option<&Object>| object.and_then(|o| o.get("id")?.as_str().map(str::to_string));
    let mut links = Vec::new();
    if full || query.page_reverse {
        let href = link(query, base, id(page.last()), false);
        links.push(json!({"rel": "next", "href": href}));
    }
    if full || !query.page_reverse {
        let href = link(query, base, id(page.first()), true);
        links.push(json!({"rel": "previous", "href": href}));
    }
    links
}

fn link(query: &Query, base: &str, marker: Option<String>, reverse: bool) -> String {
    let kept = query.parameters.iter();
    let kept = kept.filter(|(name, _)| name != "marker" && name != "page_reverse");
    let mut pairs: Vec<String> = kept
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    pairs.extend(marker.map(|id| format!("marker={}", encode(&id))));
    if reverse {
        pairs.push("page_reverse=True".to_string());
    }
    format!("{base}?{}", pairs.join("&"))
}
