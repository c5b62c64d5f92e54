//! AF_PACKET ports against a real kernel: one end of a veth, whose other end is a guest's.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use anet_memory::buffer::{Buffer, Checksum, Pool};
use anet_ports::kernel::packet::{Packet, PacketSettings};
use anet_ports::kernel::tap::{Tap, TapSettings};
use anet_ports::kernel::wait::Waiter;
use anet_ports::{Disposition, Link, Port, PortError};
use support::{Forwarder, Namespace, receive_until, skipped, tcp_between};

/// A guest, and a host namespace that holds the other end of its veth: `host0`.
fn guest_on_veth(address: &str) -> (Namespace, Namespace, Packet) {
    let (guest, host) = (Namespace::new(), Namespace::new());
    host.run(&format!(
        "ip link add host0 type veth peer name eth0 netns {}",
        guest.name
    ));
    host.run("ip link set host0 up");
    guest.run(&format!("ip addr add {address}/24 dev eth0"));
    guest.run("ip link set eth0 up");
    let port = Packet::open(&settings(&host, "host0")).unwrap();
    (guest, host, port)
}

fn settings(namespace: &Namespace, name: &str) -> PacketSettings {
    PacketSettings {
        name: name.to_owned(),
        namespace: Some(namespace.path()),
    }
}

fn udp(buffer: &Buffer) -> bool {
    buffer.head().get(12..14) == Some(&[8, 0]) && buffer.head().get(23) == Some(&17)
}

#[test]
fn packets_come_in_with_their_checksum_unfinished_and_none_of_our_own() {
    if skipped("packets_come_in_with_their_checksum_unfinished_and_none_of_our_own") {
        return;
    }
    let (guest, _host, mut port) = guest_on_veth("10.9.20.1");
    guest.run("ip neigh add 10.9.20.2 lladdr 02:00:00:00:00:22 dev eth0 nud permanent");
    let (mut input, mut output) = (port.receive_queue(0).unwrap(), port.transmit_queue().unwrap());
    let pool = Pool::default();
    let outcome = output.transmit(&mut vec![pool.copy_from(&[0xff; 60]).unwrap()]);
    assert_eq!((outcome.sent, outcome.sent_bytes), (1, 60));
    let sender = guest.inside(|| std::net::UdpSocket::bind("10.9.20.1:0").unwrap());
    sender.send_to(&[5; 100], "10.9.20.2:9").unwrap();
    let waiter = Waiter::new().unwrap();
    waiter.add(input.wait_descriptor().unwrap(), 3).unwrap();
    let mut ready = Vec::new();
    waiter.wait(Some(Duration::from_secs(5)), &mut ready).unwrap();
    assert_eq!(ready, [3]);
    let own = |buffer: &Buffer| buffer.head().iter().all(|byte| *byte == 0xff);
    let packet = receive_until(&mut *input, &pool, |buffer| udp(buffer) || own(buffer));
    assert!(udp(&packet));
    assert_eq!(
        (packet.len(), packet.meta.checksum),
        (142, Checksum::Partial { start: 34, offset: 6 })
    );
}

#[test]
fn tcp_segments_cross_whole_between_veth_and_tap() {
    if skipped("tcp_segments_cross_whole_between_veth_and_tap") {
        return;
    }
    let (a, _host, mut veth) = guest_on_veth("10.9.21.1");
    let b = Namespace::new();
    let mut tap = Tap::open(&TapSettings {
        namespace: Some(b.path()),
        ..TapSettings::named("tap0")
    })
    .unwrap();
    b.run("ip addr add 10.9.21.2/24 dev tap0");
    b.run("ip link set tap0 up");
    let forwarder = Forwarder::between(&mut veth, &mut tap);
    tcp_between(&a, &b, "10.9.21.2", 4 << 20);
    tcp_between(&b, &a, "10.9.21.1", 4 << 20);
    let largest = forwarder.largest.load(Ordering::Relaxed);
    assert!(
        forwarder.segments.load(Ordering::Relaxed) > 20 && largest > 30_000,
        "segments are whole: {largest}"
    );
}

#[test]
fn a_vlan_tag_that_the_kernel_took_off_is_put_back() {
    if skipped("a_vlan_tag_that_the_kernel_took_off_is_put_back") {
        return;
    }
    let (guest, _host, mut port) = guest_on_veth("10.9.22.1");
    let mut peer = Packet::open(&settings(&guest, "eth0")).unwrap();
    let (mut input, mut output) = (port.receive_queue(0).unwrap(), peer.transmit_queue().unwrap());
    let pool = Pool::default();
    let mut frame: Vec<u8> = (0..100).collect();
    frame[0] = 2;
    frame[12..16].copy_from_slice(&[0x81, 0, 0x20, 42]);
    assert_eq!(
        output.transmit(&mut vec![pool.copy_from(&frame).unwrap()]).sent,
        1
    );
    let tagged = receive_until(&mut *input, &pool, |buffer| {
        buffer.head().starts_with(&frame[..12])
    });
    assert_eq!(tagged.to_vec(), frame);
}

