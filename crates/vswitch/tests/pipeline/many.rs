//! Changes that concern very many flows at once: each flow's next packet sees them, whatever it is that changed.

use anet_datapath::burst::PER_MILLISECOND;
use anet_datapath::verdict::DropReason;
use anet_model::host_plan::*;
use anet_packet::addr::Mtu;
use anet_packet::tcp::flag::ACK;

use crate::connections::connect;
use crate::fabric::*;
use crate::host::{FROM_P, From, Host};

/// Far more than a worker takes out of the connection table in a millisecond, and all within one.
const FLOWS: u16 = 300;

const A: From<'static> = From::Port("a");
const B: From<'static> = From::Port("b");

/// Known flows from one station to another, each with a connection of its own.
fn known(host: &mut Host, from: From<'_>, names: (&str, &str), bytes: usize) -> Vec<Vec<u8>> {
    let frames = (0..FLOWS).map(|n| udp(names.0, names.1, (1000 + n, 53)).payload(bytes).build());
    let frames: Vec<Vec<u8>> = frames.collect();
    for frame in frames.iter().chain(&frames) {
        let seen = host.send(from, frame);
        assert_eq!(seen.sent.len(), 1, "{seen:?}");
        // The budget of new flows has its own tests.
        host.now += 1_000_000;
    }
    assert!(frames.iter().all(|frame| host.send(from, frame).hits == 1));
    frames
}

fn withdraw_dns(plan: &mut HostPlan) {
    plan.security_groups
        .get_mut(&id("dns"))
        .unwrap()
        .rules
        .remove(&id("dns4"));
}

