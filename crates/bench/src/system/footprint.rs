//! `vswitch_idle_cpu_percent`, `vswitch_rss_mb`: what the daemon takes when nothing happens, and with 10,000 connections.

use std::net::UdpSocket;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{guest, socket, two_hosts};
use crate::error::{BenchError, require};
use crate::figure::Figure;

/// With the three guests that the first host has anyway: ten ports.
const MORE: [(&str, u8); 7] = [
    ("blue-21", 21),
    ("blue-22", 22),
    ("blue-23", 23),
    ("blue-24", 24),
    ("blue-25", 25),
    ("blue-26", 26),
    ("blue-27", 27),
];
const SETTLE: Duration = Duration::from_secs(5);
const WATCHED: Duration = Duration::from_secs(60);
const SOURCES: u16 = 100;
const DESTINATIONS: u16 = 100;
/// Clock ticks a second in `/proc/PID/stat` (USER_HZ).
const TICKS: f64 = 100.0;

/// Measures both.
pub fn run() -> Result<Vec<Figure>, BenchError> {
    let fabric = two_hosts(&MORE, &[])?;
    let vswitch = fabric.vswitch("host-a");
    let (from, (to, address)) = (guest(&fabric, "blue-11").0, guest(&fabric, "blue-12"));
    let sink = to.enter(|| UdpSocket::bind(socket(address, 9_999)))?;
    let what = "send UDP between guests";
    let _sink = sink.map_err(BenchError::system(what))?;
    for source in 0..SOURCES {
        let sender = from.enter(|| UdpSocket::bind(("0.0.0.0", 20_000 + source)))?;
        let sender = sender.map_err(BenchError::system(what))?;
        for destination in 0..DESTINATIONS {
            // Nobody listens there: the guest's refusals come back and are of no interest.
            _ = sender.send_to(b"one", socket(address, 30_000 + destination));
        }
        sleep(Duration::from_millis(2));
    }
    let listed = vswitch.ctl(&["connections", "--limit", "20000"])?.lines().count();
    require(listed >= 10_000, || {
        format!("the switch lists {listed} connections")
    })?;
    let rss = resident_mb(vswitch.pid())?;
    sleep(SETTLE);
    let (before, started) = (cpu_seconds(vswitch.pid())?, Instant::now());
    sleep(WATCHED);
    let used = cpu_seconds(vswitch.pid())? - before;
    let idle = used / started.elapsed().as_secs_f64() * 100.0;
    Ok(vec![
        Figure::new("vswitch_idle_cpu_percent", idle, "percent").mode("60s_10_ports"),
        Figure::new("vswitch_rss_mb", rss, "MB").mode("10k_connections_shared_pages_counted"),
    ])
}

fn read(pid: u32, name: &str) -> Result<String, BenchError> {
    let path = format!("/proc/{pid}/{name}");
    std::fs::read_to_string(&path).map_err(BenchError::system(path))
}

/// Anonymous, file and shared pages.
pub fn resident_mb(pid: u32) -> Result<f64, BenchError> {
    let status = read(pid, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib * 1024.0 / 1e6)
        .ok_or_else(|| BenchError::Void("no VmRSS in /proc".to_owned()))
}

/// User and system time of all threads, in seconds.
pub fn cpu_seconds(pid: u32) -> Result<f64, BenchError> {
    Ok(ticks(pid)? as f64 / TICKS)
}

/// User and system time of all threads.
fn ticks(pid: u32) -> Result<u64, BenchError> {
    let stat = read(pid, "stat")?;
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<u64> = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|f| f.parse().ok())
        .collect();
    match fields.as_slice() {
        [user, system] => Ok(user + system),
        _ => Err(BenchError::Void("no times in /proc".to_owned())),
    }
}
