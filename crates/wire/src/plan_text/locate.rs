//! Where in the text an entry stands that the model refused.

use anet_model::validate::{Subject, ValidationError};

use super::document::{Field, Node, Position, Value};
use super::error::TextError;

/// The model's error at the line of the field, else of the entry, else of the file.
pub(super) fn place(document: &Node<'_>, problem: ValidationError) -> TextError {
    let way = way(&problem.subject);
    let mut node = document;
    let mut position = document.position;
    for step in &way {
        match find(node, step) {
            Some(field) => (node, position) = (&field.value, field.position),
            None => break,
        }
    }
    let mut path = way.join(".");
    if let Some((place, inner)) = field_of(node, problem.field) {
        position = place;
        path = [path.as_str(), inner.as_str()]
            .iter()
            .filter(|p| !p.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(".");
    }
    TextError::new(position, path, problem.problem, problem.expected)
}

/// The keys that lead to an entry.
fn way(subject: &Subject) -> Vec<&str> {
    match subject {
        Subject::Plan => vec![],
        Subject::Tunnel => vec!["tunnel"],
        Subject::Endpoint(id) => vec!["endpoints", id.as_str()],
        Subject::Network(id) => vec!["networks", id.as_str()],
        Subject::Subnet(id) => vec!["subnets", id.as_str()],
        Subject::AddressSet(id) => vec!["address_sets", id.as_str()],
        Subject::SecurityGroup(id) => vec!["security_groups", id.as_str()],
        Subject::Rule(group, id) => vec!["security_groups", group.as_str(), "rules", id.as_str()],
        Subject::Port(id) => vec!["ports", id.as_str()],
        Subject::Peer(id) => vec!["peers", id.as_str()],
    }
}

fn find<'n, 't>(node: &'n Node<'t>, key: &str) -> Option<&'n Field<'t>> {
    match &node.value {
        Value::Mapping(fields) => fields.iter().find(|field| field.key == key),
        Value::List(_) | Value::Scalar { .. } => None,
    }
}

/// The position of a field's value; the model's `interface`, `netns` and `attachment` are inside `tap` or `packet`.
fn field_of(node: &Node<'_>, name: &str) -> Option<(Position, String)> {
    if let Some(field) = find(node, name) {
        return Some((field.value.position, name.to_owned()));
    }
    if !matches!(name, "attachment" | "interface" | "netns") {
        return None;
    }
    let outer = find(node, "tap").or_else(|| find(node, "packet"))?;
    let inner = find(
        &outer.value,
        if name == "attachment" { "interface" } else { name },
    )?;
    Some((inner.value.position, format!("{}.{}", outer.key, inner.key)))
}
