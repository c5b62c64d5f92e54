//! Packets of unusual shape: fragments, extension headers, other protocols, lengths, large segments.

use anet_datapath::verdict::DropReason;
use anet_memory::buffer::{Checksum, Meta, SegmentKind, Segmentation};
use anet_model::host_plan::{Direction, Family, Protocol, SecurityGroup};
use anet_packet::tcp::flag::{ACK, SYN};
use anet_packet::testing::FrameBuilder;

use crate::connections::connect;
use crate::fabric::*;
use crate::host::{FROM_P, From, Host};

const A: From<'static> = From::Port("a");
const B: From<'static> = From::Port("b");

fn pieces(packet: &FrameBuilder, number: u32) -> Vec<Vec<u8>> {
    packet
        .clone()
        .payload(600)
        .dont_fragment(false)
        .identification(number)
        .fragments(256)
}

/// A host whose traces are not asked: they know nothing of earlier fragments.
fn host() -> Host {
    let mut host = Host::new();
    host.trace_agrees = false;
    host
}

fn reasons(host: &mut Host, from: From<'_>, pieces: &[Vec<u8>]) -> Vec<Option<DropReason>> {
    pieces
        .iter()
        .map(|piece| host.send(from, piece).reason())
        .collect()
}

/// A later fragment has no ports of its own. Nothing is put together here: it goes the way of its first one.
#[test]
fn fragments_of_a_packet_follow_the_first_one() {
    let mut host = host();
    for (allowed, denied, answer) in [
        (
            udp("a", "b", (9, 53)),
            udp("a", "b", (9, 54)),
            udp("b", "a", (53, 9)),
        ),
        (
            udp6("a", "b", (9, 53)),
            udp6("a", "b", (9, 54)),
            udp6("b", "a", (53, 9)),
        ),
    ] {
        let before = host.connections.len();
        for piece in pieces(&allowed, 1) {
            assert!(host.send(A, &piece).reached("b"));
        }
        assert_eq!(
            host.connections.len(),
            before + 1,
            "one connection for all of them"
        );
        for piece in pieces(&answer, 2) {
            assert!(
                host.send(B, &piece).reached("a"),
                "answers need no rule, in pieces either"
            );
        }
        assert_eq!(
            reasons(&mut host, A, &pieces(&denied, 3)),
            [Some(DropReason::FirewallIngress); 3]
        );
        assert_eq!(host.connections.len(), before + 1);
    }
    // Through the tunnel, both ways.
    for piece in pieces(&udp("p", "b", (9, 53)), 4) {
        assert!(host.send(FROM_P, &piece).reached("b"));
    }
    for piece in pieces(&udp("a", "p", (9, 7)), 5) {
        assert!(host.send(A, &piece).tunnelled(HOST2, BLUE));
    }
}

#[test]
fn fragments_of_an_echo_follow_the_first_one() {
    let mut host = host();
    assert_eq!(
        reasons(&mut host, B, &pieces(&pong("b", "a", 7), 1)),
        [Some(DropReason::NotAConnection); 3],
        "an answer that nobody asked for is none, and makes no connection"
    );
    assert!(host.connections.is_empty());
    for piece in pieces(&ping("a", "b", 7), 1) {
        assert!(host.send(A, &piece).reached("b"));
    }
    for piece in pieces(&pong("b", "a", 7), 2) {
        assert!(host.send(B, &piece).reached("a"));
    }
    assert_eq!(host.connections.len(), 1);
}

#[test]
fn a_later_fragment_whose_first_one_is_not_known_has_a_reason_of_its_own() {
    let mut host = host();
    let unknown = Some(DropReason::FragmentWithoutFirst);
    let packet = udp("a", "b", (9, 53));
    let [first, later, _] = &pieces(&packet, 1)[..] else {
        panic!("three pieces")
    };
    assert_eq!(host.send(A, later).reason(), unknown, "before its first one");
    assert!(host.send(A, first).reached("b"));
    assert!(host.send(A, later).reached("b"));
    // Another packet's, another source's, another worker's.
    assert_eq!(host.send(A, &pieces(&packet, 2)[1]).reason(), unknown);
    let same_number = pieces(&udp("p", "b", (9, 53)), 1);
    assert_eq!(host.send(FROM_P, &same_number[1]).reason(), unknown);
    assert_eq!(host.send_on(1, A, later, Meta::default()).reason(), unknown);
    // Out of a port that may send to one port only.
    host.change(|plan| {
        let port = plan.ports.get_mut(&id("c")).unwrap();
        port.security_groups = vec![id("dns-out")];
        let group = SecurityGroup {
            rules: [(
                id("dns-out"),
                rule(Direction::Egress, Family::Ipv4, Protocol::Udp(range(53, 53))),
            )]
            .into(),
        };
        plan.security_groups.insert(id("dns-out"), group);
    });
    let c = From::Port("c");
    assert_eq!(
        host.send(c, &pieces(&udp("c", "b", (9, 53)), 1)[1]).reason(),
        unknown
    );
    assert_eq!(
        reasons(&mut host, c, &pieces(&udp("c", "b", (9, 54)), 2)),
        [Some(DropReason::FirewallEgress); 3]
    );
    // Long after it.
    host.now += anet_datapath::fragments::LIFETIME;
    assert_eq!(host.send(A, later).reason(), unknown);
}

