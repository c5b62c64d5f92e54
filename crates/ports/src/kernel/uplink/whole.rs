//! Large TCP segments that the kernel takes whole, outer header and all: what is written into them and in front of them.
//!
//! `virtio_net_hdr_v1_hash_tunnel` of linux/virtio_net.h (Linux 6.17): the header of [`vnet_header`], five bytes of hash
//! that nobody fills in, and where the outer transport header and the inner network header lie. The kernel, or a device
//! that can, cuts behind the tunnel: each packet gets both headers, both lengths and both checksums.
//!
//! [`vnet_header`]: crate::kernel::vnet_header

use anet_memory::buffer::{Buffer, Checksum, SegmentKind, Segmentation};
use anet_packet::segment::{Layout, Network, Transport};
use anet_packet::{checksum, ipv4, ipv6, protocol, udp, vxlan};

use super::outer::{LEN_V4, LEN_V6, Outer};
use super::redirect::DEVICE_AT;

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 24;

const NEEDS_CHECKSUM: u8 = 1;
/// VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM: the outer checksum is to be finished as well.
const TUNNEL_CHECKSUM: u8 = 8;
const GSO_TCP_V4: u8 = 1;
const GSO_TCP_V6: u8 = 4;
const GSO_TUNNEL_V4: u8 = 0x20;
const GSO_TUNNEL_V6: u8 = 0x40;
const GSO_ECN: u8 = 0x80;

/// The least payload of each packet: TCP's own default (RFC 9293, 3.7.1). It bounds how many packets a hostile guest makes
/// the kernel cut; smaller ones are cut here.
const SIZE_MIN: u16 = 536;
/// The narrowest path that there is (RFC 8200, 5).
const PATH_MIN: usize = 1_280;
/// Bytes of an outer IP packet that is not looked at as a segment where it is received, and so not sent whole.
const PACKET_MIN: usize = 1_500;

/// A way to a tunnel endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Path {
    /// Number of the device that leads there.
    pub device: u32,
    /// What it takes: bytes of an IP packet.
    pub mtu: usize,
}

/// Makes a large TCP segment ready to be written to the uplink TAP, and says what to write in front of it. `payload_at` is
/// where its UDP payload begins, `source_port` the port it is to come from. `None`, and it is as it was, where it is none
/// that the kernel takes whole: no TCP, longer than an IP packet, or its packets would be longer than the path takes.
pub(super) fn prepare(
    frame: &mut Buffer,
    (outer, payload_at): (&Outer, usize),
    source_port: u16,
    path: Path,
) -> Option<[u8; HEADER_BYTES]> {
    let Segmentation { kind, size, ecn } = frame.meta.segmentation;
    let inner_at = payload_at + vxlan::HEADER_LEN;
    let layout = Layout::of(frame.head().get(inner_at..)?).ok()?;
    let is_told = match (layout.transport, layout.network) {
        (Transport::Tcp, Network::V4) => kind == SegmentKind::TcpV4,
        (Transport::Tcp, Network::V6) => kind == SegmentKind::TcpV6,
        (Transport::Udp, _) => false,
    };
    let transport_at = u16::try_from(inner_at + layout.transport_at).ok()?;
    let unfinished = Checksum::Partial {
        start: transport_at,
        offset: 16,
    };
    let ethernet = anet_packet::ethernet::HEADER_LEN;
    let (total, headers) = (frame.len() - ethernet, inner_at + layout.payload_at);
    let packet = headers - ethernet + usize::from(size);
    let fits = packet <= path.mtu && total > path.mtu.max(PACKET_MIN);
    let (total, headers) = (u16::try_from(total).ok()?, u16::try_from(headers).ok()?);
    if !is_told || frame.meta.checksum != unfinished || size < SIZE_MIN || !fits {
        return None;
    }
    write_outer(frame.head_mut(), outer, total, source_port);
    let device = frame.head_mut().get_mut(DEVICE_AT..)?.first_chunk_mut::<4>()?;
    *device = path.device.to_ne_bytes();

    let mut header = [0; HEADER_BYTES];
    let mut put = |at: usize, value: u16| header[at..at + 2].copy_from_slice(&value.to_le_bytes());
    put(2, headers);
    put(4, size);
    put(6, transport_at);
    put(8, 16);
    put(20, (payload_at - udp::HEADER_LEN) as u16);
    put(22, (inner_at + layout.network_at) as u16);
    let tcp = if kind == SegmentKind::TcpV4 {
        GSO_TCP_V4
    } else {
        GSO_TCP_V6
    };
    let tunnel = if outer.destination.is_ipv4() {
        GSO_TUNNEL_V4
    } else {
        GSO_TUNNEL_V6
    };
    header[0] = NEEDS_CHECKSUM | TUNNEL_CHECKSUM;
    header[1] = tcp | tunnel | if ecn { GSO_ECN } else { 0 };
    Some(header)
}

