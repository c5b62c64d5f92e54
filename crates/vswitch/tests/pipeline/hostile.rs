//! What a guest, or a host of the underlay, may try, and what it must not get.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anet_datapath::respond::SERVICE_MAC;
use anet_datapath::verdict::DropReason;
use anet_packet::addr::{Mac, Vlan, Vni};
use anet_packet::testing::{FrameBuilder, multicast_mac};

use crate::fabric::*;
use crate::host::{FROM_P, From, Host, outer, outer_builder};

const A: From<'static> = From::Port("a");
const U: From<'static> = From::Port("u");

/// [`Host::send`] sees to it that nothing of this reaches another network.
#[test]
fn a_guest_reaches_its_own_network_whatever_it_sends() {
    let mut host = Host::new();
    let green = udp("ga", "gb", (1, 53)).build();
    for (from, station) in [(A, "a"), (U, "u")] {
        let tunnelled = FrameBuilder::udp(mac(station), mac("p"), ipv4(station), LOCAL, (50_000, 4789))
            .vxlan(Vni::new(GREEN).unwrap(), &green)
            .build();
        host.send(from, &tunnelled);
        host.send(from, &outer(HOST2, GREEN, &green));
        host.send(from, &outer(HOST2, BLUE, &green));
        host.send(
            from,
            &FrameBuilder::udp(mac(station), SERVICE_MAC, ipv4(station), ipv4("b"), (1, 53)).build(),
        );
        host.send(
            from,
            &FrameBuilder::udp(mac(station), mac("b"), ipv4(station), HOST2, (1, 4789)).build(),
        );
        for vlan in [0, GREEN as u16] {
            let tagged = FrameBuilder::udp(mac(station), mac("b"), ipv4(station), ipv4("b"), (1, 53));
            let tagged = tagged.vlan(Vlan::new(vlan.max(1)).unwrap()).build();
            assert_eq!(host.send(from, &tagged).reason(), Some(DropReason::VlanTagged));
        }
    }
}

#[test]
fn a_tunnel_in_the_tunnel_is_payload() {
    let mut host = Host::new();
    let green = udp("ga", "gb", (1, 53)).build();
    let inner = FrameBuilder::udp(mac("p"), mac("u"), HOST2, LOCAL, (50_000, 4789))
        .vxlan(Vni::new(GREEN).unwrap(), &green)
        .build();
    let seen = host.send(FROM_P, &inner);
    assert!(seen.reached("u"));
    assert_eq!(seen.sent[0].bytes, inner, "nobody has looked into it");
    // An outer header right behind the outer header is no frame of a station here.
    let doubled = outer(HOST2, GREEN, &green);
    assert_eq!(
        host.send(FROM_P, &doubled).reason(),
        Some(DropReason::UnknownDestination)
    );
}

#[test]
fn the_tunnel_is_no_way_from_host_to_host() {
    let mut host = Host::new();
    for frame in [udp("p", "q", (1, 53)).build(), ping("p", "q", 1).build()] {
        assert_eq!(
            host.send(FROM_P, &frame).reason(),
            Some(DropReason::UnknownDestination)
        );
    }
}

#[test]
fn what_rules_cannot_speak_of_does_not_come_into_a_secured_port() {
    let mut host = Host::new();
    let frames = |from: &str| {
        let tagged = |vlan| {
            let mut frame = FrameBuilder::udp(mac(from), mac("c"), ipv4(from), ipv4("c"), (1, 53)).build();
            frame.splice(12..12, [0x81, 0, 0, vlan]);
            frame
        };
        [
            (tagged(0), DropReason::VlanTagged),
            (tagged(5), DropReason::VlanTagged),
            (
                FrameBuilder::raw(mac(from), mac("c"), 0x8864).payload(60).build(),
                DropReason::EtherTypeForbidden,
            ),
            (
                FrameBuilder::raw(mac(from), mac("c"), 40).payload(60).build(),
                DropReason::EtherTypeForbidden,
            ),
        ]
    };
    for (from, station) in [(U, "u"), (FROM_P, "p")] {
        for (frame, reason) in frames(station) {
            assert_eq!(host.send(from, &frame).reason(), Some(reason), "{station}");
        }
    }
    let bridges = FrameBuilder::raw(mac("p"), Mac([1, 0x80, 0xc2, 0, 0, 0]), 39)
        .payload(60)
        .build();
    assert_eq!(
        host.send(FROM_P, &bridges).reason(),
        Some(DropReason::ReservedMulticast)
    );
}

#[test]
fn neither_extension_headers_nor_fragments_hide_what_a_guest_may_not_send() {
    let mut host = Host::new();
    let nodes: Ipv6Addr = "ff02::1".parse().unwrap();
    let advertisement = FrameBuilder::icmp6(
        mac("a"),
        multicast_mac(nodes),
        mac("a").link_local(),
        nodes,
        (134, 0),
        [0; 4],
    );
    let reason = Some(DropReason::RouterAdvertisementFromGuest);
    for headers in [&[0u8][..], &[60], &[43], &[0, 60, 43, 60]] {
        let hidden = headers.iter().fold(advertisement.clone(), |frame, number| {
            frame.extension(*number, &[0; 6])
        });
        let seen = host.send(A, &hidden.payload(16).build());
        assert!(
            seen.reason() == reason || seen.reason() == Some(DropReason::Malformed),
            "{headers:?}: {seen:?}"
        );
    }
    let pieces = advertisement.payload(64).fragments(8);
    assert_eq!(host.send(A, &pieces[0]).reason(), reason);
    let offer =
        FrameBuilder::udp(mac("a"), mac("b"), ipv6("a"), ipv6("b"), (547, 546)).extension(60, &[0; 6]);
    assert_eq!(
        host.send(A, &offer.payload(40).build()).reason(),
        Some(DropReason::DhcpServerFromGuest)
    );
    let pieces = FrameBuilder::udp(mac("a"), mac("b"), ipv4("a"), ipv4("b"), (67, 68))
        .payload(300)
        .fragments(64);
    assert_eq!(
        host.send(A, &pieces[0]).reason(),
        Some(DropReason::DhcpServerFromGuest)
    );
}

