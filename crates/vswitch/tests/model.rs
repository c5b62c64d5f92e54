//! The fast path against a slow reference: packets, changes of the plan and hand-overs of queues between workers in random
//! order give the same verdicts and the same bytes.
//!
//! `ANET_MODEL_SEEDS=N` runs N seeds (default 24), `ANET_MODEL_SEED=S` just that one; a failure names its seed and step.

// A test may end with a panic; clippy knows that of `#[test]` functions only.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "model/random.rs"]
mod random;
#[path = "model/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::net::IpAddr;

use anet_datapath::burst::{NewConnections, Surroundings, Worker, WorkerSettings};
use anet_datapath::connections::{Config, Connections, words_for};
use anet_datapath::counters::WorkerCounters;
use anet_datapath::egress::Egress;
use anet_datapath::interface::Interface;
use anet_datapath::pipeline::Environment;
use anet_datapath::tables::{TableOp, Tables};
use anet_datapath::testing::reference::{Expected, Packet, Reference, Source, Transport};
use anet_datapath::verdict::DropReason;
use anet_memory::pool::{Pool, PoolSettings};
use anet_model::diff::diff;
use anet_model::host_plan::HostPlan;
use anet_packet::addr::{Mac, Vni};
use anet_packet::testing::FrameBuilder;
use anet_vswitch::core::tables::TableBuilder;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use left_right::{ReadHandle, WriteHandle};

use random::Random;
use world::Conversation;

/// The real thing: two workers, one connection table, tables in two copies.
struct Switch {
    writer: WriteHandle<Tables, TableOp>,
    reader: ReadHandle<Tables>,
    builder: TableBuilder,
    plan: HostPlan,
    connections: Connections,
    new_connections: NewConnections,
    workers: [Worker; 2],
    /// Which worker receives a source.
    assignment: BTreeMap<Source, usize>,
    pool: Pool,
    egress: Egress,
    now: u64,
}

impl Switch {
    fn new(seed: u64, plan: HostPlan) -> Self {
        let (writer, reader) = left_right::new_from_empty(Tables::new(seed));
        let config = Config {
            shards: 4,
            seed,
            now: 1,
        };
        let words = anet_memory::words::Words::anonymous(words_for(4096)).unwrap();
        let connections = Connections::open(words, config).unwrap().0;
        // Small caches in every other seed, so that flows are evicted all the time.
        let flows = if seed.is_multiple_of(2) { 64 } else { 4096 };
        let worker = |number| {
            Worker::new(WorkerSettings {
                number,
                flows,
                seed: seed ^ u64::from(number),
            })
        };
        let mut switch = Self {
            writer,
            reader,
            builder: TableBuilder::new(),
            plan: HostPlan::default(),
            connections,
            new_connections: NewConnections::new(seed),
            workers: [worker(0), worker(1)],
            assignment: BTreeMap::new(),
            pool: Pool::new(PoolSettings::default()).unwrap(),
            egress: Egress::default(),
            now: 1_000_000_000,
        };
        switch.change_to(plan);
        switch
    }

    fn change_to(&mut self, plan: HostPlan) {
        let changes = diff(&self.plan, &plan);
        if std::env::var_os("ANET_MODEL_SHOW").is_some() {
            println!("{changes:?}");
        }
        for op in self.builder.apply(&self.plan, &plan, &changes).unwrap() {
            self.writer.append(op);
        }
        self.writer.publish();
        self.plan = plan;
        let differences = self.builder.audit(&self.reader.enter().unwrap(), &self.plan);
        assert!(
            differences.is_empty(),
            "the tables are not the plan's: {differences:?}"
        );
    }

    fn send(&mut self, random: &mut Random, source: &Source, frame: &[u8]) -> (Expected, Vec<u8>) {
        let worker = *self
            .assignment
            .entry(source.clone())
            .or_insert_with(|| random.below(2));
        let interface = match source {
            Source::Port(id) => Interface::port(self.builder.port_index(id).unwrap()),
            Source::Tunnel(..) => Interface::UPLINK,
        };
        let bytes = match source {
            Source::Port(_) => frame.to_vec(),
            Source::Tunnel(address, vni) => outer(*address, *vni, frame),
        };
        let tables = self.reader.enter().unwrap();
        let environment = Environment {
            tables: &tables,
            connections: &self.connections,
            new_connections: &self.new_connections,
            now: self.now,
            loose_pickup: false,
        };
        self.now += 100_000;
        let worker = &mut self.workers[worker];
        let before = drops(worker.counters(), interface);
        let mut burst = vec![self.pool.copy_from(&bytes).unwrap()];
        let mut with = Surroundings {
            environment,
            pool: &self.pool,
            egress: &mut self.egress,
        };
        worker.process(&mut with, interface, &mut burst);
        let after = drops(worker.counters(), interface);
        let mut sent = Vec::new();
        self.egress
            .drain(|to, list| sent.extend(list.drain(..).map(|b| (to, b.to_vec()))));
        let dropped: Vec<DropReason> = DropReason::ALL
            .into_iter()
            .filter(|r| before[r.index()] != after[r.index()])
            .collect();
        match (sent.pop(), dropped.as_slice()) {
            (Some((Interface::UPLINK, bytes)), []) if sent.is_empty() => {
                let (address, vni, inner) = unwrap_outer(&bytes);
                (Expected::Encapsulate(address, vni), inner)
            }
            (Some((port, bytes)), []) if sent.is_empty() => {
                let id = self.builder.port_at(port.get()).unwrap().clone();
                (Expected::Deliver(id), bytes)
            }
            (None, [reason]) => (Expected::Drop(*reason), Vec::new()),
            (sent, dropped) => panic!("one packet in, {sent:?} out, dropped {dropped:?}"),
        }
    }
}

