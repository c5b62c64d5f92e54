//! Subnets.

use std::net::{IpAddr, Ipv4Addr};

use anet_model::host_plan::{Family, Ipv6Mode, NetworkId, SubnetId};
use anet_model::intent::{ProjectId, Subnet};
use anet_model::limits;
use anet_packet::addr::IpPrefix;
use serde_json::{Map, Value, json};

use super::attribute::{Attribute, Kind, Literal};
use super::shared::{self, CREATED, DESCRIPTION, ID, NAME, PROJECT, REVISION, TAGS, TENANT, UPDATED};
use super::{Attributes, Names, Operation, Request, Resource, typed};
use crate::error::ApiError;

/// Allocation pools of one subnet.
const POOLS: usize = 64;
/// The one way in which IPv6 addresses are given.
const STATEFUL: &str = "dhcpv6-stateful";

pub(super) const NAMES: Names = Names {
    singular: "subnet",
    plural: "subnets",
    path: "/v2.0/subnets",
    title: "Subnet",
    not_found: "SubnetNotFound",
    in_use: "SubnetInUse",
};

pub(super) const ATTRIBUTES: &[Attribute] = &[
    ID,
    NAME,
    DESCRIPTION,
    PROJECT,
    TENANT,
    Attribute::fixed("network_id", Kind::Id, "network it belongs to").required(),
    Attribute::fixed("ip_version", Kind::Integer(4, 6), "4 or 6"),
    Attribute::fixed("cidr", Kind::Cidr, "its range").required(),
    Attribute::settable("gateway_ip", Kind::Address, "default gateway of guests").nullable(),
    Attribute::settable(
        "allocation_pools",
        Kind::Pools(POOLS),
        "from where addresses are given",
    ),
    Attribute::settable(
        "dns_nameservers",
        Kind::Addresses(limits::DNS_SERVERS_PER_SUBNET),
        "name servers of guests",
    )
    .initially(Literal::EmptyList),
    Attribute::settable(
        "host_routes",
        Kind::HostRoutes(limits::HOST_ROUTES_PER_SUBNET),
        "further routes of guests",
    )
    .initially(Literal::EmptyList),
    Attribute::settable(
        "enable_dhcp",
        Kind::Boolean,
        "whether guests get addresses by DHCP",
    )
    .initially(Literal::Boolean(true)),
    Attribute::fixed(
        "ipv6_address_mode",
        Kind::Word(&[STATEFUL]),
        "how IPv6 addresses are given",
    )
    .nullable(),
    Attribute::fixed("ipv6_ra_mode", Kind::Word(&[STATEFUL]), "as ipv6_address_mode").nullable(),
    Attribute::only("subnetpool_id", Literal::Null, "none"),
    Attribute::only("service_types", Literal::EmptyList, "none"),
    Attribute::only("dns_publish_fixed_ip", Literal::Boolean(false), "no DNS outside"),
    TAGS,
    REVISION,
    CREATED,
    UPDATED,
];

/// A subnet to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetCreate {
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Its owner as the request has it; it must be the network's.
    pub project_id: Option<ProjectId>,
    /// The network it belongs to.
    pub network_id: NetworkId,
    /// Its range.
    pub cidr: IpPrefix,
    /// `None`: the first address of the range. `Some(None)`: no gateway.
    pub gateway_ip: Option<Option<IpAddr>>,
    /// `None`: all of the range but the gateway. Of the range's family, not yet compared with it.
    pub allocation_pools: Option<Vec<(IpAddr, IpAddr)>>,
    /// Name servers of the range's family.
    pub dns_nameservers: Vec<IpAddr>,
    /// Further IPv4 routes.
    pub host_routes: Vec<(IpPrefix, Ipv4Addr)>,
    /// True: guests get their addresses by DHCP.
    pub enable_dhcp: bool,
    /// How, for IPv6.
    pub ipv6_address_mode: Option<Ipv6Mode>,
}

/// What changes; `None` stays. Families are compared with the subnet's range where the request is admitted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubnetUpdate {
    /// For people.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// `Some(None)`: no gateway.
    pub gateway_ip: Option<Option<IpAddr>>,
    /// All of them anew.
    pub allocation_pools: Option<Vec<(IpAddr, IpAddr)>>,
    /// All of them anew.
    pub dns_nameservers: Option<Vec<IpAddr>>,
    /// All of them anew.
    pub host_routes: Option<Vec<(IpPrefix, Ipv4Addr)>>,
    /// True: guests get their addresses by DHCP.
    pub enable_dhcp: Option<bool>,
}

