//! Proptest strategies: legal frames of every protocol, and frames that somebody spoilt.

use super::{FrameBuilder, dhcp_discover};
use crate::addr::{Mac, Vlan, Vni};
use crate::{icmp, icmpv6, protocol, tcp};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A station's MAC: locally administered, no group.
pub fn mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 5]>().prop_map(|[a, b, c, d, e]| Mac([2, a, b, c, d, e]))
}

/// An IPv4 address that may send.
pub fn ipv4() -> impl Strategy<Value = Ipv4Addr> {
    (1u8..=223, any::<[u8; 3]>())
        .prop_filter("loopback", |(a, _)| *a != 127)
        .prop_map(|(a, [b, c, d])| Ipv4Addr::new(a, b, c, d))
}

/// A global or unique local IPv6 address.
pub fn ipv6() -> impl Strategy<Value = Ipv6Addr> {
    (prop_oneof![Just(0x20u8), Just(0xfd)], any::<u128>())
        .prop_map(|(first, rest)| Ipv6Addr::from_bits(u128::from(first) << 120 | rest >> 8))
}

/// Two addresses of one family.
pub fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        (ipv4(), ipv4()).prop_map(|(s, d)| (s.into(), d.into())),
        (ipv6(), ipv6()).prop_map(|(s, d)| (s.into(), d.into())),
    ]
}

/// Ordinary UDP or TCP of either family, without options: TCP in the middle of a connection.
pub fn ordinary() -> impl Strategy<Value = FrameBuilder> {
    let flags = prop_oneof![Just(tcp::flag::ACK), Just(tcp::flag::ACK | tcp::flag::PSH)];
    (
        mac(),
        mac(),
        addresses(),
        any::<(u16, u16)>(),
        any::<bool>(),
        flags,
        0usize..200,
        any::<u8>(),
    )
        .prop_map(
            |(source_mac, destination_mac, (source, destination), ports, is_tcp, flags, n, class)| {
                let frame = match is_tcp {
                    true => FrameBuilder::tcp(source_mac, destination_mac, source, destination, ports)
                        .flags(flags),
                    false => FrameBuilder::udp(source_mac, destination_mac, source, destination, ports),
                };
                frame.payload(n).traffic_class(class)
            },
        )
}

/// TCP with any flags and some options.
pub fn tcp_segment() -> impl Strategy<Value = FrameBuilder> {
    let options = vec(Just([1u8, 1, 1, 1]), 0..10).prop_map(|words| words.concat());
    (
        mac(),
        mac(),
        addresses(),
        any::<(u16, u16)>(),
        any::<u8>(),
        options,
        0usize..100,
    )
        .prop_map(
            |(source_mac, destination_mac, (source, destination), ports, flags, options, n)| {
                FrameBuilder::tcp(source_mac, destination_mac, source, destination, ports)
                    .flags(flags)
                    .tcp_options(&options)
                    .payload(n)
            },
        )
}

/// Echo requests and replies of either family.
pub fn echo() -> impl Strategy<Value = FrameBuilder> {
    (
        mac(),
        mac(),
        addresses(),
        any::<(u16, u16)>(),
        any::<bool>(),
        0usize..100,
    )
        .prop_map(
            |(source_mac, destination_mac, (source, destination), (identifier, sequence), is_request, n)| {
                let make = if is_request {
                    FrameBuilder::echo_request
                } else {
                    FrameBuilder::echo_reply
                };
                make(
                    source_mac,
                    destination_mac,
                    source,
                    destination,
                    identifier,
                    sequence,
                )
                .payload(n)
            },
        )
}

/// ICMP errors of either family about ordinary packets.
pub fn icmp_error() -> impl Strategy<Value = FrameBuilder> {
    (mac(), mac(), ordinary(), ipv4(), ipv6(), any::<bool>()).prop_map(
        |(source_mac, destination_mac, about, v4, v6, is_v4)| {
            let quote = about.build().split_off(14);
            let frame = match is_v4 {
                true => {
                    let kind = (icmp::kind::DESTINATION_UNREACHABLE, 3);
                    FrameBuilder::icmp4(source_mac, destination_mac, v4, v4, kind, [0; 4])
                }
                false => {
                    let kind = (icmpv6::kind::DESTINATION_UNREACHABLE, 4);
                    FrameBuilder::icmp6(source_mac, destination_mac, v6, v6, kind, [0; 4])
                }
            };
            frame.payload_bytes(&quote)
        },
    )
}

