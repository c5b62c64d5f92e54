//! Connections through the whole pipeline: made, followed, resumed, ended.

use anet_datapath::verdict::DropReason;
use anet_memory::buffer::Meta;
use anet_model::host_plan::{AddressPair, Port};
use anet_packet::tcp::flag::{ACK, FIN, PSH, RST, SYN};

use crate::fabric::*;
use crate::host::{FROM_P, From, Host};

const A: From<'static> = From::Port("a");
const B: From<'static> = From::Port("b");

/// A handshake from a to b's port 80, from the source port given.
pub fn connect(host: &mut Host, port: u16) {
    assert!(host.send(A, &tcp("a", "b", (port, 80), SYN).build()).reached("b"));
    assert!(
        host.send(B, &tcp("b", "a", (80, port), SYN | ACK).build())
            .reached("a")
    );
    assert!(host.send(A, &tcp("a", "b", (port, 80), ACK).build()).reached("b"));
}

#[test]
fn a_tcp_connection_from_handshake_to_its_end_and_a_new_one() {
    let mut host = Host::new();
    connect(&mut host, 5);
    for _ in 0..3 {
        host.send(A, &tcp("a", "b", (5, 80), ACK | PSH).payload(100).build());
        host.send(B, &tcp("b", "a", (80, 5), ACK).build());
    }
    let known = host.send(A, &tcp("a", "b", (5, 80), ACK).build());
    assert_eq!(
        (known.reached("b"), known.hits),
        (true, 1),
        "an established connection is a known flow"
    );
    assert!(
        host.send(A, &tcp("a", "b", (5, 80), FIN | ACK).build())
            .reached("b")
    );
    assert!(
        host.send(B, &tcp("b", "a", (80, 5), FIN | ACK).build())
            .reached("a")
    );
    assert!(host.send(A, &tcp("a", "b", (5, 80), ACK).build()).reached("b"));
    assert_eq!(host.connections.len(), 1);
    connect(&mut host, 5);
    assert_eq!(host.connections.len(), 1, "the new one took the old one's place");
    host.send(A, &tcp("a", "b", (5, 80), ACK).build());
    let known = host.send(A, &tcp("a", "b", (5, 80), ACK).build());
    assert_eq!(known.hits, 1, "and is established as the old one was");
    assert!(host.send(A, &tcp("a", "b", (5, 80), RST).build()).reached("b"));
    connect(&mut host, 5);
}

#[test]
fn loose_pickup_lets_tcp_begin_in_the_middle_where_rules_allow_it() {
    let mut host = Host::new();
    let middle = tcp("a", "b", (5, 80), ACK).build();
    assert_eq!(host.send(A, &middle).reason(), Some(DropReason::NotAConnection));
    host.loose_pickup = true;
    host.change(|plan| plan.ports.get_mut(&id("a")).unwrap().hostname = None);
    assert!(host.send(A, &middle).reached("b"));
    assert!(host.send(B, &tcp("b", "a", (80, 5), ACK).build()).reached("a"));
    let forbidden = host.send(A, &tcp("a", "b", (5, 81), ACK).build());
    assert_eq!(forbidden.reason(), Some(DropReason::FirewallIngress));
    let reset = host.send(A, &tcp("a", "b", (6, 80), RST | ACK).build());
    assert_eq!(
        reset.reason(),
        Some(DropReason::NotAConnection),
        "a reset begins nothing"
    );
}

#[test]
fn a_cached_denial_is_lifted_by_a_connection_made_on_another_worker() {
    let mut host = Host::new();
    let answer = udp("p", "a", (53, 4000)).build();
    for hits in [0, 1, 1] {
        let denied = host.send_on(0, FROM_P, &answer, Meta::default());
        assert_eq!(
            (denied.reason(), denied.hits),
            (Some(DropReason::FirewallIngress), hits)
        );
    }
    let question = host.send_on(1, A, &udp("a", "p", (4000, 53)).build(), Meta::default());
    assert!(question.tunnelled(HOST2, BLUE));
    assert!(host.send_on(0, FROM_P, &answer, Meta::default()).reached("a"));
    assert_eq!(host.connections.len(), 1);
}

#[test]
fn an_answer_needs_no_rule_and_a_question_does() {
    let mut host = Host::new();
    assert!(host.send(B, &ping("b", "a", 1).build()).reached("a"));
    assert!(host.send(A, &pong("a", "b", 1).build()).reached("b"));
    let unasked = host.send(A, &pong("a", "b", 2).build());
    assert_eq!(unasked.reason(), Some(DropReason::NotAConnection));
    assert!(host.send(A, &udp("a", "b", (9, 53)).build()).reached("b"));
    assert!(host.send(B, &udp("b", "a", (53, 9)).build()).reached("a"));
    let other = host.send(B, &udp("b", "a", (53, 10)).build());
    assert_eq!(other.reason(), Some(DropReason::FirewallIngress));
}

