//! Rules of security groups. They are made and deleted, never changed.

use anet_model::host_plan::{Direction, Family, PortRange, Protocol, RuleId, SecurityGroupId};
use anet_model::intent::{ProjectId, Remote, SecurityGroupRule};
use anet_packet::addr::IpPrefix;
use serde_json::{Map, Value, json};

use super::attribute::{Attribute, Kind, Literal};
use super::shared::{self, CREATED, DESCRIPTION, ID, PROJECT, REVISION, TAGS, TENANT, UPDATED};
use super::{Attributes, Names, Operation, ProtocolName, Request, Resource, protocol};
use crate::error::ApiError;

/// Ports, ICMP types and codes.
const PORT: Kind = Kind::Integer(0, 65_535);

const fn only_made(attribute: Attribute) -> Attribute {
    Attribute {
        update: super::Access::Nobody,
        ..attribute
    }
}

pub(super) const NAMES: Names = Names {
    singular: "security_group_rule",
    plural: "security_group_rules",
    path: "/v2.0/security-group-rules",
    title: "Security group rule",
    not_found: "SecurityGroupRuleNotFound",
    in_use: "SecurityGroupRuleInUse",
};

pub(super) const ATTRIBUTES: &[Attribute] = &[
    ID,
    only_made(DESCRIPTION),
    PROJECT,
    TENANT,
    Attribute::fixed("security_group_id", Kind::Id, "group it belongs to").required(),
    Attribute::fixed(
        "direction",
        Kind::Word(&["ingress", "egress"]),
        "as seen from the guest",
    )
    .required(),
    Attribute::fixed("ethertype", Kind::Word(&["IPv4", "IPv6"]), "IP version")
        .initially(Literal::Text("IPv4")),
    Attribute::fixed("protocol", Kind::Protocol, "IP protocol")
        .nullable()
        .initially(Literal::Null),
    Attribute::fixed("port_range_min", PORT, "first port, or ICMP type")
        .nullable()
        .initially(Literal::Null),
    Attribute::fixed("port_range_max", PORT, "last port, or ICMP code")
        .nullable()
        .initially(Literal::Null),
    Attribute::fixed("remote_ip_prefix", Kind::Prefix, "addresses of the far side")
        .nullable()
        .initially(Literal::Null),
    Attribute::fixed("remote_group_id", Kind::Id, "group of the far side")
        .nullable()
        .initially(Literal::Null),
    only_made(Attribute::only("remote_address_group_id", Literal::Null, "none")),
    Attribute::shown("normalized_cidr", Kind::Made, "as remote_ip_prefix"),
    Attribute::shown(
        "belongs_to_default_sg",
        Kind::Made,
        "whether its group is the project's default",
    ),
    TAGS,
    REVISION,
    CREATED,
    UPDATED,
];

/// A rule to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroupRuleCreate {
    /// For people.
    pub description: String,
    /// Its owner as the request has it; it must be the group's.
    pub project_id: Option<ProjectId>,
    /// The group it belongs to.
    pub security_group_id: SecurityGroupId,
    /// As seen from the guest.
    pub direction: Direction,
    /// IP version.
    pub family: Family,
    /// Layer 4, in the form that a host plan has it.
    pub protocol: Protocol,
    /// The far side.
    pub remote: Remote,
}

impl Request for SecurityGroupRuleCreate {
    const RESOURCE: Resource = Resource::SecurityGroupRule;
    const OPERATION: Operation = Operation::Create;
    fn from_attributes(mut attributes: Attributes) -> Result<Self, ApiError> {
        let direction: String = attributes.demand("direction")?;
        let family = attributes.demand("ethertype")?;
        let named = attributes.take::<Option<ProtocolName>>("protocol")?.flatten();
        let first = attributes.take::<Option<u16>>("port_range_min")?.flatten();
        let last = attributes.take::<Option<u16>>("port_range_max")?.flatten();
        Ok(Self {
            description: attributes.demand("description")?,
            project_id: attributes.take("project_id")?,
            security_group_id: attributes.demand("security_group_id")?,
            direction: if direction == "ingress" {
                Direction::Ingress
            } else {
                Direction::Egress
            },
            family,
            protocol: protocol_of(named.unwrap_or(ProtocolName::Any), family, first, last)?,
            remote: take_remote(&mut attributes, family)?,
        })
    }
}

fn bad(kind: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(400, kind, message)
}

