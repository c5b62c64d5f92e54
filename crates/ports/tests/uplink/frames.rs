//! What goes in comes out: bytes, outer fields, order, large segments, checksums.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anet_memory::buffer::{Buffer, Checksum, Pool};
use anet_packet::checksum;
use anet_packet::segment::{Cut, Layout};
use anet_ports::Port;
use anet_ports::kernel::uplink::{Uplink, UplinkSettings};
use anet_ports::kernel::wait::Waiter;

use crate::packets::{THEIRS, bytes, outer, segment, tcp_inner, udp_inner};
use crate::underlay::{FAMILIES, Underlay, end, receive, settings};

#[test]
fn frames_come_out_as_they_went_in() {
    let Some(underlay) = Underlay::new("frames_come_out_as_they_went_in") else {
        return;
    };
    let pool = Pool::default();
    for (from, to, outer_len) in FAMILIES {
        let (mut left, mut right) = (
            end(&settings(&underlay.left, from)),
            end(&settings(&underlay.right, to)),
        );
        let inners: Vec<Vec<u8>> = (0..40_u16)
            .map(|i| {
                udp_inner(
                    THEIRS,
                    [10, 0, 0, 2],
                    53,
                    &bytes(if i < 20 { 100 } else { usize::from(i) * 30 }),
                )
            })
            .collect();
        // CE, and DSCP EF: what RFC 6040 puts on the outer header.
        let frames = inners
            .iter()
            .map(|inner| pool.copy_from(&outer(from, to, 50_001, 0xbb, inner)).unwrap());
        let mut burst: Vec<Buffer> = frames.collect();
        let outcome = left.transmit.transmit(&mut burst);
        assert_eq!((outcome.sent, outcome.dropped(), burst.len()), (40, 0, 0));
        let packets = receive(&mut *right.receive, &pool, 40);
        let mut ports = Vec::new();
        assert_eq!(packets.len(), 40);
        for (packet, inner) in packets.iter().zip(&inners) {
            let received = packet.to_vec();
            assert_eq!(received[outer_len + 8..], *inner);
            let parsed = etherparse::PacketHeaders::from_ethernet_slice(&received).unwrap();
            match parsed.net.unwrap() {
                etherparse::NetHeaders::Ipv4(ip, _) => {
                    assert_eq!(
                        (ip.dscp.value(), ip.ecn.value(), ip.time_to_live),
                        (0xbb >> 2, 3, 33)
                    );
                    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                }
                etherparse::NetHeaders::Ipv6(ip, _) => {
                    assert_eq!((ip.traffic_class, ip.hop_limit), (0xbb, 33))
                }
                _ => panic!("not IP"),
            }
            ports.push(parsed.transport.unwrap().udp().unwrap().source_port);
            assert_eq!(packet.meta.checksum, Checksum::Unknown);
        }
        assert!(
            ports.iter().all(|port| *port == ports[0]),
            "a flow keeps its source port: {ports:?}"
        );
        assert_eq!(left.uplink.statistics(), Default::default());
        assert_eq!(left.uplink.capabilities().mtu, 1500);
    }
}

#[test]
fn a_large_segment_stays_large() {
    let Some(underlay) = Underlay::new("a_large_segment_stays_large") else {
        return;
    };
    let pool = Pool::default();
    for (from, to, outer_len) in FAMILIES {
        for inner_six in [false, true] {
            let (mut left, mut right) = (
                end(&settings(&underlay.left, from)),
                end(&settings(&underlay.right, to)),
            );
            assert!(
                left.uplink.offloads().segment && right.uplink.offloads().merge,
                "{:?}",
                left.uplink.offloads()
            );
            let inner = tcp_inner(inner_six, &bytes(65_000));
            let frame = outer(from, to, 50_001, 0, &inner);
            let mut burst = vec![segment(&pool, &frame, outer_len == 62, 1_300)];
            assert_eq!(left.transmit.transmit(&mut burst).sent, 1);
            let packets = receive(&mut *right.receive, &pool, 2);
            assert!(packets.len() == 2, "{} packets", packets.len());
            let mut payload = Vec::new();
            for packet in &packets {
                let received = packet.to_vec();
                let layout = Layout::of(&received[outer_len + 8..]).unwrap();
                payload.extend_from_slice(&received[outer_len + 8 + layout.payload_at..]);
                assert_eq!(packet.meta.segmentation.size, 1_300);
                assert!(matches!(packet.meta.checksum, Checksum::Partial { .. }));
            }
            assert_eq!(payload, bytes(65_000));
        }
    }
}

#[test]
fn many_flows_arrive_each_in_order_over_several_ports() {
    let Some(underlay) = Underlay::new("many_flows_arrive_each_in_order_over_several_ports") else {
        return;
    };
    let pool = Pool::default();
    let (mut left, mut right) = (
        end(&settings(&underlay.left, "10.9.0.1")),
        end(&settings(&underlay.right, "10.9.0.2")),
    );
    let mut burst = Vec::new();
    for sequence in 0..10_u8 {
        for flow in 0..20_u8 {
            let inner = udp_inner(THEIRS, [10, 0, 0, 2], 53, &[flow, sequence]);
            burst.push(
                pool.copy_from(&outer(
                    "10.9.0.1",
                    "10.9.0.2",
                    50_000 + u16::from(flow),
                    0,
                    &inner,
                ))
                .unwrap(),
            );
        }
    }
    assert_eq!(left.transmit.transmit(&mut burst).sent, 200);
    let packets = receive(&mut *right.receive, &pool, 200);
    let mut next = [0_u8; 20];
    let mut ports = BTreeSet::new();
    for packet in &packets {
        let head = packet.head();
        ports.insert([head[34], head[35]]);
        let &[flow, sequence] = head.last_chunk().unwrap();
        assert_eq!(sequence, next[usize::from(flow)]);
        next[usize::from(flow)] += 1;
    }
    assert_eq!(next, [10; 20]);
    assert_eq!(ports.len(), 16);
}