#[test]
fn a_guest_speaks_for_nobody_else_in_neighbor_discovery() {
    let mut host = Host::new();
    let own = |rest: &[u8]| {
        let mut body = v6("b").octets().to_vec();
        body.extend_from_slice(rest);
        FrameBuilder::icmp6(mac("a"), mac("b"), v6("a"), v6("b"), (135, 0), [0; 4]).payload_bytes(&body)
    };
    let mut option = vec![1, 1];
    option.extend(mac("c").0);
    assert_eq!(
        host.send(A, &own(&option).build()).reason(),
        Some(DropReason::SpoofedNd)
    );
    // Behind another option, behind one that fills the buffer's head, and in one that has no length.
    let hidden = [&[14, 1, 0, 0, 0, 0, 0, 0], &option[..]].concat();
    assert_eq!(
        host.send(A, &own(&hidden).build()).reason(),
        Some(DropReason::SpoofedNd)
    );
    let mut far = vec![14, 160];
    far.resize(1280, 0);
    far.extend(&option);
    assert_eq!(
        host.send(A, &own(&far).build()).reason(),
        Some(DropReason::SpoofedNd)
    );
    let mut endless = vec![14, 0];
    endless.extend([0; 6]);
    assert_eq!(
        host.send(A, &own(&endless).build()).reason(),
        Some(DropReason::Malformed)
    );
}

#[test]
fn a_flood_of_arp_leaves_other_ports_alone() {
    let mut host = Host::new();
    host.trace_agrees = false;
    let ask = |from: &str| FrameBuilder::arp_request(mac(from), v4(from), v4("c")).build();
    let mut dropped = 0;
    for _ in 0..5_000 {
        dropped += host.send(A, &ask("a")).dropped.len();
    }
    assert!(dropped > 4_500, "{dropped} of 5,000 in 5 ms dropped");
    for port in ["b", "u"] {
        assert_eq!(host.send(From::Port(port), &ask(port)).replies, 1);
    }
    assert!(host.send(A, &udp("a", "b", (1, 53)).build()).reached("b"));
    host.now += 1_000_000_000;
    assert_eq!(
        host.send(A, &ask("a")).replies,
        1,
        "a second later it may ask again"
    );
}

#[test]
fn outer_headers_are_taken_at_their_word_and_no_further() {
    let mut host = Host::new();
    let inner = ping("p", "a", 1).build();
    let whole = outer_builder(HOST2, BLUE, &inner).build();
    assert!(host.send(From::Underlay, &whole).reached("a"));
    let padded = [&whole[..], &[0xaa; 30]].concat();
    let seen = host.send(From::Underlay, &padded);
    assert_eq!(
        seen.sent[0].bytes, inner,
        "the underlay's padding is not the frame's"
    );
    let short = &whole[..whole.len() - 1];
    assert_eq!(
        host.send(From::Underlay, short).reason(),
        Some(DropReason::NotVxlan)
    );
    let fields: [(usize, u8); 6] = [(33, 7), (36, 9), (23, 6), (20, 0x20), (14, 0x46), (42, 0xf7)];
    for (at, value) in fields {
        let mut spoilt = whole.clone();
        spoilt[at] = value;
        assert_eq!(
            host.send(From::Underlay, &spoilt).reason(),
            Some(DropReason::NotVxlan),
            "byte {at}"
        );
    }
    for length in 0..whole.len() {
        let seen = host.send(From::Underlay, &whole[..length]);
        assert_eq!(seen.sent.len(), 0, "{length} bytes of it");
    }
}

#[test]
fn addresses_that_are_nobodys_get_a_guest_nowhere() {
    let mut host = Host::new();
    let nobody: IpAddr = Ipv4Addr::UNSPECIFIED.into();
    let frames = [
        FrameBuilder::udp(mac("a"), mac("b"), nobody, ipv4("b"), (68, 53)),
        FrameBuilder::udp(mac("a"), mac("b"), Ipv4Addr::LOCALHOST.into(), ipv4("b"), (1, 53)),
        FrameBuilder::udp(mac("a"), mac("b"), Ipv4Addr::BROADCAST.into(), ipv4("b"), (1, 53)),
        FrameBuilder::udp(
            mac("a"),
            mac("b"),
            Ipv6Addr::UNSPECIFIED.into(),
            ipv6("b"),
            (1, 53),
        ),
        FrameBuilder::udp(mac("a"), mac("b"), Ipv6Addr::LOCALHOST.into(), ipv6("b"), (1, 53)),
        FrameBuilder::udp(
            mac("a"),
            mac("b"),
            v4("a").to_ipv6_mapped().into(),
            ipv6("b"),
            (1, 53),
        ),
    ];
    for frame in frames {
        let seen = host.send(A, &frame.payload(20).build());
        assert!(seen.reason().is_some(), "{seen:?}");
    }
}
