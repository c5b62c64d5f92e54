//! The pipeline with its tables: a sequence of frames, changes of the plan and hand-overs between workers.
//!
//! Each record of the input is an operation byte, an argument byte, a length byte, and that many bytes. A frame is a legal one
//! with bytes put over it, or the bytes alone. `Host::send` holds each against a trace of itself and against
//! what holds for every frame: nothing goes back, from tunnel to tunnel, or to another network.

use std::net::Ipv4Addr;

use anet_memory::buffer::Meta;
use anet_model::host_plan::*;
use anet_packet::addr::{Mac, Vni};
use anet_packet::tcp::flag::{ACK, FIN, RST, SYN};
use anet_packet::testing::{FrameBuilder, dhcp_discover, multicast_mac};

use crate::fabric::*;
use crate::host::{From, Host, outer, outer_builder};

const PORTS: [&str; 8] = ["a", "b", "c", "u", "down", "ga", "gb", "l"];

/// Legal frames of all kinds, each told by its number.
pub fn frames() -> Vec<Vec<u8>> {
    let nodes = "ff02::1".parse().unwrap();
    let quoted = udp("a", "b", (9, 53)).build();
    let all = Ipv4Addr::new(10, 0, 0, 255).into();
    let nobody = Ipv4Addr::UNSPECIFIED.into();
    let mut frames = vec![
        FrameBuilder::arp_request(mac("a"), v4("a"), v4("b")).build(),
        FrameBuilder::arp_announcement(mac("p"), v4("p")).build(),
        FrameBuilder::arp_reply(mac("p"), mac("a"), v4("p"), v4("a")).build(),
        FrameBuilder::neighbor_solicitation(mac("a"), v6("a"), v6("b")).build(),
        FrameBuilder::neighbor_solicitation(mac("p"), v6("p"), v6("c")).build(),
        FrameBuilder::neighbor_advertisement(mac("a"), multicast_mac(nodes), v6("a"), nodes, v6("a")).build(),
        FrameBuilder::router_solicitation(mac("a"), mac("a").link_local()).build(),
        FrameBuilder::icmp6(mac("a"), mac("b"), v6("a"), nodes, (134, 0), [0; 4])
            .payload(16)
            .build(),
        FrameBuilder::udp(
            mac("a"),
            Mac::BROADCAST,
            nobody,
            Ipv4Addr::BROADCAST.into(),
            (68, 67),
        )
        .payload_bytes(&dhcp_discover(mac("a"), 1))
        .build(),
        FrameBuilder::udp(mac("u"), Mac::BROADCAST, ipv4("u"), all, (9, 53)).build(),
        FrameBuilder::icmp4(mac("b"), mac("a"), v4("b"), v4("a"), (3, 3), [0; 4])
            .payload_bytes(&quoted[14..])
            .build(),
        FrameBuilder::other_protocol(mac("a"), mac("p"), ipv4("a"), ipv4("p"), 50)
            .payload(30)
            .build(),
        FrameBuilder::raw(mac("u"), mac("b"), 0x88cc).payload(46).build(),
        udp6("a", "b", (9, 53)).extension(60, &[1, 4, 0, 0, 0, 0]).build(),
        outer(HOST2, BLUE, &udp("p", "a", (53, 9)).build()),
        outer_builder(HOST2, GREEN, &ping("gp", "ga", 3).build())
            .traffic_class(3)
            .build(),
    ];
    frames.extend(
        udp("a", "b", (9, 53))
            .dont_fragment(false)
            .payload(100)
            .fragments(64),
    );
    frames.extend(udp6("a", "p", (9, 53)).payload(100).fragments(64));
    let pairs = [
        ("a", "b"),
        ("b", "a"),
        ("a", "p"),
        ("p", "a"),
        ("u", "b"),
        ("b", "u"),
        ("c", "a"),
    ];
    for (from, to) in pairs {
        let ports = if from < to { (9, 53) } else { (53, 9) };
        frames.extend([udp(from, to, ports).build(), udp6(from, to, ports).build()]);
        frames.extend([ping(from, to, 3).build(), pong(from, to, 3).build()]);
        let ports = if from < to { (9, 80) } else { (80, 9) };
        frames.extend([SYN, SYN | ACK, ACK, FIN | ACK, RST].map(|flags| tcp(from, to, ports, flags).build()));
    }
    frames
}

/// Sequences: each frame by each way in, and a conversation under changes.
pub fn seeds() -> Vec<Vec<u8>> {
    let count = frames().len() as u8;
    let by = |from: u8| (0..count).flat_map(|frame| [from, frame, 0]).collect::<Vec<u8>>();
    let mut seeds: Vec<Vec<u8>> = (0..12).map(by).collect();
    let random = &mut crate::driver::Random::new(4);
    for _ in 0..24 {
        let record = |random: &mut crate::driver::Random| [random.below(20) as u8, random.draw() as u8, 0];
        seeds.push((0..40).flat_map(|_| record(random)).collect());
    }
    seeds
}

