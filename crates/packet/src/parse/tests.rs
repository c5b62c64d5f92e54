//! The pass against an independent parser, at its boundaries, and under hostile bytes.

use super::*;
use crate::FlowKey;
use crate::addr::{Mac, Vlan};
use crate::ethernet::Tag;
use crate::testing::{FrameBuilder, generators};
use crate::tuple::Tuple;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

const A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
const B: Mac = Mac([2, 0, 0, 0, 0, 0xb]);
const A4: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
const B4: Ipv4Addr = Ipv4Addr::new(10, 4, 5, 6);
const A6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 7);
const B6: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 8);

fn read(frame: &[u8]) -> Result<Layout, Malformed> {
    layout(frame, frame.len())
}

/// Holds a layout against what etherparse makes of the same bytes.
fn holds_against_etherparse(frame: &[u8], ours: &Layout) {
    let theirs = SlicedPacket::from_ethernet(frame).expect("etherparse refuses what we take");
    if ours.ethertype == ethertype::VLAN {
        return assert_eq!(ours.kind, Kind::Other);
    }
    let payload = match theirs.net.as_ref() {
        Some(NetSlice::Ipv4(ip)) => ip.payload(),
        Some(NetSlice::Ipv6(ip)) => ip.payload(),
        _ => return assert!(!ours.is_ip()),
    };
    assert_eq!(ours.protocol, payload.ip_number.0);
    assert_eq!(ours.fragment != Fragment::None, payload.fragmented);
    assert_eq!(ours.l4_length() as usize, payload.payload.len());
    assert_eq!(
        &frame[usize::from(ours.l4)..ours.length as usize],
        payload.payload
    );
    if ours.fragment != Fragment::None {
        return;
    }
    match theirs.transport {
        Some(TransportSlice::Udp(udp)) => assert_eq!(ours.ports, (udp.source_port(), udp.destination_port())),
        Some(TransportSlice::Tcp(tcp)) => {
            assert_eq!(ours.ports, (tcp.source_port(), tcp.destination_port()));
            assert_eq!(ours.tcp_flags, frame[usize::from(ours.l4) + 13]);
        }
        Some(TransportSlice::Icmpv4(icmp)) => assert_eq!(ours.icmp(), Some((icmp.type_u8(), icmp.code_u8()))),
        Some(TransportSlice::Icmpv6(icmp)) => assert_eq!(ours.icmp(), Some((icmp.type_u8(), icmp.code_u8()))),
        _ => assert_eq!(ours.ports, (0, 0)),
    }
}

#[test]
fn kinds_and_offsets() {
    let udp = FrameBuilder::udp4(A, B, A4, B4, 53, 54)
        .payload(3)
        .pad_to(60)
        .build();
    let expected = Layout {
        kind: Kind::Ipv4,
        fragment: Fragment::None,
        protocol: 17,
        tcp_flags: 0,
        ethertype: 0x0800,
        l3: 14,
        l4: 34,
        ports: (53, 54),
        length: 45,
    };
    let ours = read(&udp).unwrap();
    assert_eq!(ours, expected);
    assert_eq!(
        (ours.padding(udp.len()), ours.l3_length(), ours.l4_length()),
        (15, 31, 11)
    );

    let arp = FrameBuilder::arp_request(A, A4, B4).pad_to(60).build();
    let ours = read(&arp).unwrap();
    assert_eq!(
        (ours.kind, ours.length, ours.padding(arp.len())),
        (Kind::Arp, 42, 18)
    );

    let tagged = FrameBuilder::udp4(A, B, A4, B4, 53, 54)
        .vlan(Vlan::new(9).unwrap())
        .build();
    assert_eq!(
        read(&tagged).map(|l| (l.kind, l.ethertype)),
        Ok((Kind::Other, 0x8100))
    );
    let tag = Ethernet::parse(&tagged).unwrap().tag().unwrap();
    assert_eq!(tag.and_then(Tag::vlan), Vlan::new(9).ok());

    let length_frame = FrameBuilder::raw(A, B, 46).payload(46).build();
    assert_eq!(
        read(&length_frame).map(|l| (l.kind, l.ethertype)),
        Ok((Kind::Other, 46))
    );
}

