//! Changes of the plan under flows that are known: what they end, and what they must not.

use std::net::IpAddr;

use anet_datapath::verdict::DropReason;
use anet_model::host_plan::*;
use anet_packet::addr::{Mac, Mtu};
use anet_packet::tcp::flag::{ACK, SYN};
use anet_packet::testing::FrameBuilder;

use crate::connections::connect;
use crate::fabric::*;
use crate::host::{FROM_P, From, Host};

const A: From<'static> = From::Port("a");
const B: From<'static> = From::Port("b");

/// A frame that is in the cache by now and went through.
fn known(host: &mut Host, from: From<'_>, frame: &[u8]) {
    host.send(from, frame);
    let seen = host.send(from, frame);
    assert_eq!((seen.sent.len(), seen.hits), (1, 1), "{seen:?}");
}

fn reason(host: &mut Host, from: From<'_>, frame: &[u8]) -> Option<DropReason> {
    host.send(from, frame).reason()
}

#[test]
fn a_withdrawn_rule_ends_its_connections_and_no_others() {
    let mut host = Host::new();
    connect(&mut host, 5);
    let (web, dns) = (
        tcp("a", "b", (5, 80), ACK).build(),
        udp("a", "b", (9, 53)).build(),
    );
    let answers = (
        tcp("b", "a", (80, 5), ACK).build(),
        udp("b", "a", (53, 9)).build(),
    );
    known(&mut host, A, &web);
    known(&mut host, A, &dns);
    known(&mut host, B, &answers.1);
    host.change(|plan| {
        drop(
            plan.security_groups
                .get_mut(&id("web"))
                .unwrap()
                .rules
                .remove(&id("web4")),
        )
    });
    assert_eq!(reason(&mut host, A, &web), Some(DropReason::FirewallIngress));
    assert!(reason(&mut host, B, &answers.0).is_some(), "nor its answers");
    let seen = host.send(A, &dns);
    assert_eq!(
        (seen.reached("b"), seen.hits),
        (true, 1),
        "the other is not even looked at again"
    );
    assert!(host.send(B, &answers.1).reached("a"));
    assert_eq!(host.connections.len(), 1);
}

#[test]
fn a_rule_in_place_of_another_that_allows_the_same_loses_nothing() {
    let mut host = Host::new();
    connect(&mut host, 5);
    let (web, answer) = (
        tcp("a", "b", (5, 80), ACK).build(),
        tcp("b", "a", (80, 5), ACK).build(),
    );
    known(&mut host, A, &web);
    host.change(|plan| {
        let rules = &mut plan.security_groups.get_mut(&id("web")).unwrap().rules;
        rules.remove(&id("web4"));
        rules.insert(
            id("wider"),
            rule(Direction::Ingress, Family::Ipv4, Protocol::Tcp(range(1, 1000))),
        );
    });
    assert!(host.send(A, &web).reached("b"));
    assert!(host.send(B, &answer).reached("a"));
    assert_eq!(host.send(A, &web).hits, 1);
}

#[test]
fn an_added_rule_lifts_a_cached_denial() {
    let mut host = Host::new();
    let frame = udp("a", "b", (9, 54)).build();
    assert_eq!(reason(&mut host, A, &frame), Some(DropReason::FirewallIngress));
    assert_eq!(host.send(A, &frame).hits, 1, "remembered");
    host.change(|plan| {
        let rules = &mut plan.security_groups.get_mut(&id("dns")).unwrap().rules;
        rules.insert(
            id("more"),
            rule(Direction::Ingress, Family::Ipv4, Protocol::Udp(range(54, 54))),
        );
    });
    assert!(host.send(A, &frame).reached("b"));
}

