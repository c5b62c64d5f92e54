//! Broadcast and multicast: to the members of the network whose rules let it in, and to nobody else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anet_datapath::verdict::DropReason;
use anet_model::host_plan::{Direction, Family, Protocol};
use anet_packet::addr::Mac;
use anet_packet::tcp::flag::{ACK, SYN};
use anet_packet::testing::{FrameBuilder, multicast_mac};

use crate::fabric::*;
use crate::host::{FROM_P, From, Host, To};

fn broadcast(from: &str, port: u16) -> Vec<u8> {
    let all = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 255));
    FrameBuilder::udp(mac(from), Mac::BROADCAST, ipv4(from), all, (9, port))
        .payload(30)
        .build()
}

fn port(name: &str) -> To {
    To::Port(name.to_string())
}

#[test]
fn copies_go_to_members_whose_rules_let_them_in() {
    let mut host = Host::new();
    let seen = host.send(From::Port("a"), &broadcast("a", 53));
    // b serves UDP 53, u has no firewall, c lets nothing in, down is down; both endpoints of blue, none of green's ports.
    let wanted = [
        port("b"),
        port("u"),
        To::Tunnel(HOST2, BLUE),
        To::Tunnel(HOST3, BLUE),
    ];
    assert_eq!(seen.ways(), wanted);
    assert!(
        seen.sent.iter().all(|s| s.bytes == broadcast("a", 53)),
        "the bytes are the sender's"
    );
    let seen = host.send(From::Port("a"), &broadcast("a", 54));
    assert_eq!(
        seen.ways(),
        [port("u"), To::Tunnel(HOST2, BLUE), To::Tunnel(HOST3, BLUE)]
    );
    assert!(host.connections.is_empty(), "copies make no connection");
}

#[test]
fn what_came_by_a_tunnel_goes_to_ports_only() {
    let mut host = Host::new();
    let seen = host.send(FROM_P, &broadcast("p", 53));
    assert_eq!(seen.ways(), [port("b"), port("u")]);
    let seen = host.send(From::Tunnel(HOST2, GREEN), &broadcast("gp", 53));
    assert_eq!(seen.ways(), [port("gb")]);
}

#[test]
fn the_sender_needs_a_rule_that_lets_it_out() {
    let mut host = Host::new();
    assert_eq!(
        host.send(From::Port("c"), &broadcast("c", 53)).reason(),
        Some(DropReason::FirewallEgress)
    );
}

#[test]
fn announcements_reach_all_ports_whatever_their_rules() {
    let mut host = Host::new();
    let wanted = [
        port("b"),
        port("c"),
        port("u"),
        To::Tunnel(HOST2, BLUE),
        To::Tunnel(HOST3, BLUE),
    ];
    let arp = host.send(
        From::Port("a"),
        &FrameBuilder::arp_announcement(mac("a"), v4("a")).build(),
    );
    assert_eq!(arp.ways(), wanted);
    let nodes: Ipv6Addr = "ff02::1".parse().unwrap();
    let advertisement =
        FrameBuilder::neighbor_advertisement(mac("a"), multicast_mac(nodes), v6("a"), nodes, v6("a")).build();
    assert_eq!(host.send(From::Port("a"), &advertisement).ways(), wanted);
}

#[test]
fn where_every_member_refuses_the_copy_the_drop_says_why() {
    let mut host = Host::new();
    host.change(|plan| {
        plan.networks.get_mut(&id("green")).unwrap().endpoints.clear();
        plan.peers.remove(&id("gp"));
    });
    let seen = host.send(From::Port("ga"), &broadcast("ga", 54));
    assert_eq!(seen.reason(), Some(DropReason::FirewallIngress));
}

/// A frame to a group with the addresses of a connection is none of its packets: it would get out of a port, or into
/// one, that has no rule for it.
#[test]
fn a_connections_addresses_open_no_way_for_copies() {
    let mut host = Host::new();
    let inbound = rule(Direction::Ingress, Family::Ipv4, Protocol::Tcp(range(80, 80)));
    host.change(|plan| {
        let quiet = plan.security_groups.entry(id("quiet")).or_default();
        quiet.rules.insert(id("quiet80"), inbound);
        plan.ports.get_mut(&id("c")).unwrap().security_groups = vec![id("quiet")];
    });
    assert!(
        host.send(From::Port("a"), &tcp("a", "c", (5, 80), SYN).build())
            .reached("c")
    );
    assert!(
        host.send(From::Port("c"), &tcp("c", "a", (80, 5), SYN | ACK).build())
            .reached("a")
    );
    let mut shouted = tcp("c", "a", (80, 5), ACK).build();
    shouted[..6].copy_from_slice(&Mac::BROADCAST.0);
    assert_eq!(
        host.send(From::Port("c"), &shouted).reason(),
        Some(DropReason::FirewallEgress)
    );
    assert!(
        host.send(From::Port("c"), &tcp("c", "a", (80, 5), ACK).build())
            .reached("a")
    );
}

#[test]
fn a_copy_without_a_buffer_is_counted_for_each_member() {
    let mut host = Host::new();
    host.trace_agrees = false;
    let mut held: Vec<_> = std::iter::from_fn(|| host.pool.take()).collect();
    // One for the frame, one for one copy of four.
    held.truncate(held.len() - 2);
    let seen = host.send(From::Port("a"), &broadcast("a", 53));
    assert_eq!(
        (seen.sent.len(), seen.dropped),
        (1, vec![DropReason::NoBuffer; 3])
    );
    drop(held);
    assert_eq!(host.send(From::Port("a"), &broadcast("a", 53)).sent.len(), 4);
}