#[test]
fn extension_headers_are_walked_and_bounded() {
    let options = [1, 4, 0, 0, 0, 0];
    let chain = |n: usize| {
        let frame = FrameBuilder::udp6(A, B, A6, B6, 1, 2).extension(protocol::HOP_BY_HOP, &options);
        (1..n)
            .fold(frame, |f, _| f.extension(protocol::DESTINATION_OPTIONS, &options))
            .build()
    };
    let most = read(&chain(ipv6::EXTENSIONS_MAX)).unwrap();
    assert_eq!((most.l4, most.protocol, most.ports), (54 + 64, 17, (1, 2)));
    assert_eq!(
        read(&chain(ipv6::EXTENSIONS_MAX + 1)),
        Err(Malformed::Ipv6ExtensionChain)
    );

    let misplaced = FrameBuilder::udp6(A, B, A6, B6, 1, 2)
        .extension(protocol::DESTINATION_OPTIONS, &options)
        .extension(protocol::HOP_BY_HOP, &options);
    assert_eq!(read(&misplaced.build()), Err(Malformed::Ipv6ExtensionChain));

    let routed =
        |left| FrameBuilder::udp6(A, B, A6, B6, 1, 2).extension(protocol::ROUTING, &[0, left, 0, 0, 0, 0]);
    assert!(read(&routed(0).build()).is_ok());
    assert_eq!(read(&routed(1).build()), Err(Malformed::Ipv6SourceRoute));

    let mut long = FrameBuilder::udp6(A, B, A6, B6, 1, 2)
        .extension(protocol::DESTINATION_OPTIONS, &[0; 14])
        .build();
    long[55] = 200;
    assert_eq!(read(&long), Err(Malformed::Ipv6ExtensionTruncated));

    let far = FrameBuilder::udp6(A, B, A6, B6, 1, 2)
        .extension(protocol::DESTINATION_OPTIONS, &[0; 254])
        .build();
    assert!(read(&far).is_ok());
    assert_eq!(layout(&far[..256], far.len()), Err(Malformed::HeadersTooLong));
}

#[test]
fn fragments_are_told_apart() {
    for frame in [
        FrameBuilder::udp4(A, B, A4, B4, 5, 6).payload(100),
        FrameBuilder::udp6(A, B, A6, B6, 5, 6).payload(100),
    ] {
        let read: Vec<Layout> = frame.fragments(48).iter().map(|f| read(f).unwrap()).collect();
        let pieces: Vec<_> = read
            .iter()
            .map(|l| (l.fragment, l.ports, l.l4_length()))
            .collect();
        let later = |n| (Fragment::Later, (0, 0), n);
        assert_eq!(pieces, [(Fragment::First, (5, 6), 48), later(48), later(12)]);
        assert!(read.iter().all(|l| l.protocol == protocol::UDP));
        // One piece: IPv6's atomic fragment is a whole packet.
        let whole = frame.fragments(800);
        assert_eq!(
            super::layout(&whole[0], whole[0].len()).unwrap().fragment,
            Fragment::None
        );
    }
}

#[test]
fn fragments_of_a_packet_share_a_number() {
    let whole = FrameBuilder::udp4(A, B, A4, B4, 5, 6).payload(100);
    let numbers = |frames: Vec<Vec<u8>>| -> Vec<Option<u32>> {
        let number = |frame: &Vec<u8>| super::identification(frame, &read(frame).unwrap());
        frames.iter().map(number).collect()
    };
    assert_eq!(numbers(vec![whole.build()]), [None]);
    let v4 = whole.identification(0x4243).dont_fragment(false);
    assert_eq!(numbers(v4.fragments(48)), [Some(0x4243); 3]);
    let v6 = FrameBuilder::udp6(A, B, A6, B6, 5, 6)
        .payload(100)
        .identification(0x8000_4243);
    assert_eq!(numbers(v6.fragments(48)), [Some(0x8000_4243); 3]);
}

