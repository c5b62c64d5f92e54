//! Prints how many packets and bytes a TAP moves on one core, read and written, small and large, and what is left of that
//! for TCP between two TAPs with nothing but the copying in between: no switch of this kind can be faster. Needs root, and
//! `iperf3` for the last part; makes network namespaces of its own and removes them.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anet_memory::buffer::{Checksum, Pool, SegmentKind, Segmentation};
use anet_ports::kernel::tap::{Tap, TapSettings};
use anet_ports::kernel::wait::Waiter;
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

/// TCP of `iperf3` between two guests, whose packets one thread reads here and writes there.
fn forward(mut taps: [Tap; 2], namespaces: [&str; 2]) -> Result<(), PortError> {
    let stop = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&stop);
    let copying = std::thread::spawn(move || -> Result<(), PortError> {
        let (pool, waiter) = (Pool::default(), Waiter::new().expect("an epoll descriptor"));
        let mut queues = Vec::new();
        for (token, tap) in (0..).zip(&mut taps) {
            let queue = (tap.receive_queue(0)?, tap.transmit_queue()?);
            let descriptor = queue.0.wait_descriptor().expect("a TAP has one");
            waiter.add(descriptor, token).expect("one more descriptor");
            queues.push(queue);
        }
        let (mut ready, mut burst) = (Vec::new(), Vec::with_capacity(32));
        while !ended.load(Ordering::Relaxed) {
            _ = waiter.wait(Some(Duration::from_millis(100)), &mut ready);
            for from in ready.iter().map(|token| *token as usize) {
                queues[from].0.receive(&pool, &mut burst, 32)?;
                _ = queues[1 - from].1.transmit(&mut burst);
            }
        }
        Ok(())
    });
    let run = |namespace: &str, arguments: &str| {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, "iperf3"]);
        command
            .args(arguments.split_whitespace())
            .stdout(Stdio::piped())
            .spawn()
    };
    if let Ok(mut server) = run(namespaces[1], "-s -1") {
        std::thread::sleep(Duration::from_millis(300));
        let client = run(namespaces[0], "-c 10.9.0.2 -t 3 -C cubic -f g");
        let output = client.and_then(std::process::Child::wait_with_output);
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let text = text.unwrap_or_default();
        let line = text.lines().find(|line| line.ends_with("receiver"));
        println!("TCP between two TAPs: {}", line.unwrap_or("iperf3 failed"));
        _ = (server.kill(), server.wait());
    }
    stop.store(true, Ordering::Relaxed);
    copying.join().expect("the copying does not panic")
}

/// Two guests on a TAP each.
fn forward_between(namespaces: [&str; 2]) -> Result<(), PortError> {
    let open = |number: usize| {
        let namespace = namespaces[number];
        let tap = Tap::open(&TapSettings {
            namespace: Some(PathBuf::from(format!("/run/netns/{namespace}"))),
            mtu: Some(1450),
            ..TapSettings::named("tap1")
        })?;
        ip(&format!(
            "-n {namespace} addr add 10.9.0.{}/24 dev tap1",
            number + 1
        ));
        ip(&format!("-n {namespace} link set tap1 up"));
        Ok(tap)
    };
    forward([open(0)?, open(1)?], namespaces)
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
    read(&mut tap, &name, 64_000)?;
    let other = Namespace(format!("{name}-b"));
    ip(&format!("netns add {}", other.0));
    forward_between([&name, &other.0])
}
