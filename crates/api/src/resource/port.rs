//! Ports.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anet_model::host_plan::{AddressPair, NetworkId, PortId, SecurityGroupId};
use anet_model::intent::{FixedIp, HostId, Port, ProjectId};
use anet_model::limits;
use anet_packet::addr::Mac;
use serde_json::{Map, Value, json};

use super::attribute::{Attribute, Kind, Literal};
use super::shared::{
    self, ADMIN_STATE_UP, CREATED, DESCRIPTION, ID, NAME, PROJECT, REVISION, TAGS, TENANT, TEXT, UPDATED,
};
use super::{Attributes, FixedIpRequest, Names, Operation, Request, Resource, typed};
use crate::error::ApiError;

pub(super) const NAMES: Names = Names {
    singular: "port",
    plural: "ports",
    path: "/v2.0/ports",
    title: "Port",
    not_found: "PortNotFound",
    in_use: "PortInUse",
};

pub(super) const ATTRIBUTES: &[Attribute] = &[
    ID,
    NAME,
    DESCRIPTION,
    PROJECT,
    TENANT,
    Attribute::fixed("network_id", Kind::Id, "network it belongs to").required(),
    ADMIN_STATE_UP,
    Attribute::shown("status", Kind::Text(16), "ACTIVE, DOWN, BUILD or ERROR"),
    Attribute::settable("mac_address", Kind::Mac, "its MAC"),
    Attribute::settable(
        "fixed_ips",
        Kind::FixedIps(limits::ADDRESSES_PER_STATION),
        "its addresses",
    )
    .filterable(),
    Attribute::settable(
        "security_groups",
        Kind::Ids(limits::SECURITY_GROUPS_PER_PORT),
        "groups whose rules it obeys",
    )
    .filterable(),
    Attribute::settable(
        "port_security_enabled",
        Kind::Boolean,
        "anti-spoofing and firewall",
    )
    .initially(Literal::Boolean(true)),
    Attribute::settable(
        "allowed_address_pairs",
        Kind::AddressPairs(limits::ADDRESS_PAIRS_PER_PORT),
        "further addresses it may use",
    )
    .initially(Literal::EmptyList),
    Attribute::settable("device_id", Kind::Text(TEXT), "whose interface it is").initially(Literal::Text("")),
    Attribute::settable("device_owner", Kind::Text(TEXT), "what kind of thing that is")
        .initially(Literal::Text("")),
    Attribute::settable("dns_name", Kind::HostName, "host name given by DHCP").nullable(),
    Attribute::shown("dns_assignment", Kind::Made, "its names by address"),
    Attribute::settable("binding:host_id", Kind::Id, "host it is on")
        .nullable()
        .admin(),
    Attribute::only("binding:vnic_type", Literal::Text("normal"), "kind of interface"),
    Attribute::only("binding:profile", Literal::EmptyObject, "nothing").admin(),
    Attribute::shown(
        "binding:vif_type",
        Kind::Text(32),
        "unbound, or tap where it has a host",
    )
    .admin(),
    Attribute::shown(
        "binding:vif_details",
        Kind::Made,
        "what the host's virtual machines need to know",
    )
    .admin(),
    Attribute::only("extra_dhcp_opts", Literal::EmptyList, "none"),
    Attribute::only("qos_policy_id", Literal::Null, "none"),
    TAGS,
    REVISION,
    CREATED,
    UPDATED,
];

/// A port to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortCreate {
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Its owner; the caller's project where `None`.
    pub project_id: Option<ProjectId>,
    /// The network it belongs to.
    pub network_id: NetworkId,
    /// False: nothing passes.
    pub admin_state_up: bool,
    /// Its MAC; the fabric chooses where `None`.
    pub mac_address: Option<Mac>,
    /// `None`: one of each family that the network has subnets of. Empty: none.
    pub fixed_ips: Option<Vec<FixedIpRequest>>,
    /// `None`: the project's default group.
    pub security_groups: Option<BTreeSet<SecurityGroupId>>,
    /// False: no anti-spoofing and no firewall.
    pub port_security_enabled: bool,
    /// Further addresses.
    pub allowed_address_pairs: Vec<AddressPair>,
    /// Whose interface it is.
    pub device_id: String,
    /// What kind of thing that is.
    pub device_owner: String,
    /// Host name.
    pub dns_name: Option<String>,
    /// The host it is on.
    pub host_id: Option<HostId>,
}

/// What changes; `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortUpdate {
    /// For people.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// False: nothing passes.
    pub admin_state_up: Option<bool>,
    /// Its MAC.
    pub mac_address: Option<Mac>,
    /// All of them anew.
    pub fixed_ips: Option<Vec<FixedIpRequest>>,
    /// All of them anew.
    pub security_groups: Option<BTreeSet<SecurityGroupId>>,
    /// False: no anti-spoofing and no firewall.
    pub port_security_enabled: Option<bool>,
    /// All of them anew.
    pub allowed_address_pairs: Option<Vec<AddressPair>>,
    /// Whose interface it is.
    pub device_id: Option<String>,
    /// What kind of thing that is.
    pub device_owner: Option<String>,
    /// `Some(None)`: no name.
    pub dns_name: Option<Option<String>>,
    /// `Some(None)`: on no host.
    pub host_id: Option<Option<HostId>>,
}

