//! What a fabric consists of.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anet_model::host_plan::{
    Direction, Family, PortRange, Protocol, Remote, Rule, RuleId, SecurityGroup, SecurityGroupId,
};
use anet_packet::addr::{IpPrefix, Mac, Mtu, Vni};

/// A host, or a foreign tunnel endpoint.
#[derive(Debug, Clone)]
pub struct HostSpec {
    /// A short name, which becomes the endpoint's id.
    pub name: &'static str,
    /// Its address on the underlay, which is 192.0.2.0/24.
    pub address: Ipv4Addr,
    /// True where the kernel's own VXLAN device stands in the place of a vswitch; it carries one guest at most.
    pub foreign: bool,
}

/// A network with one IPv4 and one IPv6 subnet.
#[derive(Debug, Clone)]
pub struct NetworkSpec {
    /// A short name, which becomes its id.
    pub name: &'static str,
    /// Its segment.
    pub vni: Vni,
    /// MTU of the network.
    pub mtu: Mtu,
    /// IPv4 range; DHCP is on, there is no gateway.
    pub ipv4: IpPrefix,
    /// IPv6 range of 64 bits; stateful DHCPv6.
    pub ipv6: IpPrefix,
}

impl NetworkSpec {
    /// The station's addresses in both subnets, by its number: 10.0.0.11 and fd00:10::11 for 11.
    pub fn addresses(&self, number: u8) -> [IpAddr; 2] {
        let four = match self.ipv4.address() {
            IpAddr::V4(a) => Ipv4Addr::from_bits(a.to_bits() + u32::from(number)),
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        let six = match self.ipv6.address() {
            IpAddr::V6(a) => Ipv6Addr::from_bits(a.to_bits() + u128::from(look_alike(number))),
            IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED,
        };
        [four.into(), six.into()]
    }
}

/// A guest, or the one station behind a foreign endpoint.
#[derive(Debug, Clone)]
pub struct GuestSpec {
    /// A short name, which becomes its port's id.
    pub name: &'static str,
    /// The host it runs on.
    pub host: &'static str,
    /// Its network.
    pub network: &'static str,
    /// Its number in the network, from which MAC and addresses follow.
    pub number: u8,
}

impl GuestSpec {
    /// `02:00:00:00:00:NUMBER`: guests of different networks may well have the same.
    pub fn mac(&self) -> Mac {
        let [high, low] = look_alike(self.number).to_be_bytes();
        Mac([2, 0, 0, 0, high, low])
    }
}

/// What there is, and what may talk to what. All guests share one security group.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Hosts and foreign endpoints.
    pub hosts: Vec<HostSpec>,
    /// Networks.
    pub networks: Vec<NetworkSpec>,
    /// Guests and foreign stations.
    pub guests: Vec<GuestSpec>,
    /// The rules of the guests' group, by id.
    pub rules: BTreeMap<RuleId, Rule>,
}

impl Layout {
    /// Two hosts and a foreign endpoint; network `blue` with two guests on each host and the foreign station, network
    /// `green` with one guest on each, which have addresses and MACs that `blue` has as well. Guests may send
    /// anything, and receive ICMP and what `opened` allows.
    pub fn two_hosts(opened: &[(&str, Protocol)]) -> Self {
        let host = |name, last, foreign| HostSpec {
            name,
            address: Ipv4Addr::new(192, 0, 2, last),
            foreign,
        };
        let guest = |name, host, network, number| GuestSpec {
            name,
            host,
            network,
            number,
        };
        let mut layout = Self {
            hosts: vec![
                host("host-a", 1, false),
                host("host-b", 2, false),
                host("foreign", 3, true),
            ],
            networks: vec![network("blue", 100), network("green", 200)],
            guests: vec![
                guest("blue-11", "host-a", "blue", 11),
                guest("blue-12", "host-a", "blue", 12),
                guest("blue-13", "host-b", "blue", 13),
                guest("blue-14", "host-b", "blue", 14),
                guest("green-11", "host-a", "green", 11),
                guest("green-13", "host-b", "green", 13),
                guest("linux-50", "foreign", "blue", 50),
            ],
            rules: BTreeMap::new(),
        };
        for (family, name) in [(Family::Ipv4, "4"), (Family::Ipv6, "6")] {
            layout.add_rule(
                &format!("out-{name}"),
                allow(Direction::Egress, family, Protocol::Any),
            );
            let echo = Protocol::Icmp {
                kind: None,
                code: None,
            };
            layout.add_rule(&format!("icmp-{name}"), allow(Direction::Ingress, family, echo));
        }
        for (name, protocol) in opened {
            layout.open(name, *protocol);
        }
        layout
    }