fn drops(counters: &WorkerCounters, interface: Interface) -> Vec<u64> {
    counters
        .interface(interface)
        .drops
        .iter()
        .map(|c| c.get())
        .collect()
}

fn outer(address: IpAddr, vni: Vni, inner: &[u8]) -> Vec<u8> {
    let to = IpAddr::V4(world::LOCAL);
    let macs = (Mac([2, 9, 9, 9, 9, 1]), Mac([2, 9, 9, 9, 9, 2]));
    FrameBuilder::udp(macs.0, macs.1, address, to, (50_000, 4789))
        .vxlan(vni, inner)
        .build()
}

/// The outer header as an independent parser reads it, checked; the endpoint, the VNI and the inner frame.
fn unwrap_outer(bytes: &[u8]) -> (IpAddr, Vni, Vec<u8>) {
    let packet = SlicedPacket::from_ethernet(bytes).expect("the outer headers parse");
    let Some(NetSlice::Ipv4(ip)) = &packet.net else {
        panic!("the underlay is IPv4")
    };
    let header = ip.header();
    assert_eq!(
        header.to_header().calc_header_checksum(),
        header.header_checksum(),
        "outer IPv4 checksum"
    );
    assert_eq!(header.source_addr(), world::LOCAL);
    assert!(header.dont_fragment());
    let Some(TransportSlice::Udp(udp)) = &packet.transport else {
        panic!("VXLAN is UDP")
    };
    assert_eq!(udp.destination_port(), 4789);
    assert!(udp.source_port() >= 49_152);
    let payload = udp.payload();
    assert_eq!(payload[0], 8, "the I flag");
    let vni = u32::from_be_bytes([0, payload[4], payload[5], payload[6]]);
    (
        IpAddr::V4(header.destination_addr()),
        Vni::new(vni).unwrap(),
        payload[8..].to_vec(),
    )
}

/// The packet as an independent parser reads it.
fn read(frame: &[u8]) -> Packet {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let mac = |at: usize| Mac(frame[at..at + 6].try_into().unwrap());
    let (source, destination): (IpAddr, IpAddr) = match packet.net.as_ref().unwrap() {
        NetSlice::Ipv4(ip) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        NetSlice::Ipv6(ip) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        other => panic!("{other:?} is not generated"),
    };
    let transport = match packet.transport.unwrap() {
        TransportSlice::Tcp(t) => Transport::Tcp {
            source: t.source_port(),
            destination: t.destination_port(),
            syn: t.syn(),
            ack: t.ack(),
            fin: t.fin(),
            rst: t.rst(),
        },
        TransportSlice::Udp(u) => Transport::Udp {
            source: u.source_port(),
            destination: u.destination_port(),
        },
        TransportSlice::Icmpv4(i) => echo(i.slice(), 0),
        TransportSlice::Icmpv6(i) => echo(i.slice(), 129),
        other => panic!("{other:?} is not generated"),
    };
    Packet {
        macs: (mac(6), mac(0)),
        source,
        destination,
        transport,
    }
}

fn echo(message: &[u8], reply: u8) -> Transport {
    Transport::Echo {
        id: u16::from_be_bytes([message[4], message[5]]),
        is_reply: message[0] == reply,
    }
}

/// The frame through the switch, and the packet by the reference: what became of it, and its name for the tally.
fn tried(
    switch: &mut Switch,
    reference: &mut Reference,
    random: &mut Random,
    source: &Source,
    packet: &Packet,
    frame: &[u8],
) -> Result<(String, Expected), String> {
    let expected = reference.judge(&switch.plan, source, packet);
    let (verdict, bytes) = switch.send(random, source, frame);
    if std::env::var_os("ANET_MODEL_SHOW").is_some() {
        println!("{source:?} {packet:?} {verdict:?}");
    }
    if verdict != expected {
        return Err(format!(
            "{verdict:?} and not {expected:?}: {source:?} sends {packet:?}"
        ));
    }
    let kind = match &verdict {
        Expected::Deliver(_) => "delivered".to_string(),
        Expected::Encapsulate(..) => "encapsulated".to_string(),
        Expected::Drop(reason) => return Ok((reason.name().to_string(), verdict)),
    };
    if bytes != frame {
        return Err(format!("other bytes than were sent: {source:?} sends {packet:?}"));
    }
    Ok((kind, verdict))
}

