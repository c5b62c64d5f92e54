//! Cut and merge are inverses; checksums agree with an independent parser; hostile headers do no harm.

use etherparse::PacketBuilder;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::checksum;
use crate::tcp::flag;

const SOURCE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const DESTINATION: [u8; 6] = [2, 0, 0, 0, 0, 2];
const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8];

/// A frame as a guest hands it over: right in itself.
fn tcp_frame(network: Network, flags: u8, payload: &[u8]) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2(SOURCE, DESTINATION);
    let ip = match network {
        Network::V4 => ethernet.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64),
        Network::V6 => {
            let mut host = [0xfd; 16];
            host[15] = 9;
            ethernet.ipv6([0xfd; 16], host, 64)
        }
    };
    let tcp = ip
        .tcp(40_000, 80, 0xffff_f000, 501)
        .ack(77)
        .options_raw(&TIMESTAMPS)
        .unwrap();
    let mut frame = Vec::new();
    tcp.write(&mut frame, payload).unwrap();
    let layout = Layout::of(&frame).unwrap();
    frame[layout.transport_at + 13] = flags;
    mend(&mut frame);
    frame
}

/// Writes the transport checksum anew, the plain way.
fn mend(frame: &mut [u8]) {
    let layout = Layout::of(frame).unwrap();
    if layout.network == Network::V4 {
        frame[24..26].fill(0);
        let sum = checksum::of(&frame[14..layout.transport_at]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    let at = layout.transport_at + layout.checksum_offset();
    frame[at..at + 2].fill(0);
    let sum = transport_sum(frame, &layout);
    frame[at..at + 2].copy_from_slice(&checksum::complement(sum).to_be_bytes());
}

fn transport_sum(frame: &[u8], layout: &Layout) -> u64 {
    let segment = &frame[layout.transport_at..];
    layout.pseudo_header(frame) + segment.len() as u64 + checksum::sum(segment)
}

/// Cuts a frame into whole packets.
fn cut(frame: &[u8], size: u16, ecn: bool) -> Vec<Vec<u8>> {
    let cut = Cut::new(frame, frame.len(), size, ecn).unwrap();
    let payload = &frame[cut.header_len()..];
    let packets = (0..cut.count()).map(|index| {
        let slice = &payload[cut.payload(index)];
        let mut packet = vec![0; cut.header_len()];
        cut.write_headers(index, checksum::sum(slice), &mut packet);
        packet.extend_from_slice(slice);
        packet
    });
    packets.collect()
}

/// Merges as many as fit, and says how many those were.
fn merge(packets: &[Vec<u8>]) -> Option<(Vec<u8>, Merged)> {
    let first = &packets[0];
    let mut merge = Merge::start(first, checksum::sum)?;
    let mut frame = first.clone();
    for packet in &packets[1..] {
        if !merge.accept(first, packet, checksum::sum) {
            break;
        }
        frame.extend_from_slice(&packet[merge.header_len()..]);
    }
    let merged = merge.finish(&mut frame);
    assert_eq!(merged.layout.payload_at + merged.payload_len, frame.len());
    Some((frame, merged))
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

fn check_packet(packet: &[u8]) {
    let parsed = etherparse::PacketHeaders::from_ethernet_slice(packet).unwrap();
    let payload = parsed.payload.slice();
    let layout = Layout::of(packet).unwrap();
    match (parsed.net.unwrap(), parsed.transport.unwrap()) {
        (etherparse::NetHeaders::Ipv4(ip, _), transport) => {
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            assert_eq!(usize::from(ip.total_len), packet.len() - 14);
            match transport {
                etherparse::TransportHeader::Tcp(tcp) => {
                    assert_eq!(tcp.checksum, tcp.calc_checksum_ipv4(&ip, payload).unwrap());
                }
                etherparse::TransportHeader::Udp(udp) => {
                    assert_eq!(udp.checksum, udp.calc_checksum_ipv4(&ip, payload).unwrap());
                    assert_eq!(usize::from(udp.length), packet.len() - layout.transport_at);
                }
                _ => panic!("neither TCP nor UDP"),
            }
        }
        (etherparse::NetHeaders::Ipv6(ip, _), transport) => {
            assert_eq!(usize::from(ip.payload_length), packet.len() - 54);
            match transport {
                etherparse::TransportHeader::Tcp(tcp) => {
                    assert_eq!(tcp.checksum, tcp.calc_checksum_ipv6(&ip, payload).unwrap());
                }
                etherparse::TransportHeader::Udp(udp) => {
                    assert_eq!(udp.checksum, udp.calc_checksum_ipv6(&ip, payload).unwrap());
                }
                _ => panic!("neither TCP nor UDP"),
            }
        }
        _ => panic!("not IP"),
    }
}

#[test]
fn every_packet_of_a_cut_is_right() {
    for network in [Network::V4, Network::V6] {
        let frame = tcp_frame(
            network,
            flag::ACK | flag::PSH | flag::FIN | flag::CWR,
            &bytes(5_000),
        );
        let packets = cut(&frame, 1_400, true);
        assert_eq!(
            packets.iter().map(Vec::len).sum::<usize>(),
            3 * (frame.len() - 5_000) + frame.len()
        );
        let at = Layout::of(&frame).unwrap().transport_at;
        let flags: Vec<u8> = packets.iter().map(|p| p[at + 13]).collect();
        let last = flag::ACK | flag::PSH | flag::FIN;
        assert_eq!(flags, [flag::ACK | flag::CWR, flag::ACK, flag::ACK, last]);
        packets.iter().for_each(|packet| check_packet(packet));
    }
}

#[test]
fn datagrams_of_a_cut_are_right() {
    let mut four = Vec::new();
    let mut six = Vec::new();
    let payload = bytes(3_001);
    let ethernet = || PacketBuilder::ethernet2(SOURCE, DESTINATION);
    ethernet()
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .udp(53, 54)
        .write(&mut four, &payload)
        .unwrap();
    ethernet()
        .ipv6([0xfd; 16], [0xfc; 16], 64)
        .udp(53, 54)
        .write(&mut six, &payload)
        .unwrap();
    for frame in [four, six] {
        let packets = cut(&frame, 1_000, false);
        assert_eq!(packets.len(), 4);
        packets.iter().for_each(|packet| check_packet(packet));
    }
}

#[test]
fn a_segment_of_one_packet_is_that_packet() {
    let frame = tcp_frame(Network::V4, flag::ACK | flag::PSH, b"0123456789");
    assert_eq!(cut(&frame, 1_400, false), [frame]);
    let empty = tcp_frame(Network::V6, flag::ACK, b"");
    assert_eq!(cut(&empty, 1_400, false), [empty]);
}

#[test]
fn what_cannot_be_cut_says_why() {
    let frame = tcp_frame(Network::V4, flag::ACK, &bytes(100));
    let error = |frame: &[u8], len, size| Cut::new(frame, len, size, false).unwrap_err();
    assert_eq!(error(&frame, frame.len(), 7), CutError::Size);
    assert_eq!(error(&frame, 20, 1_400), CutError::Length);
    assert_eq!(error(&frame, 14 + 65_536, 65_535), CutError::Length);
    assert_eq!(
        error(&frame[..60], frame.len(), 100),
        CutError::Layout(LayoutError::Truncated)
    );
    let mut fragment = frame.clone();
    fragment[20] = 0x20;
    assert_eq!(
        error(&fragment, frame.len(), 100),
        CutError::Layout(LayoutError::Fragment)
    );
}

#[test]
fn the_merged_checksum_is_the_pseudo_header() {
    let frame = tcp_frame(Network::V4, flag::ACK, &bytes(4_000));
    let (merged, what) = merge(&cut(&frame, 1_000, false)).unwrap();
    assert_eq!((what.count, what.size, what.payload_len), (4, 1_000, 4_000));
    let field = u16::from_be_bytes([merged[50], merged[51]]);
    let pseudo: u64 = 0x0a00 + 1 + 0x0a00 + 2 + 6 + 32 + 4_000;
    assert_eq!(u64::from(field), pseudo);
}

#[test]
fn what_does_not_continue_is_not_merged() {
    for network in [Network::V4, Network::V6] {
        let packets = cut(&tcp_frame(network, flag::ACK, &bytes(4_000)), 1_000, false);
        let at = Layout::of(&packets[0]).unwrap().transport_at;
        let changes: [(&str, usize, u8); 9] = [
            ("destination MAC", 0, 0x40),
            ("TTL, or a byte of the source", 22, 1),
            ("source port", at, 1),
            ("sequence", at + 7, 1),
            ("acknowledgment", at + 8, 1),
            ("flags", at + 13, flag::ECE),
            ("CWR behind the first", at + 13, flag::CWR),
            ("window", at + 15, 1),
            ("timestamp", at + 27, 1),
        ];
        for (what, place, bit) in changes {
            let mut second = packets[1].clone();
            second[place] ^= bit;
            mend(&mut second);
            let (_, merged) = merge(&[packets[0].clone(), second, packets[2].clone()]).unwrap();
            assert_eq!(merged.count, 1, "{what}");
        }
    }
}

#[test]
fn the_last_packet_ends_the_segment() {
    let frame = tcp_frame(Network::V4, flag::ACK | flag::PSH, &bytes(2_500));
    let mut packets = cut(&frame, 1_000, false);
    let mut next = cut(&tcp_frame(Network::V4, flag::ACK, &bytes(1_000)), 1_000, false).remove(0);
    next[38..42].copy_from_slice(&(0xffff_f000_u32.wrapping_add(2_500)).to_be_bytes());
    next[18..20].copy_from_slice(&3_u16.to_be_bytes());
    mend(&mut next);
    packets.push(next);
    assert_eq!(merge(&packets).unwrap().1.count, 3);
}

#[test]
fn a_wrong_checksum_is_never_repaired() {
    let packets = cut(&tcp_frame(Network::V4, flag::ACK, &bytes(3_000)), 1_000, false);
    for (wrong, count) in [(0, 0), (1, 1), (2, 2)] {
        let mut packets = packets.clone();
        packets[wrong][100] ^= 4;
        assert_eq!(merge(&packets).map_or(0, |(_, m)| m.count), count);
    }
    let mut header = packets[0].clone();
    header[24] ^= 1;
    assert!(Merge::start(&header, checksum::sum).is_none());
}

#[test]
fn identifications_go_up_or_say_nothing() {
    let packets = cut(&tcp_frame(Network::V4, flag::ACK, &bytes(3_000)), 1_000, false);
    let with = |dont_fragment: bool, identifications: [u16; 3]| {
        let mut packets = packets.clone();
        for (packet, identification) in packets.iter_mut().zip(identifications) {
            packet[18..20].copy_from_slice(&identification.to_be_bytes());
            packet[20] = if dont_fragment { 0x40 } else { 0 };
            mend(packet);
        }
        merge(&packets).unwrap().1.count
    };
    assert_eq!(with(false, [65_535, 0, 1]), 3);
    assert_eq!(with(false, [7, 7, 7]), 1);
    assert_eq!(with(false, [7, 9, 11]), 1);
    assert_eq!(with(true, [7, 7, 7]), 3);
    assert_eq!(with(true, [7, 8, 9]), 3);
    assert_eq!(with(true, [7, 7, 9]), 2);
    assert_eq!(with(true, [7, 8, 7]), 2);
}

#[test]
fn what_is_no_plain_data_travels_alone() {
    for flags in [
        flag::ACK | flag::SYN,
        flag::ACK | flag::RST,
        flag::ACK | flag::URG,
        flag::PSH,
    ] {
        assert!(Merge::start(&tcp_frame(Network::V6, flags, &bytes(100)), checksum::sum).is_none());
    }
    assert!(Merge::start(&tcp_frame(Network::V4, flag::ACK, b""), checksum::sum).is_none());
    let mut padded = tcp_frame(Network::V4, flag::ACK, b"x");
    padded.push(0);
    assert!(Merge::start(&padded, checksum::sum).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cut_then_merged_is_the_same_again(
        payload in vec(any::<u8>(), 1..6_000), size in SIZE_MIN..2_000, six in any::<bool>(),
        cwr in any::<bool>(), end in prop_oneof![Just(0), Just(flag::PSH), Just(flag::PSH | flag::FIN)],
    ) {
        let network = if six { Network::V6 } else { Network::V4 };
        let flags = flag::ACK | end | if cwr { flag::CWR } else { 0 };
        let frame = tcp_frame(network, flags, &payload);
        let packets = cut(&frame, size, true);
        packets.iter().for_each(|packet| check_packet(packet));
        let (merged, what) = merge(&packets).unwrap();
        prop_assert_eq!(what.count, packets.len());
        prop_assert_eq!(what.ecn, cwr);
        let mut mended = merged;
        mend(&mut mended);
        prop_assert_eq!(mended, frame);
    }

    #[test]
    fn hostile_bytes_do_no_harm(
        mut frame in vec(any::<u8>(), 0..200), kind in 0usize..3, len in 0usize..70_000, size in any::<u16>(),
        ecn in any::<bool>(),
    ) {
        let kinds: [[u8; 2]; 3] = [[0x08, 0x00], [0x86, 0xdd], [0x81, 0x00]];
        if frame.len() > 24 {
            frame[12..14].copy_from_slice(&kinds[kind]);
            frame[14] = if kind == 0 { 0x40 | frame[14] & 0x0f } else { 0x60 };
            frame[if kind == 0 { 23 } else { 20 }] = if ecn { 6 } else { 17 };
        }
        if let Ok(cut) = Cut::new(&frame, len, size, ecn) {
            let mut to = vec![0; cut.header_len()];
            for index in [0, cut.count() - 1, cut.count(), usize::MAX] {
                cut.write_headers(index, u64::MAX >> 8, &mut to);
            }
            cut.write_headers(0, 0, &mut []);
        }
        let _ = merge(&[frame.clone(), frame]);
    }

    #[test]
    fn a_flipped_bit_is_refused_or_is_the_same_again(bit in 0usize..8 * 146, six in any::<bool>()) {
        let network = if six { Network::V6 } else { Network::V4 };
        let mut frame = tcp_frame(network, flag::ACK, &bytes(80));
        let bit = bit.min(frame.len() * 8 - 1);
        frame[bit / 8] ^= 1 << (bit % 8);
        // Only Ethernet addresses, and what no checksum of IPv6 covers, may change unseen.
        if bit / 8 >= 22 || network == Network::V4 && bit / 8 >= 14 {
            prop_assert!(Merge::start(&frame, checksum::sum).is_none());
        }
    }
}
