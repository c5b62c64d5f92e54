//! RFC 4861, RFC 4862 (duplicate address detection), RFC 8106.

use std::net::Ipv6Addr;

use anet_packet::addr::Mac;
use anet_packet::{Malformed, checksum, ipv6, protocol};

use super::*;
use crate::respond::{Refusal, Reply, Silence, router_advertisement};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const NOBODY: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0xdead);

/// A frame with an IPv6 packet whose message's checksum (at byte 2 of ICMPv6) is made right.
pub(super) fn icmpv6_frame(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hop_limit: u8,
    message: &[u8],
) -> Vec<u8> {
    let mut message = message.to_vec();
    message[2..4].fill(0);
    let length = message.len() as u32;
    let pseudo = checksum::pseudo_header_v6(source, destination, protocol::ICMPV6, length);
    let field = checksum::complement(pseudo + checksum::sum(&message));
    message[2..4].copy_from_slice(&field.to_be_bytes());
    let header = ipv6::Header {
        traffic_class: 0,
        flow_label: 0,
        payload_length: message.len() as u16,
        next_header: protocol::ICMPV6,
        hop_limit,
        source,
        destination,
    };
    let mut frame = vec![0x33, 0x33, 0, 0, 0, 1];
    if destination == SERVICE_MAC.link_local() || destination == GATEWAY_V6 {
        frame = SERVICE_MAC.0.to_vec();
    }
    frame.extend(GUEST.0);
    frame.extend([0x86, 0xdd]);
    frame.extend(header.to_bytes());
    frame.extend(message);
    frame
}

fn solicitation_message(target: Ipv6Addr, option: Option<Mac>) -> Vec<u8> {
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    if let Some(mac) = option {
        message.extend([1, 1]);
        message.extend(mac.0);
    }
    message
}

pub(super) fn solicitation(target: Ipv6Addr) -> Vec<u8> {
    let destination = ipv6::solicited_node(target);
    icmpv6_frame(
        GUEST_V6,
        destination,
        255,
        &solicitation_message(target, Some(GUEST)),
    )
}

pub(super) fn probe(target: Ipv6Addr) -> Vec<u8> {
    let message = solicitation_message(target, None);
    icmpv6_frame(Ipv6Addr::UNSPECIFIED, ipv6::solicited_node(target), 255, &message)
}

pub(super) fn router_solicitation() -> Vec<u8> {
    let mut message = vec![133, 0, 0, 0, 0, 0, 0, 0, 1, 1];
    message.extend(GUEST.0);
    icmpv6_frame(GUEST.link_local(), ALL_ROUTERS, 255, &message)
}

/// Flags, target and option of a neighbor advertisement.
fn advertisement(message: &[u8]) -> (u8, Ipv6Addr, Mac) {
    assert_eq!((message[0], message[1], message.len()), (136, 0, 32));
    assert_eq!(message[24..26], [2, 1]);
    let target: [u8; 16] = message[8..24].try_into().unwrap();
    (
        message[4],
        Ipv6Addr::from(target),
        Mac(message[26..32].try_into().unwrap()),
    )
}

#[test]
fn solicitations_are_answered_with_flags_to_match() {
    const SOLICITED_OVERRIDE: u8 = 0x60;
    const ROUTER: u8 = 0x80;
    let service = SERVICE_MAC.link_local();
    let rows = [
        ("another guest", OTHER_V6, OTHER, SOLICITED_OVERRIDE),
        (
            "the gateway",
            GATEWAY_V6,
            SERVICE_MAC,
            ROUTER | SOLICITED_OVERRIDE,
        ),
        (
            "the router we advertise",
            service,
            SERVICE_MAC,
            ROUTER | SOLICITED_OVERRIDE,
        ),
    ];
    for (name, target, mac, flags) in rows {
        let (outcome, out) = Fixture::default().answer(&solicitation(target));
        assert_eq!(outcome, Outcome::Reply(Reply::NeighborAdvertisement), "{name}");
        let read = read(&out);
        assert_eq!(advertisement(&read.message), (flags, target, mac), "{name}");
        assert_eq!(
            (read.source, read.destination),
            (target.into(), GUEST_V6.into()),
            "{name}"
        );
        assert_eq!(
            (read.source_mac, read.destination_mac, read.hop_limit),
            (mac, GUEST, 255),
            "{name}"
        );
    }
    let mut fixture = Fixture::default();
    fixture.v6.gateway = false;
    let (_, out) = fixture.answer(&solicitation(service));
    assert_eq!(
        advertisement(&read(&out).message),
        (SOLICITED_OVERRIDE, service, SERVICE_MAC),
        "no router"
    );
}

