//! Frames for the uplink, made by another library than the one under test.

use std::net::IpAddr;

use anet_memory::buffer::{Buffer, Checksum, Meta, Pool, SegmentKind, Segmentation};
use anet_packet::segment::{Layout, Network};
use etherparse::{IpHeaders, IpNumber, Ipv4Header, Ipv6Header, PacketBuilder};

pub const VNI: u8 = 7;
pub const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const THEIRS: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// An outer frame around `inner`.
pub fn outer(from: &str, to: &str, source_port: u16, traffic_class: u8, inner: &[u8]) -> Vec<u8> {
    let mut payload = vec![8, 0, 0, 0, 0, 0, VNI, 0];
    payload.extend_from_slice(inner);
    let ethernet = PacketBuilder::ethernet2([0; 6], [0; 6]);
    let mut frame = Vec::new();
    let (from, to): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let ip = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut ip = Ipv4Header::new(0, 33, IpNumber::UDP, from.octets(), to.octets()).unwrap();
            ip.dscp = etherparse::IpDscp::try_new(traffic_class >> 2).unwrap();
            ip.ecn = etherparse::IpEcn::try_new(traffic_class & 3).unwrap();
            IpHeaders::Ipv4(ip, Default::default())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let ip = Ipv6Header {
                traffic_class,
                hop_limit: 33,
                source: from.octets(),
                destination: to.octets(),
                next_header: IpNumber::UDP,
                ..Default::default()
            };
            IpHeaders::Ipv6(ip, Default::default())
        }
        _ => panic!("families differ"),
    };
    // A payload beyond 65,507 bytes, as large segments have, has no legal length.
    let legal = if payload.len() > 60_000 { 0 } else { payload.len() };
    let udp = ethernet.ip(ip).udp(source_port, 4789);
    udp.write(&mut frame, &payload[..legal]).unwrap();
    frame.extend_from_slice(&payload[legal..]);
    frame
}

pub fn udp_inner(destination: [u8; 6], to: [u8; 4], port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let ethernet = PacketBuilder::ethernet2(OURS, destination);
    ethernet
        .ipv4([10, 0, 0, 1], to, 64)
        .udp(5555, port)
        .write(&mut frame, payload)
        .unwrap();
    frame
}

pub fn tcp_inner(six: bool, payload: &[u8]) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2(OURS, THEIRS);
    let ip = if six {
        ethernet.ipv6([0xfd; 16], [0xfe; 16], 64)
    } else {
        ethernet.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
    };
    let mut frame = Vec::new();
    ip.tcp(1000, 2000, 77, 500)
        .ack(9)
        .psh()
        .write(&mut frame, payload)
        .unwrap();
    frame
}

/// What a guest hands over: a large segment whose checksum is the pseudo header's.
pub fn segment(pool: &Pool, frame: &[u8], six: bool, size: u16) -> Buffer {
    let outer_len = if six { 62 } else { 42 };
    let mut buffer = pool.copy_from(frame).unwrap();
    let layout = Layout::of(&frame[outer_len + 8..]).unwrap();
    let start = (outer_len + 8 + layout.transport_at) as u16;
    let kind = if layout.network == Network::V6 {
        SegmentKind::TcpV6
    } else {
        SegmentKind::TcpV4
    };
    buffer.meta = Meta {
        checksum: Checksum::Partial { start, offset: 16 },
        segmentation: Segmentation {
            kind,
            size,
            ecn: false,
        },
        ..Meta::default()
    };
    buffer
}

pub fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 249) as u8).collect()
}
