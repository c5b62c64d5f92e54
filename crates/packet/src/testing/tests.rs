//! Generated frames are right by an independent parser's sums, and our views read the fields that it reads.

use super::*;
use crate::addr::Vni;
use crate::ethernet::Ethernet;
use crate::ipv4::Ipv4 as Ipv4View;
use crate::ipv6::Ipv6 as Ipv6View;
use crate::udp::Udp;
use crate::vxlan::{self, Vxlan};
use crate::{Fragment, checksum, layout};
use etherparse::{Ipv4Header, Ipv6Header, NetHeaders, PacketHeaders, TransportHeader};
use proptest::prelude::*;

/// Compares each field of the IP header, and the transport checksum, with etherparse's.
fn holds_against_etherparse(frame: &[u8]) {
    let theirs = PacketHeaders::from_ethernet_slice(frame).unwrap();
    let l3 = &frame[if theirs.vlan().is_some() { 18 } else { 14 }..];
    let payload = theirs.payload.slice();
    let sums = match (&theirs.net, &theirs.transport) {
        (Some(NetHeaders::Ipv4(ip, _)), transport) => {
            same_ipv4(&Ipv4View::parse(l3).unwrap(), ip);
            transport
                .as_ref()
                .map(|transport| sums_v4(transport, ip, payload))
        }
        (Some(NetHeaders::Ipv6(ip, _)), transport) => {
            same_ipv6(&Ipv6View::parse(l3).unwrap(), ip);
            transport
                .as_ref()
                .map(|transport| sums_v6(transport, ip, payload))
        }
        _ => None,
    };
    if let Some((found, expected)) = sums {
        assert_eq!(found, expected);
    }
}

fn same_ipv4(ours: &Ipv4View<'_>, ip: &Ipv4Header) {
    assert_eq!(
        (ours.source().octets(), ours.destination().octets()),
        (ip.source, ip.destination)
    );
    assert_eq!(
        (ours.total_length(), ours.identification()),
        (ip.total_len, ip.identification)
    );
    assert_eq!(
        (ours.time_to_live(), ours.protocol()),
        (ip.time_to_live, ip.protocol.0)
    );
    assert_eq!(ours.traffic_class(), ip.dscp.value() << 2 | ip.ecn.value());
    assert_eq!(
        (ours.dont_fragment(), ours.more_fragments()),
        (ip.dont_fragment, ip.more_fragments)
    );
    assert_eq!(ours.fragment_offset(), u32::from(ip.fragment_offset.value()) * 8);
    assert_eq!(ours.header_length(), ip.header_len());
    assert!(ours.checksum_is_valid() && ip.header_checksum == ip.calc_header_checksum());
}

fn same_ipv6(ours: &Ipv6View<'_>, ip: &Ipv6Header) {
    assert_eq!(
        (ours.source().octets(), ours.destination().octets()),
        (ip.source, ip.destination)
    );
    assert_eq!(
        (ours.payload_length(), ours.hop_limit()),
        (ip.payload_length, ip.hop_limit)
    );
    assert_eq!(
        (ours.next_header(), ours.traffic_class()),
        (ip.next_header.0, ip.traffic_class)
    );
    assert_eq!(ours.flow_label(), ip.flow_label.value());
}

/// The checksum that is there, and the one that should be.
fn sums_v4(transport: &TransportHeader, ip: &Ipv4Header, payload: &[u8]) -> (u16, u16) {
    match transport {
        TransportHeader::Tcp(h) => (h.checksum, h.calc_checksum_ipv4(ip, payload).unwrap()),
        TransportHeader::Udp(h) => (h.checksum, h.calc_checksum_ipv4(ip, payload).unwrap()),
        TransportHeader::Icmpv4(h) => (h.checksum, h.icmp_type.calc_checksum(payload)),
        other => panic!("not over IPv4: {other:?}"),
    }
}

fn sums_v6(transport: &TransportHeader, ip: &Ipv6Header, payload: &[u8]) -> (u16, u16) {
    match transport {
        TransportHeader::Tcp(h) => (h.checksum, h.calc_checksum_ipv6(ip, payload).unwrap()),
        TransportHeader::Udp(h) => (h.checksum, h.calc_checksum_ipv6(ip, payload).unwrap()),
        TransportHeader::Icmpv6(h) => {
            let sum = h.icmp_type.calc_checksum(ip.source, ip.destination, payload);
            (h.checksum, sum.unwrap())
        }
        other => panic!("not over IPv6: {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn generated_frames_are_right(frame in generators::frame()) {
        holds_against_etherparse(&frame);
    }

    #[test]
    fn large_segments_are_right(builder in generators::ordinary(), n in 1000usize..60_000) {
        let frame = builder.payload(n).build();
        holds_against_etherparse(&frame);
        prop_assert_eq!(layout(&frame[..256], frame.len()).map(|l| l.length as usize), Ok(frame.len()));
    }
}

#[test]
fn fragments_put_together_are_the_packet() {
    let (a, b) = (Mac([2; 6]), Mac([4; 6]));
    let addresses: (IpAddr, IpAddr) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
    let frame = FrameBuilder::udp(a, b, addresses.0, addresses.1, (1, 2)).payload(333);
    let mut whole = Vec::new();
    for piece in frame.fragments(128) {
        let read = layout(&piece, piece.len()).unwrap();
        assert_eq!(read.fragment == Fragment::First, whole.is_empty());
        whole.extend_from_slice(&piece[usize::from(read.l4)..]);
    }
    assert_eq!(whole, frame.build()[54..]);
}

#[test]
fn a_tunnelled_frame_comes_out_as_it_went_in() {
    let (a, b) = (Mac([2; 6]), Mac([4; 6]));
    let (a4, b4) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let inner = FrameBuilder::echo_request(a, b, a4.into(), b4.into(), 1, 1)
        .payload(56)
        .build();
    let vni = Vni::new(77).unwrap();
    let outer = FrameBuilder::udp4(b, a, a4, b4, 50_000, vxlan::PORT)
        .vxlan(vni, &inner)
        .build();
    let datagram = Udp::parse(
        Ipv4View::parse(Ethernet::parse(&outer).unwrap().payload())
            .unwrap()
            .payload(),
    );
    let tunnel = Vxlan::parse(datagram.unwrap().payload()).unwrap();
    assert_eq!((tunnel.vni(), tunnel.inner()), (Some(vni), &inner[..]));
}

#[test]
fn a_partial_checksum_is_completed_by_summing_the_rest() {
    let (a, b) = (Mac([2; 6]), Mac([4; 6]));
    let (a4, b4) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    for n in [0, 1, 999] {
        let builder = FrameBuilder::tcp4(a, b, a4, b4, 1, 2).payload(n);
        let mut partial = builder.clone().partial_checksum().build();
        let field = checksum::of(&partial[34..]);
        partial[50..52].copy_from_slice(&field.to_be_bytes());
        assert_eq!(partial, builder.build());
    }
}