    /// Lets guests receive `protocol` from anybody, in both families: rules `NAME-4` and `NAME-6`.
    pub fn open(&mut self, name: &str, protocol: Protocol) {
        self.add_rule(
            &format!("{name}-4"),
            allow(Direction::Ingress, Family::Ipv4, protocol),
        );
        self.add_rule(
            &format!("{name}-6"),
            allow(Direction::Ingress, Family::Ipv6, protocol),
        );
    }

    /// Takes back what [`Layout::open`] allowed.
    pub fn close(&mut self, name: &str) {
        self.rules
            .retain(|id, _| ![format!("{name}-4"), format!("{name}-6")].contains(&id.to_string()));
    }

    /// The specification of a guest; the name must be one of the layout's.
    pub fn guest(&self, name: &str) -> &GuestSpec {
        self.guests
            .iter()
            .find(|guest| guest.name == name)
            .expect("a guest of the layout")
    }

    /// The network of a guest.
    pub fn network_of(&self, guest: &GuestSpec) -> &NetworkSpec {
        self.networks
            .iter()
            .find(|network| network.name == guest.network)
            .expect("a network of the layout")
    }

    /// A guest's IPv4 and IPv6 address.
    pub fn addresses(&self, guest: &str) -> [IpAddr; 2] {
        let guest = self.guest(guest);
        self.network_of(guest).addresses(guest.number)
    }

    /// The group of all guests.
    pub(super) fn group(&self) -> (SecurityGroupId, SecurityGroup) {
        (
            id("guests"),
            SecurityGroup {
                rules: self.rules.clone(),
            },
        )
    }

    fn add_rule(&mut self, name: &str, rule: Rule) {
        self.rules.insert(id(name), rule);
    }
}

/// The number whose hexadecimal digits are `number`'s decimal ones, so that all addresses of a station look alike.
fn look_alike(number: u8) -> u16 {
    let number = u16::from(number);
    number / 100 * 256 + number / 10 % 10 * 16 + number % 10
}

/// A rule that allows `protocol` with anybody.
pub fn allow(direction: Direction, family: Family, protocol: Protocol) -> Rule {
    Rule {
        direction,
        family,
        protocol,
        remote: Remote::Any,
    }
}

/// TCP to one port.
pub const fn tcp(port: u16) -> Protocol {
    Protocol::Tcp(PortRange {
        first: port,
        last: port,
    })
}

/// UDP to one port.
pub const fn udp(port: u16) -> Protocol {
    Protocol::Udp(PortRange {
        first: port,
        last: port,
    })
}

/// An id out of a name that is known to be one.
pub(super) fn id<N>(name: &str) -> anet_model::id::Id<N> {
    anet_model::id::Id::new(name).expect("names in a layout are ids")
}

/// Networks of a layout all have the same ranges: overlapping addresses are the rule, not the exception.
fn network(name: &'static str, vni: u32) -> NetworkSpec {
    NetworkSpec {
        name,
        vni: Vni::new(vni).expect("a VNI"),
        mtu: Mtu::VXLAN_IPV4,
        ipv4: "10.0.0.0/24".parse().expect("a prefix"),
        ipv6: "fd00:10::/64".parse().expect("a prefix"),
    }
}
