//! Objects, lists and scalars of a document as typed values, each with an error that names its place.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use anet_model::id::Id;
use anet_packet::addr::{IpPrefix, Mac};

use super::document::{Field, Node, Path, Position, Shown, Value};
use super::error::TextError;
use super::keys::{ObjectKeys, nearest};

/// The outcome of decoding a value.
pub(super) type Outcome<T> = Result<T, TextError>;

/// A mapping whose keys are all known.
pub(super) struct Object<'n, 't, 'p> {
    fields: &'n [Field<'t>],
    position: Position,
    path: &'p Path<'p>,
}

impl<'n, 't, 'p> Object<'n, 't, 'p> {
    /// The mapping of `node`, which may have the keys of `known` and no others.
    pub(super) fn of(node: &'n Node<'t>, path: &'p Path<'p>, known: ObjectKeys) -> Outcome<Self> {
        let fields = fields(node, path)?;
        for field in fields {
            if !known.keys.contains(&field.key.as_ref()) {
                return Err(unknown_key(field, path, known));
            }
        }
        Ok(Self {
            fields,
            position: node.position,
            path,
        })
    }

    pub(super) fn get(&self, key: &str) -> Option<&'n Node<'t>> {
        self.fields
            .iter()
            .find(|field| field.key == key)
            .map(|field| &field.value)
    }

    /// The value of a key that may be missing.
    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        decode: impl FnOnce(&'n Node<'t>, &Path<'_>) -> Outcome<T>,
    ) -> Outcome<Option<T>> {
        self.get(key)
            .map(|node| decode(node, &Path::Key(self.path, key)))
            .transpose()
    }