#[test]
fn fragments_that_cannot_be_are_refused() {
    let tcp = FrameBuilder::tcp4(A, B, A4, B4, 5, 6).payload(100);
    assert_eq!(read(&tcp.fragments(8)[0]), Err(Malformed::FragmentTiny));
    assert_eq!(read(&tcp.fragments(8)[1]), Err(Malformed::FragmentTiny));
    let tcp6 = FrameBuilder::tcp6(A, B, A6, B6, 5, 6).payload(100);
    assert_eq!(read(&tcp6.fragments(16)[0]), Err(Malformed::FragmentTiny));
    // The last but one byte of the offset field: behind 65,535.
    let mut far = tcp6.fragments(40).swap_remove(1);
    far[56..58].copy_from_slice(&0xfff8u16.to_be_bytes());
    assert_eq!(read(&far), Err(Malformed::FragmentBounds));
    // More follow, but the length is odd.
    let mut odd = tcp6.fragments(40).swap_remove(2);
    odd[57] |= 1;
    odd[19] -= 1;
    assert_eq!(read(&odd), Err(Malformed::FragmentBounds));
    // Nothing behind the headers.
    let piece = FrameBuilder::udp4(A, B, A4, B4, 5, 6)
        .payload(100)
        .fragments(64)
        .swap_remove(1);
    let empty = with_ipv4_byte(&with_ipv4_byte(&piece, 16, 0), 17, 20);
    assert_eq!(read(&empty), Err(Malformed::FragmentBounds));
    let atomic = FrameBuilder::udp6(A, B, A6, B6, 5, 6).extension(protocol::FRAGMENT, &[0; 6]);
    assert_eq!(
        read(&atomic.build()).map(|l| (l.fragment, l.ports)),
        Ok((Fragment::None, (5, 6)))
    );
    let twice = atomic.extension(protocol::FRAGMENT, &[0; 6]).build();
    assert_eq!(read(&twice), Err(Malformed::Ipv6ExtensionChain));
}

/// Changes a byte of IPv4's header and mends the checksum.
fn with_ipv4_byte(frame: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at] = value;
    frame[24..26].fill(0);
    let checksum = crate::checksum::of(&frame[14..34]).to_be_bytes();
    frame[24..26].copy_from_slice(&checksum);
    frame
}

#[test]
fn each_wrong_field_has_its_reason() {
    use Malformed::*;
    let udp4 = FrameBuilder::udp4(A, B, A4, B4, 5, 6).payload(10).build();
    let tcp4 = FrameBuilder::tcp4(A, B, A4, B4, 5, 6).build();
    let tcp6 = FrameBuilder::tcp6(A, B, A6, B6, 5, 6).build();
    let arp = FrameBuilder::arp_request(A, A4, B4).build();
    let set = |frame: &[u8], at: usize, value: u8| {
        let mut frame = frame.to_vec();
        frame[at] = value;
        frame
    };
    let source4 = |a| FrameBuilder::udp4(A, B, a, B4, 1, 2).build();
    let source6 = |a| FrameBuilder::udp6(A, B, a, B6, 1, 2).build();
    let cases: Vec<(Vec<u8>, Malformed)> = vec![
        (udp4[..13].to_vec(), EthernetTruncated),
        (set(&udp4, 6, 3), EthernetSource),
        (
            FrameBuilder::udp4(Mac::ZERO, B, A4, B4, 1, 2).build(),
            EthernetSource,
        ),
        (arp[..41].to_vec(), ArpTruncated),
        (set(&arp, 15, 6), ArpFormat),
        (udp4[..33].to_vec(), Ipv4Truncated),
        (set(&udp4, 14, 0x65), Ipv4Version),
        (set(&udp4, 14, 0x44), Ipv4HeaderLength),
        (udp4[..51].to_vec(), Ipv4TotalLength),
        (set(&udp4, 17, 19), Ipv4TotalLength),
        (set(&udp4, 22, 63), Ipv4Checksum),
        (source4(Ipv4Addr::LOCALHOST), Ipv4Source),
        (source4(Ipv4Addr::BROADCAST), Ipv4Source),
        (source4(Ipv4Addr::new(224, 0, 0, 1)), Ipv4Source),
        (
            FrameBuilder::udp4(A, B, A4, B4, 1, 2)
                .ipv4_options(&[7, 5, 4, 0])
                .build(),
            Ipv4Options,
        ),
        (
            FrameBuilder::udp4(A, B, A4, B4, 1, 2)
                .ipv4_options(&[131, 3, 4, 0])
                .build(),
            Ipv4SourceRoute,
        ),
        (tcp6[..53].to_vec(), Ipv6Truncated),
        (set(&tcp6, 14, 0x40), Ipv6Version),
        (tcp6[..73].to_vec(), Ipv6PayloadLength),
        (source6(Ipv6Addr::LOCALHOST), Ipv6Source),
        (source6(A4.to_ipv6_mapped()), Ipv6Source),
        (source6("ff02::1".parse().unwrap()), Ipv6Source),
        (set(&tcp6, 19, 19), TcpTruncated),
        (set(&tcp4, 46, 0x40), TcpDataOffset),
        (set(&tcp4, 46, 0x60), TcpDataOffset),
        (with_ipv4_byte(&udp4, 17, 27), UdpTruncated),
        (set(&udp4, 39, 7), UdpLength),
        (set(&udp4, 39, 19), UdpLength),
        (
            with_ipv4_byte(&with_ipv4_byte(&udp4, 23, 1), 17, 27),
            IcmpTruncated,
        ),
        (set(&set(&tcp6, 20, 58), 19, 7), Icmpv6Truncated),
    ];
    for (frame, reason) in cases {
        assert_eq!(read(&frame), Err(reason), "{frame:02x?}");
        assert!(FlowKey::extract(1, &frame, frame.len()).is_none(), "{reason:?}");
    }
}

