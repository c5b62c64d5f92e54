//! How answers look: tables for people, JSON and YAML for programs.

pub(crate) mod cell;
pub(crate) mod table;

use anet_api::Resource;
use anet_api::query::Object;
use clap::ValueEnum;
use clap::builder::PossibleValue;
use serde::Serialize;
use serde_json::Value;

use crate::Session;
use crate::error::CliError;
use table::Table;

/// How answers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Format::Table, Format::Json, Format::Yaml]
    }
    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Format::Table => "table",
            Format::Json => "json",
            Format::Yaml => "yaml",
        }))
    }
}

/// A text on one line, without anything that a terminal would obey.
pub(crate) fn line(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(visible).collect()
}

/// Writes what is for programs; answers false where the answer is wanted as a table.
pub(crate) fn for_programs(session: &mut Session<'_>, answer: &impl Serialize) -> Result<bool, CliError> {
    let failed = |error: String| CliError::Output(std::io::Error::other(error));
    let text = match session.format {
        Format::Table => return Ok(false),
        Format::Json => {
            serde_json::to_string_pretty(answer).map_err(|error| failed(error.to_string()))? + "\n"
        }
        Format::Yaml => serde_saphyr::to_string(answer).map_err(|error| failed(error.to_string()))?,
    };
    session.out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        session.out.write_all(b"\n")?;
    }
    Ok(true)
}

/// Writes several objects: with the attributes asked for or, where there are none, the usual ones for people and all of them for
/// programs.
pub(crate) fn objects(
    session: &mut Session<'_>,
    resource: Resource,
    objects: &[Object],
    asked: &[&str],
    usual: &[&str],
) -> Result<u8, CliError> {
    check_columns(resource, asked)?;
    let written = match asked.is_empty() {
        true => for_programs(session, &objects)?,
        false => {
            let chosen: Vec<Object> = objects.iter().map(|object| only(object, asked)).collect();
            for_programs(session, &chosen)?
        }
    };
    if written {
        return Ok(0);
    }
    let columns = if asked.is_empty() { usual } else { asked };
    let mut table = Table::new(columns.iter().map(|column| cell::title(column)));
    for object in objects {
        table.row(
            columns
                .iter()
                .map(|column| cell::short(column, object.get(*column))),
        );
    }
    table.write(session.out)?;
    Ok(0)
}

/// Writes one object, attributes in the order of the table; all of them where none is named.
pub(crate) fn object(
    session: &mut Session<'_>,
    resource: Resource,
    object: &Object,
    columns: &[&str],
) -> Result<u8, CliError> {
    check_columns(resource, columns)?;
    let known: Vec<&str> = resource.attributes().iter().map(|a| a.name).collect();
    let columns = if columns.is_empty() { &known } else { columns };
    let object = only(object, columns);
    if for_programs(session, &object)? {
        return Ok(0);
    }
    let mut table = Table::new(["FIELD".to_string(), "VALUE".to_string()]);
    for (name, value) in columns.iter().filter_map(|name| Some((name, object.get(*name)?))) {
        let mut first = (*name).to_string();
        for line in cell::lines(name, value) {
            table.row([std::mem::take(&mut first), line]);
        }
    }
    table.write(session.out)?;
    Ok(0)
}

fn check_columns(resource: Resource, columns: &[&str]) -> Result<(), CliError> {
    match columns.iter().find(|column| resource.attribute(column).is_none()) {
        Some(unknown) => {
            let known: Vec<&str> = resource.attributes().iter().map(|a| a.name).collect();
            Err(CliError::Usage(format!(
                "there is no column `{unknown}`: choose of {}",
                known.join(", ")
            )))
        }
        None => Ok(()),
    }
}

fn only(object: &Object, columns: &[&str]) -> Object {
    let chosen = object.iter().filter(|(name, _)| columns.contains(&name.as_str()));
    chosen
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A value as one text.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_string(),
        Value::String(text) => line(text),
        other => other.to_string(),
    }
}