#[test]
fn members_of_a_group_come_and_go() {
    let mut host = Host::new();
    let (own, remote) = (udp("a", "c", (9, 70)).build(), udp("p", "c", (9, 70)).build());
    let members = |host: &mut Host, names: &[&str]| {
        let members = names
            .iter()
            .map(|n| anet_packet::addr::IpPrefix::host(ipv4(n)))
            .collect();
        host.change(|plan| drop(plan.address_sets.insert(id("friends"), AddressSet { members })));
    };
    members(&mut host, &["p"]);
    host.change(|plan| {
        let from_friends = Rule {
            remote: Remote::Set(id("friends")),
            ..rule(Direction::Ingress, Family::Ipv4, Protocol::Any)
        };
        let group = plan.security_groups.entry(id("for-friends")).or_default();
        group.rules.insert(id("friends4"), from_friends);
        plan.ports.get_mut(&id("c")).unwrap().security_groups = vec![id("for-friends")];
    });
    known(&mut host, FROM_P, &remote);
    assert_eq!(reason(&mut host, A, &own), Some(DropReason::FirewallIngress));
    members(&mut host, &["p", "a"]);
    known(&mut host, A, &own);
    assert_eq!(
        host.send(FROM_P, &remote).hits,
        1,
        "a member that joins bothers nobody else"
    );
    members(&mut host, &["a"]);
    assert_eq!(
        reason(&mut host, FROM_P, &remote),
        Some(DropReason::FirewallIngress)
    );
    assert!(host.send(A, &own).reached("c"));
}

#[test]
fn a_peer_that_moves_host_takes_its_flows_along() {
    let mut host = Host::new();
    let frame = udp("a", "p", (9, 53)).build();
    known(&mut host, A, &frame);
    host.change(|plan| plan.peers.get_mut(&id("p")).unwrap().endpoint = id("host3"));
    let seen = host.send(A, &frame);
    assert_eq!(
        (seen.tunnelled(HOST3, BLUE), seen.hits),
        (true, 1),
        "one write, no flow looked at again"
    );
    let answer = host.send(From::Tunnel(HOST3, BLUE), &udp("p", "a", (53, 9)).build());
    assert!(answer.reached("a"));
}

/// A station is heard from where the plan has it, and nobody else in its name. What it has open lives on.
#[test]
fn a_station_behind_a_tunnel_speaks_from_its_own_endpoint_only() {
    let mut host = Host::new();
    let from_host3 = From::Tunnel(HOST3, BLUE);
    let (answer, question) = (udp("p", "a", (53, 9)).build(), udp("a", "p", (9, 53)).build());
    known(&mut host, A, &question);
    known(&mut host, FROM_P, &answer);
    let connections = host.connections.len();
    let elsewhere = Some(DropReason::SourceIsElsewhere);
    assert_eq!(reason(&mut host, from_host3, &answer), elsewhere);
    assert_eq!(
        host.send(FROM_P, &answer).hits,
        1,
        "what another one tried costs it nothing"
    );
    host.change(|plan| plan.peers.get_mut(&id("p")).unwrap().endpoint = id("host3"));
    for _ in 0..2 {
        assert_eq!(reason(&mut host, FROM_P, &answer), elsewhere);
        assert!(host.send(from_host3, &answer).reached("a"));
    }
    assert_eq!(host.connections.len(), connections);
}

#[test]
fn a_mac_that_becomes_a_stations_is_heard_from_nowhere_else_any_more() {
    let mut host = Host::new();
    let stranger = Mac([2, 0, 0, 0, 0, 77]);
    let address: IpAddr = "10.0.0.77".parse().unwrap();
    let frame = FrameBuilder::udp(stranger, mac("b"), address, ipv4("b"), (9, 53)).build();
    known(&mut host, FROM_P, &frame);
    host.change(|plan| {
        let mut new = peer("blue", "q", "host3");
        (new.mac, new.addresses) = (stranger, vec![address]);
        plan.peers.insert(id("new"), new);
    });
    let elsewhere = Some(DropReason::SourceIsElsewhere);
    assert_eq!(reason(&mut host, FROM_P, &frame), elsewhere);
    known(&mut host, From::Tunnel(HOST3, BLUE), &frame);
    host.change(|plan| drop(plan.peers.remove(&id("new"))));
    known(&mut host, FROM_P, &frame);
    host.change(|plan| {
        let mut new = port("blue", "q", &["out"]);
        (new.mac, new.addresses) = (stranger, vec![address]);
        plan.peers.remove(&id("q"));
        plan.ports.insert(id("new"), new);
    });
    assert_eq!(reason(&mut host, FROM_P, &frame), Some(DropReason::SourceIsLocal));
}

