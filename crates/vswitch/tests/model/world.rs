//! A small fabric seen from one host, its random changes, and random packets in it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anet_datapath::testing::reference::Source;
use anet_model::host_plan::*;
use anet_packet::addr::{IpPrefix, Mac, Mtu, Vni};
use anet_packet::tcp::flag;
use anet_packet::testing::FrameBuilder;

use crate::random::Random;

pub const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A station that packets are made for: MAC and addresses by its number in its network.
pub fn mac(network: usize, station: usize) -> Mac {
    Mac([0x02, 0, 0, 0, network as u8, station as u8])
}

/// Both networks have the same addresses.
pub fn ipv4(station: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, station as u8 + 1))
}

pub fn ipv6(station: usize) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, station as u16 + 1))
}

pub fn vni(network: usize) -> Vni {
    Vni::new(10 + 10 * network as u32).unwrap()
}

const STATIONS: usize = 6;

pub fn base(random: &mut Random) -> HostPlan {
    let mut plan = HostPlan {
        tunnel: Some(Tunnel {
            address: IpAddr::V4(LOCAL),
            udp_port: 4789,
            dpdk: None,
        }),
        ..HostPlan::default()
    };
    for n in 0..2u8 {
        let id: EndpointId = format!("host{n}").parse().unwrap();
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10 + n));
        plan.endpoints.insert(
            id,
            Endpoint {
                address,
                udp_port: 4789,
                next_hop: None,
            },
        );
    }
    for network in 0..2 {
        let id: NetworkId = format!("net{network}").parse().unwrap();
        let endpoints = plan.endpoints.keys().cloned().collect();
        plan.networks.insert(
            id.clone(),
            Network {
                vni: vni(network),
                mtu: Mtu::VXLAN_IPV4,
                endpoints,
            },
        );
        for (name, prefix) in [("v4", "10.0.0.0/24"), ("v6", "fd00::/64")] {
            let subnet = Subnet {
                network: id.clone(),
                prefix: prefix.parse().unwrap(),
                gateway: None,
                dhcp: true,
                ipv6_mode: Ipv6Mode::DhcpV6Stateful,
                dns_servers: Vec::new(),
                host_routes: Vec::new(),
                lease_s: 3600,
            };
            plan.subnets
                .insert(format!("net{network}-{name}").parse().unwrap(), subnet);
        }
    }
    for set in 0..2 {
        plan.address_sets
            .insert(format!("set{set}").parse().unwrap(), AddressSet::default());
    }
    for group in 0..3 {
        plan.security_groups
            .insert(format!("group{group}").parse().unwrap(), SecurityGroup::default());
    }
    for _ in 0..60 {
        change(random, &mut plan);
    }
    plan
}

/// One random change; the plan is left as it was where the result would not be valid.
pub fn change(random: &mut Random, plan: &mut HostPlan) {
    let before = plan.clone();
    match random.below(12) {
        0..=3 => change_rule(random, plan),
        4 => change_member(random, plan),
        5 | 6 => change_port(random, plan),
        7 => change_groups(random, plan),
        8 | 9 => change_peer(random, plan),
        10 => move_peer(random, plan),
        _ if random.one_in(3) => change_endpoint(random, plan),
        _ => {}
    }
    if plan.validate().is_err() {
        *plan = before;
    }
}

/// One random change of a rule or of a set's members.
pub fn change_rules_only(random: &mut Random, plan: &mut HostPlan) {
    if random.one_in(4) {
        change_member(random, plan);
    } else {
        change_rule(random, plan);
    }
}

fn change_rule(random: &mut Random, plan: &mut HostPlan) {
    let number = random.below(12);
    let id: RuleId = format!("rule{number}").parse().unwrap();
    let group: SecurityGroupId = format!("group{}", number % 3).parse().unwrap();
    let rule = rule(random);
    let rules = &mut plan.security_groups.get_mut(&group).unwrap().rules;
    if random.one_in(4) {
        rules.remove(&id);
    } else {
        rules.insert(id, rule);
    }
}

