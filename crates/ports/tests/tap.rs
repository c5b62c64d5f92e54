//! TAP ports against a real kernel: a namespace as guest.

#![allow(clippy::unwrap_used)]

mod support;

use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anet_memory::buffer::{Buffer, Checksum, Pool, PoolSettings, SegmentKind};
use anet_packet::addr::Mac;
use anet_ports::kernel::tap::{Tap, TapSettings};
use anet_ports::kernel::wait::Waiter;
use anet_ports::{Port, PortError};
use support::{Forwarder, Namespace, receive_until, skipped, tcp_between};

const MAC: Mac = Mac([2, 0, 0, 0, 0, 0x11]);

/// A guest namespace with a TAP that is up and has an address.
fn guest(address: &str) -> (Namespace, Tap) {
    let namespace = Namespace::new();
    let settings = TapSettings {
        namespace: Some(namespace.path()),
        mac: Some(MAC),
        ..TapSettings::named("tap0")
    };
    let tap = Tap::open(&settings).unwrap();
    namespace.run(&format!("ip addr add {address}/24 dev tap0"));
    namespace.run("ip link set tap0 up");
    (namespace, tap)
}

fn is_arp(buffer: &Buffer) -> bool {
    buffer.head().get(12..14) == Some(&[8, 6])
}