impl Request for PortCreate {
    const RESOURCE: Resource = Resource::Port;
    const OPERATION: Operation = Operation::Create;
    fn from_attributes(mut attributes: Attributes) -> Result<Self, ApiError> {
        Ok(Self {
            name: attributes.demand("name")?,
            description: attributes.demand("description")?,
            project_id: attributes.take("project_id")?,
            network_id: attributes.demand("network_id")?,
            admin_state_up: attributes.demand("admin_state_up")?,
            mac_address: attributes.take("mac_address")?,
            fixed_ips: attributes.take("fixed_ips")?,
            security_groups: take_groups(&mut attributes)?,
            port_security_enabled: attributes.demand("port_security_enabled")?,
            allowed_address_pairs: attributes.demand("allowed_address_pairs")?,
            device_id: attributes.demand("device_id")?,
            device_owner: attributes.demand("device_owner")?,
            dns_name: attributes.take("dns_name")?.flatten(),
            host_id: attributes.take("binding:host_id")?.flatten(),
        })
    }
}

impl Request for PortUpdate {
    const RESOURCE: Resource = Resource::Port;
    const OPERATION: Operation = Operation::Update;
    fn from_attributes(mut attributes: Attributes) -> Result<Self, ApiError> {
        Ok(Self {
            name: attributes.take("name")?,
            description: attributes.take("description")?,
            admin_state_up: attributes.take("admin_state_up")?,
            mac_address: attributes.take("mac_address")?,
            fixed_ips: attributes.take("fixed_ips")?,
            security_groups: take_groups(&mut attributes)?,
            port_security_enabled: attributes.take("port_security_enabled")?,
            allowed_address_pairs: attributes.take("allowed_address_pairs")?,
            device_id: attributes.take("device_id")?,
            device_owner: attributes.take("device_owner")?,
            dns_name: attributes.take("dns_name")?,
            host_id: attributes.take("binding:host_id")?,
        })
    }
}

fn take_groups(attributes: &mut Attributes) -> Result<Option<BTreeSet<SecurityGroupId>>, ApiError> {
    let groups: Option<Vec<SecurityGroupId>> = attributes.take("security_groups")?;
    Ok(groups.map(|groups| groups.into_iter().collect()))
}

/// What a port looks like from its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortStatus {
    /// Attached, and its host applies what it should.
    Active,
    /// Not bound to a host, not attached, or switched off.
    Down,
    /// Bound, and its host has not said anything of it yet.
    Build,
    /// Its host cannot serve it.
    Error,
}

impl PortStatus {
    /// Neutron's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            PortStatus::Active => "ACTIVE",
            PortStatus::Down => "DOWN",
            PortStatus::Build => "BUILD",
            PortStatus::Error => "ERROR",
        }
    }
}

/// As clients see it.
pub fn port_to_json(id: &PortId, port: &Port, status: PortStatus) -> Map<String, Value> {
    let mut object = shared::owned(id.as_str(), &port.common, &port.project);
    let fixed = |fixed: &FixedIp| json!({"subnet_id": fixed.subnet, "ip_address": fixed.address});
    let pair = |pair: &AddressPair| typed::pair_to_json(pair, Some(port.mac));
    let host = port.host.as_ref().map_or("", HostId::as_str);
    let fields = [
        ("network_id", json!(port.network)),
        ("admin_state_up", json!(port.admin_state_up)),
        ("status", json!(status.as_str())),
        ("mac_address", json!(port.mac)),
        ("fixed_ips", port.fixed_ips.iter().map(fixed).collect()),
        ("security_groups", json!(port.security_groups)),
        ("port_security_enabled", json!(port.port_security_enabled)),
        (
            "allowed_address_pairs",
            port.allowed_address_pairs.iter().map(pair).collect(),
        ),
        ("device_id", json!(port.device_id)),
        ("device_owner", json!(port.device_owner)),
        ("dns_name", json!(port.dns_name.as_deref().unwrap_or_default())),
        ("dns_assignment", dns_assignment(port)),
        ("extra_dhcp_opts", json!([])),
        ("qos_policy_id", Value::Null),
        ("binding:host_id", json!(host)),
        ("binding:vnic_type", json!("normal")),
        ("binding:profile", json!({})),
        (
            "binding:vif_type",
            json!(if port.host.is_some() { "tap" } else { "unbound" }),
        ),
        ("binding:vif_details", json!({})),
    ];
    shared::add(&mut object, fields);
    object
}

fn dns_assignment(port: &Port) -> Value {
    let Some(name) = &port.dns_name else {
        return json!([]);
    };
    let entry = |address: IpAddr| json!({"hostname": name, "ip_address": address, "fqdn": name});
    port.fixed_ips.iter().map(|fixed| entry(fixed.address)).collect()
}
