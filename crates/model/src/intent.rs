//! What users ask for: the nouns of the whole fabric, in Neutron v2.0's words.
//!
//! An [`Intent`] is what the store holds, as plain data. Who may ask, and whether references hold, is decided where a request is
//! admitted; who reads an intent from a store may meet references that dangle for a moment, and leaves out what hangs on them.
//! Ids are those of [`crate::host_plan`] where the noun is the same one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use anet_packet::addr::{IpPrefix, Mac, Mtu, Vni};
use serde::{Deserialize, Serialize};

use crate::host_plan::{
    AddressPair, Direction, Family, Ipv6Mode, NetworkId, PortId, Protocol, RuleId, SecurityGroupId, SubnetId,
};
use crate::id::Id;

/// Id of a [`Project`].
pub type ProjectId = Id<Project>;
/// Id of a [`Host`]: its name.
pub type HostId = Id<Host>;
/// Id of a [`ForeignEndpoint`].
pub type ForeignEndpointId = Id<ForeignEndpoint>;

/// Everything that was asked for, each noun by its id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Intent {
    /// Who owns.
    pub projects: BTreeMap<ProjectId, Project>,
    /// Networks.
    pub networks: BTreeMap<NetworkId, Network>,
    /// Subnets.
    pub subnets: BTreeMap<SubnetId, Subnet>,
    /// Ports, bound to a host or not.
    pub ports: BTreeMap<PortId, Port>,
    /// Security groups, without their rules.
    pub security_groups: BTreeMap<SecurityGroupId, SecurityGroup>,
    /// Rules of security groups.
    pub rules: BTreeMap<RuleId, SecurityGroupRule>,
    /// Hosts that have joined.
    pub hosts: BTreeMap<HostId, Host>,
    /// VXLAN tunnel endpoints that are no hosts of the fabric.
    pub foreign_endpoints: BTreeMap<ForeignEndpointId, ForeignEndpoint>,
}

/// One object put or, with `None`, deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntentChange {
    /// A project.
    Project(ProjectId, Option<Project>),
    /// A network.
    Network(NetworkId, Option<Network>),
    /// A subnet.
    Subnet(SubnetId, Option<Subnet>),
    /// A port.
    Port(PortId, Option<Port>),
    /// A security group.
    SecurityGroup(SecurityGroupId, Option<SecurityGroup>),
    /// A rule of a security group.
    Rule(RuleId, Option<SecurityGroupRule>),
    /// A host.
    Host(HostId, Option<Host>),
    /// A foreign tunnel endpoint.
    ForeignEndpoint(ForeignEndpointId, Option<ForeignEndpoint>),
}

impl IntentChange {
    /// The object it is about, as an operator would read it; equal for two changes of one object.
    pub fn key(&self) -> String {
        match self {
            IntentChange::Project(id, _) => format!("project {id}"),
            IntentChange::Network(id, _) => format!("network {id}"),
            IntentChange::Subnet(id, _) => format!("subnet {id}"),
            IntentChange::Port(id, _) => format!("port {id}"),
            IntentChange::SecurityGroup(id, _) => format!("security group {id}"),
            IntentChange::Rule(id, _) => format!("rule {id}"),
            IntentChange::Host(id, _) => format!("host {id}"),
            IntentChange::ForeignEndpoint(id, _) => format!("foreign endpoint {id}"),
        }
    }
}

impl Intent {
    /// Puts one change; answers the change that takes it back. Nothing is checked.
    pub fn put(&mut self, change: IntentChange) -> IntentChange {
        match change {
            IntentChange::Project(id, new) => {
                let old = replace(&mut self.projects, &id, new);
                IntentChange::Project(id, old)
            }
            IntentChange::Network(id, new) => {
                let old = replace(&mut self.networks, &id, new);
                IntentChange::Network(id, old)
            }
            IntentChange::Subnet(id, new) => {
                let old = replace(&mut self.subnets, &id, new);
                IntentChange::Subnet(id, old)
            }
            IntentChange::Port(id, new) => {
                let old = replace(&mut self.ports, &id, new);
                IntentChange::Port(id, old)
            }
            IntentChange::SecurityGroup(id, new) => {
                let old = replace(&mut self.security_groups, &id, new);
                IntentChange::SecurityGroup(id, old)
            }
            IntentChange::Rule(id, new) => {
                let old = replace(&mut self.rules, &id, new);
                IntentChange::Rule(id, old)
            }
            IntentChange::Host(id, new) => {
                let old = replace(&mut self.hosts, &id, new);
                IntentChange::Host(id, old)
            }
            IntentChange::ForeignEndpoint(id, new) => {
                let old = replace(&mut self.foreign_endpoints, &id, new);
                IntentChange::ForeignEndpoint(id, old)
            }
        }
    }
}

fn replace<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, key: &K, new: Option<V>) -> Option<V> {
    match new {
        Some(value) => map.insert(key.clone(), value),
        None => map.remove(key),
    }
}