#[test]
fn later_fragments_pass_by_a_rule_for_any_protocol_whether_the_first_one_is_known_or_not() {
    let mut host = Host::new();
    host.change(|plan| {
        let group = plan.security_groups.get_mut(&id("dns")).unwrap();
        group.rules.insert(
            id("pieces"),
            rule(Direction::Ingress, Family::Ipv4, Protocol::Any),
        );
    });
    let pieces = pieces(&udp("a", "b", (9, 53)), 1);
    for piece in pieces.iter().rev().chain(&pieces) {
        assert!(host.send(A, piece).reached("b"));
    }
}

#[test]
fn a_rule_withdrawn_between_two_fragments_stops_the_second() {
    let mut host = host();
    let pieces = pieces(&udp("a", "b", (9, 53)), 1);
    assert!(host.send(A, &pieces[0]).reached("b"));
    host.change(|plan| plan.security_groups.get_mut(&id("dns")).unwrap().rules.clear());
    assert_eq!(
        host.send(A, &pieces[1]).reason(),
        Some(DropReason::FirewallIngress)
    );
    assert!(host.connections.is_empty());
}

/// The bytes at the place of a transport header are payload in a later fragment: they are read by nobody.
#[test]
fn a_later_fragment_plays_no_neighbour_discovery() {
    let mut host = host();
    let echo = FrameBuilder::echo_request(mac("a"), mac("c"), ipv6("a"), ipv6("c"), 7, 1);
    let mut pieces = echo.payload_bytes(&[135; 600]).fragments(256);
    assert_eq!(
        reasons(&mut host, A, &pieces),
        [Some(DropReason::FirewallIngress); 3],
        "c lets nothing in"
    );
    pieces.reverse();
    host.now += anet_datapath::fragments::LIFETIME;
    assert_eq!(
        reasons(&mut host, A, &pieces[..2]),
        [Some(DropReason::FragmentWithoutFirst); 2]
    );
}

#[test]
fn all_fragments_of_a_packet_have_one_outer_source_port_of_the_legal_range() {
    let mut host = Host::new();
    let pieces = udp("a", "p", (9, 53))
        .payload(600)
        .dont_fragment(false)
        .fragments(256);
    let ports: Vec<u16> = pieces
        .iter()
        .map(|piece| {
            let seen = host.send(A, piece);
            assert!(seen.tunnelled(HOST2, BLUE), "{seen:?}");
            u16::from_be_bytes([seen.sent[0].outer[34], seen.sent[0].outer[35]])
        })
        .collect();
    assert!(
        ports.iter().all(|port| *port == ports[0] && *port >= 49_152),
        "{ports:?}"
    );
}

#[test]
fn a_tiny_first_fragment_hides_no_ports() {
    let mut host = Host::new();
    let pieces = tcp("a", "b", (9, 80), SYN)
        .payload(100)
        .dont_fragment(false)
        .fragments(8);
    for piece in &pieces[..2] {
        assert_eq!(host.send(A, piece).reason(), Some(DropReason::Malformed));
    }
}

#[test]
fn extension_headers_change_nothing_about_a_connection() {
    let mut host = Host::new();
    let wrapped =
        |from: &str, to: &str, ports| udp6(from, to, ports).extension(60, &[1, 4, 0, 0, 0, 0]).build();
    assert!(host.send(A, &wrapped("a", "b", (9, 53))).reached("b"));
    assert!(host.send(B, &udp6("b", "a", (53, 9)).build()).reached("a"));
    assert!(host.send(B, &wrapped("b", "a", (53, 9))).reached("a"));
    assert_eq!(
        host.send(A, &wrapped("a", "b", (9, 54))).reason(),
        Some(DropReason::FirewallIngress)
    );
    assert_eq!(host.connections.len(), 1);
}

