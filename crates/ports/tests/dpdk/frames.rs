//! Bytes that go out and come back: as they are, finished, or cut.

use anet_memory::buffer::{Buffer, Checksum, SegmentKind, Segmentation};
use anet_ports::dpdk::{DpdkSettings, Role};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use crate::packets::{THEIRS, outer, tcp_inner, udp_inner};
use crate::{Opened, device, settings, skipped};

fn uplink() -> Opened {
    Opened::new(&DpdkSettings {
        role: Role::Uplink,
        mtu: 1600,
        ..settings(&device("net_ring"))
    })
}

fn frame(opened: &Opened, bytes: &[u8]) -> Buffer {
    opened.pool.copy_from(bytes).unwrap()
}

#[test]
fn frames_come_back_as_they_went_in_their_order() {
    if skipped("frames_come_back_as_they_went_in_their_order") {
        return;
    }
    let mut opened = Opened::new(&settings(&device("net_ring")));
    let frames: Vec<Vec<u8>> = (0..200_u8).map(|n| vec![n; 60 + usize::from(n) * 7]).collect();
    let burst = frames.iter().map(|bytes| frame(&opened, bytes)).collect();
    opened.send(burst);
    let back = opened.receive();
    assert_eq!(back.iter().map(Buffer::to_vec).collect::<Vec<_>>(), frames);
    // And again, this time in the device's own buffers, with a header in front.
    let mut again = back;
    for buffer in &mut again {
        buffer.prepend(50).unwrap().fill(0xee);
        buffer.trim_front(10).unwrap();
    }
    opened.send(again);
    for (bytes, back) in frames.iter().zip(opened.receive()) {
        let expected: Vec<u8> = [&[0xee; 40], &bytes[..]].concat();
        assert_eq!(back.to_vec(), expected);
    }
    let counters = opened.receive.counters();
    assert_eq!(counters.packets, 400);
}

#[test]
fn what_is_longer_than_the_device_takes_is_a_counted_drop() {
    if skipped("what_is_longer_than_the_device_takes_is_a_counted_drop") {
        return;
    }
    let mut opened = Opened::new(&settings(&device("net_ring")));
    let mut burst = vec![
        frame(&opened, &[1; 1522]),
        frame(&opened, &[2; 1523]),
        frame(&opened, &[3; 60]),
    ];
    let outcome = opened.transmit.transmit(&mut burst);
    assert_eq!((outcome.sent, outcome.dropped_unsupported), (2, 1));
    assert_eq!(outcome.sent_bytes, 1522 + 60);
    assert!(burst.is_empty());
    let back: Vec<usize> = opened.receive().iter().map(Buffer::len).collect();
    assert_eq!(back, [1522, 60]);
}

#[test]
fn a_full_queue_and_an_empty_pool_are_counted_drops() {
    if skipped("a_full_queue_and_an_empty_pool_are_counted_drops") {
        return;
    }
    let mut opened = Opened::new(&settings(&device("net_ring")));
    let (mut sent, mut dropped) = (0, 0);
    for _ in 0..100 {
        let mut burst: Vec<Buffer> = (0..64).map(|n| frame(&opened, &[n; 64])).collect();
        let outcome = opened.transmit.transmit(&mut burst);
        sent += outcome.sent;
        dropped += outcome.dropped_full;
        assert_eq!(outcome.sent_bytes, u64::from(outcome.sent) * 64);
    }
    assert_eq!(sent + dropped, 6_400);
    assert!(dropped > 0 && sent >= 1_000, "{sent} sent, {dropped} dropped");
    assert_eq!(opened.receive().len(), sent as usize);
    // What was dropped went back to its pool: it can be sent again.
    let burst = (0..64).map(|n| frame(&opened, &[n; 64])).collect();
    opened.send(burst);
    // And with the device's buffers all held, there is none to copy into.
    let mut held = opened.receive();
    loop {
        let mut burst = vec![frame(&opened, &[9; 64])];
        if opened.transmit.transmit(&mut burst).dropped_full == 1 {
            break;
        }
        held.extend(opened.receive());
        assert!(held.len() < 100_000);
    }
    drop(held);
    let burst = vec![frame(&opened, &[1; 64])];
    opened.send(burst);
}

