//! Values that have been checked, and how typed requests take them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anet_model::host_plan::{AddressPair, Family, SubnetId};
use anet_model::id::Id;
use anet_model::intent::Station;
use anet_packet::addr::{IpPrefix, Mac, Mtu, Vni};
use serde_json::{Value, json};

use super::{Attribute, Resource, protocol};
use crate::error::ApiError;

/// An address that a port is asked to have: of a subnet, a certain one, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedIpRequest {
    /// The subnet; that of the address where `None`.
    pub subnet_id: Option<SubnetId>,
    /// The address; any free one of the subnet where `None`.
    pub ip_address: Option<IpAddr>,
}

/// An IP protocol as a rule names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolName {
    /// `any`
    Any,
    /// `icmp`, which is ICMPv6 in a rule for IPv6.
    Icmp,
    /// By number.
    Number(u8),
}

/// A legal value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// `null`
    Null,
    /// Id, text, word.
    Text(String),
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// An IP address.
    Address(IpAddr),
    /// A prefix.
    Prefix(IpPrefix),
    /// A MAC.
    Mac(Mac),
    /// An IP protocol.
    Protocol(ProtocolName),
    /// Ids.
    Ids(Vec<String>),
    /// IP addresses.
    Addresses(Vec<IpAddr>),
    /// First and last address of each.
    Pools(Vec<(IpAddr, IpAddr)>),
    /// Addresses of a port.
    FixedIps(Vec<FixedIpRequest>),
    /// Destination and next hop of each.
    HostRoutes(Vec<(IpPrefix, IpAddr)>),
    /// Further addresses of a port.
    AddressPairs(Vec<AddressPair>),
    /// Stations behind an endpoint.
    Stations(Vec<Station>),
    /// The one value that there is.
    Only,
}

impl Typed {
    /// As JSON that decodes to the same value.
    pub fn to_json(&self, attribute: &Attribute) -> Value {
        match self {
            Typed::Null => Value::Null,
            Typed::Text(text) => json!(text),
            Typed::Boolean(value) => json!(value),
            Typed::Integer(value) => json!(value),
            Typed::Address(address) => json!(address),
            Typed::Prefix(prefix) => json!(prefix),
            Typed::Mac(mac) => json!(mac),
            Typed::Protocol(ProtocolName::Any) => json!("any"),
            Typed::Protocol(ProtocolName::Icmp) => json!("icmp"),
            Typed::Protocol(ProtocolName::Number(number)) => json!(protocol::name_of(*number)),
            Typed::Ids(ids) => json!(ids),
            Typed::Addresses(addresses) => json!(addresses),
            Typed::Pools(pools) => pools_to_json(pools),
            Typed::FixedIps(fixed) => fixed.iter().map(fixed_ip_to_json).collect(),
            Typed::HostRoutes(routes) => routes.iter().map(route_to_json).collect(),
            Typed::AddressPairs(pairs) => pairs.iter().map(|p| pair_to_json(p, None)).collect(),
            Typed::Stations(stations) => stations.iter().map(station_to_json).collect(),
            Typed::Only => match attribute.kind {
                super::Kind::Only(literal) => literal.to_json(),
                _ => Value::Null,
            },
        }
    }
}

pub(super) fn pools_to_json(pools: &[(IpAddr, IpAddr)]) -> Value {
    let pool = |(start, end): &(IpAddr, IpAddr)| json!({"start": start, "end": end});
    pools.iter().map(pool).collect()
}

fn fixed_ip_to_json(fixed: &FixedIpRequest) -> Value {
    let mut object = serde_json::Map::new();
    if let Some(subnet) = &fixed.subnet_id {
        object.insert("subnet_id".into(), json!(subnet));
    }
    if let Some(address) = &fixed.ip_address {
        object.insert("ip_address".into(), json!(address));
    }
    Value::Object(object)
}

fn route_to_json((destination, next_hop): &(IpPrefix, IpAddr)) -> Value {
    json!({"destination": destination, "nexthop": next_hop})
}

/// A pair as Neutron writes it: a host's prefix is its address, and the MAC is that of the port unless it has its own.
pub(super) fn pair_to_json(pair: &AddressPair, port: Option<Mac>) -> Value {
    let address = if pair.prefix.is_host() {
        pair.prefix.address().to_string()
    } else {
        pair.prefix.to_string()
    };
    match pair.mac.or(port) {
        Some(mac) => json!({"ip_address": address, "mac_address": mac}),
        None => json!({"ip_address": address}),
    }
}

