//! What one host must do: the networks, ports, peers and firewall rules it needs to know.
//!
//! A [`HostPlan`] is complete for its host: every peer in the span of the host's networks is in it, so that a first
//! packet needs nobody. It is changed by [`crate::changeset`]s only. References between entries are by id and
//! are checked by [`HostPlan::validate`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use anet_packet::addr::{IpPrefix, Mac, Mtu, Vni};

use serde::{Deserialize, Serialize};

use crate::id::Id;

/// Id of a [`Network`].
pub type NetworkId = Id<Network>;
/// Id of a [`Subnet`].
pub type SubnetId = Id<Subnet>;
/// Id of a [`Port`] on this host, or of the port behind a [`Peer`].
pub type PortId = Id<Port>;
/// Id of an [`Endpoint`].
pub type EndpointId = Id<Endpoint>;
/// Id of a [`SecurityGroup`].
pub type SecurityGroupId = Id<SecurityGroup>;
/// Id of a [`Rule`], unique within the host plan.
pub type RuleId = Id<Rule>;
/// Id of an [`AddressSet`].
pub type AddressSetId = Id<AddressSet>;

/// The whole plan of a host, each noun by its id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostPlan {
    /// This host's own tunnel endpoint address; without one there is no overlay, only local switching.
    pub tunnel: Option<Tunnel>,
    /// Networks with a local port.
    pub networks: BTreeMap<NetworkId, Network>,
    /// Subnets of those networks.
    pub subnets: BTreeMap<SubnetId, Subnet>,
    /// Ports on this host.
    pub ports: BTreeMap<PortId, Port>,
    /// Remote tunnel endpoints: other hosts, and foreign VXLAN devices.
    pub endpoints: BTreeMap<EndpointId, Endpoint>,
    /// Ports on other hosts, and stations behind foreign endpoints.
    pub peers: BTreeMap<PortId, Peer>,
    /// Security groups of the local ports.
    pub security_groups: BTreeMap<SecurityGroupId, SecurityGroup>,
    /// Address sets that rules name: members of remote groups, address groups.
    pub address_sets: BTreeMap<AddressSetId, AddressSet>,
}

/// This host's side of the overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// The local tunnel endpoint address.
    pub address: IpAddr,
    /// UDP port to receive on and send to, 4789 (RFC 7348) unless the underlay uses another.
    pub udp_port: u16,
    /// The device that the underlay is reached by, where that is not left to the kernel's sockets.
    pub dpdk: Option<DpdkUnderlay>,
}

/// A DPDK device as the way into the underlay. The kernel has no part in it: its address is not one of the kernel's,
/// and where each endpoint's packets go is said by [`Endpoint::next_hop`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DpdkUnderlay {
    /// The device, as DPDK writes it: a PCI address, or a driver's name with a number; arguments behind commas. 1 to 255
    /// printable ASCII characters without space.
    pub device: String,
    /// This end's MAC, a station address.
    pub mac: Mac,
}

/// A layer-2 network, carried in one VXLAN segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its segment.
    pub vni: Vni,
    /// Largest IP packet; announced by DHCP and router advertisement.
    pub mtu: Mtu,
    /// Remote endpoints that get a copy of broadcast and multicast, and from which the segment accepts frames.
    pub endpoints: Vec<EndpointId>,
}

/// How addresses of an IPv6 subnet reach guests (Neutron's `ipv6_address_mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ipv6Mode {
    /// DHCPv6 gives the address and options; the router advertisement has M and O set.
    DhcpV6Stateful,
}

/// An IP subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// The network it belongs to.
    pub network: NetworkId,
    /// Its range, IPv4 or IPv6.
    pub prefix: IpPrefix,
    /// Default gateway announced to guests. Of the prefix's family.
    pub gateway: Option<IpAddr>,
    /// True where guests get their addresses from DHCPv4 or, for IPv6, as `ipv6_mode` says.
    pub dhcp: bool,
    /// For IPv6 with `dhcp`: how addresses are given.
    pub ipv6_mode: Ipv6Mode,
    /// Name servers announced. Of the prefix's family.
    pub dns_servers: Vec<IpAddr>,
    /// Further IPv4 routes announced by DHCP option 121 (RFC 3442): destination, next hop.
    pub host_routes: Vec<(IpPrefix, Ipv4Addr)>,
    /// Lifetime of a lease in seconds, 60 or more.
    pub lease_s: u32,
}

