//! Foreign endpoints: VXLAN devices that are no hosts of the fabric.

use std::net::IpAddr;

use anet_model::host_plan::NetworkId;
use anet_model::intent::{ForeignEndpoint, ForeignEndpointId, Station};
use serde_json::{Map, Value, json};

use super::attribute::{Attribute, Kind, Literal};
use super::shared::{self, CREATED, DESCRIPTION, ID, NAME, REVISION, UPDATED};
use super::{Attributes, Names, Operation, Request, Resource, typed};
use crate::error::ApiError;

/// Stations behind one endpoint.
const STATIONS: usize = 256;
/// VXLAN's port (RFC 7348).
const VXLAN_PORT: i64 = 4789;

pub(super) const NAMES: Names = Names {
    singular: "foreign_endpoint",
    plural: "foreign_endpoints",
    path: "/anet/v1/foreign-endpoints",
    title: "Foreign endpoint",
    not_found: "ForeignEndpointNotFound",
    in_use: "ForeignEndpointInUse",
};

pub(super) const ATTRIBUTES: &[Attribute] = &[
    ID,
    NAME.set_by_admin(),
    DESCRIPTION.set_by_admin(),
    Attribute::fixed("network_id", Kind::Id, "network it is a member of")
        .required()
        .set_by_admin(),
    Attribute::settable("ip_address", Kind::Address, "its address")
        .required()
        .set_by_admin(),
    Attribute::settable("udp_port", Kind::Integer(1, 65_535), "UDP port to send to")
        .initially(Literal::Integer(VXLAN_PORT))
        .set_by_admin(),
    Attribute::settable("stations", Kind::Stations(STATIONS), "what is behind it")
        .initially(Literal::EmptyList)
        .set_by_admin(),
    REVISION,
    CREATED,
    UPDATED,
];

/// An endpoint to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignEndpointCreate {
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// The network it is a member of.
    pub network_id: NetworkId,
    /// Its address.
    pub ip_address: IpAddr,
    /// UDP port to send to.
    pub udp_port: u16,
    /// What is behind it.
    pub stations: Vec<Station>,
}

/// What changes; `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForeignEndpointUpdate {
    /// For people.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Its address.
    pub ip_address: Option<IpAddr>,
    /// UDP port to send to.
    pub udp_port: Option<u16>,
    /// All of them anew.
    pub stations: Option<Vec<Station>>,
}

impl Request for ForeignEndpointCreate {
    const RESOURCE: Resource = Resource::ForeignEndpoint;
    const OPERATION: Operation = Operation::Create;
    fn from_attributes(mut attributes: Attributes) -> Result<Self, ApiError> {
        Ok(Self {
            name: attributes.demand("name")?,
            description: attributes.demand("description")?,
            network_id: attributes.demand("network_id")?,
            ip_address: attributes.demand("ip_address")?,
            udp_port: attributes.demand("udp_port")?,
            stations: attributes.demand("stations")?,
        })
    }
}

impl Request for ForeignEndpointUpdate {
    const RESOURCE: Resource = Resource::ForeignEndpoint;
    const OPERATION: Operation = Operation::Update;
    fn from_attributes(mut attributes: Attributes) -> Result<Self, ApiError> {
        Ok(Self {
            name: attributes.take("name")?,
            description: attributes.take("description")?,
            ip_address: attributes.take("ip_address")?,
            udp_port: attributes.take("udp_port")?,
            stations: attributes.take("stations")?,
        })
    }
}

/// As administrators see it.
pub fn foreign_endpoint_to_json(id: &ForeignEndpointId, endpoint: &ForeignEndpoint) -> Map<String, Value> {
    let mut object = shared::common(id.as_str(), &endpoint.common);
    let fields = [
        ("name", json!(endpoint.common.name)),
        ("network_id", json!(endpoint.network)),
        ("ip_address", json!(endpoint.address)),
        ("udp_port", json!(endpoint.udp_port)),
        (
            "stations",
            endpoint.stations.iter().map(typed::station_to_json).collect(),
        ),
    ];
    shared::add(&mut object, fields);
    object
}