#[test]
fn no_flow_outlives_what_allowed_it() {
    type Change = (&'static str, fn(&mut HostPlan), DropReason);
    let changes: [Change; 7] = [
        (
            "its source goes down",
            |p| p.ports.get_mut(&id("a")).unwrap().admin_up = false,
            DropReason::PortDown,
        ),
        (
            "its destination goes down",
            |p| p.ports.get_mut(&id("b")).unwrap().admin_up = false,
            DropReason::PortDown,
        ),
        (
            "its source has another address",
            |p| p.ports.get_mut(&id("a")).unwrap().addresses = vec!["10.0.0.50".parse().unwrap()],
            DropReason::SpoofedIpv4,
        ),
        (
            "its source has another MAC",
            |p| p.ports.get_mut(&id("a")).unwrap().mac = anet_packet::addr::Mac([2, 0, 0, 0, 0, 50]),
            DropReason::SpoofedMac,
        ),
        (
            "its destination has another MAC",
            |p| p.ports.get_mut(&id("b")).unwrap().mac = anet_packet::addr::Mac([2, 0, 0, 0, 0, 50]),
            DropReason::UnknownDestination,
        ),
        (
            "its destination is removed",
            |p| drop(p.ports.remove(&id("b"))),
            DropReason::UnknownDestination,
        ),
        (
            "its source loses its groups",
            |p| p.ports.get_mut(&id("a")).unwrap().security_groups.clear(),
            DropReason::FirewallEgress,
        ),
    ];
    for (what, change, expected) in changes {
        let mut host = Host::new();
        connect(&mut host, 5);
        let frame = tcp("a", "b", (5, 80), ACK).build();
        known(&mut host, A, &frame);
        host.change(change);
        assert_eq!(reason(&mut host, A, &frame), Some(expected), "{what}");
        assert_eq!(
            reason(&mut host, A, &frame),
            Some(expected),
            "{what}, asked twice"
        );
    }
}

#[test]
fn port_security_can_be_switched_on_and_off_under_flows() {
    let mut host = Host::new();
    let secure = |host: &mut Host, name: &str, on| {
        host.change(|plan| plan.ports.get_mut(&id(name)).unwrap().port_security = on);
    };
    // Between two ports without port security there is no connection; u has no groups.
    secure(&mut host, "b", false);
    let frame = udp("u", "b", (9, 99)).build();
    known(&mut host, From::Port("u"), &frame);
    secure(&mut host, "b", true);
    assert_eq!(
        reason(&mut host, From::Port("u"), &frame),
        Some(DropReason::FirewallIngress)
    );
    secure(&mut host, "b", false);
    known(&mut host, From::Port("u"), &frame);
    secure(&mut host, "u", true);
    assert_eq!(
        reason(&mut host, From::Port("u"), &frame),
        Some(DropReason::FirewallEgress)
    );
    secure(&mut host, "u", false);
    let mut foreign = udp("a", "b", (9, 99)).build();
    foreign[6..12].copy_from_slice(&mac("u").0);
    known(&mut host, From::Port("u"), &foreign);
    secure(&mut host, "u", true);
    assert_eq!(
        reason(&mut host, From::Port("u"), &foreign),
        Some(DropReason::SpoofedIpv4)
    );
}

#[test]
fn an_endpoint_that_leaves_the_network_sends_no_more() {
    let mut host = Host::new();
    let frame = udp("p", "b", (9, 53)).build();
    known(&mut host, FROM_P, &frame);
    host.change(|plan| {
        plan.peers.remove(&id("p"));
        plan.networks.get_mut(&id("blue")).unwrap().endpoints = vec![id("host3")];
    });
    assert_eq!(
        reason(&mut host, FROM_P, &frame),
        Some(DropReason::UnknownEndpoint)
    );
    assert_eq!(
        reason(&mut host, A, &udp("a", "p", (9, 53)).build()),
        Some(DropReason::UnknownDestination)
    );
}

/// The place in the tables that it leaves may be another network's a moment later: no flow may take one for the other.
#[test]
fn an_endpoint_that_changes_network_takes_no_flow_along() {
    let mut host = Host::new();
    let frame = udp("q", "b", (9, 53)).build();
    known(&mut host, From::Tunnel(HOST3, BLUE), &frame);
    host.change(|plan| {
        plan.peers.remove(&id("q"));
        plan.networks.get_mut(&id("blue")).unwrap().endpoints = vec![id("host2")];
        plan.networks
            .get_mut(&id("green"))
            .unwrap()
            .endpoints
            .push(id("host3"));
    });
    assert!(host.send(From::Tunnel(HOST3, GREEN), &frame).reached("gb"));
    let expected = Some(DropReason::UnknownEndpoint);
    assert_eq!(reason(&mut host, From::Tunnel(HOST3, BLUE), &frame), expected);
}

#[test]
fn a_peer_that_is_gone_gets_nothing_and_the_one_in_its_place_not_its_flows() {
    let mut host = Host::new();
    let frames = [
        (A, udp("a", "p", (9, 53)).build()),
        (From::Port("u"), udp("u", "p", (9, 53)).build()),
    ];
    for (from, frame) in &frames {
        known(&mut host, *from, frame);
    }
    host.change(|plan| {
        plan.peers.remove(&id("p"));
        plan.peers.insert(id("p2"), peer("green", "q", "host2"));
    });
    for (from, frame) in &frames {
        assert_eq!(
            reason(&mut host, *from, frame),
            Some(DropReason::UnknownDestination)
        );
    }
}

/// After a change the first packet may be an answer: the rules are asked about the connection as it began.
#[test]
fn a_connection_is_asked_about_in_its_original_direction() {
    let mut host = Host::new();
    host.change(|plan| plan.ports.get_mut(&id("a")).unwrap().security_groups = vec![id("out")]);
    connect(&mut host, 5);
    host.change(|plan| plan.ports.get_mut(&id("b")).unwrap().security_groups = vec![id("web")]);
    assert!(
        host.send(B, &tcp("b", "a", (80, 5), ACK).build()).reached("a"),
        "b itself may open nothing"
    );
    assert!(host.send(A, &tcp("a", "b", (5, 80), ACK).build()).reached("b"));
}

/// A station that moves here still has frames under way through the tunnel: they are not its own any more.
#[test]
fn a_station_that_moves_here_is_no_station_of_the_tunnel_any_more() {
    let mut host = Host::new();
    let frame = udp("p", "u", (9, 53)).build();
    known(&mut host, FROM_P, &frame);
    host.change(|plan| {
        plan.peers.remove(&id("p"));
        plan.ports.insert(id("p"), port("blue", "p", &["out"]));
    });
    assert_eq!(reason(&mut host, FROM_P, &frame), Some(DropReason::SourceIsLocal));
    assert!(host.send(From::Port("p"), &frame).reached("u"));
}

#[test]
fn a_network_keeps_its_flows_when_its_mtu_changes_and_their_length_follows() {
    let mut host = Host::new();
    let (short, long) = (
        udp("a", "b", (9, 53)).payload(100).build(),
        udp("a", "b", (9, 53)).payload(1400).build(),
    );
    known(&mut host, A, &short);
    assert_eq!(host.send(A, &long).hits, 1);
    let mtu = |host: &mut Host, bytes| {
        host.change(|plan| plan.networks.get_mut(&id("blue")).unwrap().mtu = Mtu::new(bytes).unwrap());
    };
    mtu(&mut host, 1400);
    assert!(host.send(A, &short).reached("b"));
    assert_eq!(reason(&mut host, A, &long), Some(DropReason::TooBig));
    assert!(host.send(A, &short).reached("b"));
    mtu(&mut host, 1450);
    assert!(host.send(A, &long).reached("b"));
    assert_eq!(
        host.connections.len(),
        1,
        "the connection is the same all the time"
    );
}

#[test]
fn a_network_that_gets_another_vni_has_other_flows() {
    let mut host = Host::new();
    known(&mut host, A, &udp("a", "p", (9, 53)).build());
    host.change(|plan| {
        plan.networks.get_mut(&id("blue")).unwrap().vni = anet_packet::addr::Vni::new(777).unwrap()
    });
    let seen = host.send(From::Tunnel(HOST2, BLUE), &udp("p", "a", (53, 9)).build());
    assert_eq!(seen.reason(), Some(DropReason::UnknownVni));
    let syn = host.send(A, &tcp("a", "p", (9, 80), SYN).build());
    assert!(syn.tunnelled(HOST2, 777));
    let old = host.send(A, &udp("a", "p", (9, 53)).build());
    assert!(old.tunnelled(HOST2, 777), "{old:?}");
}
