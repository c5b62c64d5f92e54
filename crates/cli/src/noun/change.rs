//! Making and changing objects.

use anet_api::query::Object;
use anet_api::resource::{Access, Attribute, legal_value};
use clap::ArgMatches;
use serde_json::{Value, json};

use super::{Noun, rule, text, texts};
use crate::error::CliError;
use crate::flag::{self, Flag};
use crate::resolve::{self, Scope};
use crate::{Session, output, value};

pub(super) fn create(session: &mut Session<'_>, noun: &Noun, matches: &ArgMatches) -> Result<u8, CliError> {
    let mut attributes = Object::new();
    let mut scope = Scope::default();
    // Each project has a group `default`.
    let names_groups = ["security_groups", "remote_group_id"]
        .iter()
        .any(|name| matches.try_contains_id(name).is_ok_and(|given| given));
    for attribute in noun
        .resource
        .attributes()
        .iter()
        .filter(|a| a.create > Access::Nobody)
    {
        let Some(flag) = flag::of(attribute) else {
            continue;
        };
        let said = said(session, attribute, flag, matches, &scope)?;
        let cleared = clearing(flag, matches).then(|| nothing(attribute));
        if let Some(value) = said.or(cleared) {
            scope.learn(attribute.name, &value);
            if names_groups {
                scope.learn_owner(session, attribute.name, &value)?;
            }
            attributes.insert(attribute.name.to_string(), value);
        }
    }
    if noun.resource == Noun::RULE.resource {
        rule::complete(&mut attributes, matches)?;
    }
    let made = session.client.create(noun.resource, attributes)?;
    output::object(session, noun.resource, &made, &[])
}

/// Lists grow by what is given; with the opposite flag they are what is given.
pub(super) fn set(session: &mut Session<'_>, noun: &Noun, matches: &ArgMatches) -> Result<u8, CliError> {
    let old = session.client.find(noun.resource, text(matches, "object"), &[])?;
    let mut scope = Scope::default();
    for name in ["project_id", "network_id"] {
        scope.learn(name, old.get(name).unwrap_or(&Value::Null));
    }
    let mut attributes = Object::new();
    for attribute in noun
        .resource
        .attributes()
        .iter()
        .filter(|a| a.update > Access::Nobody)
    {
        let Some(flag) = flag::of(attribute) else {
            continue;
        };
        if attribute.name == "gateway_ip" && texts(matches, attribute.name).last() == Some(&"auto") {
            let text = "--gateway: auto is for a new subnet: give an address, or none";
            return Err(CliError::Usage(text.to_string()));
        }
        let new = said(session, attribute, flag, matches, &scope)?;
        let clear = clearing(flag, matches) && !flag::is_switch(attribute);
        let value = match (new, clear) {
            (Some(Value::Array(new)), false) => Some(grown(&old, attribute.name, new)),
            (Some(new), _) => Some(new),
            (None, true) => Some(nothing(attribute)),
            (None, false) => None,
        };
        if let Some(value) = value {
            attributes.insert(attribute.name.to_string(), value);
        }
    }
    let changed = session
        .client
        .update(noun.resource, resolve::id_of(&old), attributes)?;
    output::object(session, noun.resource, &changed, &[])
}

/// The old entries, then the new ones that were not there.
fn grown(old: &Object, name: &str, new: Vec<Value>) -> Value {
    let mut entries = old
        .get(name)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for entry in new {
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    Value::Array(entries)
}

fn clearing(flag: &Flag, matches: &ArgMatches) -> bool {
    !flag.opposite.is_empty()
        && matches.try_contains_id(flag.opposite).is_ok_and(|given| given)
        && matches.get_flag(flag.opposite)
}

fn nothing(attribute: &Attribute) -> Value {
    if flag::is_list(attribute.kind) {
        json!([])
    } else {
        Value::Null
    }
}

/// The value that an attribute's flag gives it, checked as the API checks it.
fn said(
    session: &Session<'_>,
    attribute: &Attribute,
    flag: &Flag,
    matches: &ArgMatches,
    scope: &Scope,
) -> Result<Option<Value>, CliError> {
    if flag::is_switch(attribute) {
        return Ok(value::switch(attribute, flag, matches));
    }
    let given = texts(matches, attribute.name);
    let Some(last) = given.last() else {
        return Ok(None);
    };
    let written = if flag::is_list(attribute.kind) {
        let entries = given
            .iter()
            .map(|text| value::entry(session, attribute, text, scope));
        Value::Array(entries.collect::<Result<_, _>>()?)
    } else if attribute.name == "gateway_ip" && *last == "auto" {
        return Ok(None);
    } else if attribute.name == "gateway_ip" && *last == "none" {
        Value::Null
    } else {
        Value::from(resolve::reference(session, attribute.name, last, scope)?)
    };
    let wrong = |reason| CliError::Usage(format!("--{}: {reason}", flag.name));
    legal_value(attribute, &written).map(Some).map_err(wrong)
}