/// What changes, and how often: one step in so many.
#[derive(Clone, Copy)]
struct Changes {
    one_in: usize,
    change: fn(&mut Random, &mut HostPlan),
}

/// Everything.
const ALL: Changes = Changes {
    one_in: 60,
    change: world::change,
};

/// Rules and members of sets alone, all the time: flows are asked again by their rules and no more.
const RULES: Changes = Changes {
    one_in: 6,
    change: world::change_rules_only,
};

fn run(seed: u64, steps: usize, changes: Changes) -> BTreeMap<String, usize> {
    let mut random = Random::new(seed);
    let mut switch = Switch::new(seed, world::base(&mut random));
    let mut reference = Reference::default();
    let mut conversations = [(); 30].map(|()| Conversation::new(&mut random));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for step in 0..steps {
        if random.one_in(changes.one_in) {
            let mut plan = switch.plan.clone();
            (changes.change)(&mut random, &mut plan);
            switch.change_to(plan);
        } else if random.one_in(60) {
            // A queue is handed over: the next packets of a source come to the other worker.
            for worker in switch.assignment.values_mut().filter(|_| random.one_in(2)) {
                *worker = 1 - *worker;
            }
        } else {
            if random.one_in(40) {
                let place = random.below(conversations.len());
                conversations[place] = Conversation::new(&mut random);
            }
            let conversation = *random.pick(&conversations);
            let sent = world::packet(&mut random, &switch.plan, conversation);
            let (mut packet, transport) = (read(&sent.whole), read(&sent.whole).transport);
            let mut is_known = false;
            for (has_transport, frame) in &sent.frames {
                // A later fragment follows its first one.
                is_known |= has_transport;
                packet.transport = if is_known { transport } else { Transport::Piece };
                let (kind, verdict) = tried(
                    &mut switch,
                    &mut reference,
                    &mut random,
                    &sent.source,
                    &packet,
                    frame,
                )
                .unwrap_or_else(|error| panic!("seed {seed}, step {step}: {error}"));
                *seen.entry(kind).or_default() += 1;
                let later = !has_transport && is_known && !matches!(verdict, Expected::Drop(_));
                *seen.entry("later_fragments_passed".to_string()).or_default() += usize::from(later);
            }
        }
        assert_eq!(
            switch.connections.len(),
            reference.connections(),
            "seed {seed}, step {step}: connections"
        );
    }
    let hits: u64 = switch.workers.iter().map(|w| w.counters().hits.get()).sum();
    *seen.entry("hits".to_string()).or_default() += hits as usize;
    let sum = |counter: fn(&WorkerCounters) -> u64| -> usize {
        switch
            .workers
            .iter()
            .map(|w| counter(w.counters()) as usize)
            .sum()
    };
    *seen.entry("revalidations".to_string()).or_default() += sum(|c| c.revalidations.get());
    *seen.entry("rechecks".to_string()).or_default() += sum(|c| c.rechecks.get());
    seen
}

/// All seeds, and whether it is but one.
fn run_seeds(changes: Changes) -> (BTreeMap<String, usize>, bool) {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|v: String| v.parse::<u64>().ok())
    };
    let seeds = match number("ANET_MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ANET_MODEL_SEEDS").unwrap_or(24),
    };
    let only_one = seeds.end - seeds.start == 1;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for seed in seeds {
        for (kind, count) in run(seed, 4_000, changes) {
            *seen.entry(kind).or_default() += count;
        }
    }
    println!("{seen:?}");
    (seen, only_one)
}

#[test]
fn packets_changes_and_hand_overs_in_any_order_agree_with_the_reference() {
    let (seen, only_one) = run_seeds(ALL);
    let must_be_seen = [
        "delivered",
        "encapsulated",
        "hits",
        "revalidations",
        "firewall_egress",
        "firewall_ingress",
        "not_a_connection",
        "fragment_without_first",
        "later_fragments_passed",
        "unknown_endpoint",
        "source_is_elsewhere",
        "spoofed_ipv4",
        "spoofed_ipv6",
        "hairpin",
        "port_down",
    ];
    for kind in must_be_seen.into_iter().filter(|_| !only_one) {
        assert!(
            seen.get(kind).is_some_and(|n| *n > 20),
            "{kind} was hardly tried: {seen:?}"
        );
    }
}

#[test]
fn flows_whose_rules_change_all_the_time_agree_with_the_reference() {
    let (seen, only_one) = run_seeds(RULES);
    let tried = |kind| seen.get(kind).copied().unwrap_or(0);
    if !only_one {
        assert!(tried("rechecks") > 2_000, "{seen:?}");
        assert!(
            tried("revalidations") > tried("rechecks"),
            "some had to walk all the same: {seen:?}"
        );
        for kind in ["hits", "firewall_egress", "firewall_ingress", "not_a_connection"] {
            assert!(tried(kind) > 500, "{kind} was hardly tried: {seen:?}");
        }
    }
}
