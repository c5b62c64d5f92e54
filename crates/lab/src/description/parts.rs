//! What a description consists of.

use std::fmt;
use std::net::IpAddr;

use anet_packet::addr::{IpPrefix, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Named;

/// What joins the hosts' tunnel endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Underlay {
    /// One segment, or a router between all hosts.
    pub kind: UnderlayKind,
    /// MTU of its links.
    pub mtu: u16,
    /// Range of its addresses, where it is an IPv4 one.
    pub ipv4: Option<IpPrefix>,
    /// Range of its addresses, where it is an IPv6 one.
    pub ipv6: Option<IpPrefix>,
}

impl Default for Underlay {
    fn default() -> Self {
        Self {
            kind: UnderlayKind::Switched,
            mtu: 1_500,
            ipv4: None,
            ipv6: None,
        }
    }
}

impl Underlay {
    /// Its range: 192.0.2.0/24 where nothing is said.
    pub fn range(&self) -> IpPrefix {
        let usual = || "192.0.2.0/24".parse().expect("a prefix");
        self.ipv4.or(self.ipv6).unwrap_or_else(usual)
    }

    /// The largest IP packet of a network that it carries: a frame inside VXLAN has up to 50 bytes around the packet over IPv4, 70
    /// over IPv6.
    pub fn room(&self) -> u16 {
        let around = if self.range().address().is_ipv6() { 70 } else { 50 };
        self.mtu.saturating_sub(around)
    }
}

/// How an underlay is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnderlayKind {
    /// A Linux bridge: one broadcast segment.
    Switched,
    /// A router with a link of two addresses to each host.
    Routed,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// Its address on a switched underlay; the next free one where nothing is said.
    pub address: Option<IpAddr>,
}

/// A machine on the underlay without daemons.
pub type Machine = Host;

/// An owner and what is its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Project {
    /// Networks.
    pub networks: Named<Network>,
    /// Security groups.
    pub security_groups: Named<Group>,
    /// Guests.
    pub guests: Named<Guest>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Its segment; the controller's choice where nothing is said.
    pub vni: Option<u32>,
    /// Largest IP packet; what the underlay carries where nothing is said.
    pub mtu: Option<u16>,
    /// Subnets.
    pub subnets: Named<Subnet>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Subnet {
    /// Its range; has to be given.
    pub cidr: Option<IpPrefix>,
    /// Its gateway; none where nothing is said.
    pub gateway: Option<IpAddr>,
    /// Name servers announced.
    pub dns_nameservers: Vec<IpAddr>,
    /// Do guests get their addresses by DHCP? They do where nothing is said.
    pub dhcp: Option<bool>,
}

/// A security group. As in Neutron it lets its members send anything, and receive what its rules say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Group {
    /// Rules.
    pub rules: Vec<Rule>,
}

/// A rule that allows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Seen from the guest: `ingress` where nothing is said.
    pub direction: RuleDirection,
    /// The family; both where neither this nor a prefix says one.
    pub ethertype: Option<RuleFamily>,
    /// `tcp`, `udp`, `icmp` (which is ICMPv6 in IPv6), or a number; any where nothing is said.
    pub protocol: Option<String>,
    /// Ports of TCP or UDP: `80`, or `8000-8010`.
    pub ports: Option<LayerFourPorts>,
    /// The far side: an address range.
    pub remote_ip_prefix: Option<IpPrefix>,
    /// The far side: members of a group of the same project.
    pub remote_group: Option<String>,
}

/// Direction of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleDirection {
    /// To the guest.
    #[default]
    Ingress,
    /// From the guest.
    Egress,
}

/// Family of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleFamily {
    /// IPv4.
    IPv4,
    /// IPv6.
    IPv6,
}

impl RuleFamily {
    /// As Neutron writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::IPv4 => "IPv4",
            Self::IPv6 => "IPv6",
        }
    }
}

/// A range of TCP or UDP ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerFourPorts {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl fmt::Display for LayerFourPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl std::str::FromStr for LayerFourPorts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |_| format!("`{text}` is not a port such as 80 or a range such as 8000-8010");
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (
            first.trim().parse().map_err(wrong)?,
            last.trim().parse().map_err(wrong)?,
        );
        if first > last {
            return Err(format!("`{text}`: the first port is higher than the last one"));
        }
        Ok(Self { first, last })
    }
}

impl Serialize for LayerFourPorts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LayerFourPorts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A number is a text to YAML where a text is asked for.
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A guest: a namespace with one interface.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guest {
    /// Its network, of the same project.
    pub network: String,
    /// The host it starts on.
    pub host: String,
    /// Its security groups, of the same project.
    pub security_groups: Vec<String>,
    /// Its addresses, in any of the network's subnets; the controller's choice where nothing is said.
    pub addresses: Vec<IpAddr>,
    /// Its MAC; the controller's choice where nothing is said.
    pub mac: Option<Mac>,
}