/// ARP, neighbor discovery and DHCP.
pub fn address_resolution() -> impl Strategy<Value = FrameBuilder> {
    (mac(), mac(), ipv4(), ipv4(), ipv6(), ipv6(), 0..8).prop_map(|(m, other, s4, t4, s6, t6, which)| {
        match which {
            0 => FrameBuilder::arp_request(m, s4, t4),
            1 => FrameBuilder::arp_reply(m, other, s4, t4),
            2 => FrameBuilder::arp_announcement(m, s4),
            3 => FrameBuilder::neighbor_solicitation(m, s6, t6),
            4 => FrameBuilder::neighbor_solicitation(m, Ipv6Addr::UNSPECIFIED, t6),
            5 => FrameBuilder::neighbor_advertisement(m, other, s6, t6, s6),
            6 => FrameBuilder::router_solicitation(m, m.link_local()),
            _ => FrameBuilder::udp4(
                m,
                Mac::BROADCAST,
                Ipv4Addr::UNSPECIFIED,
                Ipv4Addr::BROADCAST,
                68,
                67,
            )
            .payload_bytes(&dhcp_discover(m, 7)),
        }
    })
}

/// Packets with IPv4 options, IPv6 extension headers, tags, odd protocols and tunnels.
pub fn unusual() -> impl Strategy<Value = FrameBuilder> {
    (ordinary(), mac(), mac(), ipv6(), ipv6(), 0..6, 1u16..4095).prop_map(
        |(inner, source_mac, destination_mac, source, destination, which, number)| {
            let udp = FrameBuilder::udp6(source_mac, destination_mac, source, destination, 1, 2);
            match which {
                0 => inner.vlan(Vlan::new(number).expect("in range")),
                1 => udp
                    .extension(protocol::HOP_BY_HOP, &[1, 4, 0, 0, 0, 0])
                    .payload(30),
                2 => udp
                    .extension(
                        protocol::DESTINATION_OPTIONS,
                        &[1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                    )
                    .extension(protocol::AUTHENTICATION, &[0; 14]),
                3 => {
                    let (s, d) = (source.into(), destination.into());
                    FrameBuilder::other_protocol(source_mac, destination_mac, s, d, 132).payload(40)
                }
                4 => FrameBuilder::raw(source_mac, destination_mac, number % 1501).payload(50),
                _ => FrameBuilder::udp6(source_mac, destination_mac, source, destination, 50_000, 4789)
                    .vxlan(Vni::new(u32::from(number)).expect("in range"), &inner.build()),
            }
        },
    )
}

/// A legal frame of any kind, at times padded, at times a fragment.
pub fn frame() -> impl Strategy<Value = Vec<u8>> {
    let builder = prop_oneof![
        4 => ordinary(),
        2 => tcp_segment(),
        1 => echo(),
        1 => icmp_error(),
        2 => address_resolution(),
        2 => unusual(),
    ];
    let whole = (builder, any::<bool>()).prop_map(|(b, pad)| if pad { b.pad_to(60) } else { b }.build());
    let fragment = (ordinary(), any::<Index>()).prop_map(|(builder, which)| {
        let mut pieces = builder.dont_fragment(false).payload(100).fragments(40);
        pieces.swap_remove(which.index(pieces.len()))
    });
    prop_oneof![9 => whole, 1 => fragment]
}

/// A frame of which some bytes were changed and, at times, the end cut off. Changes favour the headers.
pub fn spoilt() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), any::<bool>(), any::<u8>());
    (
        frame(),
        vec(change, 0..4),
        proptest::option::weighted(0.3, any::<Index>()),
    )
        .prop_map(|(mut frame, changes, cut)| {
            for (at, in_headers, bits) in changes {
                let reach = if in_headers {
                    frame.len().min(64)
                } else {
                    frame.len()
                };
                frame[at.index(reach)] ^= bits;
            }
            if let Some(cut) = cut {
                frame.truncate(cut.index(frame.len() + 1));
            }
            frame
        })
}

/// As [`spoilt`], with IPv4's header checksum mended, so that what lies behind it is reached.
pub fn spoilt_with_checksum() -> impl Strategy<Value = Vec<u8>> {
    spoilt().prop_map(|mut frame| {
        let header = frame.get(14).map_or(0, |b| usize::from(b & 15) * 4);
        if let Some(header) = frame.get_mut(14..14 + header).filter(|h| h.len() >= 20) {
            header[10..12].fill(0);
            let checksum = crate::checksum::of(header);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        frame
    })
}
