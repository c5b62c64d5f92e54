//! Prints how many packets and bytes a TAP moves on one core, read and written, small and large. Needs root; makes a
//! network namespace of its own and removes it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anet_memory::buffer::{Checksum, Pool, SegmentKind, Segmentation};
use anet_ports::kernel::tap::{Tap, TapSettings};
use anet_ports::{Port, PortError};

struct Namespace(String);

impl Drop for Namespace {
    fn drop(&mut self) {
        _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn ip(arguments: &str) -> bool {
    Command::new("ip")
        .args(arguments.split_whitespace())
        .status()
        .is_ok_and(|status| status.success())
}

fn print(name: &str, packets: u64, bytes: u64, took: Duration) {
    let seconds = took.as_secs_f64();
    let (rate, gbits) = (packets as f64 / seconds / 1e6, bytes as f64 * 8.0 / seconds / 1e9);
    println!(
        "{name}: {rate:.3} Mpps, {gbits:.2} Gb/s, {:.0} ns a packet",
        took.as_nanos() as f64 / packets as f64
    );
}

/// Writes frames of `len` bytes for a second: UDP to a port where nobody listens, dropped by the guest's own filter.
fn write(tap: &mut Tap, len: usize) -> Result<(), PortError> {
    let (pool, mut output) = (Pool::default(), tap.transmit_queue()?);
    let mut frame = vec![0; len];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x22, 2, 0, 0, 0, 0, 0x11]);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&((len - 14) as u16).to_be_bytes());
    (frame[22], frame[23]) = (64, if len > 2000 { 6 } else { 17 });
    frame[46.min(len - 1)] = 0x50;
    let (mut burst, mut packets, start) = (Vec::with_capacity(32), 0_u64, Instant::now());
    while start.elapsed() < Duration::from_secs(1) {
        burst.extend((0..32).map_while(|_| pool.copy_from(&frame)));
        for buffer in burst.iter_mut().filter(|_| len > 2000) {
            buffer.meta.checksum = Checksum::Partial {
                start: 34,
                offset: 16,
            };
            buffer.meta.segmentation = Segmentation {
                kind: SegmentKind::TcpV4,
                size: 1448,
                ecn: false,
            };
        }
        packets += u64::from(output.transmit(&mut burst).sent);
    }
    print(
        &format!("write {len}"),
        packets,
        packets * len as u64,
        start.elapsed(),
    );
    Ok(())
}

/// Reads what the guest has queued, again and again for a second, and counts only the time of reading.
fn read(tap: &mut Tap, namespace: &str, payload: usize) -> Result<(), PortError> {
    let (pool, mut input) = (Pool::default(), tap.receive_queue(0)?);
    let (mut burst, mut packets, mut bytes, mut took) = (Vec::with_capacity(512), 0, 0, Duration::ZERO);
    let path = PathBuf::from(format!("/run/netns/{namespace}"));
    let open = || std::net::UdpSocket::bind("10.8.0.1:0");
    let Ok(Ok(socket)) = anet_ports::kernel::netns::inside(Some(&path), open) else {
        return Ok(());
    };
    let (message, end) = (vec![1; payload], Instant::now() + Duration::from_secs(1));
    while Instant::now() < end {
        for _ in 0..if payload > 2000 { 100 } else { 400 } {
            _ = socket.send_to(&message, "10.8.0.2:9");
        }
        let start = Instant::now();
        while input.receive(&pool, &mut burst, 32)? > 0 {
            packets += burst.len() as u64;
            bytes += burst.drain(..).map(|buffer| buffer.len() as u64).sum::<u64>();
        }
        took += start.elapsed();
    }
    print(&format!("read {}", bytes / packets.max(1)), packets, bytes, took);
    Ok(())
}

fn main() -> Result<(), PortError> {
    let namespace = Namespace(format!("anet-tap-rate-{}", std::process::id()));
    let name = namespace.0.clone();
    if !ip(&format!("netns add {name}")) {
        println!("skipped: tap_rate: `ip netns add` failed; run as root");
        return Ok(());
    }
    let path = PathBuf::from(format!("/run/netns/{name}"));
    let settings = TapSettings {
        namespace: Some(path),
        mtu: Some(65_521),
        ..TapSettings::named("tap0")
    };
    let mut tap = Tap::open(&settings)?;
    for command in [
        "addr add 10.8.0.1/24 dev tap0",
        "link set tap0 up txqueuelen 2000",
    ] {
        ip(&format!("-n {name} {command}"));
    }
    ip(&format!(
        "-n {name} neigh add 10.8.0.2 lladdr 02:00:00:00:00:22 dev tap0 nud permanent"
    ));
    write(&mut tap, 64)?;
    write(&mut tap, 65_000)?;
    read(&mut tap, &name, 22)?;
    read(&mut tap, &name, 64_000)
}
