//! What the uplink costs: `cargo run --release -p anet-ports --example uplink_cost [pump|packets|tcp|linux] [SECONDS]`.
//!
//! `pump`: large TCP segments from uplink to uplink, nothing else done. `packets`: the same with small UDP frames.
//! `tcp`: two guests on TAP, each host a loop between TAP and uplink, `iperf3 -C cubic`. `linux`: the same guests on a
//! Linux bridge with the kernel's VXLAN device. Needs root; one line a figure.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anet_lab::{Namespace, wire};
use anet_memory::buffer::{Buffer, Checksum, Meta, Pool, SegmentKind, Segmentation};
use anet_ports::kernel::tap::{Tap, TapSettings};
use anet_ports::kernel::uplink::{Uplink, UplinkSettings};
use anet_ports::{Port, ReceiveQueue, TransmitQueue};

type Failure = Box<dyn std::error::Error>;

const OUTER: usize = 50;
const MSS: u16 = 1_398;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_else(|| "pump".to_owned());
    let seconds = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let (left, right) = (Namespace::new("left")?, Namespace::new("right")?);
    wire::direct((&left, "under"), (&right, "under"))?;
    left.add_address("under", "10.9.0.1/24")?;
    right.add_address("under", "10.9.0.2/24")?;
    match what.as_str() {
        "pump" => pump(&left, &right, seconds, &large_segment()),
        "packets" => pump(&left, &right, seconds, &small_frame()),
        "tcp" => tcp(&left, &right, seconds),
        "linux" => linux(&left, &right, seconds),
        _ => Err(format!("unknown: {what}; it is pump, packets, tcp or linux").into()),
    }
}

fn uplink(namespace: &Namespace, address: &str) -> Result<Uplink, Failure> {
    let address: IpAddr = address.parse()?;
    let settings = UplinkSettings {
        namespace: Some(namespace.path()),
        ..UplinkSettings::new(address)
    };
    Ok(Uplink::open(&settings)?)
}

/// The outer header of a frame from host `from` to host `to`.
fn outer(from: u8, to: u8) -> [u8; OUTER] {
    let mut bytes = [0; OUTER];
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[14..24].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17]);
    bytes[26..34].copy_from_slice(&[10, 9, 0, from, 10, 9, 0, to]);
    bytes[34..38].copy_from_slice(&[0xc0, 0, 0x12, 0xb5]);
    bytes[42..].copy_from_slice(&[8, 0, 0, 0, 0, 0, 7, 0]);
    bytes
}

fn large_segment() -> (Vec<u8>, Meta) {
    let mut frame = outer(1, 2).to_vec();
    let tcp = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
    let payload: Vec<u8> = (0..64_000).map(|i| (i % 251) as u8).collect();
    tcp.tcp(1, 2, 3, 4)
        .ack(5)
        .write(&mut frame, &payload)
        .expect("it is legal");
    let meta = Meta {
        checksum: Checksum::Partial {
            start: (OUTER + 34) as u16,
            offset: 16,
        },
        segmentation: Segmentation {
            kind: SegmentKind::TcpV4,
            size: MSS,
            ecn: false,
        },
        ..Meta::default()
    };
    (frame, meta)
}

fn small_frame() -> (Vec<u8>, Meta) {
    let mut frame = outer(1, 2).to_vec();
    let udp = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
    udp.udp(1, 2).write(&mut frame, &[7; 22]).expect("it is legal");
    (frame, Meta::default())
}

/// CPU time of the calling thread, in seconds.
fn thread_seconds() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is there to be written.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn pump(left: &Namespace, right: &Namespace, seconds: u64, what: &(Vec<u8>, Meta)) -> Result<(), Failure> {
    let (mut sender, mut receiver) = (uplink(left, "10.9.0.1")?, uplink(right, "10.9.0.2")?);
    let (mut transmit, mut receive) = (sender.transmit_queue()?, receiver.receive_queue(0)?);
    let stop = AtomicBool::new(false);
    let sent = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let pool = Pool::default();
            let mut burst = Vec::with_capacity(32);
            let per_burst = if what.0.len() > 10_000 { 4 } else { 32 };
            while !stop.load(Relaxed) {
                for _ in 0..per_burst {
                    let Some(mut buffer) = pool.copy_from(&what.0) else {
                        continue;
                    };
                    buffer.meta = what.1;
                    burst.push(buffer);
                }
                let outcome = transmit.transmit(&mut burst);
                sent.fetch_add(outcome.sent_bytes, Relaxed);
            }
            println!(
                "sender_cpu_seconds={:.2} sent_bytes={}",
                thread_seconds(),
                sent.load(Relaxed)
            );
        });
        let pool = Pool::default();
        let mut burst: Vec<Buffer> = Vec::with_capacity(64);
        let start = Instant::now();
        let mut error = None;
        while start.elapsed() < Duration::from_secs(seconds) {
            if let Err(refused) = receive.receive(&pool, &mut burst, 32) {
                error = Some(refused);
                break;
            }
            burst.clear();
        }
        stop.store(true, Relaxed);
        let counters = receive.counters();
        let elapsed = start.elapsed().as_secs_f64();
        println!(
            "received_gbit_s={:.2} packets_s={:.0} lost_at_socket={} receiver_cpu_seconds={:.2} bytes_per_packet={}",
            counters.bytes as f64 * 8.0 / elapsed / 1e9,
            counters.packets as f64 / elapsed,
            counters.dropped_by_system,
            thread_seconds(),
            counters.bytes / counters.packets.max(1),
        );
        error.map_or(Ok(()), |error| Err(error.into()))
    })
}