#[test]
fn a_ping_from_the_guest_arrives_as_arp_and_wakes_the_sleeper() {
    if skipped("a_ping_from_the_guest_arrives_as_arp_and_wakes_the_sleeper") {
        return;
    }
    let (namespace, mut tap) = guest("10.9.0.1");
    let mut queue = tap.receive_queue(0).unwrap();
    assert!(matches!(
        tap.receive_queue(0).err(),
        Some(PortError::NoQueue { .. })
    ));
    let waiter = Waiter::new().unwrap();
    waiter.add(queue.wait_descriptor().unwrap(), 7).unwrap();
    let mut ping = Command::new("ip")
        .args(["netns", "exec", &namespace.name, "ping", "-c1", "-W1", "10.9.0.2"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut ready = Vec::new();
    waiter.wait(Some(Duration::from_secs(5)), &mut ready).unwrap();
    assert_eq!(ready, [7]);
    let pool = Pool::default();
    let arp = receive_until(&mut *queue, &pool, is_arp);
    assert_eq!((arp.len(), &arp.head()[6..12]), (42, &MAC.0[..]));
    assert_eq!(&arp.head()[38..42], [10, 9, 0, 2]);
    _ = ping.wait();
    drop(queue);
    assert!(
        tap.receive_queue(0).is_ok(),
        "a queue that was dropped can be given out again"
    );
}

#[test]
fn tcp_segments_cross_whole_between_two_guests() {
    if skipped("tcp_segments_cross_whole_between_two_guests") {
        return;
    }
    let (a, mut tap_a) = guest("10.9.1.1");
    let b = Namespace::new();
    let settings = TapSettings {
        namespace: Some(b.path()),
        ..TapSettings::named("tap0")
    };
    let mut tap_b = Tap::open(&settings).unwrap();
    b.run("ip addr add 10.9.1.2/24 dev tap0");
    b.run("ip link set tap0 up");
    let forwarder = Forwarder::between(&mut tap_a, &mut tap_b);
    tcp_between(&a, &b, "10.9.1.2", 8 << 20);
    tcp_between(&b, &a, "10.9.1.1", 1 << 20);
    assert!(forwarder.segments.load(Ordering::Relaxed) > 20);
    let largest = forwarder.largest.load(Ordering::Relaxed);
    assert!(largest > 30_000, "segments are whole: {largest}");
}

#[test]
fn what_the_guest_hands_over_says_what_it_is() {
    if skipped("what_the_guest_hands_over_says_what_it_is") {
        return;
    }
    let (namespace, mut tap) = guest("10.9.2.1");
    namespace.run("ip neigh add 10.9.2.2 lladdr 02:00:00:00:00:22 dev tap0 nud permanent");
    let mut queue = tap.receive_queue(0).unwrap();
    let sender = namespace.inside(|| std::net::UdpSocket::bind("10.9.2.1:0").unwrap());
    sender.send_to(&[5; 100], "10.9.2.2:9").unwrap();
    let pool = Pool::default();
    let udp = |buffer: &Buffer| buffer.head().get(23) == Some(&17);
    let packet = receive_until(&mut *queue, &pool, udp);
    assert_eq!(
        (packet.len(), packet.meta.checksum),
        (142, Checksum::Partial { start: 34, offset: 6 })
    );
    assert_eq!(packet.meta.segmentation.kind, SegmentKind::None);
    if tap.capabilities().segment_udp {
        let segment: libc::c_int = 1000;
        let (level, option) = (libc::SOL_UDP, libc::UDP_SEGMENT);
        // SAFETY: the kernel reads one int.
        let set =
            unsafe { libc::setsockopt(sender.as_raw_fd(), level, option, (&raw const segment).cast(), 4) };
        assert_eq!(set, 0);
        sender.send_to(&[6; 5500], "10.9.2.2:9").unwrap();
        let train = receive_until(&mut *queue, &pool, |b| {
            b.meta.segmentation.kind == SegmentKind::Udp
        });
        assert_eq!((train.len(), train.meta.segmentation.size), (5542, 1000));
    }
}

#[test]
fn a_burst_of_large_packets_ends_early_and_the_rest_is_reported_again() {
    if skipped("a_burst_of_large_packets_ends_early_and_the_rest_is_reported_again") {
        return;
    }
    let (namespace, mut tap) = guest("10.9.6.1");
    namespace.run("ip neigh add 10.9.6.2 lladdr 02:00:00:00:00:22 dev tap0 nud permanent");
    namespace.run("ip link set tap0 mtu 65000");
    let mut queue = tap.receive_queue(0).unwrap();
    let waiter = Waiter::new().unwrap();
    waiter.add(queue.wait_descriptor().unwrap(), 7).unwrap();
    let sender = namespace.inside(|| std::net::UdpSocket::bind("10.9.6.1:0").unwrap());
    let sent = 8;
    for number in 0..sent {
        sender.send_to(&[number; 60_000], "10.9.6.2:9").unwrap();
    }
    let (pool, mut ready) = (Pool::default(), Vec::new());
    let (mut bursts, mut numbers) = (Vec::new(), Vec::<u8>::new());
    while numbers.len() < usize::from(sent) {
        waiter.wait(Some(Duration::from_secs(5)), &mut ready).unwrap();
        assert_eq!(ready, [7], "what is left is reported");
        let mut burst = Vec::new();
        bursts.push(queue.receive(&pool, &mut burst, 32).unwrap());
        numbers.extend(
            burst
                .iter()
                .filter_map(|packet| packet.chain_slices().last()?.last().copied()),
        );
    }
    assert!(numbers == (0..sent).collect::<Vec<_>>(), "{numbers:?}");
    assert!(
        bursts.iter().all(|packets| *packets <= 3),
        "three are more than a cache should hold: {bursts:?}"
    );
}

#[test]
fn with_an_empty_pool_packets_are_dropped_counted_and_taken_off() {
    if skipped("with_an_empty_pool_packets_are_dropped_counted_and_taken_off") {
        return;
    }
    let (namespace, mut tap) = guest("10.9.5.1");
    namespace.run("ip neigh add 10.9.5.2 lladdr 02:00:00:00:00:22 dev tap0 nud permanent");
    namespace.run("ip link set tap0 mtu 9000");
    let mut queue = tap.receive_queue(0).unwrap();
    let pool = Pool::new(PoolSettings {
        buffers: 2,
        slabs: 0,
        ..PoolSettings::default()
    })
    .unwrap();
    let sender = namespace.inside(|| std::net::UdpSocket::bind("10.9.5.1:0").unwrap());
    let mut burst = Vec::new();
    while queue.receive(&pool, &mut burst, 8).unwrap() > 0 {
        burst.clear();
    }
    let start = queue.counters();
    for _ in 0..5 {
        sender.send_to(&[1; 50], "10.9.5.2:9").unwrap();
    }
    assert_eq!(queue.receive(&pool, &mut burst, 32).unwrap(), 2);
    assert_eq!(
        queue.counters().dropped_pool_exhausted - start.dropped_pool_exhausted,
        3
    );
    burst.clear();
    sender.send_to(&[1; 5000], "10.9.5.2:9").unwrap();
    sender.send_to(&[1; 50], "10.9.5.2:9").unwrap();
    assert_eq!(
        queue.receive(&pool, &mut burst, 32).unwrap(),
        1,
        "the long one found no slab"
    );
    assert_eq!(
        (
            burst[0].len(),
            queue.counters().dropped_pool_exhausted - start.dropped_pool_exhausted
        ),
        (92, 4)
    );
}

#[test]
fn frames_that_the_kernel_refuses_are_dropped_and_the_rest_goes_out() {
    if skipped("frames_that_the_kernel_refuses_are_dropped_and_the_rest_goes_out") {
        return;
    }
    let (_namespace, mut tap) = guest("10.9.6.1");
    let mut output = tap.transmit_queue().unwrap();
    let pool = Pool::default();
    let mut bad = Vec::new();
    for (checksum, kind) in [
        (
            Checksum::Partial {
                start: 34,
                offset: 16,
            },
            SegmentKind::TcpV4,
        ), // no TCP header there
        (
            Checksum::Partial {
                start: 300,
                offset: 16,
            },
            SegmentKind::None,
        ), // behind the end
        (Checksum::Unknown, SegmentKind::TcpV6), // a segment without partial checksum
    ] {
        let mut buffer = pool.copy_from(&[0; 200]).unwrap();
        buffer.meta.checksum = checksum;
        buffer.meta.segmentation.kind = kind;
        buffer.meta.segmentation.size = 100;
        bad.push(buffer);
    }
    bad.push(pool.copy_from(&[]).unwrap());
    bad.push(pool.copy_from(&[1; 5]).unwrap());
    bad.push(pool.copy_from(&[0; 60]).unwrap());
    let outcome = output.transmit(&mut bad);
    assert_eq!((outcome.sent, outcome.dropped_unsupported), (1, 5), "{outcome:?}");
    assert!(outcome.error.is_none(), "{outcome:?}");
}

#[test]
fn two_workers_send_through_one_tap_at_once() {
    if skipped("two_workers_send_through_one_tap_at_once") {
        return;
    }
    let (namespace, mut tap) = guest("10.9.8.1");
    let queues = [tap.transmit_queue().unwrap(), tap.transmit_queue().unwrap()];
    let workers = queues.map(|mut queue| {
        std::thread::spawn(move || {
            let pool = Pool::default();
            let bursts = (0..100).map(|_| {
                (0..10)
                    .map(|_| pool.copy_from(&[2; 60]).unwrap())
                    .collect::<Vec<_>>()
            });
            bursts
                .map(|mut burst| queue.transmit(&mut burst).sent)
                .sum::<u32>()
        })
    });
    assert_eq!(workers.map(|worker| worker.join().unwrap()), [1000, 1000]);
    let show = ["netns", "exec", &namespace.name, "cat", "/proc/net/dev"];
    let devices = String::from_utf8(Command::new("ip").args(show).output().unwrap().stdout).unwrap();
    let line = devices
        .lines()
        .find_map(|line| line.trim().strip_prefix("tap0:"))
        .unwrap();
    assert_eq!(line.split_whitespace().nth(1), Some("2000"), "{devices}");
}

/// Offload headers that lie, written into one TAP and read from another across a bridge: whatever passes the kernel must
/// hold for the packet. (Headers that no kernel would pass on are in the tests of `vnet_header`.)
#[test]
fn hostile_headers_are_stopped_by_the_kernel_or_by_us() {
    if skipped("hostile_headers_are_stopped_by_the_kernel_or_by_us") {
        return;
    }
    let (namespace, mut tap) = guest("10.9.7.1");
    namespace.run("ip link add br0 type bridge");
    namespace.run("ip addr flush dev tap0");
    namespace.run("ip link set tap0 master br0");
    namespace.run("ip link set br0 up");
    let other = TapSettings {
        namespace: Some(namespace.path()),
        ..TapSettings::named("tap1")
    };
    let mut other = Tap::open(&other).unwrap();
    namespace.run("ip link set tap1 master br0");
    namespace.run("ip link set tap1 up");
    let (mut input, mut output) = (tap.receive_queue(0).unwrap(), other.transmit_queue().unwrap());
    let pool = Pool::default();
    std::thread::sleep(Duration::from_millis(100));
    for seed in 0_u32..200 {
        let mut frame = vec![0xff; 200];
        frame
            .iter_mut()
            .skip(12)
            .enumerate()
            .for_each(|(i, b)| *b = (seed.wrapping_mul(2_654_435_761) >> (i % 24)) as u8);
        frame[12..15].copy_from_slice(&[8, 0, 0x45]);
        let mut buffer = pool.copy_from(&frame).unwrap();
        buffer.meta.checksum = Checksum::Partial {
            start: 14 + (seed % 190) as u16,
            offset: (seed % 17) as u16,
        };
        let kinds = [
            SegmentKind::None,
            SegmentKind::TcpV4,
            SegmentKind::TcpV6,
            SegmentKind::Udp,
        ];
        buffer.meta.segmentation.kind = kinds[seed as usize % 4];
        buffer.meta.segmentation.size = (seed % 70) as u16;
        _ = output.transmit(&mut vec![buffer]);
        let mut burst = Vec::new();
        input.receive(&pool, &mut burst, 8).unwrap();
        for buffer in burst {
            if let Checksum::Partial { start, offset } = buffer.meta.checksum {
                assert!(usize::from(start) + usize::from(offset) + 2 <= buffer.head().len());
            }
        }
    }
    assert_eq!(
        pool.statistics().buffers_free,
        PoolSettings::default().buffers as usize,
        "nothing leaks"
    );
}