/// At most 200 records are played.
pub fn target(input: &[u8]) {
    let frames = frames();
    let mut plan = plan();
    for port in plan.ports.values_mut() {
        // A trace spends no budget: it could not agree.
        (port.budgets.control_pps, port.budgets.new_flows_pps) = (1_000_000, 100_000_000);
    }
    let mut host = Host::with(plan, 1024);
    let buffers = host.pool.statistics().buffers_free;
    let mut rest = input;
    for number in 0..200 {
        let Some((&[operation, argument, length], behind)) = rest.split_first_chunk() else {
            return;
        };
        let (bytes, behind) = behind.split_at(usize::from(length).min(behind.len()));
        rest = behind;
        play(&mut host, &frames, (operation, argument, number % 2), bytes);
        assert_eq!(
            host.pool.statistics().buffers_free,
            buffers,
            "every buffer comes back"
        );
        assert!(host.connections.len() <= host.connections.capacity());
    }
}

fn play(host: &mut Host, frames: &[Vec<u8>], (operation, argument, worker): (u8, u8, usize), bytes: &[u8]) {
    let from = match operation % 20 {
        n @ 0..8 => From::Port(PORTS[usize::from(n)]),
        8 => From::Tunnel(HOST2, BLUE),
        9 => From::Tunnel(HOST3, BLUE),
        10 => From::Tunnel(HOST2, GREEN),
        11 => From::Underlay,
        12 => From::Tunnel(STRANGER, BLUE),
        13 => return host.now += u64::from(argument) * 1_000_000_000,
        14 => return host.loose_pickup = argument % 4 == 0,
        _ => return try_change(host, argument),
    };
    if let From::Port(name) = from
        && !host.plan.ports.contains_key(&id(name))
    {
        return;
    }
    let frame = match usize::from(argument) {
        n if n < frames.len() => patched(&frames[n], bytes),
        _ => bytes.to_vec(),
    };
    host.send_on(worker, from, &frame, Meta::default());
}

/// Pairs of position and byte, put over a frame.
fn patched(frame: &[u8], patches: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    for patch in patches.chunks_exact(2) {
        if let Some(byte) = frame.get_mut(usize::from(patch[0])) {
            *byte = patch[1];
        }
    }
    frame
}

fn try_change(host: &mut Host, argument: u8) {
    let mut plan = host.plan.clone();
    change(&mut plan, argument);
    if plan.validate().is_ok() {
        host.change(|current| *current = plan);
    }
}

fn change(plan: &mut HostPlan, argument: u8) {
    let name = PORTS[usize::from(argument) % 4];
    let port_of = |plan: &mut HostPlan, change: fn(&mut Port)| {
        if let Some(port) = plan.ports.get_mut(&id(name)) {
            change(port);
        }
    };
    match argument / 4 % 16 {
        0 => port_of(plan, |port| port.admin_up = !port.admin_up),
        1 => port_of(plan, |port| port.port_security = !port.port_security),
        2 => port_of(plan, |port| port.security_groups = vec![id("out")]),
        3 => port_of(plan, |port| {
            port.security_groups = vec![id("out"), id("dns"), id("web")]
        }),
        4 => port_of(plan, |port| port.mac = mac("down")),
        5 => drop(plan.ports.remove(&id(name))),
        6 => drop(plan.ports.insert(id(name), port("blue", name, &["out", "ping"]))),
        7 => drop(
            plan.security_groups
                .get_mut(&id("dns"))
                .unwrap()
                .rules
                .pop_first(),
        ),
        8 => {
            let new = rule(Direction::Ingress, Family::Ipv4, Protocol::Udp(range(50, 60)));
            let rules = &mut plan.security_groups.get_mut(&id("dns")).unwrap().rules;
            rules.insert(id("new"), new);
        }
        9 => drop(plan.peers.remove(&id("p"))),
        10 => drop(plan.peers.insert(id("p"), peer("blue", "p", "host3"))),
        11 => drop(plan.peers.insert(id("p"), peer("blue", "p", "host2"))),
        12 => {
            plan.peers.remove(&id("p"));
            plan.ports.insert(id("p"), port("blue", "p", &["out"]));
        }
        13 => {
            plan.networks.get_mut(&id("blue")).unwrap().vni =
                Vni::new(BLUE + u32::from(argument) % 2).unwrap()
        }
        14 => plan.networks.get_mut(&id("blue")).unwrap().endpoints = vec![id("host2")],
        _ => plan.networks.get_mut(&id("blue")).unwrap().endpoints = vec![id("host2"), id("host3")],
    }
}