#[test]
fn the_same_tuple_in_two_networks_is_two_connections() {
    let mut host = Host::new();
    assert!(
        host.send(A, &udp("a", "p", (9, 53)).build())
            .tunnelled(HOST2, BLUE)
    );
    let answer = udp("gp", "ga", (53, 9)).build();
    let unasked = host.send(From::Tunnel(HOST2, GREEN), &answer);
    assert_eq!(unasked.reason(), Some(DropReason::FirewallIngress));
    assert!(
        host.send(From::Port("ga"), &udp("ga", "gp", (9, 53)).build())
            .tunnelled(HOST2, GREEN)
    );
    assert_eq!(host.connections.len(), 2);
    assert!(host.send(From::Tunnel(HOST2, GREEN), &answer).reached("ga"));
    assert!(host.send(FROM_P, &udp("p", "a", (53, 9)).build()).reached("a"));
}

/// u may send what it wants, but not as a part of a's connection, and not to end it.
#[test]
fn a_guest_without_port_security_neither_rides_nor_ends_a_connection() {
    let mut host = Host::new();
    connect(&mut host, 5);
    for flags in [ACK, RST, FIN | ACK, SYN | ACK, ACK | PSH] {
        let mut as_a = tcp("a", "b", (5, 80), flags).build();
        as_a[6..12].copy_from_slice(&mac("u").0);
        let mut as_b = tcp("b", "a", (80, 5), flags).build();
        as_b[6..12].copy_from_slice(&mac("u").0);
        for (forged, what) in [(as_a, "as a"), (as_b, "as b")] {
            let seen = host.send(From::Port("u"), &forged);
            let expected = if what == "as a" {
                DropReason::NotAConnection
            } else {
                DropReason::FirewallIngress
            };
            assert_eq!(seen.reason(), Some(expected), "{what} with flags {flags}");
        }
        // The same through the tunnel, where nobody has seen to who speaks.
        let mut as_a = tcp("a", "b", (5, 80), flags).build();
        as_a[6..12].copy_from_slice(&mac("p").0);
        assert_eq!(
            host.send(FROM_P, &as_a).reason(),
            Some(DropReason::NotAConnection)
        );
        assert!(
            host.send(A, &tcp("a", "b", (5, 80), ACK).build()).reached("b"),
            "after flags {flags}"
        );
        assert!(
            host.send(B, &tcp("b", "a", (80, 5), ACK).build()).reached("a"),
            "after flags {flags}"
        );
    }
}

/// An address that two ports share belongs, for a connection, to the port that opened it, until the other one opens one
/// on the same tuple.
#[test]
fn the_same_tuple_from_two_ports_is_the_connection_of_one() {
    let mut host = Host::new();
    let shared = "10.0.0.100/32".parse().unwrap();
    host.change(|plan| {
        for name in ["a", "c"] {
            let port: &mut Port = plan.ports.get_mut(&id(name)).unwrap();
            port.security_groups = vec![id("out"), id("ping")];
            port.allowed_address_pairs = vec![AddressPair {
                mac: None,
                prefix: shared,
            }];
        }
    });
    let shared = "10.0.0.100".parse().unwrap();
    let frame = |from: &str, flags| {
        let macs = (mac(from), mac("b"));
        anet_packet::testing::FrameBuilder::tcp(macs.0, macs.1, shared, ipv4("b"), (5, 80))
            .flags(flags)
            .build()
    };
    let answer = |to: &str, flags| {
        let macs = (mac("b"), mac(to));
        anet_packet::testing::FrameBuilder::tcp(macs.0, macs.1, ipv4("b"), shared, (80, 5))
            .flags(flags)
            .build()
    };
    assert!(host.send(A, &frame("a", SYN)).reached("b"));
    assert!(host.send(B, &answer("a", SYN | ACK)).reached("a"));
    assert!(host.send(A, &frame("a", ACK)).reached("b"));
    let other = From::Port("c");
    assert_eq!(
        host.send(other, &frame("c", ACK)).reason(),
        Some(DropReason::NotAConnection)
    );
    assert_eq!(
        host.send(B, &answer("c", ACK)).reason(),
        Some(DropReason::FirewallIngress)
    );
    assert!(host.send(A, &frame("a", ACK)).reached("b"), "a's goes on");
    assert!(
        host.send(other, &frame("c", SYN)).reached("b"),
        "c takes the address over"
    );
    assert_eq!(host.connections.len(), 1);
    assert_eq!(
        host.send(A, &frame("a", ACK)).reason(),
        Some(DropReason::NotAConnection)
    );
    assert!(host.send(B, &answer("c", SYN | ACK)).reached("c"));
}
