//! ICMP errors go the way of the connection they are about, and no other.

use anet_datapath::verdict::DropReason;
use anet_packet::testing::FrameBuilder;

use crate::fabric::*;
use crate::host::{FROM_P, From, Host};

const A: From<'static> = From::Port("a");
const B: From<'static> = From::Port("b");

/// «Port unreachable» from one station to another about a packet.
fn unreachable(from: &str, to: &str, quoted: &[u8]) -> Vec<u8> {
    let quote = &quoted[14..quoted.len().min(14 + 28 + 8)];
    FrameBuilder::icmp4(mac(from), mac(to), v4(from), v4(to), (3, 3), [0; 4])
        .payload_bytes(quote)
        .build()
}

fn unreachable6(from: &str, to: &str, quoted: &[u8]) -> Vec<u8> {
    FrameBuilder::icmp6(mac(from), mac(to), v6(from), v6(to), (1, 4), [0; 4])
        .payload_bytes(&quoted[14..])
        .build()
}

#[test]
fn errors_about_a_connection_pass_both_ways_without_a_rule() {
    let mut host = Host::new();
    // c may be asked nothing and answers nothing but errors.
    host.change(|plan| plan.ports.get_mut(&id("a")).unwrap().security_groups = vec![id("out")]);
    let (there, back) = (udp("a", "b", (9, 53)).build(), udp("b", "a", (53, 9)).build());
    host.send(A, &there);
    host.send(B, &back);
    assert!(host.send(B, &unreachable("b", "a", &there)).reached("a"));
    assert!(host.send(A, &unreachable("a", "b", &back)).reached("b"));
    let (there, back) = (udp6("a", "b", (9, 53)).build(), udp6("b", "a", (53, 9)).build());
    host.send(A, &there);
    host.send(B, &back);
    assert!(host.send(B, &unreachable6("b", "a", &there)).reached("a"));
    assert!(host.send(A, &unreachable6("a", "b", &back)).reached("b"));
}

#[test]
fn errors_about_a_connection_pass_the_tunnel_both_ways() {
    let mut host = Host::new();
    host.change(|plan| plan.ports.get_mut(&id("a")).unwrap().security_groups = vec![id("out")]);
    let (there, back) = (udp("a", "p", (9, 53)).build(), udp("p", "a", (53, 9)).build());
    assert!(host.send(A, &there).tunnelled(HOST2, BLUE));
    assert!(host.send(FROM_P, &unreachable("p", "a", &there)).reached("a"));
    assert!(host.send(FROM_P, &back).reached("a"));
    assert!(host.send(A, &unreachable("a", "p", &back)).tunnelled(HOST2, BLUE));
}

#[test]
fn forged_errors_are_dropped() {
    let mut host = Host::new();
    let (there, back) = (udp("a", "b", (9, 53)).build(), udp("b", "a", (53, 9)).build());
    host.send(A, &there);
    host.send(B, &back);
    let unrelated = Some(DropReason::UnrelatedError);
    let nothing = udp("a", "b", (10, 53)).build();
    assert_eq!(
        host.send(B, &unreachable("b", "a", &nothing)).reason(),
        unrelated,
        "about nothing"
    );
    assert_eq!(
        host.send(B, &unreachable("b", "a", &back)).reason(),
        unrelated,
        "about its own packet"
    );
    assert_eq!(
        host.send(B, &unreachable("b", "u", &there)).reason(),
        unrelated,
        "to a third"
    );
    assert_eq!(
        host.send(From::Port("u"), &unreachable("u", "a", &there))
            .reason(),
        unrelated,
        "from a third"
    );
    assert_eq!(
        host.send(FROM_P, &unreachable("p", "a", &there)).reason(),
        unrelated,
        "through the tunnel"
    );
    assert_eq!(
        host.send(From::Port("c"), &unreachable("c", "a", &there))
            .reason(),
        unrelated,
        "from a silent one"
    );
    let green = host.send(From::Tunnel(HOST2, GREEN), &unreachable("gp", "ga", &there));
    assert_eq!(green.reason(), unrelated, "the same addresses in another network");
    let mut shouted = unreachable("b", "a", &there);
    shouted[..6].copy_from_slice(&[0xff; 6]);
    assert_eq!(host.send(B, &shouted).reason(), unrelated, "to everybody");
    let cut = unreachable("b", "a", &there[..30]);
    assert_eq!(host.send(B, &cut).reason(), unrelated, "a quote that is cut");
}

#[test]
fn an_error_about_a_connection_that_is_allowed_no_more_is_unrelated() {
    let mut host = Host::new();
    let there = udp("a", "b", (9, 53)).build();
    host.send(A, &there);
    host.change(|plan| plan.security_groups.get_mut(&id("dns")).unwrap().rules.clear());
    assert_eq!(
        host.send(B, &unreachable("b", "a", &there)).reason(),
        Some(DropReason::UnrelatedError)
    );
}
