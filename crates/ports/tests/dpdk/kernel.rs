//! Through the kernel: capture files with packets of several segments, and a veth.

use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anet_memory::buffer::{Buffer, HEAD_MIN};
use anet_ports::dpdk::{DpdkPort, DpdkSettings};

use crate::support::{self, Namespace};
use crate::{Opened, device, settings, skipped};

/// A capture file of the classic format with one frame.
fn capture(bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [
        0xa1b2_c3d4_u32,
        0x0004_0002,
        0,
        0,
        262_144,
        1,
        0,
        0,
        bytes.len() as u32,
        bytes.len() as u32,
    ] {
        file.extend_from_slice(&word.to_ne_bytes());
    }
    file.extend_from_slice(bytes);
    file
}

#[test]
fn a_packet_of_several_segments_is_a_head_and_a_chain() {
    if skipped("a_packet_of_several_segments_is_a_head_and_a_chain") {
        return;
    }
    let folder = std::env::temp_dir().join(format!("anet-dpdk-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("in.pcap");
    let bytes: Vec<u8> = (0..8_000_u32).map(|n| (n % 249) as u8).collect();
    fs::write(&file, capture(&bytes)).unwrap();
    let name = device("net_pcap");
    // The pool's buffers are as long as the MTU of 1,500 wants: a longer packet becomes a chain.
    let wanted = settings(&format!("{name},rx_pcap={}", file.display()));
    let mut opened = Opened::new(&wanted);
    let mut received = opened.receive();
    assert_eq!(received.len(), 1);
    let packet = received.remove(0);
    assert!(packet.head().len() >= HEAD_MIN && packet.chain_len() > 0);
    assert!(packet.to_vec() == bytes, "{packet:?}");
    let pieces: usize = packet.chain_slices().map(<[u8]>::len).sum();
    assert_eq!(pieces, packet.chain_len());
    // Through another device, cut short, it keeps what is left.
    let mut ring = Opened::new(&DpdkSettings {
        mtu: 9_000,
        ..settings(&device("net_ring"))
    });
    let mut cut = packet;
    cut.truncate(5_000);
    cut.prepend(4).unwrap().fill(1);
    ring.send(vec![cut]);
    let back = ring.receive();
    assert!(
        back[0].to_vec() == [&[1; 4], &bytes[..5_000]].concat(),
        "{:?}",
        back[0]
    );
    // A chain that is dropped leaves a plain packet.
    let mut short = back.into_iter().next().unwrap();
    short.truncate(300);
    assert_eq!(short.chain_len(), 0);
    ring.send(vec![short]);
    assert_eq!(ring.receive()[0].to_vec(), [&[1; 4], &bytes[..296]].concat());
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_kernel_device_is_a_port_and_frames_pass_both_ways() {
    if skipped("a_kernel_device_is_a_port_and_frames_pass_both_ways")
        || support::skipped("a_kernel_device_is_a_port")
    {
        return;
    }
    let (here, guest) = (Namespace::new(), Namespace::new());
    let (outside, inside) = (format!("dpdk{}", std::process::id() % 10_000), "eth0");
    support::run(&format!(
        "ip link add {outside} netns {} type veth peer name {inside} netns {}",
        here.name, guest.name
    ));
    here.run(&format!("ip link set {outside} up"));
    guest.run(&format!("ip address add 10.9.0.1/24 dev {inside}"));
    guest.run(&format!("ip link set {inside} up"));
    // A driver of plain sockets does not see that a checksum is left to it.
    guest.run(&format!("ethtool -K {inside} tx off"));
    guest.run(&format!(
        "ip neighbour add 10.9.0.2 lladdr 02:00:00:00:00:02 dev {inside}"
    ));
    let wanted = settings(&format!("{},iface={outside}", device("net_af_packet")));
    let port = here.inside(move || DpdkPort::open(&wanted)).unwrap();
    let mut opened = Opened::of(port);
    let socket = guest.inside(|| UdpSocket::bind("10.9.0.1:7000")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.send_to(&[0x42; 700], "10.9.0.2:7001").unwrap();
    let question = wait_for_udp(&mut opened);
    // The answer is the question with both ends changed places.
    let mut bytes = question.to_vec();
    let (mut left, right) = bytes.split_at_mut(6);
    left.swap_with_slice(&mut right[..6]);
    left = &mut bytes[26..];
    let (source, destination) = left.split_at_mut(4);
    source.swap_with_slice(&mut destination[..4]);
    let ports = &mut bytes[34..38];
    ports.rotate_left(2);
    let answer = opened.pool.copy_from(&bytes).unwrap();
    opened.send(vec![answer]);
    let mut answer = [0; 1_000];
    let (len, from) = socket.recv_from(&mut answer).unwrap();
    assert_eq!(
        (&answer[..len], from.to_string().as_str()),
        (&[0x42; 700][..], "10.9.0.2:7001")
    );
}

fn wait_for_udp(opened: &mut Opened) -> Buffer {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let udp = |buffer: &Buffer| buffer.head().get(23) == Some(&17) && buffer.len() == 742;
        if let Some(found) = opened.receive().into_iter().find(udp) {
            return found;
        }
        assert!(Instant::now() < deadline, "no UDP came in");
    }
}
