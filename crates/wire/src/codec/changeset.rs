//! Changesets to and from bytes.

use anet_model::changeset::{Change, Changeset};
#[cfg(doc)]
use anet_model::limits;
use prost::Message as _;

use super::field::{
    DecodeError, Decoded, at, digest, id, optional, prefix_message, required, required_prefix,
};
use super::raw::{Fields, Value};
use super::{nouns, proto, rules};
use proto::change::Change as Kind;

/// Entries that one changeset may have.
pub const CHANGES_MAXIMUM: usize = 1_000_000;

/// Bytes that one entry may take: the largest security group fits ([`limits::RULES_PER_PORT`] rules).
pub const CHANGE_BYTES_MAXIMUM: usize = 1 << 20;

/// Bytes that a whole address set may take: the largest fits ([`limits::MEMBERS_PER_ADDRESS_SET`] members).
pub const ADDRESS_SET_BYTES_MAXIMUM: usize = 4 << 20;

/// The first byte of a change of a whole address set: field 9, length-delimited.
const ADDRESS_SET_TAG: u8 = 9 << 3 | 2;

/// The bytes of a changeset.
pub fn encode_changeset(changeset: &Changeset) -> Vec<u8> {
    let message = proto::Changeset {
        incarnation: changeset.incarnation,
        from: changeset.from,
        to: changeset.to,
        snapshot: changeset.snapshot,
        changes: changeset.changes.iter().map(change_message).collect(),
        digest_after: changeset.digest_after.map(|digest| digest.to_vec()),
    };
    message.encode_to_vec()
}

/// A changeset out of bytes. It may still not fit the plan: that is for the model to say.
pub fn decode_changeset(bytes: &[u8]) -> Result<Changeset, DecodeError> {
    let mut changeset = Changeset::default();
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match field {
            (1, Value::Varint(value)) => changeset.incarnation = value,
            (2, Value::Varint(value)) => changeset.from = value,
            (3, Value::Varint(value)) => changeset.to = value,
            (4, Value::Varint(value)) => changeset.snapshot = value != 0,
            (5, Value::Bytes(value)) => {
                let index = changeset.changes.len();
                changeset.changes.push(at(
                    &format!("changes[{index}]"),
                    check_bounds(value, index).and_then(|()| change(value)),
                )?);
            }
            (6, Value::Bytes(value)) => {
                changeset.digest_after = Some(at("digest_after", digest(value))?.to_bytes())
            }
            (1..=6, _) => {
                return Err(DecodeError::new(format!(
                    "changeset: field {} has a wrong type",
                    field.0
                )));
            }
            _ => {} // A field of a later version.
        }
    }
    Ok(changeset)
}

/// Bounds the entries and the bytes of each before anything is decoded.
fn check_bounds(bytes: &[u8], index: usize) -> Decoded<()> {
    if index >= CHANGES_MAXIMUM {
        return Err(DecodeError::new(format!(
            "too many entries: at most {CHANGES_MAXIMUM}"
        )));
    }
    let is_set = bytes.first() == Some(&ADDRESS_SET_TAG);
    let limit = if is_set {
        ADDRESS_SET_BYTES_MAXIMUM
    } else {
        CHANGE_BYTES_MAXIMUM
    };
    if bytes.len() > limit {
        return Err(DecodeError::new(format!(
            "{} bytes are too long for an entry: at most {limit}",
            bytes.len()
        )));
    }
    Ok(())
}

fn change(bytes: &[u8]) -> Decoded<Change> {
    match required("change", proto::Change::decode(bytes)?.change)? {
        Kind::Tunnel(m) => Ok(Change::Tunnel(optional("tunnel", m.value, nouns::tunnel)?)),
        Kind::Network(m) => {
            let key = id("network.id", &m.id)?;
            Ok(Change::Network(
                key,
                optional("network", m.value, nouns::network)?,
            ))
        }
        Kind::Subnet(m) => Ok(Change::Subnet(
            id("subnet.id", &m.id)?,
            optional("subnet", m.value, nouns::subnet)?,
        )),
        Kind::Port(m) => Ok(Change::Port(
            id("port.id", &m.id)?,
            optional("port", m.value, nouns::port)?,
        )),
        Kind::Endpoint(m) => {
            let key = id("endpoint.id", &m.id)?;
            Ok(Change::Endpoint(
                key,
                optional("endpoint", m.value, nouns::endpoint)?,
            ))
        }
        Kind::Peer(m) => Ok(Change::Peer(
            id("peer.id", &m.id)?,
            optional("peer", m.value, nouns::peer)?,
        )),
        Kind::SecurityGroup(m) => {
            let key = id("security_group.id", &m.id)?;
            Ok(Change::SecurityGroup(
                key,
                optional("security_group", m.value, rules::security_group)?,
            ))
        }
        Kind::Rule(m) => {
            let group = id("rule.security_group", &m.security_group)?;
            Ok(Change::Rule(
                group,
                id("rule.id", &m.id)?,
                optional("rule", m.value, rules::rule)?,
            ))
        }
        Kind::AddressSet(m) => {
            let key = id("address_set.id", &m.id)?;
            Ok(Change::AddressSet(
                key,
                optional("address_set", m.value, rules::address_set)?,
            ))
        }
        Kind::Member(m) => {
            let set = id("member.address_set", &m.address_set)?;
            Ok(Change::Member(
                set,
                required_prefix("member.member", m.member)?,
                m.present,
            ))
        }
    }
}

fn change_message(change: &Change) -> proto::Change {
    let kind = match change {
        Change::Tunnel(value) => Kind::Tunnel(proto::TunnelChange {
            value: value.as_ref().map(nouns::tunnel_message),
        }),
        Change::Network(id, value) => Kind::Network(proto::NetworkChange {
            id: id.to_string(),
            value: value.as_ref().map(nouns::network_message),
        }),
        Change::Subnet(id, value) => Kind::Subnet(proto::SubnetChange {
            id: id.to_string(),
            value: value.as_ref().map(nouns::subnet_message),
        }),
        Change::Port(id, value) => Kind::Port(proto::PortChange {
            id: id.to_string(),
            value: value.as_ref().map(nouns::port_message),
        }),
        Change::Endpoint(id, value) => Kind::Endpoint(proto::EndpointChange {
            id: id.to_string(),
            value: value.as_ref().map(nouns::endpoint_message),
        }),
        Change::Peer(id, value) => Kind::Peer(proto::PeerChange {
            id: id.to_string(),
            value: value.as_ref().map(nouns::peer_message),
        }),
        Change::SecurityGroup(id, value) => Kind::SecurityGroup(proto::SecurityGroupChange {
            id: id.to_string(),
            value: value.as_ref().map(rules::security_group_message),
        }),
        Change::Rule(group, id, value) => Kind::Rule(proto::RuleChange {
            security_group: group.to_string(),
            id: id.to_string(),
            value: value.as_ref().map(rules::rule_message),
        }),
        Change::AddressSet(id, value) => Kind::AddressSet(proto::AddressSetChange {
            id: id.to_string(),
            value: value.as_ref().map(rules::address_set_message),
        }),
        Change::Member(set, member, present) => Kind::Member(proto::MemberChange {
            address_set: set.to_string(),
            member: Some(prefix_message(*member)),
            present: *present,
        }),
    };
    proto::Change { change: Some(kind) }
}
