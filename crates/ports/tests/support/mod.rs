//! What tests of kernel ports stand on: namespaces and forwarders that go when the test ends, however it ends.

#![allow(dead_code, clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anet_memory::buffer::{Buffer, Pool};
use anet_ports::kernel::{netns, probe};
use anet_ports::{Port, ReceiveQueue};

/// True, with the reason printed, where this machine cannot run the test.
pub fn skipped(test: &str) -> bool {
    let features = probe::features();
    let namespaces = Command::new("ip")
        .args(["netns", "list"])
        .output()
        .is_ok_and(|out| out.status.success());
    let reason = match features.missing.first() {
        Some(line) if !features.tap || !features.packet_socket => line.clone(),
        _ if !namespaces => "`ip netns` does not work here; install iproute2 and run as root".to_owned(),
        _ => return false,
    };
    println!("skipped: {test}: {reason}");
    true
}

/// A network namespace of this test alone.
pub struct Namespace {
    pub name: String,
}

impl Namespace {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "anet-ports-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        run(&format!("ip netns add {name}"));
        let namespace = Self { name };
        // No router solicitations and the like of its own: only what the test sends is there to be seen.
        namespace.run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.all.disable_ipv6=1");
        namespace.run("ip link set lo up");
        namespace
    }

    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/run/netns/{}", self.name))
    }

    pub fn run(&self, command: &str) {
        run(&format!("ip netns exec {} {command}", self.name));
    }

    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        netns::inside(Some(&self.path()), work).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

pub fn run(command: &str) {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Receives until `wanted` says true of a packet, which is returned; panics after five seconds.
pub fn receive_until(queue: &mut dyn ReceiveQueue, pool: &Pool, wanted: impl Fn(&Buffer) -> bool) -> Buffer {
    let end = Instant::now() + Duration::from_secs(5);
    let mut burst = Vec::new();
    while Instant::now() < end {
        queue.receive(pool, &mut burst, 32).unwrap();
        if let Some(found) = burst.drain(..).find(&wanted) {
            return found;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the packet did not come; {:?}", queue.counters());
}

/// Two threads that carry packets between two ports until dropped, and the largest segment they saw.
pub struct Forwarder {
    stop: Arc<AtomicBool>,
    pub largest: Arc<AtomicU32>,
    pub segments: Arc<AtomicU32>,
    threads: Vec<JoinHandle<()>>,
}

impl Forwarder {
    pub fn between(a: &mut dyn Port, b: &mut dyn Port) -> Self {
        let mut this = Self {
            stop: Arc::default(),
            largest: Arc::default(),
            segments: Arc::default(),
            threads: vec![],
        };
        for (from, to) in [true, false].map(|forth| if forth { (0, 1) } else { (1, 0) }) {
            let ports: [&mut dyn Port; 2] = [a, b];
            let mut input = ports[from].receive_queue(0).unwrap();
            let mut output = ports[to].transmit_queue().unwrap();
            let (stop, largest, segments) = (this.stop.clone(), this.largest.clone(), this.segments.clone());
            this.threads.push(std::thread::spawn(move || {
                let (pool, mut burst) = (Pool::default(), Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    if input.receive(&pool, &mut burst, 32).unwrap() == 0 {
                        std::thread::sleep(Duration::from_micros(50));
                    }
                    for buffer in &burst {
                        largest.fetch_max(buffer.len() as u32, Ordering::Relaxed);
                        segments.fetch_add(u32::from(buffer.meta.segmentation.size > 0), Ordering::Relaxed);
                    }
                    let outcome = output.transmit(&mut burst);
                    assert!(
                        outcome.error.is_none() && outcome.dropped_unsupported == 0,
                        "{outcome:?}"
                    );
                }
            }));
        }
        this
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let result = thread.join();
            assert!(std::thread::panicking() || result.is_ok(), "a forwarder failed");
        }
    }
}

/// Sends `bytes` bytes over TCP from one namespace to another and checks every one of them.
pub fn tcp_between(from: &Namespace, to: &Namespace, address: &str, bytes: usize) {
    use std::io::{Read, Write};
    let listener = to.inside(|| std::net::TcpListener::bind((address, 0)).unwrap());
    let port = listener.local_addr().unwrap().port();
    let reader = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received
    });
    let sent: Vec<u8> = (0..bytes).map(|i| (i % 251) as u8).collect();
    let mut stream = from.inside(|| {
        let target = std::net::SocketAddr::new(address.parse().unwrap(), port);
        std::net::TcpStream::connect_timeout(&target, Duration::from_secs(5)).unwrap()
    });
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(&sent).unwrap();
    drop(stream);
    assert!(reader.join().unwrap() == sent, "what arrives is what was sent");
}