#[test]
fn another_protocol_has_connections_too() {
    let mut host = Host::new();
    let esp = |from: &str, to: &str| {
        FrameBuilder::other_protocol(mac(from), mac(to), ipv4(from), ipv4(to), 50)
            .payload(40)
            .build()
    };
    assert_eq!(
        host.send(FROM_P, &esp("p", "a")).reason(),
        Some(DropReason::FirewallIngress)
    );
    assert!(host.send(A, &esp("a", "p")).tunnelled(HOST2, BLUE));
    assert!(host.send(FROM_P, &esp("p", "a")).reached("a"));
}

#[test]
fn the_mtu_holds_for_the_first_packet_and_for_the_thousandth() {
    let mut host = Host::new();
    for (is_ipv4, headers) in [(true, 28usize), (false, 48)] {
        let frame = |n: usize| {
            let builder = if is_ipv4 {
                udp("a", "b", (9, 53))
            } else {
                udp6("a", "b", (9, 53))
            };
            builder.payload(n - headers).build()
        };
        assert_eq!(
            host.send(A, &frame(1451)).reason(),
            Some(DropReason::TooBig),
            "as a first packet"
        );
        assert!(host.send(A, &frame(1450)).reached("b"));
        assert_eq!(host.send(A, &frame(1450)).hits, 1);
        assert_eq!(
            host.send(A, &frame(1451)).reason(),
            Some(DropReason::TooBig),
            "of a known flow"
        );
        assert!(host.send(A, &frame(1450)).reached("b"));
    }
}

#[test]
fn large_segments_stay_whole_whichever_way_they_go() {
    let mut host = Host::new();
    let segment = |from: &str, to: &str, ports| {
        FrameBuilder::tcp(mac(from), mac(to), ipv4(from), ipv4(to), ports)
            .payload(60_000)
            .partial_checksum()
            .build()
    };
    let meta = Meta {
        checksum: Checksum::Partial {
            start: 34,
            offset: 16,
        },
        segmentation: Segmentation {
            kind: SegmentKind::TcpV4,
            size: 1410,
            ecn: false,
        },
        ..Meta::default()
    };
    connect(&mut host, 5);
    let frame = segment("a", "b", (5, 80));
    for hits in [0, 1] {
        let seen = host.send_on(0, A, &frame, meta);
        assert!(seen.reached("b"), "{:?}", seen.dropped);
        assert!(seen.hits >= hits);
        let sent = &seen.sent[0];
        assert_eq!(
            (sent.bytes.len(), sent.meta.segmentation, sent.meta.checksum),
            (frame.len(), meta.segmentation, meta.checksum)
        );
    }
    host.send(A, &tcp("a", "p", (5, 80), SYN).build());
    host.send(FROM_P, &tcp("p", "a", (80, 5), SYN | ACK).build());
    let frame = segment("a", "p", (5, 80));
    for _ in 0..2 {
        let seen = host.send_on(0, A, &frame, meta);
        assert!(seen.tunnelled(HOST2, BLUE));
        let sent = &seen.sent[0];
        let moved = Checksum::Partial {
            start: 84,
            offset: 16,
        };
        assert_eq!(
            (sent.bytes.len(), sent.meta.segmentation, sent.meta.checksum),
            (frame.len(), meta.segmentation, moved)
        );
        let answer = host.send_on(0, FROM_P, &segment("p", "a", (80, 5)), meta);
        assert!(answer.reached("a"));
        assert_eq!(answer.sent[0].meta.checksum, meta.checksum, "and back again");
        assert_eq!(answer.sent[0].bytes, segment("p", "a", (80, 5)));
    }
}

#[test]
fn a_copy_keeps_its_positions_and_its_bytes() {
    let mut host = Host::new();
    let all = "10.0.0.255".parse().unwrap();
    let frame = FrameBuilder::udp(
        mac("a"),
        anet_packet::addr::Mac::BROADCAST,
        ipv4("a"),
        all,
        (9, 53),
    )
    .payload(1000)
    .partial_checksum()
    .build();
    let meta = Meta {
        checksum: Checksum::Partial { start: 34, offset: 6 },
        ..Meta::default()
    };
    let seen = host.send_on(0, A, &frame, meta);
    assert_eq!(seen.sent.len(), 4);
    for sent in seen.sent {
        let start = 34 + sent.outer.len() as u16;
        assert_eq!(
            (sent.meta.checksum, sent.bytes),
            (Checksum::Partial { start, offset: 6 }, frame.clone())
        );
    }
}

#[test]
fn ethernet_padding_is_no_part_of_the_packet() {
    let mut host = Host::new();
    for _ in 0..2 {
        let seen = host.send(A, &udp("a", "b", (9, 53)).payload(0).pad_to(60).build());
        assert!(seen.reached("b"));
    }
}