/// Lengths, source port and the pseudo header's sum of an outer header whose IP packet is `total` bytes long.
fn write_outer(head: &mut [u8], outer: &Outer, total: u16, source_port: u16) {
    let ip = anet_packet::ethernet::HEADER_LEN;
    let mut put = |at: usize, value: u16| {
        if let Some(field) = head.get_mut(at..at + 2) {
            field.copy_from_slice(&value.to_be_bytes());
        }
    };
    let (udp_at, udp_len) = if outer.destination.is_ipv4() {
        put(ip + 2, total);
        put(ip + 10, 0);
        (
            LEN_V4 - udp::HEADER_LEN,
            total.saturating_sub(ipv4::HEADER_LEN as u16),
        )
    } else {
        let payload = total.saturating_sub(ipv6::HEADER_LEN as u16);
        put(ip + 4, payload);
        (LEN_V6 - udp::HEADER_LEN, payload)
    };
    let (source, destination) = (outer.source.ip(), outer.destination.ip());
    let pseudo = checksum::pseudo_header(source, destination, protocol::UDP, udp_len.into());
    put(udp_at, source_port);
    put(udp_at + 4, udp_len);
    // Not its complement: it is a sum that is still to be gone on with.
    put(udp_at + 6, checksum::fold(pseudo.unwrap_or(0)));
    if outer.destination.is_ipv4() {
        let sum = head.get(ip..ip + ipv4::HEADER_LEN).map_or(0, checksum::of);
        if let Some(field) = head.get_mut(ip + 10..ip + 12) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
    }
}

