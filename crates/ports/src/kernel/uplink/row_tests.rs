//! Rows of datagrams become packets: merged where they are one stream, untouched where not.

use super::*;
use anet_packet::checksum;
use anet_packet::segment::{Cut, Layout};
use etherparse::PacketBuilder;
use proptest::prelude::*;

const TUNNEL: [u8; 8] = [8, 0, 0, 0, 0, 0, 7, 0];

fn inner(payload_len: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..payload_len).map(|i| (i % 253) as u8).collect();
    let tcp = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(1, 2, 3, 4)
        .ack(5);
    let mut frame = Vec::new();
    tcp.write(&mut frame, &payload).unwrap();
    frame
}

/// A TCP stream as datagrams of `size` bytes of payload, tunnel header in front.
fn datagrams(payload_len: usize, size: u16) -> Vec<Vec<u8>> {
    let frame = inner(payload_len);
    let cut = Cut::new(&frame, frame.len(), size, false).unwrap();
    let packets = (0..cut.count()).map(|index| {
        let payload = &frame[cut.header_len()..][cut.payload(index)];
        let mut datagram = vec![0; 8 + cut.header_len()];
        datagram[..8].copy_from_slice(&TUNNEL);
        cut.write_headers(index, checksum::sum(payload), &mut datagram[8..]);
        datagram.extend_from_slice(payload);
        datagram
    });
    packets.collect()
}

fn message(datagrams: &[Vec<u8>]) -> (Vec<u8>, Message) {
    let row = datagrams.concat();
    let (source, destination) = (
        "10.9.0.1:50000".parse().unwrap(),
        "10.9.0.2:4789".parse().unwrap(),
    );
    let outer = Outer {
        source,
        destination,
        traffic_class: 3,
        time_to_live: 9,
    };
    let message = Message {
        outer,
        len: row.len(),
        stride: datagrams[0].len(),
        done: 0,
    };
    (row, message)
}

fn hand_out(datagrams: &[Vec<u8>]) -> Vec<Buffer> {
    let pool = Pool::default();
    let (row, mut message) = message(datagrams);
    let mut packets = Vec::new();
    while message.done < message.len {
        packets.push(next_of_row(&row, &mut message, &pool, None).unwrap());
    }
    packets
}

const OUTER: usize = super::super::outer::LEN_V4;

fn check_merged(packet: &Buffer, payload_len: usize, size: u16) {
    let mut bytes = packet.to_vec();
    assert_eq!(Outer::parse(&bytes).unwrap().0.traffic_class, 3);
    assert_eq!(bytes[OUTER..OUTER + 8], TUNNEL);
    let expected = Segmentation {
        kind: SegmentKind::TcpV4,
        size,
        ecn: false,
    };
    assert_eq!(packet.meta.segmentation, expected);
    assert!(packet.head().len() >= HEAD_MIN.min(bytes.len()));
    let Checksum::Partial { start, offset } = packet.meta.checksum else {
        panic!("{:?}", packet.meta.checksum)
    };
    let (start, field) = (usize::from(start), usize::from(start + offset));
    assert_eq!(
        start,
        OUTER + 8 + Layout::of(&bytes[OUTER + 8..]).unwrap().transport_at
    );
    let sum = checksum::of(&bytes[start..]);
    bytes[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(bytes[OUTER + 8..], inner(payload_len));
}

#[test]
fn a_stream_becomes_one_segment() {
    let packets = hand_out(&datagrams(60_000, 1_400));
    assert_eq!(packets.len(), 1);
    check_merged(&packets[0], 60_000, 1_400);
    let small = hand_out(&datagrams(900, 100));
    assert_eq!(small.len(), 1);
    check_merged(&small[0], 900, 100);
}

#[test]
fn jumbo_datagrams_become_one_segment() {
    let packets = hand_out(&datagrams(40_000, 8_900));
    assert_eq!(packets.len(), 1);
    check_merged(&packets[0], 40_000, 8_900);
}

#[test]
fn a_wrong_checksum_goes_up_alone_as_it_came() {
    let mut stream = datagrams(7_000, 1_000);
    stream[3][500] ^= 1;
    let packets = hand_out(&stream);
    let sizes: Vec<u16> = packets.iter().map(|p| p.meta.segmentation.size).collect();
    assert_eq!(sizes, [1_000, 0, 1_000]);
    assert_eq!(packets[1].meta.checksum, Checksum::Unknown);
    assert_eq!(packets[1].to_vec()[OUTER..], stream[3]);
}

#[test]
fn other_segments_of_the_overlay_are_kept_apart() {
    let mut stream = datagrams(4_000, 1_000);
    stream[2][6] = 8;
    let packets = hand_out(&stream);
    assert_eq!(packets.len(), 3);
    assert_eq!(packets[1].meta.checksum, Checksum::Valid);
    assert_eq!(packets[1].to_vec()[OUTER..], stream[2]);
}

#[test]
fn without_a_slab_packets_go_up_one_by_one() {
    let settings = anet_memory::buffer::PoolSettings {
        buffers: 16,
        slabs: 0,
        ..Default::default()
    };
    let pool = Pool::new(settings).unwrap();
    let stream = datagrams(9_000, 1_000);
    let (row, mut message) = message(&stream);
    for datagram in &stream {
        let packet = next_of_row(&row, &mut message, &pool, None).unwrap();
        assert_eq!(packet.to_vec()[OUTER..], *datagram);
    }
    assert_eq!(message.done, message.len);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_byte_is_lost_whatever_is_changed(
        len in 1usize..9_000, size in 8u16..2_500, changes in proptest::collection::vec((0usize..9_000, any::<u8>()), 0..4),
    ) {
        let mut stream = datagrams(len, size);
        let count = stream.len();
        for (at, bits) in changes {
            let datagram = &mut stream[at % count];
            let at = at % datagram.len();
            datagram[at] ^= bits;
        }
        let packets = hand_out(&stream);
        let payload: usize = packets.iter().map(|p| p.len() - OUTER - 62).sum();
        let dropped_headers = count - packets.len();
        prop_assert_eq!(payload + packets.len() * 62 + dropped_headers * 62, stream.concat().len());
        let alone = packets.iter().filter(|p| p.meta.segmentation.kind == SegmentKind::None);
        for packet in alone {
            prop_assert!(stream.iter().any(|datagram| *datagram == packet.to_vec()[OUTER..]));
        }
    }

    #[test]
    fn hostile_rows_do_no_harm(row in proptest::collection::vec(any::<u8>(), 1..3_000), stride in 1usize..3_000) {
        let rows: Vec<Vec<u8>> = row.chunks(stride).map(<[u8]>::to_vec).collect();
        let packets = hand_out(&rows);
        prop_assert_eq!(packets.len(), rows.len());
    }
}