fn rule(random: &mut Random) -> Rule {
    let family = if random.one_in(2) {
        Family::Ipv4
    } else {
        Family::Ipv6
    };
    let range = *random.pick(&[
        PortRange::ALL,
        PortRange::ALL,
        PortRange { first: 80, last: 80 },
        PortRange { first: 81, last: 443 },
    ]);
    let protocol = match random.below(6) {
        0..=2 => Protocol::Any,
        3 => Protocol::Tcp(range),
        4 => Protocol::Udp(range),
        _ => Protocol::Icmp {
            kind: None,
            code: None,
        },
    };
    let station = random.below(STATIONS);
    let one = if family == Family::Ipv4 {
        ipv4(station)
    } else {
        ipv6(station)
    };
    let remote = match random.below(6) {
        0..=2 => Remote::Any,
        3 => Remote::Prefix(IpPrefix::host(one)),
        _ => Remote::Set(format!("set{}", random.below(2)).parse().unwrap()),
    };
    let direction = if random.one_in(2) {
        Direction::Ingress
    } else {
        Direction::Egress
    };
    Rule {
        direction,
        family,
        protocol,
        remote,
    }
}

fn change_member(random: &mut Random, plan: &mut HostPlan) {
    let set: AddressSetId = format!("set{}", random.below(2)).parse().unwrap();
    let station = random.below(STATIONS);
    let address = if random.one_in(2) {
        ipv4(station)
    } else {
        ipv6(station)
    };
    let member = IpPrefix::host(address);
    let members: &mut BTreeSet<IpPrefix> = &mut plan.address_sets.get_mut(&set).unwrap().members;
    if !members.remove(&member) {
        members.insert(member);
    }
}

fn change_port(random: &mut Random, plan: &mut HostPlan) {
    let (network, station) = (random.below(2), random.below(STATIONS));
    let id: PortId = format!("station{network}{station}").parse().unwrap();
    if plan.ports.remove(&id).is_some() {
        return;
    }
    plan.peers.remove(&id);
    let port = Port {
        network: format!("net{network}").parse().unwrap(),
        mac: mac(network, station),
        addresses: vec![ipv4(station), ipv6(station)],
        allowed_address_pairs: Vec::new(),
        port_security: !random.one_in(4),
        security_groups: groups(random),
        hostname: None,
        attachment: Attachment::Detached,
        budgets: Budgets {
            connections: 1_000_000,
            control_pps: 1_000_000,
            new_flows_pps: 100_000_000,
        },
        admin_up: !random.one_in(12),
    };
    plan.ports.insert(id, port);
}

fn groups(random: &mut Random) -> Vec<SecurityGroupId> {
    (0..3)
        .filter(|_| random.one_in(2))
        .map(|g| format!("group{g}").parse().unwrap())
        .collect()
}

fn change_groups(random: &mut Random, plan: &mut HostPlan) {
    let ids: Vec<PortId> = plan.ports.keys().cloned().collect();
    if let Some(port) = (!ids.is_empty())
        .then(|| random.pick(&ids).clone())
        .and_then(|id| plan.ports.get_mut(&id))
    {
        match random.below(4) {
            0 => port.admin_up = !port.admin_up,
            1 => port.port_security = !port.port_security,
            _ => port.security_groups = groups(random),
        }
    }
}

fn change_peer(random: &mut Random, plan: &mut HostPlan) {
    let (network, station) = (random.below(2), random.below(STATIONS));
    let id: PortId = format!("station{network}{station}").parse().unwrap();
    if plan.peers.remove(&id).is_some() {
        return;
    }
    plan.ports.remove(&id);
    let peer = Peer {
        network: format!("net{network}").parse().unwrap(),
        mac: mac(network, station),
        addresses: vec![ipv4(station), ipv6(station)],
        endpoint: format!("host{}", random.below(2)).parse().unwrap(),
    };
    plan.peers.insert(id, peer);
}

fn move_peer(random: &mut Random, plan: &mut HostPlan) {
    for peer in plan.peers.values_mut() {
        if random.one_in(3) {
            peer.endpoint = format!("host{}", random.below(2)).parse().unwrap();
        }
    }
}

fn change_endpoint(random: &mut Random, plan: &mut HostPlan) {
    if random.one_in(2) {
        let network: NetworkId = format!("net{}", random.below(2)).parse().unwrap();
        let endpoints = &mut plan.networks.get_mut(&network).unwrap().endpoints;
        let id: EndpointId = format!("host{}", random.below(2)).parse().unwrap();
        match endpoints.iter().position(|e| *e == id) {
            Some(at) => drop(endpoints.remove(at)),
            None => endpoints.push(id),
        }
    } else {
        let id: EndpointId = format!("host{}", random.below(2)).parse().unwrap();
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10 + random.below(4) as u8));
        plan.endpoints.get_mut(&id).unwrap().address = address;
    }
}

