//! What cannot be is refused, dropped and counted, with a reason.

use anet_lab::KernelVxlan;
use anet_memory::buffer::{Checksum, Pool, PoolSettings, SegmentKind, Segmentation};
use anet_packet::addr::Vni;
use anet_ports::Port;
use anet_ports::kernel::uplink::{Uplink, UplinkSettings};

use crate::packets::{THEIRS, bytes, outer, segment, tcp_inner, udp_inner};
use crate::underlay::{FAMILIES, Underlay, end, receive, receive_for, settings};

#[test]
fn too_big_is_counted_or_fragmented_as_set() {
    let Some(underlay) = Underlay::new("too_big_is_counted_or_fragmented_as_set") else {
        return;
    };
    let pool = Pool::default();
    for (from, to, outer_len) in FAMILIES {
        let mut right = end(&settings(&underlay.right, to));
        let inner = tcp_inner(false, &bytes(14 * 1_460));
        let frame = outer(from, to, 50_001, 0, &inner);
        for dont_fragment in [true, false] {
            let mut left = end(&UplinkSettings {
                dont_fragment,
                ..settings(&underlay.left, from)
            });
            let mut burst = vec![segment(&pool, &frame, outer_len == 62, 1_460)];
            burst.push(
                pool.copy_from(&outer(from, to, 50_001, 0, &tcp_inner(false, &bytes(1_800))))
                    .unwrap(),
            );
            let outcome = left.transmit.transmit(&mut burst);
            if dont_fragment {
                assert_eq!((outcome.sent, outcome.dropped_unsupported), (0, 2), "{outcome:?}");
                assert_eq!(left.uplink.statistics().too_big, 2);
            } else {
                assert_eq!((outcome.sent, outcome.dropped()), (2, 0), "{outcome:?}");
                let packets = receive(&mut *right.receive, &pool, 15);
                let total: usize = packets
                    .iter()
                    .map(|packet| packet.len() - outer_len - 8 - 54)
                    .sum();
                assert_eq!(total, 14 * 1_460 + 1_800);
            }
        }
    }
}

#[test]
fn what_cannot_be_sent_is_dropped_with_a_reason() {
    let Some(underlay) = Underlay::new("what_cannot_be_sent_is_dropped_with_a_reason") else {
        return;
    };
    let pool = Pool::default();
    let mut left = end(&settings(&underlay.left, "10.9.0.1"));
    let inner = udp_inner(THEIRS, [10, 0, 0, 2], 53, b"x");
    let mut lying = pool
        .copy_from(&outer("10.9.0.1", "10.9.0.2", 9, 0, &inner))
        .unwrap();
    lying.meta.segmentation = Segmentation {
        kind: SegmentKind::TcpV6,
        size: 100,
        ecn: false,
    };
    let mut far = pool
        .copy_from(&outer("10.9.0.1", "10.9.0.2", 9, 0, &inner))
        .unwrap();
    far.meta.checksum = Checksum::Partial {
        start: 60_000,
        offset: 6_000,
    };
    let mut burst = vec![
        pool.copy_from(&[0; 14]).unwrap(),
        pool.copy_from(&[]).unwrap(),
        lying,
        far,
        pool.copy_from(&outer("10.9.0.1", "192.0.2.1", 9, 0, &inner))
            .unwrap(),
    ];
    let outcome = left.transmit.transmit(&mut burst);
    assert_eq!(
        (outcome.sent, outcome.dropped_unsupported, outcome.dropped_error),
        (0, 4, 1),
        "{outcome:?}"
    );
    let error = outcome.error.unwrap().to_string();
    assert!(error.contains("no route"), "{error}");
}

#[test]
fn an_empty_pool_costs_packets_and_says_so() {
    let Some(underlay) = Underlay::new("an_empty_pool_costs_packets_and_says_so") else {
        return;
    };
    let pool = Pool::default();
    let (mut left, mut right) = (
        end(&settings(&underlay.left, "10.9.0.1")),
        end(&settings(&underlay.right, "10.9.0.2")),
    );
    let inner = udp_inner(THEIRS, [10, 0, 0, 2], 53, b"x");
    let frame = outer("10.9.0.1", "10.9.0.2", 9, 0, &inner);
    let mut burst = vec![pool.copy_from(&frame).unwrap()];
    assert_eq!(left.transmit.transmit(&mut burst).sent, 1);
    let settings = PoolSettings {
        buffers: 1,
        slabs: 0,
        ..PoolSettings::default()
    };
    let small = Pool::new(settings).unwrap();
    let held = small.take().unwrap();
    assert_eq!(receive_for(&mut *right.receive, &small, 100).len(), 0);
    assert_eq!(right.receive.counters().dropped_pool_exhausted, 1);
    drop(held);
    let mut burst = vec![pool.copy_from(&frame).unwrap()];
    assert_eq!(left.transmit.transmit(&mut burst).sent, 1);
    assert_eq!(receive(&mut *right.receive, &small, 1).len(), 1);
}

#[test]
fn errors_say_what_to_do() {
    let Some(underlay) = Underlay::new("errors_say_what_to_do") else {
        return;
    };
    let ours = settings(&underlay.left, "10.9.0.1");
    let mut first = Uplink::open(&ours).unwrap();
    let queue = first.receive_queue(0).unwrap();
    assert!(first.receive_queue(0).is_err() && first.receive_queue(1).is_err());
    drop(queue);
    assert!(first.receive_queue(0).is_ok());
    let error = |settings: UplinkSettings| Uplink::open(&settings).unwrap_err().to_string();
    assert!(error(ours.clone()).contains("ss -lunp"));
    assert!(
        error(UplinkSettings {
            receive_queues: 4,
            ..ours.clone()
        })
        .contains("ss -lunp")
    );
    assert!(error(settings(&underlay.left, "10.9.0.77")).contains("ip address add"));
    assert!(
        error(UplinkSettings {
            namespace: Some("/run/netns/none".into()),
            ..ours.clone()
        })
        .contains("ip netns list")
    );
    assert!(
        error(UplinkSettings {
            udp_port: 0,
            ..ours.clone()
        })
        .contains("4789")
    );
    assert!(error(settings(&underlay.left, "0.0.0.0")).contains("tunnel endpoint"));
    let address = "10.9.0.2".parse().unwrap();
    KernelVxlan::new(&underlay.right, "vxlan0", Vni::new(7).unwrap(), address).unwrap();
    assert!(error(settings(&underlay.right, "10.9.0.2")).contains("type vxlan"));
}
