//! Networks.

use anet_model::host_plan::{NetworkId, SubnetId};
use anet_model::intent::{Network, ProjectId};
use anet_packet::addr::{Mtu, Vni};
use serde_json::{Map, Value, json};

use super::attribute::{Attribute, Kind, Literal};
use super::shared::{
    self, ADMIN_STATE_UP, CREATED, DESCRIPTION, ID, NAME, PROJECT, REVISION, TAGS, TENANT, UPDATED,
};
use super::{Attributes, Names, Operation, Request, Resource};
use crate::error::ApiError;

pub(super) const NAMES: Names = Names {
    singular: "network",
    plural: "networks",
    path: "/v2.0/networks",
    title: "Network",
    not_found: "NetworkNotFound",
    in_use: "NetworkInUse",
};

pub(super) const ATTRIBUTES: &[Attribute] = &[
    ID,
    NAME,
    DESCRIPTION,
    PROJECT,
    TENANT,
    ADMIN_STATE_UP,
    Attribute::shown("status", Kind::Text(16), "ACTIVE"),
    Attribute::settable("mtu", Kind::Integer(576, 65_535), "largest IP packet in bytes"),
    Attribute::shown("subnets", Kind::Made, "ids of its subnets"),
    Attribute::only(
        "shared",
        Literal::Boolean(false),
        "whether all projects may use it",
    ),
    Attribute::only(
        "router:external",
        Literal::Boolean(false),
        "whether it leads outside",
    ),
    Attribute::only(
        "port_security_enabled",
        Literal::Boolean(true),
        "what its ports have unless they say otherwise",
    ),
    Attribute::fixed("provider:network_type", Kind::Word(&["vxlan"]), "kind of segment")
        .initially(Literal::Text("vxlan"))
        .admin(),
    Attribute::only(
        "provider:physical_network",
        Literal::Null,
        "none: segments are carried by the underlay",
    )
    .admin(),
    Attribute::fixed(
        "provider:segmentation_id",
        Kind::Integer(1, Vni::MAX as i64),
        "VXLAN network identifier",
    )
    .admin(),
    Attribute::only("availability_zone_hints", Literal::EmptyList, "none"),
    Attribute::shown("availability_zones", Kind::Made, "none"),
    Attribute::shown("ipv4_address_scope", Kind::Made, "none"),
    Attribute::shown("ipv6_address_scope", Kind::Made, "none"),
    TAGS,
    REVISION,
    CREATED,
    UPDATED,
];

/// A network to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkCreate {
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Its owner; the caller's project where `None`.
    pub project_id: Option<ProjectId>,
    /// False: it passes nothing.
    pub admin_state_up: bool,
    /// Largest IP packet; the fabric chooses where `None`.
    pub mtu: Option<Mtu>,
    /// Its segment; a free one where `None`.
    pub segmentation_id: Option<Vni>,
}

/// What changes; `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkUpdate {
    /// For people.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// False: it passes nothing.
    pub admin_state_up: Option<bool>,
    /// Largest IP packet.
    pub mtu: Option<Mtu>,
}

impl Request for NetworkCreate {
    const RESOURCE: Resource = Resource::Network;
    const OPERATION: Operation = Operation::Create;
    fn from_attributes(mut attributes: Attributes) -> Result<Self, ApiError> {
        Ok(Self {
            name: attributes.demand("name")?,
            description: attributes.demand("description")?,
            project_id: attributes.take("project_id")?,
            admin_state_up: attributes.demand("admin_state_up")?,
            mtu: attributes.take("mtu")?,
            segmentation_id: attributes.take("provider:segmentation_id")?,
        })
    }
}

impl Request for NetworkUpdate {
    const RESOURCE: Resource = Resource::Network;
    const OPERATION: Operation = Operation::Update;
    fn from_attributes(mut attributes: Attributes) -> Result<Self, ApiError> {
        Ok(Self {
            name: attributes.take("name")?,
            description: attributes.take("description")?,
            admin_state_up: attributes.take("admin_state_up")?,
            mtu: attributes.take("mtu")?,
        })
    }
}

/// As clients see it, with the ids of its subnets.
pub fn network_to_json(id: &NetworkId, network: &Network, subnets: &[SubnetId]) -> Map<String, Value> {
    let mut object = shared::owned(id.as_str(), &network.common, &network.project);
    let fields = [
        ("admin_state_up", json!(network.admin_state_up)),
        ("status", json!("ACTIVE")),
        ("mtu", json!(network.mtu)),
        ("subnets", json!(subnets)),
        ("shared", json!(false)),
        ("router:external", json!(false)),
        ("port_security_enabled", json!(true)),
        ("provider:network_type", json!("vxlan")),
        ("provider:physical_network", Value::Null),
        ("provider:segmentation_id", json!(network.vni)),
        ("availability_zone_hints", json!([])),
        ("availability_zones", json!([])),
        ("ipv4_address_scope", Value::Null),
        ("ipv6_address_scope", Value::Null),
    ];
    shared::add(&mut object, fields);
    object
}