/// Two stations that talk, and how.
#[derive(Clone, Copy)]
pub struct Conversation {
    network: usize,
    stations: (usize, usize),
    is_ipv4: bool,
    protocol: usize,
    ports: (u16, u16),
}

impl Conversation {
    pub fn new(random: &mut Random) -> Self {
        Self {
            network: random.below(2),
            stations: (random.below(STATIONS), random.below(STATIONS)),
            is_ipv4: random.one_in(2),
            protocol: random.below(8),
            ports: (1000 + random.below(3) as u16, *random.pick(&[80u16, 100, 9000])),
        }
    }
}

/// A packet, and the frames that it is sent in: itself or, now and then, its fragments in some order.
pub struct Sent {
    pub source: Source,
    pub whole: Vec<u8>,
    /// Whether a frame has the transport header.
    pub frames: Vec<(bool, Vec<u8>)>,
}

/// The next packet of a conversation, in by the side where its sender is (mostly).
pub fn packet(random: &mut Random, plan: &HostPlan, of: Conversation) -> Sent {
    let is_client = random.one_in(2);
    let (from, to) = if is_client {
        of.stations
    } else {
        (of.stations.1, of.stations.0)
    };
    let id: PortId = format!("station{}{from}", of.network).parse().unwrap();
    let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10 + random.below(5) as u8));
    let source = match plan.peers.get(&id) {
        Some(peer) if !random.one_in(50) => {
            Source::Tunnel(plan.endpoints[&peer.endpoint].address, vni(of.network))
        }
        None if plan.ports.contains_key(&id) => Source::Port(id),
        _ => Source::Tunnel(stranger, vni(of.network)),
    };
    // Now and then with somebody else's address.
    let speaks_as = if random.one_in(60) {
        random.below(STATIONS)
    } else {
        from
    };
    let family: fn(usize) -> IpAddr = if of.is_ipv4 { ipv4 } else { ipv6 };
    let macs = (mac(of.network, from), mac(of.network, to));
    let builder = builder(random, macs, family(speaks_as), family(to), of, is_client);
    let whole = builder.build();
    let mut frames = vec![(true, whole.clone())];
    if (4..=6).contains(&of.protocol) && random.one_in(4) {
        // A number of its own, so that it is told from all packets before it.
        let builder = builder.dont_fragment(false).identification(random.number());
        frames = builder
            .fragments(16)
            .into_iter()
            .enumerate()
            .map(|(place, frame)| (place == 0, frame))
            .collect();
        if random.one_in(4) {
            let last = frames.len() - 1;
            frames.swap(0, last);
        }
    }
    Sent {
        source,
        whole,
        frames,
    }
}

fn builder(
    random: &mut Random,
    macs: (Mac, Mac),
    from: IpAddr,
    to: IpAddr,
    of: Conversation,
    is_client: bool,
) -> FrameBuilder {
    let (client_port, server_port) = of.ports;
    let (sport, dport) = if is_client {
        (client_port, server_port)
    } else {
        (server_port, client_port)
    };
    let payload = 9 + random.below(40);
    let builder = match of.protocol {
        0..=3 => {
            let flags = *random.pick(&[
                flag::SYN,
                flag::SYN,
                flag::SYN | flag::ACK,
                flag::ACK,
                flag::ACK,
                flag::ACK,
                flag::ACK,
                flag::ACK,
                flag::ACK,
                flag::ACK | flag::PSH,
                flag::FIN | flag::ACK,
                flag::RST,
            ]);
            let number = random.next() as u32;
            FrameBuilder::tcp(macs.0, macs.1, from, to, (sport, dport))
                .flags(flags)
                .numbers(number, number ^ 7)
        }
        4..=6 => FrameBuilder::udp(macs.0, macs.1, from, to, (sport, dport)),
        _ if is_client => FrameBuilder::echo_request(macs.0, macs.1, from, to, client_port, 1),
        _ => FrameBuilder::echo_reply(macs.0, macs.1, from, to, client_port, 1),
    };
    builder.payload(payload)
}