pub(super) fn station_to_json(station: &Station) -> Value {
    json!({"mac_address": station.mac, "ip_addresses": station.addresses})
}

/// The attributes of one request, each checked by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    pub(super) resource: Resource,
    pub(super) values: BTreeMap<&'static str, Typed>,
}

impl Attributes {
    /// Whose attributes they are.
    pub fn resource(&self) -> Resource {
        self.resource
    }

    /// One of them, where the request or the table's default has it.
    pub fn get(&self, name: &str) -> Option<&Typed> {
        self.values.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Typed)> {
        self.values.iter().map(|(name, value)| (*name, value))
    }

    /// True where nothing was said.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Takes one out as a `T`, where it is there.
    pub fn take<T: FromTyped>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        let value = self.values.remove(name);
        value
            .map(|value| T::from_typed(value).map_err(|reason| ApiError::invalid(name, reason)))
            .transpose()
    }

    /// Takes one out that must be there.
    pub fn demand<T: FromTyped>(&mut self, name: &str) -> Result<T, ApiError> {
        self.take(name)?
            .ok_or_else(|| ApiError::bad_request(format!("Required attribute '{name}' not specified.")))
    }
}

/// A type that a checked value turns into.
pub trait FromTyped: Sized {
    /// The value, or why it is none.
    fn from_typed(value: Typed) -> Result<Self, String>;
}

fn other_kind<T>(value: &Typed, wanted: &str) -> Result<T, String> {
    Err(format!("{value:?} is not {wanted}"))
}

macro_rules! from_typed {
    ($($variant:ident => $type:ty),*) => {$(
        impl FromTyped for $type {
            fn from_typed(value: Typed) -> Result<Self, String> {
                match value {
                    Typed::$variant(inner) => Ok(inner),
                    other => other_kind(&other, stringify!($variant)),
                }
            }
        }
    )*};
}

from_typed!(
    Text => String, Boolean => bool, Integer => i64, Address => IpAddr, Prefix => IpPrefix, Mac => Mac,
    Protocol => ProtocolName, Addresses => Vec<IpAddr>, Pools => Vec<(IpAddr, IpAddr)>,
    FixedIps => Vec<FixedIpRequest>, HostRoutes => Vec<(IpPrefix, IpAddr)>, AddressPairs => Vec<AddressPair>,
    Stations => Vec<Station>
);

impl<T: FromTyped> FromTyped for Option<T> {
    fn from_typed(value: Typed) -> Result<Self, String> {
        match value {
            Typed::Null => Ok(None),
            other => T::from_typed(other).map(Some),
        }
    }
}

impl<N> FromTyped for Id<N> {
    fn from_typed(value: Typed) -> Result<Self, String> {
        Id::new(&String::from_typed(value)?).map_err(|error| error.to_string())
    }
}

impl<N> FromTyped for Vec<Id<N>> {
    fn from_typed(value: Typed) -> Result<Self, String> {
        match value {
            Typed::Ids(ids) => ids
                .iter()
                .map(|id| Id::new(id).map_err(|error| error.to_string()))
                .collect(),
            other => other_kind(&other, "a list of ids"),
        }
    }
}

impl FromTyped for u16 {
    fn from_typed(value: Typed) -> Result<Self, String> {
        let number = i64::from_typed(value)?;
        u16::try_from(number).map_err(|_| format!("{number} is not 0 to 65535"))
    }
}

impl FromTyped for u32 {
    fn from_typed(value: Typed) -> Result<Self, String> {
        let number = i64::from_typed(value)?;
        u32::try_from(number).map_err(|_| format!("{number} is not 0 to 4294967295"))
    }
}

impl FromTyped for Mtu {
    fn from_typed(value: Typed) -> Result<Self, String> {
        Mtu::new(u32::from_typed(value)?).map_err(|error| error.to_string())
    }
}

impl FromTyped for Vni {
    fn from_typed(value: Typed) -> Result<Self, String> {
        Vni::new(u32::from_typed(value)?).map_err(|error| error.to_string())
    }
}

impl FromTyped for Family {
    fn from_typed(value: Typed) -> Result<Self, String> {
        match String::from_typed(value)?.as_str() {
            "IPv4" => Ok(Family::Ipv4),
            "IPv6" => Ok(Family::Ipv6),
            other => Err(format!("'{other}' is not IPv4 or IPv6")),
        }
    }
}
