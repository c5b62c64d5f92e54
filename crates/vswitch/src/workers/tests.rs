//! Real worker threads on ports in memory.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anet_datapath::connections::{Config, words_for};
use anet_datapath::tables::TableOp;
use anet_datapath::verdict::DropReason;
use anet_memory::buffer::{Buffer, Pool};
use anet_memory::words::Words;
use anet_packet::addr::Mac;
use anet_packet::build::{self, Stations};
use anet_ports::memory::{EVERYTHING, MemoryPort, Peer, pair};
use anet_ports::{Port, ReceiveCounters};
use left_right::WriteHandle;

use super::*;
use crate::core::control::Control;
use crate::planted::MAGIC;

const PLAN: &str = "\
networks:
  blue: {vni: 10, mtu: 1450, endpoints: []}
subnets:
  blue-v4: {network: blue, prefix: 10.0.0.0/24}
ports:
  a: {network: blue, mac: 02:00:00:00:00:01, addresses: [10.0.0.1], security_groups: [all]}
  b: {network: blue, mac: 02:00:00:00:00:02, addresses: [10.0.0.2], security_groups: [all]}
  c: {network: blue, mac: 02:00:00:00:00:03, addresses: [10.0.0.3], security_groups: [all]}
security_groups:
  all:
    rules:
      out: {direction: egress, ethertype: IPv4}
      in: {direction: ingress, ethertype: IPv4}
";

/// Workers, and guests by number from 1.
struct Bench {
    workers: Workers,
    events: Receiver<Event>,
    guests: Vec<(MemoryPort, Peer, Interface)>,
    control: Control,
    tables: WriteHandle<Tables, TableOp>,
    connections: Arc<Connections>,
}

impl Bench {
    fn new(workers: usize) -> Self {
        let plan = anet_wire::plan_text::parse(PLAN).unwrap();
        let mut control = Control::new();
        let changeset = control.changeset_to(&plan).unwrap();
        let operations = control.apply(&changeset).unwrap();
        let (mut tables, reader) = left_right::new_from_empty(Tables::new(1));
        tables.extend(operations);
        tables.publish();
        let (sender, events) = channel();
        let settings = Settings {
            workers,
            flows: 1024,
            polling: Polling::Adaptive,
            stage_cycles: false,
            processors: Vec::new(),
            seed: 1,
        };
        let tell = move |event| drop(sender.send(event));
        let shared = shared();
        let workers = Workers::start(settings, &shared, &reader, tell).unwrap();
        let mut bench = Self {
            workers,
            events,
            guests: Vec::new(),
            control,
            tables,
            connections: shared.connections,
        };
        for id in plan.ports.keys() {
            let index = bench.control.builder().port_index(id).unwrap();
            let (port, peer) = pair(id.as_str(), EVERYTHING);
            bench.guests.push((port, peer, Interface::port(index)));
            bench.attach(bench.guests.len());
        }
        bench
    }

    /// The plan with its text changed.
    fn change(&mut self, from: &str, to: &str) {
        let plan = anet_wire::plan_text::parse(&PLAN.replace(from, to)).unwrap();
        let changeset = self.control.changeset_to(&plan).unwrap();
        self.tables.extend(self.control.apply(&changeset).unwrap());
        self.tables.publish();
    }

    fn attach(&mut self, guest: usize) {
        let (port, _, interface) = &mut self.guests[guest - 1];
        let receiver = self.workers.receiver_of(*interface);
        let health: Arc<PortHealth> = Arc::default();
        for worker in 0..self.workers.count() {
            let attachment = Attachment {
                device: AttachedDevice {
                    interface: *interface,
                    generation: 1,
                },
                receive: (worker == receiver).then(|| port.receive_queue(0).unwrap()),
                transmit: port.transmit_queue().unwrap(),
                health: health.clone(),
            };
            self.workers.attach(worker, attachment);
        }
        // Commands are obeyed in order: once this one is answered, the port is there, and nothing sent to it is lost.
        assert_eq!(self.workers.flows().len(), self.workers.count());
    }

    fn send(&self, from: usize, to: usize, payload: &[u8]) {
        assert!(self.guests[from - 1].1.send(udp(from, to, payload)));
    }

    /// Waits until a guest has received as many frames, and gives their payloads.
    fn receive(&self, guest: usize, count: usize) -> Vec<Vec<u8>> {
        let mut payloads = Vec::new();
        wait("frames", || {
            let frames = self.guests[guest - 1].1.receive_all();
            payloads.extend(frames.into_iter().map(|frame| frame.bytes[42..].to_vec()));
            payloads.len() >= count
        });
        payloads
    }

    fn drops(&self, guest: usize, reason: DropReason) -> u64 {
        let index = self.guests[guest - 1].2.get();
        let of = |worker: &WorkerCounters| {
            worker
                .port(index)
                .map_or(0, |port| port.drops[reason.index()].get())
        };
        self.workers.counters().map(of).sum()
    }

    fn panics(&self) -> u64 {
        self.workers.counters().map(|worker| worker.panics.get()).sum()
    }
}

fn shared() -> Shared {
    let words = Words::anonymous(words_for(1024)).unwrap();
    let config = Config {
        shards: 4,
        seed: 1,
        now: crate::clock::now(),
    };
    Shared {
        connections: Arc::new(Connections::open(words, config).unwrap().0),
        new_connections: Arc::new(NewConnections::new(1)),
        loose_pickup: false,
    }
}

fn udp(from: usize, to: usize, payload: &[u8]) -> Vec<u8> {
    udp_from(1000, from, to, payload)
}