/// What a guest's port is attached to on this host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attachment {
    /// A persistent TAP device that the vswitch opens (and makes, where it is missing), with vnet header.
    Tap {
        /// Interface name, at most 15 bytes.
        interface: String,
        /// The network namespace it lives in, as a path such as `/run/netns/guest`; this process's own without.
        netns: Option<String>,
    },
    /// An existing network device whose other side a guest holds (QEMU's TAP, a veth): AF_PACKET with vnet header.
    Packet {
        /// Interface name.
        interface: String,
        /// As above.
        netns: Option<String>,
    },
    /// A DPDK device that the vswitch opens.
    Dpdk {
        /// The device, as [`DpdkUnderlay::device`].
        device: String,
    },
    /// Nothing yet: the port is planned but not attached.
    Detached,
}

/// An address a port may use besides its own (Neutron's allowed address pair).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AddressPair {
    /// The MAC; the port's own where `None`.
    pub mac: Option<Mac>,
    /// The address or range.
    pub prefix: IpPrefix,
}

/// What a port may use up. Each is a verdict with a counter when it is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// Connections open at a time.
    pub connections: u32,
    /// Packets a second that may leave the fast path because they are broadcast, multicast, ARP, ND or DHCP.
    pub control_pps: u32,
    /// New flows a second.
    pub new_flows_pps: u32,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            connections: 100_000,
            control_pps: 1_000,
            new_flows_pps: 100_000,
        }
    }
}

/// A guest's interface on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The network it belongs to.
    pub network: NetworkId,
    /// Its MAC, a station address.
    pub mac: Mac,
    /// Its fixed addresses, each inside a subnet of the network.
    pub addresses: Vec<IpAddr>,
    /// Further addresses it may send from and receive on.
    pub allowed_address_pairs: Vec<AddressPair>,
    /// False: no anti-spoofing and no firewall.
    pub port_security: bool,
    /// The groups whose rules it obeys; with port security and no group, only DHCP, ARP and ND pass.
    pub security_groups: Vec<SecurityGroupId>,
    /// Host name given by DHCP.
    pub hostname: Option<String>,
    /// What it is attached to.
    pub attachment: Attachment,
    /// What it may use up.
    pub budgets: Budgets,
    /// False: administratively down, nothing passes.
    pub admin_up: bool,
}

/// A remote tunnel endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address, of the family of [`Tunnel::address`].
    pub address: IpAddr,
    /// UDP port to send to.
    pub udp_port: u16,
    /// The MAC that packets to it are sent to on the underlay: its own, or a router's. Needed, and of use, only where
    /// [`Tunnel::dpdk`] is there; else the kernel knows.
    pub next_hop: Option<Mac>,
}

/// A station reached through a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The network it belongs to.
    pub network: NetworkId,
    /// Its MAC.
    pub mac: Mac,
    /// Its addresses, which this host answers ARP and ND for.
    pub addresses: Vec<IpAddr>,
    /// Where it is.
    pub endpoint: EndpointId,
}

/// A set of rules that allow. What no rule of a port's groups allows is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecurityGroup {
    /// The rules, by id.
    pub rules: BTreeMap<RuleId, Rule>,
}

/// Seen from the guest, as in Neutron.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Into the guest.
    Ingress,
    /// Out of the guest.
    Egress,
}

/// The IP version a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() {
            Family::Ipv4
        } else {
            Family::Ipv6
        }
    }
}

/// What of layer 4 a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Everything.
    Any,
    /// TCP with a destination port in the inclusive range.
    Tcp(PortRange),
    /// UDP with a destination port in the inclusive range.
    Udp(PortRange),
    /// ICMP (IPv4 rules) or ICMPv6 (IPv6 rules), of a type and code where given; a code needs a type.
    Icmp {
        /// ICMP type.
        kind: Option<u8>,
        /// ICMP code.
        code: Option<u8>,
    },
    /// Another IP protocol by number, without ports.
    Number(u8),
}

/// An inclusive range of layer-4 ports, `first <= last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortRange {
    /// Lowest.
    pub first: u16,
    /// Highest.
    pub last: u16,
}

impl PortRange {
    /// All ports.
    pub const ALL: PortRange = PortRange {
        first: 0,
        last: u16::MAX,
    };

    /// True where `port` is inside.
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

/// The far side that a rule matches: the destination of an egress rule, the source of an ingress rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Remote {
    /// Anybody.
    Any,
    /// Addresses of a prefix, of the rule's family.
    Prefix(IpPrefix),
    /// Members of an address set.
    Set(AddressSetId),
}

/// One rule of a security group: it allows what matches all of its parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rule {
    /// Seen from the guest.
    pub direction: Direction,
    /// IP version.
    pub family: Family,
    /// Layer 4.
    pub protocol: Protocol,
    /// The far side.
    pub remote: Remote,
}

/// A set of addresses that rules name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressSet {
    /// Its members, both families, sorted and without repeats.
    pub members: std::collections::BTreeSet<IpPrefix>,
}
