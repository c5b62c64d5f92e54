//! The plan that the tests play in, and frames of its stations.
//!
//! | network | VNI | ports here | peers |
//! |---|---|---|---|
//! | blue | 100 | a, b, c, u, down | p on host2, q on host3 |
//! | green, the same addresses | 200 | ga, gb | gp on host2 |
//! | lonely | 300 | l | |
//!
//! a may send everything and is pinged; b serves TCP 80 and UDP 53 besides; c has no group; u has no port security.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anet_model::host_plan::*;
use anet_packet::addr::{Mac, Mtu, Vni};
use anet_packet::testing::FrameBuilder;

pub const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub const HOST2: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
pub const HOST3: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3));
pub const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66));

pub const BLUE: u32 = 100;
pub const GREEN: u32 = 200;
pub const LONELY: u32 = 300;

/// Numbers of stations: the last byte of MAC and addresses.
pub const STATIONS: [(&str, u8); 11] = [
    ("a", 1),
    ("b", 2),
    ("c", 3),
    ("down", 8),
    ("u", 9),
    ("p", 11),
    ("q", 12),
    ("ga", 1),
    ("gb", 2),
    ("gp", 11),
    ("l", 1),
];

fn number(station: &str) -> u8 {
    STATIONS.iter().find(|(name, _)| *name == station).unwrap().1
}

pub fn mac(station: &str) -> Mac {
    Mac([0x02, 0, 0, 0, 0, number(station)])
}

pub fn ipv4(station: &str) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number(station)))
}

pub fn ipv6(station: &str) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number(station).into()))
}

pub fn v4(station: &str) -> Ipv4Addr {
    match ipv4(station) {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => unreachable!(),
    }
}

pub fn v6(station: &str) -> Ipv6Addr {
    match ipv6(station) {
        IpAddr::V6(address) => address,
        IpAddr::V4(_) => unreachable!(),
    }
}

pub fn udp(from: &str, to: &str, ports: (u16, u16)) -> FrameBuilder {
    FrameBuilder::udp(mac(from), mac(to), ipv4(from), ipv4(to), ports).payload(20)
}

pub fn udp6(from: &str, to: &str, ports: (u16, u16)) -> FrameBuilder {
    FrameBuilder::udp(mac(from), mac(to), ipv6(from), ipv6(to), ports).payload(20)
}

pub fn tcp(from: &str, to: &str, ports: (u16, u16), flags: u8) -> FrameBuilder {
    FrameBuilder::tcp(mac(from), mac(to), ipv4(from), ipv4(to), ports).flags(flags)
}

pub fn ping(from: &str, to: &str, identifier: u16) -> FrameBuilder {
    FrameBuilder::echo_request(mac(from), mac(to), ipv4(from), ipv4(to), identifier, 1).payload(32)
}

pub fn pong(from: &str, to: &str, identifier: u16) -> FrameBuilder {
    FrameBuilder::echo_reply(mac(from), mac(to), ipv4(from), ipv4(to), identifier, 1).payload(32)
}

pub fn id<T>(name: &str) -> anet_model::id::Id<T> {
    name.parse().unwrap()
}

pub fn rule(direction: Direction, family: Family, protocol: Protocol) -> Rule {
    Rule {
        direction,
        family,
        protocol,
        remote: Remote::Any,
    }
}

pub fn range(first: u16, last: u16) -> PortRange {
    PortRange { first, last }
}

fn group(
    name: &str,
    direction: Direction,
    of: impl Fn(Family) -> Protocol,
) -> (SecurityGroupId, SecurityGroup) {
    let rules = [(Family::Ipv4, "4"), (Family::Ipv6, "6")]
        .into_iter()
        .map(|(family, suffix)| {
            (
                id(&format!("{name}{suffix}")),
                rule(direction, family, of(family)),
            )
        })
        .collect();
    (id(name), SecurityGroup { rules })
}

pub fn port(network: &str, station: &str, groups: &[&str]) -> Port {
    Port {
        network: id(network),
        mac: mac(station),
        addresses: vec![ipv4(station), ipv6(station)],
        allowed_address_pairs: Vec::new(),
        port_security: true,
        security_groups: groups.iter().map(|g| id(g)).collect(),
        hostname: Some(station.to_string()),
        attachment: Attachment::Detached,
        budgets: Budgets::default(),
        admin_up: true,
    }
}

pub fn peer(network: &str, station: &str, endpoint: &str) -> Peer {
    Peer {
        network: id(network),
        mac: mac(station),
        addresses: vec![ipv4(station), ipv6(station)],
        endpoint: id(endpoint),
    }
}

fn add_network(plan: &mut HostPlan, name: &str, vni: u32, endpoints: &[&str]) {
    plan.networks.insert(
        id(name),
        Network {
            vni: Vni::new(vni).unwrap(),
            mtu: Mtu::VXLAN_IPV4,
            endpoints: endpoints.iter().map(|e| id(e)).collect(),
        },
    );
    for (family, prefix, gateway) in [
        ("v4", "10.0.0.0/24", "10.0.0.254"),
        ("v6", "fd00::/64", "fd00::ffff"),
    ] {
        let subnet = Subnet {
            network: id(name),
            prefix: prefix.parse().unwrap(),
            gateway: Some(gateway.parse().unwrap()),
            dhcp: true,
            ipv6_mode: Ipv6Mode::DhcpV6Stateful,
            dns_servers: Vec::new(),
            host_routes: Vec::new(),
            lease_s: 3600,
        };
        plan.subnets.insert(id(&format!("{name}-{family}")), subnet);
    }
}

pub fn plan() -> HostPlan {
    let mut plan = HostPlan {
        tunnel: Some(Tunnel {
            address: LOCAL,
            udp_port: 4789,
            dpdk: None,
        }),
        ..HostPlan::default()
    };
    for (name, address) in [("host2", HOST2), ("host3", HOST3)] {
        plan.endpoints.insert(
            id(name),
            Endpoint {
                address,
                udp_port: 4789,
                next_hop: None,
            },
        );
    }
    add_network(&mut plan, "blue", BLUE, &["host2", "host3"]);
    add_network(&mut plan, "green", GREEN, &["host2"]);
    add_network(&mut plan, "lonely", LONELY, &[]);
    let any_icmp = |_| Protocol::Icmp {
        kind: None,
        code: None,
    };
    plan.security_groups.extend([
        group("out", Direction::Egress, |_| Protocol::Any),
        group("ping", Direction::Ingress, any_icmp),
        group("web", Direction::Ingress, |_| Protocol::Tcp(range(80, 80))),
        group("dns", Direction::Ingress, |_| Protocol::Udp(range(53, 53))),
    ]);
    plan.ports.extend([
        (id("a"), port("blue", "a", &["out", "ping"])),
        (id("b"), port("blue", "b", &["out", "ping", "web", "dns"])),
        (id("c"), port("blue", "c", &[])),
        (id("ga"), port("green", "ga", &["out", "ping"])),
        (id("gb"), port("green", "gb", &["out", "ping", "web", "dns"])),
        (id("l"), port("lonely", "l", &["out"])),
    ]);
    let unsecured = Port {
        port_security: false,
        ..port("blue", "u", &[])
    };
    let down = Port {
        admin_up: false,
        ..port("blue", "down", &["out", "ping"])
    };
    plan.ports.extend([(id("u"), unsecured), (id("down"), down)]);
    plan.peers.extend([
        (id("p"), peer("blue", "p", "host2")),
        (id("q"), peer("blue", "q", "host3")),
        (id("gp"), peer("green", "gp", "host2")),
    ]);
    plan
}