#[test]
fn a_unicast_solicitation_without_option_is_answered_to_the_frames_source() {
    let frame = icmpv6_frame(GUEST_V6, GATEWAY_V6, 255, &solicitation_message(GATEWAY_V6, None));
    let (outcome, out) = Fixture::default().answer(&frame);
    assert_eq!(outcome, Outcome::Reply(Reply::NeighborAdvertisement));
    assert_eq!(read(&out).destination_mac, GUEST);
}

#[test]
fn duplicate_address_detection_hears_of_others_only() {
    let own = Outcome::Silent(Silence::OwnAddress);
    for (target, expected) in [
        (GUEST_V6, own),
        (GUEST.link_local(), own),
        (SHARED_V6, own),
        (NOBODY, Outcome::Unknown(NOBODY.into())),
    ] {
        assert_eq!(Fixture::default().answer(&probe(target)).0, expected, "{target}");
    }
    for (target, mac, flags) in [
        (OTHER_V6, OTHER, 0x20),
        (GATEWAY_V6, SERVICE_MAC, 0xa0),
        (SERVICE_MAC.link_local(), SERVICE_MAC, 0xa0),
    ] {
        let (outcome, out) = Fixture::default().answer(&probe(target));
        assert_eq!(outcome, Outcome::Reply(Reply::NeighborAdvertisement), "{target}");
        let read = read(&out);
        assert_eq!(advertisement(&read.message), (flags, target, mac));
        assert_eq!(read.destination, IpAddr::V6(ALL_NODES));
        assert_eq!(read.destination_mac, Mac([0x33, 0x33, 0, 0, 0, 1]));
    }
    assert_eq!(
        Fixture::default().answer(&solicitation(GUEST_V6)).0,
        own,
        "a question about itself"
    );
    assert_eq!(
        Fixture::default().answer(&solicitation(NOBODY)).0,
        Outcome::Unknown(NOBODY.into())
    );
}

#[test]
fn advertisements_pass_and_unsolicited_ones_are_announcements() {
    let message = |flags: u8| {
        let mut message = vec![136, 0, 0, 0, flags, 0, 0, 0];
        message.extend(SHARED_V6.octets());
        message.extend([2, 1]);
        message.extend(GUEST.0);
        message
    };
    let fixture = Fixture::default();
    let solicited = icmpv6_frame(SHARED_V6, OTHER_V6, 255, &message(0x60));
    assert_eq!(fixture.answer(&solicited).0, Outcome::NotForUs);
    let unsolicited = icmpv6_frame(SHARED_V6, ALL_NODES, 255, &message(0x20));
    assert_eq!(
        fixture.answer(&unsolicited).0,
        Outcome::Announcement(SHARED_V6.into())
    );
}

#[test]
fn what_is_refused() {
    let form = Outcome::Refused(Refusal::Malformed(Malformed::NdpForm));
    let target = OTHER_V6;
    let node = ipv6::solicited_node(target);
    let none = Ipv6Addr::UNSPECIFIED;
    let message = solicitation_message(target, Some(GUEST));
    let group = solicitation_message(ALL_NODES, None);
    let mut code = message.clone();
    code[1] = 1;
    let mut endless = message.clone();
    endless[25] = 0;
    let mut option_past_end = message.clone();
    option_past_end[25] = 2;
    let option = Outcome::Refused(Refusal::Malformed(Malformed::NdpOption));
    let short = Outcome::Refused(Refusal::Malformed(Malformed::NdpTruncated));
    let rows = [
        (
            "it passed a router",
            icmpv6_frame(GUEST_V6, node, 254, &message),
            form,
        ),
        ("code", icmpv6_frame(GUEST_V6, node, 255, &code), form),
        (
            "a group as target",
            icmpv6_frame(GUEST_V6, node, 255, &group),
            form,
        ),
        (
            "a probe that names its MAC",
            icmpv6_frame(none, node, 255, &message),
            form,
        ),
        (
            "a probe to another group",
            icmpv6_frame(none, ALL_NODES, 255, &message[..24]),
            form,
        ),
        (
            "an option of no length",
            icmpv6_frame(GUEST_V6, node, 255, &endless),
            option,
        ),
        (
            "an option past the end",
            icmpv6_frame(GUEST_V6, node, 255, &option_past_end),
            option,
        ),
        (
            "half a target",
            icmpv6_frame(GUEST_V6, node, 255, &message[..16]),
            short,
        ),
    ];
    for (name, frame, expected) in rows {
        assert_eq!(Fixture::default().answer(&frame).0, expected, "{name}");
    }
    let mut checksum = solicitation(target);
    checksum[56] ^= 1;
    assert_eq!(
        Fixture::default().answer(&checksum).0,
        Outcome::Refused(Refusal::BadChecksum)
    );
}