#[test]
fn unspecified_sources_may_send() {
    let dhcp = FrameBuilder::udp4(
        A,
        Mac::BROADCAST,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::BROADCAST,
        68,
        67,
    );
    assert!(read(&dhcp.build()).is_ok());
    assert!(read(&FrameBuilder::neighbor_solicitation(A, Ipv6Addr::UNSPECIFIED, B6).build()).is_ok());
}

/// Every view over every offset: nothing here may panic.
fn look_through_every_view(bytes: &[u8]) {
    for at in [0, 14, 34, 54] {
        let Some(bytes) = bytes.get(at..) else { return };
        if let Ok(ip) = Ipv4::parse(bytes) {
            let _ = (ip.options().count(), ip.payload(), ip.checksum_is_valid());
        }
        if let Ok(ip) = Ipv6::parse(bytes) {
            let _ = (ip.upper(), ip.payload());
            for message in [bytes, ip.payload()] {
                let _ = crate::ndp::Ndp::parse(&ip, message);
            }
        }
        if let Ok(tcp) = tcp::Tcp::parse(bytes) {
            let _ = (tcp.options().count(), tcp.payload());
        }
        if let Ok(udp) = udp::Udp::parse(bytes) {
            let _ = (udp.payload(), udp.checksum_is_valid(A4.into(), B4.into()));
        }
        let _ = Ethernet::parse(bytes).and_then(|e| e.tag());
        let _ = (
            icmp::Icmp::parse(bytes).map(|i| i.quote().map(<[u8]>::len)),
            Tuple::of_embedded(bytes),
        );
        let _ = (
            icmpv6::Icmpv6::parse(bytes),
            crate::vxlan::Vxlan::parse(bytes).map(|v| v.vni()),
            arp::Arp::parse(bytes),
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn legal_frames_read_as_etherparse_reads_them(frame in generators::frame()) {
        let ours = read(&frame).unwrap();
        holds_against_etherparse(&frame, &ours);
        prop_assert_eq!(layout(frame.get(..256).unwrap_or(&frame), frame.len()), Ok(ours));
    }

    #[test]
    fn what_is_taken_of_spoilt_frames_reads_alike(frame in generators::spoilt_with_checksum()) {
        if let Ok(ours) = read(&frame) {
            prop_assert!(ours.length as usize <= frame.len() && u32::from(ours.l4) <= ours.length);
            if ours.is_ip() {
                let tuple = Tuple::of(&frame, &ours).unwrap();
                let key = FlowKey::of(1, &frame, &ours);
                prop_assert_eq!(tuple, Tuple::of_key(&key));
                let addresses = (tuple.source_address(), tuple.destination_address());
                prop_assert_eq!(addresses, (key.source(), key.destination()));
            }
            let _ = crate::build::may_cause_error(&frame, &ours);
        }
    }

    #[test]
    fn no_bytes_panic(frame in generators::spoilt(), rubbish in proptest::collection::vec(any::<u8>(), 0..120), claimed in any::<u16>()) {
        for bytes in [&frame, &rubbish] {
            look_through_every_view(bytes);
            let _ = layout(bytes, usize::from(claimed)).map(|l| FlowKey::of(1, &rubbish, &l));
            let _ = FlowKey::extract(1, bytes, usize::from(claimed));
        }
    }
}