/// What every object of a user has beside its own attributes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Common {
    /// For people; need not be unique. At most 255 characters.
    pub name: String,
    /// For people. At most 255 characters.
    pub description: String,
    /// Grows by one with each change of the object; the first one is 0.
    pub revision_number: u64,
    /// When it was made, in seconds since 1970 (UTC).
    pub created_at: i64,
    /// When it was last changed, in seconds since 1970 (UTC).
    pub updated_at: i64,
}

/// An owner of objects, isolated from all others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Name and times.
    pub common: Common,
}

/// A layer-2 network of a project, carried in one VXLAN segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Name and times.
    pub common: Common,
    /// Who owns it.
    pub project: ProjectId,
    /// Its segment (`provider:segmentation_id`), of no other network.
    pub vni: Vni,
    /// Largest IP packet.
    pub mtu: Mtu,
    /// False: none of its ports passes anything.
    pub admin_state_up: bool,
}

/// An IP subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Name and times.
    pub common: Common,
    /// Who owns it: its network's owner.
    pub project: ProjectId,
    /// The network it belongs to.
    pub network: NetworkId,
    /// Its range (`cidr`), which overlaps no other of the network.
    pub cidr: IpPrefix,
    /// Default gateway announced to guests; of the range.
    pub gateway_ip: Option<IpAddr>,
    /// From where addresses are given, first and last of each; in the range, sorted, without overlap or gateway.
    pub allocation_pools: Vec<(IpAddr, IpAddr)>,
    /// Name servers announced; of the range's family.
    pub dns_nameservers: Vec<IpAddr>,
    /// Further IPv4 routes announced: destination, next hop.
    pub host_routes: Vec<(IpPrefix, Ipv4Addr)>,
    /// True where guests get their addresses by DHCP.
    pub enable_dhcp: bool,
    /// For IPv6 with DHCP: how addresses are given.
    pub ipv6_address_mode: Option<Ipv6Mode>,
}

/// An address that a port has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FixedIp {
    /// The subnet it is of.
    pub subnet: SubnetId,
    /// The address, of no other port of the subnet.
    pub address: IpAddr,
}

/// A guest's interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Name and times.
    pub common: Common,
    /// Who owns it.
    pub project: ProjectId,
    /// The network it belongs to.
    pub network: NetworkId,
    /// Its MAC, a station address, of no other port of the network.
    pub mac: Mac,
    /// Its addresses.
    pub fixed_ips: Vec<FixedIp>,
    /// The groups whose rules it obeys.
    pub security_groups: BTreeSet<SecurityGroupId>,
    /// False: no anti-spoofing and no firewall.
    pub port_security_enabled: bool,
    /// Further addresses it may use.
    pub allowed_address_pairs: Vec<AddressPair>,
    /// False: nothing passes.
    pub admin_state_up: bool,
    /// Whose interface it is, such as the id of a virtual machine. At most 255 characters.
    pub device_id: String,
    /// What kind of thing that is, such as `compute:nova`. At most 255 characters.
    pub device_owner: String,
    /// Host name given by DHCP (`dns_name`).
    pub dns_name: Option<String>,
    /// The host it is on (`binding:host_id`).
    pub host: Option<HostId>,
}

/// A named set of rules that allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Name and times.
    pub common: Common,
    /// Who owns it.
    pub project: ProjectId,
}

/// The far side that a rule matches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remote {
    /// Anybody.
    Any,
    /// Addresses of a prefix (`remote_ip_prefix`), of the rule's family.
    Prefix(IpPrefix),
    /// Addresses of the ports of a group (`remote_group_id`).
    Group(SecurityGroupId),
}

/// A rule of a security group: it allows what matches all of its parts. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroupRule {
    /// Description and times.
    pub common: Common,
    /// Who owns it: its group's owner.
    pub project: ProjectId,
    /// The group it belongs to.
    pub security_group: SecurityGroupId,
    /// Seen from the guest.
    pub direction: Direction,
    /// IP version (`ethertype`).
    pub family: Family,
    /// Layer 4.
    pub protocol: Protocol,
    /// The far side.
    pub remote: Remote,
}

/// A hypervisor host that has joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Description and times; the name is the id.
    pub common: Common,
    /// Its tunnel endpoint's address, of no other host; without one its ports reach only each other.
    pub tunnel_address: Option<IpAddr>,
    /// UDP port of its tunnel endpoint, 4789 unless the underlay uses another.
    pub tunnel_port: u16,
    /// SHA-256 of the public key it joined with (DER, `SubjectPublicKeyInfo`), in hexadecimal: a host that joined again has a new
    /// one, and the old one is refused.
    pub identity: String,
}

/// A station behind a foreign tunnel endpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Station {
    /// Its MAC, of no other station or port of the network.
    pub mac: Mac,
    /// Its addresses, which hosts answer ARP and ND for.
    pub addresses: Vec<IpAddr>,
}

/// A VXLAN tunnel endpoint that is no host of the fabric, as a member of one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignEndpoint {
    /// Name and times.
    pub common: Common,
    /// The network it is a member of.
    pub network: NetworkId,
    /// Its address.
    pub address: IpAddr,
    /// UDP port to send to.
    pub udp_port: u16,
    /// What is behind it.
    pub stations: Vec<Station>,
}