#[test]
fn a_message_behind_extension_headers_is_refused() {
    let plain = solicitation(OTHER_V6);
    for (number, header) in [(60, [58, 0, 1, 4, 0, 0, 0, 0]), (44, [58, 0, 0, 0, 0, 0, 0, 9])] {
        let mut frame = plain[..54].to_vec();
        frame.extend(header);
        frame.extend(&plain[54..]);
        frame[18..20].copy_from_slice(&40u16.to_be_bytes());
        frame[20] = number;
        assert_eq!(
            Fixture::default().answer(&frame).0,
            Outcome::Refused(Refusal::Fragmented),
            "{number}"
        );
    }
}

#[test]
fn a_router_advertisement_is_byte_exact() {
    let (outcome, out) = Fixture::default().answer(&router_solicitation());
    assert_eq!(outcome, Outcome::Reply(Reply::RouterAdvertisement));
    let read = read(&out);
    #[rustfmt::skip]
    let expected = [
        // Hop limit 64, M and O, 1,800 s of router, reachable time and retransmission timer unspecified.
        64, 0xc0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0,
        1, 1, 0x0a, 0x6e, 0x65, 0x74, 0, 1,
        5, 1, 0, 0, 0, 0, 0x05, 0xaa,
        // fd00::/64, on the link, not for autoconfiguration.
        3, 4, 64, 0x80, 0, 0x27, 0x8d, 0, 0, 0x09, 0x3a, 0x80, 0, 0, 0, 0,
        0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        // Name server 2620:fe::fe for 1,800 s.
        25, 3, 0, 0, 0, 0, 0x07, 0x08,
        0x26, 0x20, 0, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe,
    ];
    assert_eq!(read.message[..2], [134, 0]);
    assert_eq!(read.message[4..], expected);
    assert_eq!(read.source, IpAddr::V6(SERVICE_MAC.link_local()));
    assert_eq!(
        (read.destination, read.destination_mac),
        (GUEST.link_local().into(), GUEST)
    );
    assert_eq!((read.source_mac, read.hop_limit), (SERVICE_MAC, 255));
}

#[test]
fn advertisements_to_everybody() {
    let anonymous = icmpv6_frame(
        Ipv6Addr::UNSPECIFIED,
        ALL_ROUTERS,
        255,
        &[133, 0, 0, 0, 0, 0, 0, 0],
    );
    let (outcome, asked) = Fixture::default().answer(&anonymous);
    assert_eq!(outcome, Outcome::Reply(Reply::RouterAdvertisement));
    let mut unasked = Vec::new();
    let outcome = Fixture::default().with_port(|port| router_advertisement::unsolicited(port, &mut unasked));
    assert_eq!(outcome, Outcome::Reply(Reply::RouterAdvertisement));
    assert_eq!(asked, unasked);
    let read = read(&unasked);
    assert_eq!(read.destination, IpAddr::V6(ALL_NODES));
    assert_eq!(read.destination_mac, Mac([0x33, 0x33, 0, 0, 0, 1]));
}

#[test]
fn no_gateway_no_router_and_no_dhcp_no_advertisement() {
    let mut fixture = Fixture::default();
    fixture.v6.gateway = false;
    let (_, out) = fixture.answer(&router_solicitation());
    assert_eq!(read(&out).message[6..8], [0, 0], "router lifetime");
    fixture.v6.dhcp = false;
    let (outcome, _) = fixture.answer(&router_solicitation());
    assert_eq!(outcome, Outcome::Silent(Silence::NothingToAdvertise));
}