#[test]
fn a_device_that_is_down_or_gone_is_an_outcome() {
    if skipped("a_device_that_is_down_or_gone_is_an_outcome") {
        return;
    }
    let (guest, host, mut port) = guest_on_veth("10.9.23.1");
    let (mut input, mut output) = (port.receive_queue(0).unwrap(), port.transmit_queue().unwrap());
    let pool = Pool::default();
    let mut send = || {
        let outcome = output.transmit(&mut vec![
            pool.copy_from(&[2; 60]).unwrap(),
            pool.copy_from(&[2; 60]).unwrap(),
        ]);
        (outcome.sent, outcome.dropped_error, outcome.error)
    };
    assert!(matches!(send(), (2, 0, None)));
    assert_eq!(port.link().unwrap(), Link { up: true, mtu: 1500 });
    host.run("ip link set host0 down");
    assert!(!port.link().unwrap().up);
    let mut burst = Vec::new();
    let error = input.receive(&pool, &mut burst, 8).unwrap_err();
    assert!(matches!(error, PortError::Down { .. }), "{error}");
    assert_eq!(
        input.receive(&pool, &mut burst, 8).unwrap(),
        0,
        "said once, then silence"
    );
    let (sent, dropped, error) = send();
    assert!(
        (sent, dropped) == (0, 2) && matches!(error, Some(PortError::Down { .. })),
        "{error:?}"
    );
    host.run("ip link set host0 up");
    assert!(matches!(send(), (2, 0, None)), "up again without a new queue");
    guest.run("ip neigh add 10.9.23.2 lladdr 02:00:00:00:00:22 dev eth0 nud permanent");
    let sender = guest.inside(|| std::net::UdpSocket::bind("10.9.23.1:0").unwrap());
    std::thread::sleep(Duration::from_millis(50));
    sender.send_to(&[1; 10], "10.9.23.2:9").unwrap();
    receive_until(&mut *input, &pool, udp);
    host.run("ip link del host0");
    assert!(matches!(port.link(), Err(PortError::Gone { .. })));
    let error = input.receive(&pool, &mut burst, 8).unwrap_err();
    assert_eq!(error.disposition(), Disposition::Detach, "{error}");
    let (_, dropped, error) = send();
    assert_eq!(
        (dropped, error.map(|e| e.disposition())),
        (2, Some(Disposition::Detach))
    );
}

#[test]
fn a_frame_that_is_too_long_is_dropped_and_said_so() {
    if skipped("a_frame_that_is_too_long_is_dropped_and_said_so") {
        return;
    }
    let (guest, _host, mut port) = guest_on_veth("10.9.24.1");
    let mut output = port.transmit_queue().unwrap();
    let pool = Pool::default();
    let burst = [1600, 60, 9000].map(|len| pool.copy_from(&vec![2; len]).unwrap());
    let outcome = output.transmit(&mut burst.into());
    assert_eq!((outcome.sent, outcome.dropped_unsupported), (1, 2), "{outcome:?}");
    port.set_mtu(9000).unwrap();
    guest.run("ip link set eth0 mtu 9000");
    let outcome = output.transmit(&mut vec![pool.copy_from(&[2; 9000]).unwrap()]);
    assert_eq!((outcome.sent, port.capabilities().mtu), (1, 9000), "{outcome:?}");
}

#[test]
fn a_device_that_is_not_there_is_explained() {
    if skipped("a_device_that_is_not_there_is_explained") {
        return;
    }
    let namespace = Namespace::new();
    let error = Packet::open(&settings(&namespace, "nobody0"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("no interface of this name"), "{error}");
    assert!(
        Packet::open(&settings(&namespace, "a b"))
            .unwrap_err()
            .to_string()
            .contains("not an interface name")
    );
}

#[test]
fn a_flood_that_nobody_reads_is_bounded_and_told() {
    if skipped("a_flood_that_nobody_reads_is_bounded_and_told") {
        return;
    }
    let (guest, _host, mut port) = guest_on_veth("10.9.25.1");
    guest.run("ip neigh add 10.9.25.2 lladdr 02:00:00:00:00:22 dev eth0 nud permanent");
    let mut input = port.receive_queue(0).unwrap();
    let sender = guest.inside(|| std::net::UdpSocket::bind("10.9.25.1:0").unwrap());
    for _ in 0..60_000 {
        sender.send_to(&[1], "10.9.25.2:9").unwrap();
    }
    input.refresh_counters();
    let pool = Pool::default();
    let mut burst = Vec::new();
    while input.receive(&pool, &mut burst, 256).unwrap() > 0 {
        burst.clear();
    }
    let counters = input.counters();
    assert!(
        counters.packets > 1000 && counters.dropped_by_system > 1000,
        "{counters:?}"
    );
    assert!(
        counters.packets + counters.dropped_by_system >= 60_000,
        "{counters:?}"
    );
}