fn udp_from(port: u16, from: usize, to: usize, payload: &[u8]) -> Vec<u8> {
    let mac = |guest: usize| Mac([2, 0, 0, 0, 0, guest as u8]);
    let end = |guest: usize| SocketAddr::from(([10, 0, 0, guest as u8], port));
    let stations = Stations {
        destination: mac(to),
        source: mac(from),
    };
    let mut frame = vec![0; 42 + payload.len()];
    let length = build::udp(&mut frame, stations, end(from), end(to), payload).unwrap();
    frame.truncate(length);
    frame
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "waited for {what} in vain"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn frames_go_from_guest_to_guest_whichever_worker_has_them() {
    for workers in [1, 2] {
        let bench = Bench::new(workers);
        for n in 0..200u8 {
            bench.send(1, 2, &[n]);
            bench.send(2, 1, &[n]);
        }
        let sent: Vec<Vec<u8>> = (0..200).map(|n| vec![n]).collect();
        assert_eq!(bench.receive(2, 200), sent, "all of them, in order");
        assert_eq!(bench.receive(1, 200), sent);
        let flows = bench.workers.flows();
        assert_eq!(flows.len(), workers);
        assert_eq!(flows.iter().map(Vec::len).sum::<usize>(), 2);
    }
}

#[test]
fn a_port_that_comes_and_goes_costs_others_nothing() {
    let mut bench = Bench::new(2);
    let mut sent = 0u32;
    for _ in 0..20 {
        let interface = bench.guests[2].2;
        let queues = bench.workers.detach(interface);
        assert_eq!(queues.len(), 2, "every worker gives its queue back");
        assert_eq!(queues.iter().filter(|q| q.receive.is_some()).count(), 1);
        for _ in 0..50 {
            bench.send(1, 2, &sent.to_be_bytes());
            bench.send(1, 3, b"lost");
            sent += 1;
        }
        // The far side comes back as another port, as a device that was opened anew.
        let (port, peer) = pair("c", EVERYTHING);
        bench.guests[2] = (port, peer, interface);
        bench.attach(3);
    }
    let received = bench.receive(2, sent as usize);
    let expected: Vec<Vec<u8>> = (0..sent).map(|n| n.to_be_bytes().to_vec()).collect();
    assert_eq!(received, expected);
}

/// The queue of a device that is gone.
struct Gone;

impl ReceiveQueue for Gone {
    fn receive(&mut self, _: &Pool, _: &mut Vec<Buffer>, _: usize) -> Result<usize, PortError> {
        Err(PortError::Gone {
            port: "gone".to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        })
    }

    fn wait_descriptor(&self) -> Option<std::os::fd::RawFd> {
        None
    }

    fn counters(&self) -> ReceiveCounters {
        ReceiveCounters::default()
    }
}

#[test]
fn an_event_says_which_of_the_devices_of_an_interface_it_is_about() {
    let mut bench = Bench::new(1);
    let (port, _, interface) = &mut bench.guests[0];
    let interface = *interface;
    for generation in [7, 8] {
        bench.workers.detach(interface);
        let device = AttachedDevice {
            interface,
            generation,
        };
        let attachment = Attachment {
            device,
            receive: Some(Box::new(Gone)),
            transmit: port.transmit_queue().unwrap(),
            health: Arc::default(),
        };
        bench.workers.attach(0, attachment);
        let told = bench.events.recv_timeout(Duration::from_secs(5));
        assert!(
            matches!(&told, Ok(Event::Lost(lost, _)) if *lost == device),
            "{told:?}"
        );
    }
}

#[test]
fn a_panic_costs_its_burst_and_too_many_cost_the_port() {
    let bench = Bench::new(1);
    bench.send(1, 2, b"before");
    assert_eq!(bench.receive(2, 1), [b"before"]);
    for panics in 1..=u64::from(health::PANICS) {
        bench.send(1, 2, MAGIC);
        wait("a panic", || bench.panics() == panics);
        bench.send(3, 2, b"others");
        assert_eq!(bench.receive(2, 1), [b"others"], "other ports work on");
    }
    let interface = bench.guests[0].2;
    let told = bench.events.recv_timeout(Duration::from_secs(5));
    assert!(
        matches!(told, Ok(Event::Quarantined(closed)) if closed.interface == interface),
        "{told:?}"
    );
    bench.send(1, 2, b"closed");
    wait("a counted drop", || bench.drops(1, DropReason::Quarantined) == 1);
    bench.send(2, 1, b"towards it");
    assert_eq!(bench.receive(1, 1), [b"towards it"], "it still receives");
    assert!(bench.guests[1].1.receive().is_none());
}

/// A worker that has no more packets does not leave them there, nor does one that ends.
#[test]
fn connections_that_rules_have_ended_leave_the_table_also_without_further_packets() {
    let mut bench = Bench::new(1);
    let frames: Vec<Vec<u8>> = (0..150).map(|n| udp_from(1000 + n, 1, 2, b"x")).collect();
    for _ in 0..2 {
        assert!(frames.iter().all(|frame| bench.guests[0].1.send(frame.clone())));
        assert_eq!(bench.receive(2, frames.len()).len(), frames.len());
    }
    assert_eq!(bench.connections.len(), frames.len());
    bench.change("      in: {direction: ingress, ethertype: IPv4}\n", "");
    assert!(frames.iter().all(|frame| bench.guests[0].1.send(frame.clone())));
    wait("drops", || {
        bench.drops(1, DropReason::FirewallIngress) == frames.len() as u64
    });
    wait("an empty table", || bench.connections.is_empty());
    assert!(bench.guests[1].1.receive().is_none());
}