impl Request for SubnetCreate {
    const RESOURCE: Resource = Resource::Subnet;
    const OPERATION: Operation = Operation::Create;
    fn from_attributes(mut attributes: Attributes) -> Result<Self, ApiError> {
        let cidr: IpPrefix = attributes.demand("cidr")?;
        check_version(attributes.take("ip_version")?, cidr)?;
        let ipv6_address_mode = take_ipv6_mode(&mut attributes, cidr)?;
        let subnet = Self {
            name: attributes.demand("name")?,
            description: attributes.demand("description")?,
            project_id: attributes.take("project_id")?,
            network_id: attributes.demand("network_id")?,
            cidr,
            gateway_ip: attributes.take("gateway_ip")?,
            allocation_pools: attributes.take("allocation_pools")?,
            dns_nameservers: attributes.demand("dns_nameservers")?,
            host_routes: ipv4_routes(attributes.demand("host_routes")?)?,
            enable_dhcp: attributes.demand("enable_dhcp")?,
            ipv6_address_mode,
        };
        let addresses = subnet.gateway_ip.into_iter().flatten();
        let pools = subnet.allocation_pools.iter().flatten().map(|(start, _)| *start);
        let families = addresses
            .chain(pools)
            .chain(subnet.dns_nameservers.iter().copied());
        match families
            .into_iter()
            .find(|address| Family::of(*address) != Family::of(cidr.address()))
        {
            Some(other) => Err(ApiError::invalid_input(format!(
                "{other} is not of the IP version of {cidr}"
            ))),
            None => Ok(subnet),
        }
    }
}

impl Request for SubnetUpdate {
    const RESOURCE: Resource = Resource::Subnet;
    const OPERATION: Operation = Operation::Update;
    fn from_attributes(mut attributes: Attributes) -> Result<Self, ApiError> {
        let routes: Option<Vec<(IpPrefix, IpAddr)>> = attributes.take("host_routes")?;
        Ok(Self {
            name: attributes.take("name")?,
            description: attributes.take("description")?,
            gateway_ip: attributes.take("gateway_ip")?,
            allocation_pools: attributes.take("allocation_pools")?,
            dns_nameservers: attributes.take("dns_nameservers")?,
            host_routes: routes.map(ipv4_routes).transpose()?,
            enable_dhcp: attributes.take("enable_dhcp")?,
        })
    }
}

const fn ip_version(cidr: IpPrefix) -> i64 {
    if cidr.address().is_ipv4() { 4 } else { 6 }
}

fn check_version(said: Option<i64>, cidr: IpPrefix) -> Result<(), ApiError> {
    match said {
        Some(version) if version != ip_version(cidr) => Err(ApiError::invalid_input(format!(
            "ip_version {version} is not that of the cidr {cidr}: give {}",
            ip_version(cidr)
        ))),
        _ => Ok(()),
    }
}

fn take_ipv6_mode(attributes: &mut Attributes, cidr: IpPrefix) -> Result<Option<Ipv6Mode>, ApiError> {
    let address: Option<String> = attributes.take("ipv6_address_mode")?.flatten();
    let advertised: Option<String> = attributes.take("ipv6_ra_mode")?.flatten();
    let mode = address.or(advertised).map(|_| Ipv6Mode::DhcpV6Stateful);
    if mode.is_some() && cidr.address().is_ipv4() {
        return Err(ApiError::invalid_input(
            "ipv6_address_mode and ipv6_ra_mode are for IPv6 subnets: leave them out",
        ));
    }
    Ok(mode)
}

/// DHCP has routes for IPv4 only (RFC 3442).
fn ipv4_routes(routes: Vec<(IpPrefix, IpAddr)>) -> Result<Vec<(IpPrefix, Ipv4Addr)>, ApiError> {
    let ipv4 = |(destination, next_hop): (IpPrefix, IpAddr)| match (destination.address(), next_hop) {
        (IpAddr::V4(_), IpAddr::V4(next_hop)) => Ok((destination, next_hop)),
        _ => Err(ApiError::invalid(
            "host_routes",
            format!("the route to {destination} by {next_hop} is not IPv4, and guests can be told no other"),
        )),
    };
    routes.into_iter().map(ipv4).collect()
}

/// As clients see it.
pub fn subnet_to_json(id: &SubnetId, subnet: &Subnet) -> Map<String, Value> {
    let mut object = shared::owned(id.as_str(), &subnet.common, &subnet.project);
    let mode = subnet.ipv6_address_mode.map(|Ipv6Mode::DhcpV6Stateful| STATEFUL);
    let route = |(destination, next_hop): &(IpPrefix, Ipv4Addr)| json!({"destination": destination, "nexthop": next_hop});
    let fields = [
        ("network_id", json!(subnet.network)),
        ("ip_version", json!(ip_version(subnet.cidr))),
        ("cidr", json!(subnet.cidr)),
        ("gateway_ip", json!(subnet.gateway_ip)),
        ("allocation_pools", typed::pools_to_json(&subnet.allocation_pools)),
        ("dns_nameservers", json!(subnet.dns_nameservers)),
        ("host_routes", subnet.host_routes.iter().map(route).collect()),
        ("enable_dhcp", json!(subnet.enable_dhcp)),
        ("ipv6_address_mode", json!(mode)),
        ("ipv6_ra_mode", json!(mode)),
        ("subnetpool_id", Value::Null),
        ("service_types", json!([])),
        ("dns_publish_fixed_ip", json!(false)),
    ];
    shared::add(&mut object, fields);
    object
}
