//! One field at a time: protobuf's loose types to the model's checked ones.

use std::net::{IpAddr, Ipv4Addr};

use anet_model::digest::Digest;
use anet_model::id::{Id, IdError};
use anet_packet::addr::{AddressError, IpPrefix, Mac};

use super::proto;

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", if path.is_empty() { String::new() } else { format!("{path}: ") })]
pub struct DecodeError {
    path: String,
    problem: String,
}

impl DecodeError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            problem: problem.into(),
        }
    }

    /// The field that is wrong, as `changes[3].port.mac`; empty for the message as a whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same error, seen from the message that holds `field`.
    pub(super) fn inside(mut self, field: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{field}{dot}{}", self.path);
        self
    }
}

impl From<IdError> for DecodeError {
    fn from(error: IdError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<AddressError> for DecodeError {
    fn from(error: AddressError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<prost::DecodeError> for DecodeError {
    fn from(error: prost::DecodeError) -> Self {
        Self::new(error.to_string())
    }
}

/// The outcome of decoding something.
pub(super) type Decoded<T> = Result<T, DecodeError>;

/// Names the field that an outcome belongs to.
pub(super) fn at<T>(field: &str, outcome: Result<T, impl Into<DecodeError>>) -> Decoded<T> {
    outcome.map_err(|error| error.into().inside(field))
}

/// A field that has to be there.
pub(super) fn required<T>(field: &str, value: Option<T>) -> Decoded<T> {
    value.ok_or_else(|| DecodeError::new("is missing or of an unknown kind").inside(field))
}

/// Decodes a field that may be absent.
pub(super) fn optional<P, M>(
    field: &str,
    value: Option<P>,
    decode: impl FnOnce(P) -> Decoded<M>,
) -> Decoded<Option<M>> {
    value.map(|value| at(field, decode(value))).transpose()
}

/// Decodes each element of a repeated field.
pub(super) fn each<P, M, C: FromIterator<M>>(
    field: &str,
    values: impl IntoIterator<Item = P>,
    mut decode: impl FnMut(P) -> Decoded<M>,
) -> Decoded<C> {
    let element = |(index, value)| {
        decode(value).map_err(|e: DecodeError| e.inside(&format!("[{index}]")).inside(field))
    };
    values.into_iter().enumerate().map(element).collect()
}

pub(super) fn id<N>(field: &str, text: &str) -> Decoded<Id<N>> {
    at(field, Id::new(text))
}

pub(super) fn optional_id<N>(field: &str, text: Option<String>) -> Decoded<Option<Id<N>>> {
    text.map(|text| id(field, &text)).transpose()
}

/// A number that has to fit a narrower type.
pub(super) fn number<T: TryFrom<u32>>(field: &str, value: u32) -> Decoded<T> {
    let highest = (1_u64 << (8 * size_of::<T>())) - 1;
    let wrong =
        |_| DecodeError::new(format!("{value} is out of range: expected 0 to {highest}")).inside(field);
    T::try_from(value).map_err(wrong)
}

pub(super) fn optional_number<T: TryFrom<u32>>(field: &str, value: Option<u32>) -> Decoded<Option<T>> {
    value.map(|value| number(field, value)).transpose()
}

pub(super) fn address(bytes: Vec<u8>) -> Decoded<IpAddr> {
    let bytes = bytes.as_slice();
    let v6 = || <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok();
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .ok()
        .or_else(v6)
        .ok_or_else(|| {
            DecodeError::new(format!(
                "{} bytes are not an IP address: expected 4 or 16",
                bytes.len()
            ))
        })
}

pub(super) fn address_v4(bytes: &[u8]) -> Decoded<Ipv4Addr> {
    let wrong = |_| {
        DecodeError::new(format!(
            "{} bytes are not an IPv4 address: expected 4",
            bytes.len()
        ))
    };
    <[u8; 4]>::try_from(bytes).map(Ipv4Addr::from).map_err(wrong)
}

pub(super) fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

pub(super) fn mac(bytes: &[u8]) -> Decoded<Mac> {
    let wrong = |_| DecodeError::new(format!("{} bytes are not a MAC address: expected 6", bytes.len()));
    <[u8; 6]>::try_from(bytes).map(Mac).map_err(wrong)
}

pub(super) fn digest(bytes: &[u8]) -> Decoded<Digest> {
    let wrong = |_| DecodeError::new(format!("{} bytes are not a digest: expected 16", bytes.len()));
    <[u8; 16]>::try_from(bytes).map(Digest::from_bytes).map_err(wrong)
}

pub(super) fn prefix(message: proto::Prefix) -> Decoded<IpPrefix> {
    let length = number("length", message.length)?;
    Ok(IpPrefix::new(at("address", address(message.address))?, length)?)
}

pub(super) fn prefix_message(prefix: IpPrefix) -> proto::Prefix {
    proto::Prefix {
        address: address_bytes(prefix.address()),
        length: prefix.length().into(),
    }
}

pub(super) fn required_prefix(field: &str, message: Option<proto::Prefix>) -> Decoded<IpPrefix> {
    at(
        field,
        message
            .ok_or_else(|| DecodeError::new("is missing"))
            .and_then(prefix),
    )
}

/// A text with a bound.
pub(super) fn text(field: &str, text: String, limit: usize) -> Decoded<String> {
    match text.len() {
        length if length <= limit => Ok(text),
        length => {
            Err(DecodeError::new(format!("{length} bytes are too long: at most {limit}")).inside(field))
        }
    }
}