#[test]
fn a_partial_checksum_is_finished_and_a_wrong_one_is_not_repaired() {
    let Some(underlay) = Underlay::new("a_partial_checksum_is_finished_and_a_wrong_one_is_not_repaired")
    else {
        return;
    };
    let pool = Pool::default();
    let (mut left, mut right) = (
        end(&settings(&underlay.left, "10.9.0.1")),
        end(&settings(&underlay.right, "10.9.0.2")),
    );
    let whole = tcp_inner(false, &bytes(3_000));
    let cut = Cut::new(&whole, whole.len(), 1_000, false).unwrap();
    let inners: Vec<Vec<u8>> = (0..3)
        .map(|index| {
            let payload = &whole[54..][cut.payload(index)];
            let mut inner = vec![0; 54];
            cut.write_headers(index, checksum::sum(payload), &mut inner);
            inner.extend_from_slice(payload);
            inner
        })
        .collect();
    let mut partial = inners[0].clone();
    partial[50..52].copy_from_slice(&checksum::fold(0x0a00 + 1 + 0x0a00 + 2 + 6 + 1_020).to_be_bytes());
    let mut wrong = inners[1].clone();
    wrong[200] ^= 1;
    let frames = [&partial, &wrong, &inners[2]].map(|inner| outer("10.9.0.1", "10.9.0.2", 9, 0, inner));
    let mut burst: Vec<Buffer> = frames
        .iter()
        .map(|frame| pool.copy_from(frame).unwrap())
        .collect();
    burst[0].meta.checksum = Checksum::Partial {
        start: 42 + 8 + 34,
        offset: 16,
    };
    assert_eq!(left.transmit.transmit(&mut burst).sent, 3);
    let packets = receive(&mut *right.receive, &pool, 3);
    let received: Vec<Vec<u8>> = packets
        .iter()
        .map(|packet| packet.to_vec()[50..].to_vec())
        .collect();
    assert_eq!(received, [inners[0].clone(), wrong, inners[2].clone()]);
    assert_eq!(packets[1].meta.checksum, Checksum::Unknown);
}

#[test]
fn whoever_waits_for_the_descriptor_gets_all_of_a_long_row() {
    let Some(underlay) = Underlay::new("whoever_waits_for_the_descriptor_gets_all_of_a_long_row") else {
        return;
    };
    let pool = Pool::default();
    let mut left = end(&settings(&underlay.left, "10.9.0.1"));
    let mut right = end(&settings(&underlay.right, "10.9.0.2"));
    let waiter = Waiter::new().unwrap();
    waiter.add(right.receive.wait_descriptor().unwrap(), 1).unwrap();
    let inner = udp_inner(THEIRS, [10, 0, 0, 2], 53, &bytes(300));
    for _ in 0..2 {
        let frames = (0..60).map(|_| {
            pool.copy_from(&outer("10.9.0.1", "10.9.0.2", 9, 0, &inner))
                .unwrap()
        });
        let mut burst: Vec<Buffer> = frames.collect();
        assert_eq!(left.transmit.transmit(&mut burst).sent, 60);
        let (mut packets, mut ready) = (Vec::new(), Vec::new());
        while packets.len() < 60 {
            waiter.wait(Some(Duration::from_secs(3)), &mut ready).unwrap();
            assert_eq!(ready, [1], "{} packets", packets.len());
            let before = packets.len();
            right.receive.receive(&pool, &mut packets, 7).unwrap();
            assert!(packets.len() - before <= 7);
        }
        waiter.wait(Some(Duration::from_millis(1)), &mut ready).unwrap();
        assert!(ready.is_empty(), "{ready:?}");
    }
}

#[test]
fn several_receive_queues_share_the_flows() {
    let Some(underlay) = Underlay::new("several_receive_queues_share_the_flows") else {
        return;
    };
    let pool = Pool::default();
    let mut left = end(&settings(&underlay.left, "10.9.0.1"));
    let mut right = Uplink::open(&UplinkSettings {
        receive_queues: 2,
        ..settings(&underlay.right, "10.9.0.2")
    })
    .unwrap();
    let mut queues = [right.receive_queue(0).unwrap(), right.receive_queue(1).unwrap()];
    let inner = udp_inner(THEIRS, [10, 0, 0, 2], 53, b"shared");
    let mut burst: Vec<Buffer> = (0..32_u16)
        .map(|flow| {
            pool.copy_from(&outer("10.9.0.1", "10.9.0.2", flow, 0, &inner))
                .unwrap()
        })
        .collect();
    assert_eq!(left.transmit.transmit(&mut burst).sent, 32);
    let deadline = Instant::now() + Duration::from_secs(3);
    let mut counts = [0, 0];
    while counts[0] + counts[1] < 32 && Instant::now() < deadline {
        for (queue, count) in queues.iter_mut().zip(&mut counts) {
            *count += queue.receive(&pool, &mut Vec::new(), 64).unwrap();
        }
    }
    assert_eq!(counts[0] + counts[1], 32);
    assert!(counts[0] > 0 && counts[1] > 0, "{counts:?}");
}