#[test]
fn an_unfinished_checksum_is_finished() {
    if skipped("an_unfinished_checksum_is_finished") {
        return;
    }
    let mut opened = uplink();
    for (from, to) in [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")] {
        let right = outer(
            from,
            to,
            50_000,
            0,
            &udp_inner(THEIRS, [10, 0, 0, 2], 6666, &[0x5a; 300]),
        );
        let inner_at = right.len() - 300 - 8;
        let mut wrong = right.clone();
        // What a guest leaves there: the pseudo header's sum.
        let pseudo: u32 = [0x0a00_u32, 1, 0x0a00, 2, 17, 308].iter().sum();
        wrong[inner_at + 6..inner_at + 8].copy_from_slice(&(pseudo as u16).to_be_bytes());
        let mut buffer = frame(&opened, &wrong);
        buffer.meta.checksum = Checksum::Partial {
            start: inner_at as u16,
            offset: 6,
        };
        opened.send(vec![buffer]);
        assert_eq!(opened.receive()[0].to_vec(), right);
    }
}

#[test]
fn a_large_segment_is_cut_and_every_packet_is_right() {
    if skipped("a_large_segment_is_cut_and_every_packet_is_right") {
        return;
    }
    let payload: Vec<u8> = (0..60_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    for (six_outside, six_inside) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut opened = uplink();
        let (from, to) = if six_outside {
            ("fd00::1", "fd00::2")
        } else {
            ("10.0.0.1", "10.0.0.2")
        };
        let inner = tcp_inner(six_inside, &payload);
        let mut buffer = frame(&opened, &outer(from, to, 50_000, 0xb8, &inner));
        let kind = if six_inside {
            SegmentKind::TcpV6
        } else {
            SegmentKind::TcpV4
        };
        buffer.meta.segmentation = Segmentation {
            kind,
            size: 1400,
            ecn: false,
        };
        opened.send(vec![buffer]);
        let packets = opened.receive();
        assert_eq!(packets.len(), 43);
        let joined: Vec<u8> = packets
            .iter()
            .flat_map(|packet| checked_payload(&packet.to_vec()))
            .collect();
        assert_eq!(joined, payload);
    }
}

/// The TCP payload inside a tunnelled frame, all of whose lengths and checksums are right.
fn checked_payload(bytes: &[u8]) -> Vec<u8> {
    let outside = SlicedPacket::from_ethernet(bytes).unwrap();
    let udp_payload = match (&outside.net, &outside.transport) {
        (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Udp(udp))) => {
            assert_eq!(
                ip.header().header_checksum(),
                ip.header().to_header().calc_header_checksum()
            );
            assert_eq!(usize::from(ip.header().total_len()), bytes.len() - 14);
            udp.payload()
        }
        (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Udp(udp))) => {
            assert_eq!(usize::from(ip.header().payload_length()), bytes.len() - 54);
            udp.payload()
        }
        other => panic!("{other:?}"),
    };
    let inside = SlicedPacket::from_ethernet(&udp_payload[8..]).unwrap();
    let Some(TransportSlice::Tcp(tcp)) = &inside.transport else {
        panic!("no TCP inside")
    };
    let header = tcp.to_header();
    let expected = match &inside.net {
        Some(NetSlice::Ipv4(ip)) => header.calc_checksum_ipv4(&ip.header().to_header(), tcp.payload()),
        Some(NetSlice::Ipv6(ip)) => header.calc_checksum_ipv6(&ip.header().to_header(), tcp.payload()),
        _ => panic!("no IP inside"),
    };
    assert_eq!(header.checksum, expected.unwrap());
    tcp.payload().to_vec()
}

#[test]
fn what_is_no_segment_is_a_counted_drop_and_none_of_it_goes() {
    if skipped("what_is_no_segment_is_a_counted_drop_and_none_of_it_goes") {
        return;
    }
    let mut opened = uplink();
    let good = outer("10.0.0.1", "10.0.0.2", 50_000, 0, &tcp_inner(false, &[1; 9_000]));
    let cases: [(&str, Vec<u8>, SegmentKind, u16); 4] = [
        (
            "not tunnelled",
            tcp_inner(false, &[1; 9_000]),
            SegmentKind::TcpV4,
            1400,
        ),
        ("another kind", good.clone(), SegmentKind::TcpV6, 1400),
        ("too small a size", good.clone(), SegmentKind::TcpV4, 7),
        ("too large a size", good, SegmentKind::TcpV4, 1_600),
    ];
    for (what, bytes, kind, size) in cases {
        let mut buffer = frame(&opened, &bytes);
        buffer.meta.segmentation = Segmentation {
            kind,
            size,
            ecn: false,
        };
        let outcome = opened.transmit.transmit(&mut vec![buffer]);
        assert_eq!(
            (outcome.sent, outcome.dropped_unsupported, outcome.sent_bytes),
            (0, 1, 0),
            "{what}"
        );
        assert_eq!(opened.receive().len(), 0, "{what}");
    }
}