#[test]
fn no_change_waits_however_many_flows_it_concerns() {
    type Change = (&'static str, fn(&mut HostPlan), [DropReason; 2]);
    use DropReason::*;
    // What becomes of packets from guest a, and of those from peer p, to guest b.
    let changes: [Change; 8] = [
        ("a rule is withdrawn", withdraw_dns, [FirewallIngress; 2]),
        (
            "the destination loses a group",
            |p| p.ports.get_mut(&id("b")).unwrap().security_groups = vec![id("web")],
            [FirewallIngress; 2],
        ),
        (
            "the destination goes down",
            |p| p.ports.get_mut(&id("b")).unwrap().admin_up = false,
            [PortDown; 2],
        ),
        (
            "the destination is gone",
            |p| drop(p.ports.remove(&id("b"))),
            [UnknownDestination; 2],
        ),
        (
            "the station has another MAC",
            |p| p.ports.get_mut(&id("b")).unwrap().mac = anet_packet::addr::Mac([2, 0, 0, 0, 0, 50]),
            [UnknownDestination; 2],
        ),
        (
            "the network has a smaller MTU",
            |p| p.networks.get_mut(&id("blue")).unwrap().mtu = Mtu::new(1300).unwrap(),
            [TooBig; 2],
        ),
        (
            "the source is down, the endpoint left the network",
            |p| {
                p.ports.get_mut(&id("a")).unwrap().admin_up = false;
                p.peers.remove(&id("p"));
                p.networks.get_mut(&id("blue")).unwrap().endpoints = vec![id("host3")];
            },
            [PortDown, UnknownEndpoint],
        ),
        (
            "the source has another address, the station moved here",
            |p| {
                p.ports.get_mut(&id("a")).unwrap().addresses = vec!["10.0.0.50".parse().unwrap()];
                p.peers.remove(&id("p"));
                p.ports.insert(id("p"), port("blue", "p", &["out"]));
            },
            [SpoofedIpv4, SourceIsLocal],
        ),
    ];
    for (what, change, expected) in changes {
        let mut host = Host::new();
        let own = known(&mut host, A, ("a", "b"), 1350);
        let remote = known(&mut host, FROM_P, ("p", "b"), 1350);
        host.change(change);
        for round in ["first", "second"] {
            for (from, frames, expected) in [(A, &own, expected[0]), (FROM_P, &remote, expected[1])] {
                for frame in frames {
                    assert_eq!(
                        host.send(from, frame).reason(),
                        Some(expected),
                        "{what}, {round} packet"
                    );
                }
            }
        }
    }
}

#[test]
fn a_peer_that_is_gone_gets_no_packet_of_any_flow() {
    let mut host = Host::new();
    let frames = known(&mut host, A, ("a", "p"), 20);
    host.change(|plan| drop(plan.peers.remove(&id("p"))));
    for frame in &frames {
        assert_eq!(host.send(A, frame).reason(), Some(DropReason::UnknownDestination));
    }
}

/// What is denied at once leaves the connection table by and by; nobody finds it there under other rules.
#[test]
fn connections_that_have_ended_leave_the_table_at_their_pace_and_before_newer_rules_count() {
    let mut host = Host::new();
    connect(&mut host, 5);
    let frames = known(&mut host, A, ("a", "b"), 20);
    let (flows, step) = (usize::from(FLOWS), PER_MILLISECOND as usize);
    assert_eq!(host.connections.len(), flows + 1);
    let ended = |host: &Host| flows + 1 - host.connections.len();
    let web = tcp("a", "b", (5, 80), ACK).build();
    host.now = host.now.next_multiple_of(1_000_000);
    host.change(withdraw_dns);
    for frame in &frames {
        assert_eq!(host.send(A, frame).reason(), Some(DropReason::FirewallIngress));
    }
    let at_once = ended(&host);
    assert!((1..=step).contains(&at_once), "{at_once} within the millisecond");
    host.now += 10_000_000;
    for _ in 0..2 {
        assert!(host.send(A, &web).reached("b"));
        assert_eq!(ended(&host), at_once + step, "a millisecond's, and no more");
    }
    host.now += 1_000_000;
    assert!(host.send(A, &web).reached("b"));
    assert_eq!(ended(&host), at_once + 2 * step, "the next one's");
    host.change(|plan| {
        let rules = &mut plan.security_groups.get_mut(&id("dns")).unwrap().rules;
        rules.insert(
            id("again"),
            rule(Direction::Ingress, Family::Ipv4, Protocol::Udp(range(53, 53))),
        );
    });
    // A trace looks at the table before the worker has seen the newer rules.
    host.trace_agrees = false;
    let answer = host.send(B, &udp("b", "a", (53, 1299)).build());
    assert_eq!(
        answer.reason(),
        Some(DropReason::FirewallIngress),
        "the connection of the last flow has ended, whatever rules came since"
    );
    host.trace_agrees = true;
    assert_eq!(host.connections.len(), 1, "the other one is as it was");
    assert!(frames.iter().all(|frame| host.send(A, frame).reached("b")));
    assert_eq!(host.connections.len(), flows + 1);
}

/// An answer's flow rests on the rules of the connection as it began; what it may do without it is asked in its own direction.
#[test]
fn answers_are_asked_about_as_part_of_their_connection_and_then_by_themselves() {
    let mut host = Host::new();
    host.change(|plan| plan.ports.get_mut(&id("a")).unwrap().security_groups = vec![id("out"), id("dns")]);
    let (question, answer) = (udp("a", "b", (53, 53)).build(), udp("b", "a", (53, 53)).build());
    for _ in 0..2 {
        assert!(host.send(A, &question).reached("b"));
        assert!(host.send(B, &answer).reached("a"));
    }
    assert_eq!(host.connections.len(), 1);
    host.change(|plan| plan.ports.get_mut(&id("b")).unwrap().security_groups = vec![id("out"), id("web")]);
    host.change(|plan| plan.ports.get_mut(&id("b")).unwrap().security_groups = vec![id("out"), id("dns")]);
    assert!(host.send(B, &answer).reached("a"));
    assert!(host.send(A, &question).reached("b"));
    // The way in to b is closed, and b's own way out to a is open: the answer begins a connection.
    host.change(|plan| {
        let group = SecurityGroup {
            rules: [(
                id("own"),
                rule(Direction::Ingress, Family::Ipv4, Protocol::Udp(range(53, 53))),
            )]
            .into(),
        };
        plan.security_groups.insert(id("own-dns"), group);
        plan.ports.get_mut(&id("a")).unwrap().security_groups = vec![id("out"), id("own-dns")];
    });
    for _ in 0..2 {
        assert!(host.send(A, &question).reached("b"));
        assert!(host.send(B, &answer).reached("a"));
    }
    host.change(withdraw_dns);
    assert!(
        host.send(B, &answer).reached("a"),
        "a new connection, from b to a"
    );
    assert!(
        host.send(A, &question).reached("b"),
        "whose answer the question is now"
    );
    assert_eq!(host.connections.len(), 1);
}