fn protocol_of(
    named: ProtocolName,
    family: Family,
    first: Option<u16>,
    last: Option<u16>,
) -> Result<Protocol, ApiError> {
    match (named, family) {
        (ProtocolName::Number(6), _) => Ok(Protocol::Tcp(port_range(first, last)?)),
        (ProtocolName::Number(17), _) => Ok(Protocol::Udp(port_range(first, last)?)),
        (ProtocolName::Icmp, _) | (ProtocolName::Number(58), Family::Ipv6) => icmp(first, last),
        (ProtocolName::Number(58), Family::Ipv4) => Err(bad(
            "SecurityGroupEthertypeConflictWithProtocol",
            "Invalid ethertype IPv4 for protocol ipv6-icmp: give IPv6, or the protocol icmp.",
        )),
        _ if first.is_some() || last.is_some() => Err(bad(
            "SecurityGroupProtocolRequiredWithPorts",
            "port_range_min and port_range_max need a protocol that they are compared for: tcp, udp or icmp.",
        )),
        (ProtocolName::Any, _) => Ok(Protocol::Any),
        (ProtocolName::Number(number), _) => Ok(Protocol::Number(number)),
    }
}

fn port_range(first: Option<u16>, last: Option<u16>) -> Result<PortRange, ApiError> {
    match (first, last) {
        (None, None) => Ok(PortRange::ALL),
        (Some(first), Some(last)) if first <= last => Ok(PortRange { first, last }),
        _ => Err(bad(
            "SecurityGroupInvalidPortRange",
            "For TCP/UDP protocols, give both port_range_min and port_range_max, and port_range_min must be <= port_range_max.",
        )),
    }
}

fn icmp(kind: Option<u16>, code: Option<u16>) -> Result<Protocol, ApiError> {
    let byte = |field: &str, value: Option<u16>| {
        let wrong = |value: u16| {
            let message = format!("Invalid value for ICMP {field} ({value}). It must be 0 to 255.");
            bad("SecurityGroupInvalidIcmpValue", message)
        };
        value
            .map(|value| u8::try_from(value).map_err(|_| wrong(value)))
            .transpose()
    };
    let protocol = Protocol::Icmp {
        kind: byte("type (port_range_min)", kind)?,
        code: byte("code (port_range_max)", code)?,
    };
    match protocol {
        Protocol::Icmp {
            kind: None,
            code: Some(code),
        } => Err(bad(
            "SecurityGroupMissingIcmpType",
            format!(
                "ICMP code (port_range_max) {code} is provided but ICMP type (port_range_min) is missing."
            ),
        )),
        protocol => Ok(protocol),
    }
}

fn take_remote(attributes: &mut Attributes, family: Family) -> Result<Remote, ApiError> {
    let prefix = attributes.take::<Option<IpPrefix>>("remote_ip_prefix")?.flatten();
    let group = attributes
        .take::<Option<SecurityGroupId>>("remote_group_id")?
        .flatten();
    match (prefix, group) {
        (None, None) => Ok(Remote::Any),
        (Some(prefix), None) if Family::of(prefix.address()) == family => Ok(Remote::Prefix(prefix)),
        (Some(prefix), None) => Err(bad(
            "SecurityGroupRuleParameterConflict",
            format!("Conflicting value ethertype {family} for CIDR {prefix}."),
        )),
        (None, Some(group)) => Ok(Remote::Group(group)),
        (Some(_), Some(_)) => Err(bad(
            "SecurityGroupMultipleRemoteEntitiesNotAllowed",
            "Only one of remote_ip_prefix and remote_group_id may be provided.",
        )),
    }
}

/// As clients see it; `of_default` is true where its group is the project's default one.
pub fn security_group_rule_to_json(
    id: &RuleId,
    rule: &SecurityGroupRule,
    of_default: bool,
) -> Map<String, Value> {
    let mut object = shared::owned(id.as_str(), &rule.common, &rule.project);
    object.remove("name");
    let [name, first, last] = protocol::to_json(rule.protocol, rule.family);
    let (prefix, group) = match &rule.remote {
        Remote::Any => (None, None),
        Remote::Prefix(prefix) => (Some(prefix), None),
        Remote::Group(group) => (None, Some(group)),
    };
    let fields = [
        ("security_group_id", json!(rule.security_group)),
        ("direction", json!(rule.direction.to_string())),
        ("ethertype", json!(rule.family.to_string())),
        ("protocol", name),
        ("port_range_min", first),
        ("port_range_max", last),
        ("remote_ip_prefix", json!(prefix)),
        ("normalized_cidr", json!(prefix)),
        ("remote_group_id", json!(group)),
        ("remote_address_group_id", Value::Null),
        ("belongs_to_default_sg", json!(of_default)),
    ];
    shared::add(&mut object, fields);
    object
}