/// A host: what comes from the guest gets an outer header, what comes from the underlay loses it.
struct Host {
    guest: (Box<dyn ReceiveQueue>, Box<dyn TransmitQueue>),
    uplink: (Box<dyn ReceiveQueue>, Box<dyn TransmitQueue>),
    outer: [u8; OUTER],
}

impl Host {
    fn run(&mut self, stop: &AtomicBool) -> Result<(), anet_ports::PortError> {
        let pool = Pool::default();
        let mut burst = Vec::with_capacity(64);
        while !stop.load(Relaxed) {
            let out = self.guest.0.receive(&pool, &mut burst, 32)?;
            for frame in &mut burst {
                if let Ok(room) = frame.prepend(OUTER) {
                    room.copy_from_slice(&self.outer);
                }
            }
            let _ = self.uplink.1.transmit(&mut burst);
            let back = self.uplink.0.receive(&pool, &mut burst, 32)?;
            for frame in &mut burst {
                let _ = frame.trim_front(OUTER);
            }
            let _ = self.guest.1.transmit(&mut burst);
            if out + back == 0 {
                self.wait();
            }
        }
        Ok(())
    }

    fn wait(&self) {
        let poll = |queue: &dyn ReceiveQueue| libc::pollfd {
            fd: queue.wait_descriptor().unwrap_or(-1),
            events: libc::POLLIN,
            revents: 0,
        };
        let mut descriptors = [poll(&*self.guest.0), poll(&*self.uplink.0)];
        // SAFETY: two entries, as said, that live through the call.
        unsafe { libc::poll(descriptors.as_mut_ptr(), 2, 100) };
    }
}

/// Guest `number` in `guest`, with a TAP whose other side its host in `under` holds.
fn host(under: &Namespace, guest: &Namespace, number: u8) -> Result<(Host, Tap, Uplink), Failure> {
    let mut tap = Tap::open(&TapSettings {
        namespace: Some(guest.path()),
        ..TapSettings::named("eth0")
    })?;
    tap.remove_when_dropped()?;
    guest.ip(&["link", "set", "eth0", "mtu", "1450"])?;
    guest.add_address("eth0", &format!("10.0.0.{number}/24"))?;
    let mut uplink = uplink(under, &format!("10.9.0.{number}"))?;
    let host = Host {
        guest: (tap.receive_queue(0)?, tap.transmit_queue()?),
        uplink: (uplink.receive_queue(0)?, uplink.transmit_queue()?),
        outer: outer(number, 3 - number),
    };
    Ok((host, tap, uplink))
}

fn tcp(left: &Namespace, right: &Namespace, seconds: u64) -> Result<(), Failure> {
    let (guest_1, guest_2) = (Namespace::new("guest-1")?, Namespace::new("guest-2")?);
    let (mut host_1, _tap_1, uplink_1) = host(left, &guest_1, 1)?;
    let (mut host_2, _tap_2, uplink_2) = host(right, &guest_2, 2)?;
    let stop = Arc::new(AtomicBool::new(false));
    let threads = [Arc::clone(&stop), Arc::clone(&stop)];
    let [stop_1, stop_2] = threads;
    let first = std::thread::spawn(move || host_1.run(&stop_1).map_err(|e| e.to_string()));
    let second = std::thread::spawn(move || host_2.run(&stop_2).map_err(|e| e.to_string()));
    let result = iperf(&guest_1, &guest_2, seconds);
    stop.store(true, Relaxed);
    for thread in [first, second] {
        thread.join().map_err(|_| "a host panicked")??;
    }
    println!(
        "tcp_gbit_s={:.2} {:?} {:?}",
        result?,
        uplink_1.statistics(),
        uplink_2.statistics()
    );
    Ok(())
}

fn iperf(client: &Namespace, server: &Namespace, seconds: u64) -> Result<f64, Failure> {
    let mut listener = server
        .command("iperf3")
        .args(["-s", "-1"])
        .stdout(std::process::Stdio::null())
        .spawn()?;
    std::thread::sleep(Duration::from_millis(500));
    let seconds = seconds.to_string();
    let text = client.run(
        "iperf3",
        &["-c", "10.0.0.2", "-C", "cubic", "-t", &seconds, "-f", "m"],
    );
    let _ = listener.kill();
    let _ = listener.wait();
    let text = text?;
    let line = text
        .lines()
        .find(|line| line.contains("receiver"))
        .ok_or("no result")?;
    let mut words = line
        .split_whitespace()
        .rev()
        .skip_while(|word| !word.contains("bits/sec"))
        .skip(1);
    Ok(words.next().ok_or("no figure")?.parse::<f64>()? / 1_000.0)
}

fn linux(left: &Namespace, right: &Namespace, seconds: u64) -> Result<(), Failure> {
    let guests = [Namespace::new("guest-1")?, Namespace::new("guest-2")?];
    for (number, (under, guest)) in (1_u8..).zip([left, right].into_iter().zip(&guests)) {
        wire::direct((under, "port"), (guest, "eth0"))?;
        let (local, remote) = (format!("10.9.0.{number}"), format!("10.9.0.{}", 3 - number));
        under.ip(&["link", "add", "br0", "type", "bridge"])?;
        let vxlan = [
            "link", "add", "vx0", "type", "vxlan", "id", "7", "local", &local, "remote", &remote,
        ];
        under.ip(&[&vxlan[..], &["dstport", "4789", "noudpcsum"]].concat())?;
        for interface in ["port", "vx0"] {
            under.ip(&["link", "set", interface, "master", "br0", "up"])?;
        }
        under.ip(&["link", "set", "br0", "up"])?;
        guest.ip(&["link", "set", "eth0", "mtu", "1450"])?;
        guest.add_address("eth0", &format!("10.0.0.{number}/24"))?;
    }
    println!("linux_gbit_s={:.2}", iperf(&guests[0], &guests[1], seconds)?);
    Ok(())
}