/// What a received datagram (`buffer` begins with its VXLAN header, `outer` is to go in front) is, where a sender left it whole and nothing on the way
/// cut it: virtual underlays hand such segments on, and a socket reads them as one long datagram that does not say so. But
/// its checksum does: it is the pseudo header's sum, not finished. (A finished one is that by chance once in 65,536
/// times, and finishing it again gives the same.)
pub(super) fn recognize(buffer: &mut Buffer, outer: &Outer) -> Option<()> {
    if buffer.len() + outer.len() - anet_packet::ethernet::HEADER_LEN <= PACKET_MIN {
        return None;
    }
    let inner = buffer.head().get(vxlan::HEADER_LEN..)?;
    let layout = Layout::of(inner).ok()?;
    if layout.transport != Transport::Tcp {
        return None;
    }
    let field: [u8; 2] = *inner.get(layout.transport_at + 16..)?.first_chunk()?;
    let inner_len = buffer.len() - vxlan::HEADER_LEN;
    let length = inner_len.checked_sub(layout.transport_at)?;
    let sum = checksum::fold(layout.pseudo_header(inner) + length as u64);
    if sum != u16::from_be_bytes(field) {
        return None;
    }
    let ecn = inner.get(layout.transport_at + 13)? & anet_packet::tcp::flag::CWR != 0;
    let kind = match layout.network {
        Network::V4 => SegmentKind::TcpV4,
        Network::V6 => SegmentKind::TcpV6,
    };
    // How long the packets would have been is lost. What every path takes is never too long.
    let size = PATH_MIN - (layout.payload_at - layout.network_at).min(PATH_MIN / 2);
    if inner_len - layout.payload_at > size {
        buffer.meta.segmentation = Segmentation {
            kind,
            size: size as u16,
            ecn,
        };
    }
    buffer.meta.checksum = Checksum::Partial {
        start: (vxlan::HEADER_LEN + layout.transport_at) as u16,
        offset: 16,
    };
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_memory::buffer::{Meta, Pool};
    use proptest::prelude::*;

    const PATH: Path = Path {
        device: 7,
        mtu: 1_500,
    };

    fn outer(six: bool) -> Outer {
        let (source, destination) = if six {
            ("[fd00::1]:9", "[fd00::2]:4789")
        } else {
            ("10.0.0.1:9", "10.0.0.2:4789")
        };
        Outer {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            traffic_class: 0,
            time_to_live: 64,
        }
    }

    /// VXLAN header, and TCP over IPv4 with an unfinished checksum.
    fn datagram(payload: usize) -> Vec<u8> {
        let mut bytes = vec![8, 0, 0, 0, 0, 0, 7, 0];
        bytes.extend([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
        let length = (payload + 40) as u16;
        bytes.extend([
            0x45,
            0,
            (length >> 8) as u8,
            length as u8,
            0,
            0,
            0x40,
            0,
            64,
            6,
            0,
            0,
        ]);
        bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x90, 1, 0]);
        let pseudo = checksum::pseudo_header_v4(
            [10, 0, 0, 1].into(),
            [10, 0, 0, 2].into(),
            protocol::TCP,
            length as u32 - 20,
        );
        bytes.extend(checksum::fold(pseudo).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.resize(bytes.len() + payload, 0x5a);
        bytes
    }

    fn frame(pool: &Pool, six: bool, payload: usize, size: u16) -> Buffer {
        let outer = outer(six);
        let mut bytes = vec![0; outer.len()];
        outer.write(payload, &mut bytes);
        bytes.extend(datagram(payload));
        let mut frame = pool.copy_from(&bytes).unwrap();
        frame.meta.segmentation = Segmentation {
            kind: SegmentKind::TcpV4,
            size,
            ecn: true,
        };
        frame.meta.checksum = Checksum::Partial {
            start: (outer.len() + 42) as u16,
            offset: 16,
        };
        frame
    }

    #[test]
    fn a_segment_gets_its_lengths_and_says_where_its_headers_are() {
        let pool = Pool::default();
        for (six, at) in [(false, 42_u16), (true, 62)] {
            let mut frame = frame(&pool, six, 20_000, 1_300);
            let header = prepare(&mut frame, (&outer(six), at.into()), 50_001, PATH).unwrap();
            let field = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
            let tunnel = if six { 0x40 } else { 0x20 };
            assert_eq!(header[..2], [1 | 8, 1 | tunnel | 0x80]);
            assert_eq!(
                [field(2), field(4), field(6), field(8)],
                [at + 62, 1_300, at + 42, 16]
            );
            assert_eq!([field(20), field(22)], [at - 8, at + 22]);
            let head = frame.head();
            assert_eq!(head[DEVICE_AT..DEVICE_AT + 4], 7_u32.to_ne_bytes());
            let (read, payload_at) = Outer::parse(head).unwrap();
            assert_eq!((read.source.port(), payload_at), (50_001, at.into()));
            let udp = anet_packet::udp::Udp::parse(&head[usize::from(at) - 8..]).unwrap();
            assert_eq!(usize::from(udp.length()), 8 + 8 + 54 + 20_000);
            if !six {
                assert!(checksum::is_valid(&head[14..34]));
            }
        }
    }

    #[test]
    fn what_the_kernel_should_not_get_stays_as_it_was() {
        let pool = Pool::default();
        for (payload, size, mtu) in [
            (20_000, 500, 1_500),   // packets too small
            (20_000, 1_411, 1_500), // a packet of 1,501 bytes
            (20_000, 1_300, 1_389), // the path is narrower
            (1_350, 700, 1_500),    // all of it fits into a packet
            (1_400, 700, 9_000),    // the same of a wider path
            (65_450, 1_300, 1_500), // longer than an IP packet
        ] {
            let mut frame = frame(&pool, false, payload, size);
            let before = frame.to_vec();
            let path = Path { mtu, ..PATH };
            let header = prepare(&mut frame, (&outer(false), 42), 50_001, path);
            assert_eq!(header, None, "{payload} {size} {mtu}");
            assert!(frame.to_vec() == before, "{payload} {size} {mtu}");
        }
        let mut exact = frame(&pool, false, 20_000, 1_410);
        assert!(prepare(&mut exact, (&outer(false), 42), 50_001, PATH).is_some());
        let mut other = frame(&pool, false, 20_000, 1_300);
        other.meta.segmentation.kind = SegmentKind::TcpV6;
        assert_eq!(prepare(&mut other, (&outer(false), 42), 50_001, PATH), None);
    }

    #[test]
    fn a_long_datagram_is_a_segment_only_with_an_unfinished_checksum() {
        let pool = Pool::default();
        let mut whole = pool.copy_from(&datagram(20_000)).unwrap();
        recognize(&mut whole, &outer(false)).unwrap();
        assert_eq!(
            whole.meta.checksum,
            Checksum::Partial {
                start: 42,
                offset: 16
            }
        );
        let expected = Segmentation {
            kind: SegmentKind::TcpV4,
            size: 1_240,
            ecn: true,
        };
        assert_eq!(whole.meta.segmentation, expected);
        let mut finished = datagram(20_000);
        finished[58] ^= 1;
        let mut short = datagram(1_350);
        short.truncate(1_400);
        for bytes in [finished, short, vec![0; 2_000]] {
            let mut buffer = pool.copy_from(&bytes).unwrap();
            assert_eq!(recognize(&mut buffer, &outer(false)), None);
            assert_eq!(buffer.meta, Meta::default());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn hostile_bytes_do_no_harm(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..120), len in 0_usize..4_000, like in any::<bool>(),
        ) {
            let pool = Pool::default();
            if like {
                let mut real = datagram(2_000);
                bytes.iter().enumerate().filter(|(i, _)| i % 7 == 0).for_each(|(i, byte)| real[i % 62] ^= byte);
                bytes = real;
            }
            bytes.resize(len, 0);
            if let Some(mut buffer) = pool.copy_from(&bytes) {
                if recognize(&mut buffer, &outer(false)).is_some() {
                    let Checksum::Partial { start, offset } = buffer.meta.checksum else { panic!("partial") };
                    prop_assert!(usize::from(start + offset) + 2 <= buffer.head().len());
                }
                buffer.meta.segmentation = Segmentation { kind: SegmentKind::TcpV4, size: 600, ecn: false };
                let _ = prepare(&mut buffer, (&outer(true), 62), 9, PATH);
                let _ = prepare(&mut buffer, (&outer(false), 42), 9, PATH);
            }
        }
    }
}
