//! The tunnel's own fields: traffic class, ECN (RFC 6040), both families of the underlay.

use std::net::IpAddr;

use anet_datapath::verdict::DropReason;
use anet_model::host_plan::{Endpoint, HostPlan, Tunnel};
use anet_packet::addr::Mac;
use anet_packet::testing::FrameBuilder;

use crate::fabric::*;
use crate::host::{FROM_P, From, Host, outer_builder};

const A: From<'static> = From::Port("a");

fn inner(from: &str, to: &str, is_ipv4: bool, class: u8) -> Vec<u8> {
    let builder = if is_ipv4 {
        udp(from, to, (9, 53))
    } else {
        udp6(from, to, (9, 53))
    };
    builder.traffic_class(class).build()
}

fn class_of(frame: &[u8]) -> u8 {
    if frame[12] == 8 {
        frame[15]
    } else {
        frame[14] << 4 | frame[15] >> 4
    }
}

/// RFC 6040 section 4.2, figure 4: rows are the inner codepoint, columns the outer one, in the order Not-ECT, ECT(1), ECT(0),
/// CE by their numbers; 4 is a drop.
const DECAPSULATION: [[u8; 4]; 4] = [[0, 0, 0, 4], [1, 1, 1, 3], [2, 1, 2, 3], [3, 3, 3, 3]];

#[test]
fn congestion_marks_of_the_underlay_reach_the_guest_as_rfc_6040_has_it() {
    let mut host = Host::new();
    let dscp = 0xb8;
    for is_ipv4 in [true, false] {
        for (ecn, row) in (0u8..).zip(DECAPSULATION) {
            for (outer, expected) in (0u8..).zip(row) {
                let sent = inner("p", "b", is_ipv4, dscp | ecn);
                let frame = outer_builder(HOST2, BLUE, &sent).traffic_class(outer).build();
                let seen = host.send(From::Underlay, &frame);
                if expected == 4 {
                    assert_eq!(seen.reason(), Some(DropReason::CongestionNotCapable));
                    continue;
                }
                let wanted = inner("p", "b", is_ipv4, dscp | expected);
                let got = seen.sent.first().map(|s| s.bytes.clone());
                assert_eq!(got, Some(wanted), "inner {ecn}, outer {outer}: checksum and all");
            }
        }
    }
}

#[test]
fn the_outer_header_has_the_inner_ones_traffic_class() {
    let mut host = Host::new();
    for is_ipv4 in [true, false] {
        for class in [0, 1, 2, 3, 0xb8, 0x2a, 0xff] {
            let frame = inner("a", "p", is_ipv4, class);
            let seen = host.send(A, &frame);
            assert_eq!(class_of(&seen.sent[0].outer), class);
            assert_eq!(seen.sent[0].bytes, frame, "and the inner one stays");
        }
    }
    let question = FrameBuilder::arp_announcement(mac("a"), v4("a")).build();
    let seen = host.send(A, &question);
    let outer = seen.sent.iter().find(|s| !s.outer.is_empty()).unwrap();
    assert_eq!(class_of(&outer.outer), 0);
}

fn ipv6_underlay() -> HostPlan {
    let mut plan = plan();
    let address = |n: u16| -> IpAddr { format!("2001:db8::{n}").parse().unwrap() };
    plan.tunnel = Some(Tunnel {
        address: address(1),
        udp_port: 4789,
        dpdk: None,
    });
    for (name, n) in [("host2", 2), ("host3", 3)] {
        let endpoint = Endpoint {
            address: address(n),
            udp_port: 4789,
            next_hop: None,
        };
        plan.endpoints.insert(id(name), endpoint);
    }
    plan
}

#[test]
fn an_ipv6_underlay_carries_the_same() {
    let mut host = Host::with(ipv6_underlay(), 1024);
    let host2: IpAddr = "2001:db8::2".parse().unwrap();
    let from_p = From::Tunnel(host2, BLUE);
    for class in [0u8, 0xb9] {
        let frame = inner("a", "p", true, class);
        for _ in 0..2 {
            let seen = host.send(A, &frame);
            assert!(seen.tunnelled(host2, BLUE));
            let outer = &seen.sent[0].outer;
            assert_eq!(
                (outer.len(), class_of(outer), outer[14] >> 4, outer[20], outer[21]),
                (70, class, 6, 17, 64)
            );
            let length = usize::from(u16::from_be_bytes([outer[18], outer[19]]));
            assert_eq!(length, frame.len() + 16);
            assert_eq!(outer[58..60], outer[18..20], "UDP's length is IP's");
        }
    }
    assert!(host.send(from_p, &udp("p", "a", (53, 9)).build()).reached("a"));
    let congested = outer_builder(host2, BLUE, &inner("p", "b", true, 2))
        .traffic_class(3)
        .build();
    assert_eq!(
        host.send(From::Underlay, &congested).sent[0].bytes,
        inner("p", "b", true, 3)
    );
    let stranger = From::Tunnel("2001:db8::66".parse().unwrap(), BLUE);
    assert_eq!(
        host.send(stranger, &udp("p", "b", (1, 53)).build()).reason(),
        Some(DropReason::UnknownEndpoint)
    );
    let ipv4 = outer_builder(HOST2, BLUE, &inner("p", "b", true, 0)).build();
    assert_eq!(
        host.send(From::Underlay, &ipv4).reason(),
        Some(DropReason::NotVxlan)
    );
}

#[test]
fn the_outer_ipv4_header_is_right_for_every_length() {
    let mut host = Host::new();
    for n in [0, 1, 2, 511, 1000, 1400] {
        let frame = udp("a", "p", (9, 53)).payload(n).build();
        let outer = host.send(A, &frame).sent[0].outer.clone();
        let sum: u32 = outer[14..34]
            .chunks(2)
            .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
            .sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        assert_eq!(
            usize::from(u16::from_be_bytes([outer[16], outer[17]])),
            frame.len() + 36
        );
        assert_eq!(outer[20] & 0x40, 0x40, "don't fragment");
    }
}

#[test]
fn an_endpoint_of_two_networks_sends_into_each_by_its_vni() {
    let mut host = Host::new();
    let frame = udp("p", "b", (9, 53)).build();
    assert!(host.send(FROM_P, &frame).reached("b"));
    assert!(host.send(From::Tunnel(HOST2, GREEN), &frame).reached("gb"));
}

#[test]
fn a_trace_names_where_a_station_is_by_what_the_plan_calls_it() {
    let mut host = Host::new();
    let everybody = IpAddr::from([10, 0, 0, 255]);
    let broadcast = FrameBuilder::udp(mac("a"), Mac::BROADCAST, ipv4("a"), everybody, (9, 53)).payload(20);
    for (frame, named) in [
        (udp("a", "p", (9, 53)), "is behind endpoint 192.0.2.2"),
        (udp("a", "q", (9, 53)), "is behind endpoint 192.0.2.3"),
        (udp("a", "b", (9, 53)), "is port b of this host"),
        (broadcast, "is for every member of the network"),
    ] {
        let steps = host.send(A, &frame.build()).steps();
        assert!(steps.contains(named) && !steps.contains("Remote("), "{steps}");
    }
    let back = host.send(FROM_P, &udp("p", "a", (53, 9)).build()).steps();
    assert!(back.contains("in the direction of its answers"), "{back}");
}
