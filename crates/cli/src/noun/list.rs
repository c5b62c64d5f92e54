//! Lists.

use anet_api::resource::{Attribute, Kind};
use clap::ArgMatches;

use super::{Noun, text, texts};
use crate::error::CliError;
use crate::flag::{self, Flag};
use crate::resolve::{self, Scope};
use crate::{Session, output, value};

pub(super) fn list(session: &mut Session<'_>, noun: &Noun, matches: &ArgMatches) -> Result<u8, CliError> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    for attribute in noun
        .resource
        .attributes()
        .iter()
        .filter(|a| a.filter && a.name != "id")
    {
        if let Some(flag) = flag::of(attribute) {
            parameters.extend(filters(session, attribute, flag, matches)?);
        }
    }
    if matches.try_contains_id("within").is_ok_and(|given| given) {
        let group = resolve::reference(
            session,
            "security_group_id",
            text(matches, "within"),
            &Scope::default(),
        )?;
        parameters.push(("security_group_id".to_string(), group));
    }
    for key in texts(matches, "sort") {
        let (name, direction) = key.split_once(':').unwrap_or((key, "asc"));
        parameters.push(("sort_key".to_string(), name.to_string()));
        parameters.push(("sort_dir".to_string(), direction.to_string()));
    }
    if let Some(limit) = matches.get_one::<u32>("limit") {
        parameters.push(("limit".to_string(), limit.to_string()));
    }
    let pairs: Vec<(&str, &str)> = parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let objects = session.client.list(noun.resource, &pairs)?;
    let mut usual = noun.columns.to_vec();
    if matches.get_flag("long") {
        usual.extend(noun.more);
    }
    output::objects(
        session,
        noun.resource,
        &objects,
        &texts(matches, "column"),
        &usual,
    )
}

/// What one attribute's flags ask for.
fn filters(
    session: &Session<'_>,
    attribute: &Attribute,
    flag: &Flag,
    matches: &ArgMatches,
) -> Result<Vec<(String, String)>, CliError> {
    let name = attribute.name.to_string();
    if flag::is_switch(attribute) {
        let said = value::switch(attribute, flag, matches);
        let text = |value: serde_json::Value| value.as_str().map_or(value.to_string(), str::to_string);
        return Ok(said.map(|value| (name, text(value))).into_iter().collect());
    }
    let mut found = Vec::new();
    for given in texts(matches, attribute.name) {
        if matches!(attribute.kind, Kind::FixedIps(_)) {
            for (key, part) in value::parts(given, &["subnet", "ip-address"])? {
                let part = match key {
                    "subnet" => format!("subnet_id={}", resolve::subnet(session, part, &Scope::default())?),
                    _ => format!("ip_address={part}"),
                };
                found.push((name.clone(), part));
            }
            continue;
        }
        found.push((
            name.clone(),
            resolve::reference(session, attribute.name, given, &Scope::default())?,
        ));
    }
    Ok(found)
}