    /// The value of a key that has to be there.
    pub(super) fn required<T>(
        &self,
        key: &'static str,
        decode: impl FnOnce(&'n Node<'t>, &Path<'_>) -> Outcome<T>,
    ) -> Outcome<T> {
        self.optional(key, decode)?.ok_or_else(|| {
            let problem = format!("`{key}` is missing");
            TextError::new(self.position, self.path, problem, format!("`{key}: ...` here"))
        })
    }

    /// An error about a key that is there.
    pub(super) fn refuse<T>(&self, key: &'static str, problem: &str, expected: &str) -> Outcome<T> {
        let position = self
            .fields
            .iter()
            .find(|field| field.key == key)
            .map_or(self.position, |f| f.position);
        Err(TextError::new(
            position,
            Path::Key(self.path, key),
            problem,
            expected,
        ))
    }
}

fn unknown_key(field: &Field<'_>, path: &Path<'_>, known: ObjectKeys) -> TextError {
    let problem = match nearest(&field.key, known.keys) {
        Some(meant) => format!("a {} has no such key; did you mean `{meant}`?", known.object),
        None => format!("a {} has no such key", known.object),
    };
    TextError::new(
        field.position,
        Path::Key(path, &field.key),
        problem,
        format!("one of {}", known.keys.join(", ")),
    )
}

/// The fields of a mapping; none where nothing is written.
pub(super) fn fields<'n, 't>(node: &'n Node<'t>, path: &Path<'_>) -> Outcome<&'n [Field<'t>]> {
    match &node.value {
        Value::Mapping(fields) => Ok(fields),
        _ if node.is_nothing() => Ok(&[]),
        Value::List(_) => wrong(
            node,
            path,
            "a list does not belong here",
            "a mapping, `KEY: VALUE`",
        ),
        Value::Scalar { .. } => wrong(
            node,
            path,
            "a single value does not belong here",
            "a mapping, `KEY: VALUE`",
        ),
    }
}

/// Each element of a list; none where nothing is written.
pub(super) fn list<'n, 't, T, C: FromIterator<T>>(
    node: &'n Node<'t>,
    path: &Path<'_>,
    decode: impl Fn(&'n Node<'t>, &Path<'_>) -> Outcome<T>,
) -> Outcome<C> {
    match &node.value {
        Value::List(nodes) => {
            let element = |(index, node)| decode(node, &Path::Index(path, index));
            nodes.iter().enumerate().map(element).collect()
        }
        _ if node.is_nothing() => Ok(C::from_iter([])),
        _ => wrong(node, path, "this is not a list", "a list, `[A, B]`"),
    }
}

pub(super) fn wrong<T>(
    node: &Node<'_>,
    path: &Path<'_>,
    problem: impl Into<String>,
    expected: &str,
) -> Outcome<T> {
    Err(TextError::new(node.position, path, problem, expected))
}

/// The text of a scalar, and whether it is written without quotes.
fn scalar<'n>(node: &'n Node<'_>, path: &Path<'_>, expected: &str) -> Outcome<(&'n str, bool)> {
    match &node.value {
        Value::Scalar { text, plain } if !node.is_nothing() => Ok((text, *plain)),
        Value::Scalar { .. } => wrong(node, path, "the value is missing", expected),
        Value::List(_) => wrong(node, path, "a list does not belong here", expected),
        Value::Mapping(_) => wrong(node, path, "a mapping does not belong here", expected),
    }
}

pub(super) fn text(node: &Node<'_>, path: &Path<'_>) -> Outcome<String> {
    Ok(scalar(node, path, "a text")?.0.to_owned())
}

/// A scalar that `T` reads. `what` and `expected` describe it.
fn parsed<T: FromStr>(node: &Node<'_>, path: &Path<'_>, what: &str, expected: &str) -> Outcome<T> {
    let (text, _) = scalar(node, path, expected)?;
    text.parse()
        .or_else(|_| wrong(node, path, format!("`{}` is not {what}", Shown(text)), expected))
}

pub(super) fn id<N>(node: &Node<'_>, path: &Path<'_>) -> Outcome<Id<N>> {
    parsed(
        node,
        path,
        "a name",
        "1 to 64 characters out of a-z A-Z 0-9 . _ : -",
    )
}

pub(super) fn mac(node: &Node<'_>, path: &Path<'_>) -> Outcome<Mac> {
    parsed(
        node,
        path,
        "a MAC address",
        "six two-digit hex bytes as 02:00:00:00:00:01",
    )
}

pub(super) fn address(node: &Node<'_>, path: &Path<'_>) -> Outcome<IpAddr> {
    parsed(node, path, "an IP address", "an address as 10.0.0.1 or fd00::1")
}

pub(super) fn address_v4(node: &Node<'_>, path: &Path<'_>) -> Outcome<Ipv4Addr> {
    parsed(node, path, "an IPv4 address", "an address as 10.0.0.1")
}

pub(super) fn prefix(node: &Node<'_>, path: &Path<'_>) -> Outcome<IpPrefix> {
    let expected = "ADDRESS/LENGTH with no bits set behind the length, as 10.0.0.0/24, or an address alone";
    parsed(node, path, "a prefix", expected)
}

pub(super) fn boolean(node: &Node<'_>, path: &Path<'_>) -> Outcome<bool> {
    match scalar(node, path, "true or false")? {
        ("true", true) => Ok(true),
        ("false", true) => Ok(false),
        (other, _) => wrong(
            node,
            path,
            format!("`{}` is neither true nor false", Shown(other)),
            "true or false",
        ),
    }
}

/// A whole number from `lowest` to `highest`.
pub(super) fn number(node: &Node<'_>, path: &Path<'_>, lowest: u32, highest: u32) -> Outcome<u32> {
    let expected = format!("a whole number, {lowest} to {highest}");
    let (text, plain) = scalar(node, path, &expected)?;
    match digits(text).filter(|value| plain && (lowest..=highest).contains(value)) {
        Some(value) => Ok(value),
        None => wrong(
            node,
            path,
            format!("`{}` is not such a number", Shown(text)),
            &expected,
        ),
    }
}

pub(super) fn number_u16(node: &Node<'_>, path: &Path<'_>, lowest: u16) -> Outcome<u16> {
    let value = number(node, path, lowest.into(), u16::MAX.into())?;
    Ok(u16::try_from(value).unwrap_or(u16::MAX))
}

pub(super) fn number_u8(node: &Node<'_>, path: &Path<'_>) -> Outcome<u8> {
    let value = number(node, path, 0, u8::MAX.into())?;
    Ok(u8::try_from(value).unwrap_or(u8::MAX))
}

pub(super) fn number_u32(node: &Node<'_>, path: &Path<'_>) -> Outcome<u32> {
    number(node, path, 0, u32::MAX)
}

/// A number of decimal digits only: no sign, no `0x`, no underscore.
pub(super) fn digits<T: FromStr>(text: &str) -> Option<T> {
    let legal = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if legal { text.parse().ok() } else { None }
}

/// One of a few words.
pub(super) fn word<T: Copy>(node: &Node<'_>, path: &Path<'_>, words: &[(&str, T)]) -> Outcome<T> {
    let expected = words
        .iter()
        .map(|(word, _)| *word)
        .collect::<Vec<_>>()
        .join(" or ");
    let (text, _) = scalar(node, path, &expected)?;
    match words.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(*value),
        None => wrong(
            node,
            path,
            format!("`{}` is unknown here", Shown(text)),
            &expected,
        ),
    }
}
