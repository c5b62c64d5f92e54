//! Real TCP over the uplink: a guest on a TAP, a loop in place of the switch, and Linux's VXLAN device as the peer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use anet_lab::{KernelVxlan, Namespace, wire};
use anet_memory::buffer::{Buffer, Pool, SegmentKind};
use anet_packet::addr::{Mac, Vni};
use anet_ports::kernel::tap::{Tap, TapSettings};
use anet_ports::kernel::uplink::{LargeSegments, Uplink, UplinkSettings};
use anet_ports::{Port, ReceiveQueue, TransmitQueue};

const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);
const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 2]);
const BYTES: usize = 4 << 20;

/// What the loop saw: large segments out of the guest, and into it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    large_out: usize,
    large_in: usize,
}

/// In place of a switch: an outer header on what the guest sends, off what it gets.
struct Host {
    guest: (Box<dyn ReceiveQueue>, Box<dyn TransmitQueue>),
    uplink: (Box<dyn ReceiveQueue>, Box<dyn TransmitQueue>),
    outer: Vec<u8>,
}

impl Host {
    fn run(mut self, stop: &AtomicBool) -> Seen {
        let (pool, mut burst, mut seen) = (Pool::default(), Vec::new(), Seen::default());
        let large = |burst: &[Buffer]| {
            burst
                .iter()
                .filter(|frame| frame.meta.segmentation.kind != SegmentKind::None)
                .count()
        };
        while !stop.load(Relaxed) {
            let out = self.guest.0.receive(&pool, &mut burst, 32).unwrap();
            seen.large_out += large(&burst);
            for frame in &mut burst {
                frame
                    .prepend(self.outer.len())
                    .unwrap()
                    .copy_from_slice(&self.outer);
            }
            let outcome = self.uplink.1.transmit(&mut burst);
            assert_eq!(outcome.dropped(), 0, "{outcome:?}");
            let back = self.uplink.0.receive(&pool, &mut burst, 32).unwrap();
            seen.large_in += large(&burst);
            for frame in &mut burst {
                frame.trim_front(self.outer.len()).unwrap();
            }
            let outcome = self.guest.1.transmit(&mut burst);
            assert_eq!(outcome.dropped(), 0, "{outcome:?}");
            if out + back == 0 {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        seen
    }
}

/// An outer header; its lengths are the uplink's business.
fn outer(six: bool) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    if six {
        bytes.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 17, 64]);
        for host in [1, 2] {
            bytes.extend_from_slice(&[0xfd, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
        }
    } else {
        bytes.extend_from_slice(&[
            8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2,
        ]);
    }
    bytes.extend_from_slice(&[0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 7, 0]);
    bytes
}

struct Fabric {
    guest: Namespace,
    peer: Namespace,
    host: JoinHandle<Seen>,
    stop: Arc<AtomicBool>,
    uplink: Uplink,
    _tap: Tap,
    _wire: Namespace,
}

impl Fabric {
    /// `None`, with the reason printed, where segments are to leave whole and cannot.
    fn new(test: &str, six: bool, large_segments: LargeSegments) -> Option<Self> {
        let names = ["host", "peer", "guest"].map(|role| Namespace::new(role).unwrap());
        let [under, peer, guest] = names;
        wire::direct((&under, "under"), (&peer, "under")).unwrap();
        for (namespace, host) in [(&under, 1), (&peer, 2)] {
            namespace
                .add_address("under", &format!("10.9.0.{host}/24"))
                .unwrap();
            namespace
                .add_address("under", &format!("fd09::{host}/64"))
                .unwrap();
        }
        // A veth joins datagrams only when told to, and if its peer does no segmentation; a NIC does by default.
        peer.run("ethtool", &["-K", "under", "tso", "off"]).unwrap();
        under.run("ethtool", &["-K", "under", "gro", "on"]).unwrap();
        let (ours, theirs) = if six {
            ("fd09::1", "fd09::2")
        } else {
            ("10.9.0.1", "10.9.0.2")
        };
        let device =
            KernelVxlan::new(&peer, "vxlan0", Vni::new(7).unwrap(), theirs.parse().unwrap()).unwrap();
        device
            .become_station(THEIRS, &["10.0.0.2/24", "fd00::2/64"])
            .unwrap();
        device.forward(OURS, ours.parse().unwrap()).unwrap();
        device.flood_to(ours.parse().unwrap()).unwrap();
        device.finish_packets().unwrap();
        // What the underlay of 1,500 bytes leaves of an IPv6 tunnel.
        peer.ip(&["link", "set", "vxlan0", "mtu", "1430"]).unwrap();
        let settings = TapSettings {
            namespace: Some(guest.path()),
            mac: Some(OURS),
            mtu: Some(1430),
            ..TapSettings::named("eth0")
        };
        let mut tap = Tap::open(&settings).unwrap();
        tap.remove_when_dropped().unwrap();
        guest.add_address("eth0", "10.0.0.1/24").unwrap();
        guest.add_address("eth0", "fd00::1/64").unwrap();
        let settings = UplinkSettings {
            namespace: Some(under.path()),
            large_segments,
            ..UplinkSettings::new(ours.parse().unwrap())
        };
        if let Some(why) = crate::whole::missing(&settings) {
            anet_lab::skip(test, &why);
            return None;
        }
        let mut uplink = crate::underlay::open(&settings);
        let host = Host {
            guest: (tap.receive_queue(0).unwrap(), tap.transmit_queue().unwrap()),
            uplink: (uplink.receive_queue(0).unwrap(), uplink.transmit_queue().unwrap()),
            outer: outer(six),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let host = std::thread::spawn(move || host.run(&asked));
        Some(Self {
            guest,
            peer,
            host,
            stop,
            uplink,
            _tap: tap,
            _wire: under,
        })
    }

    /// Ends the loop, and says what it saw, and how many segments left whole.
    fn finish(self) -> (Seen, u64) {
        self.stop.store(true, Relaxed);
        (self.host.join().unwrap(), self.uplink.statistics().whole)
    }
}

fn pattern() -> Vec<u8> {
    (0..BYTES).map(|i| (i % 251 + i / 65_536) as u8).collect()
}

/// Sends the pattern one way, and checks every byte of it.
fn transfer(from: &Namespace, to: &Namespace, address: &str) {
    let listener = to
        .enter(|| TcpListener::bind(format!("{address}:0")).unwrap())
        .unwrap();
    let target = listener.local_addr().unwrap();
    let connect = || TcpStream::connect_timeout(&target, Duration::from_secs(5)).unwrap();
    let mut sender = from.enter(connect).unwrap();
    let (mut receiver, _) = listener.accept().unwrap();
    let expected = pattern();
    for stream in [&sender, &receiver] {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            sender.write_all(&expected).unwrap();
            sender.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut received = Vec::with_capacity(BYTES);
        receiver.read_to_end(&mut received).unwrap();
        assert!(
            received == expected,
            "{} of {} bytes, or others",
            received.len(),
            expected.len()
        );
    });
}

fn check(test: &str, six: bool, large_segments: LargeSegments) {
    if let Some(reason) = anet_lab::missing_for(&["bridge", "ethtool"]) {
        return anet_lab::skip(test, &reason);
    }
    let Some(fabric) = Fabric::new(test, six, large_segments) else {
        return;
    };
    transfer(&fabric.guest, &fabric.peer, "10.0.0.2");
    transfer(&fabric.peer, &fabric.guest, "10.0.0.1");
    transfer(&fabric.guest, &fabric.peer, "[fd00::2]");
    transfer(&fabric.peer, &fabric.guest, "[fd00::1]");
    let (seen, whole) = fabric.finish();
    assert!(
        seen.large_out > 20,
        "segments were cut before their time: {seen:?}"
    );
    // Linux sends without a UDP checksum over IPv4, and joins no datagrams that have none.
    assert!(seen.large_in > 20 || !six, "nothing was merged: {seen:?}");
    assert_eq!(
        whole > 20,
        large_segments == LargeSegments::Tap,
        "{whole} left whole"
    );
}

#[test]
fn tcp_flows_both_ways_over_an_ipv4_underlay() {
    check(
        "tcp_flows_both_ways_over_an_ipv4_underlay",
        false,
        LargeSegments::Sockets,
    );
}

#[test]
fn tcp_flows_both_ways_over_an_ipv6_underlay() {
    check(
        "tcp_flows_both_ways_over_an_ipv6_underlay",
        true,
        LargeSegments::Sockets,
    );
}

#[test]
fn tcp_leaves_whole_to_linux_over_an_ipv4_underlay() {
    let test = "tcp_leaves_whole_to_linux_over_an_ipv4_underlay";
    check(test, false, LargeSegments::Tap);
}

#[test]
fn tcp_leaves_whole_to_linux_over_an_ipv6_underlay() {
    let test = "tcp_leaves_whole_to_linux_over_an_ipv6_underlay";
    check(test, true, LargeSegments::Tap);
}
