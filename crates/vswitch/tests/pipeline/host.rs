//! A host in memory: tables of a plan, two workers, one connection table.

use std::net::IpAddr;

use anet_datapath::burst::{NewConnections, Surroundings, Worker, WorkerSettings};
use anet_datapath::connections::{Config, Connections, words_for};
use anet_datapath::egress::Egress;
use anet_datapath::interface::Interface;
use anet_datapath::pipeline::{self, Environment};
use anet_datapath::tables::Tables;
use anet_datapath::trace::{Fate, Trace};
use anet_datapath::verdict::DropReason;
use anet_memory::buffer::Meta;
use anet_memory::pool::{Pool, PoolSettings};
use anet_memory::words::Words;
use anet_model::diff::diff;
use anet_model::host_plan::HostPlan;
use anet_packet::addr::{Mac, Vni};
use anet_packet::testing::FrameBuilder;
use anet_vswitch::core::tables::TableBuilder;

use crate::fabric::{self, HOST2, LOCAL, id};

/// Where a frame comes in.
#[derive(Debug, Clone, Copy)]
pub enum From<'f> {
    /// Out of a guest.
    Port(&'f str),
    /// Through the tunnel, from that endpoint, in that VNI.
    Tunnel(IpAddr, u32),
    /// From the underlay, outer headers and all.
    Underlay,
}

/// Peer p, behind host2.
pub const FROM_P: From<'static> = From::Tunnel(HOST2, fabric::BLUE);

/// Where a frame went out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    Port(String),
    /// Endpoint and VNI; the bytes are the inner frame.
    Tunnel(IpAddr, u32),
}

/// A frame on its way out.
#[derive(Debug, Clone)]
pub struct Sent {
    pub to: To,
    pub bytes: Vec<u8>,
    /// The outer headers, where there are some.
    pub outer: Vec<u8>,
    pub meta: Meta,
}

/// What became of a frame.
#[derive(Debug)]
pub struct Seen {
    pub sent: Vec<Sent>,
    pub dropped: Vec<DropReason>,
    pub replies: u64,
    pub consumed: u64,
    pub hits: u64,
    pub trace: Trace,
}

impl Seen {
    /// The one reason that it was dropped for.
    pub fn reason(&self) -> Option<DropReason> {
        match (self.sent.as_slice(), self.dropped.as_slice()) {
            ([], [reason]) => Some(*reason),
            _ => None,
        }
    }

    /// Where it went, in order.
    pub fn ways(&self) -> Vec<To> {
        let mut ways: Vec<To> = self.sent.iter().map(|s| s.to.clone()).collect();
        ways.sort();
        ways
    }

    /// The trace as text.
    pub fn steps(&self) -> String {
        let steps: Vec<&str> = self.trace.steps.iter().map(|s| s.text.as_str()).collect();
        steps.join("; ")
    }

    /// True where it went to that one port and nowhere else.
    pub fn reached(&self, port: &str) -> bool {
        self.ways() == [To::Port(port.to_string())] && self.dropped.is_empty() && self.replies == 0
    }

    /// True where it went to that one endpoint and nowhere else.
    pub fn tunnelled(&self, endpoint: IpAddr, vni: u32) -> bool {
        self.ways() == [To::Tunnel(endpoint, vni)] && self.dropped.is_empty()
    }

    /// The one answer's bytes.
    pub fn answer(&self) -> &[u8] {
        assert_eq!((self.replies, self.sent.len()), (1, 1), "{self:?}");
        &self.sent[0].bytes
    }
}

/// See the module's page.
pub struct Host {
    pub tables: Tables,
    pub builder: TableBuilder,
    pub plan: HostPlan,
    pub connections: Connections,
    new_connections: NewConnections,
    workers: [Worker; 2],
    pub pool: Pool,
    egress: Egress,
    pub now: u64,
    pub loose_pickup: bool,
    /// False: the trace cannot know (a budget, a full table, an empty pool).
    pub trace_agrees: bool,
}

impl Host {
    pub fn new() -> Self {
        Self::with(fabric::plan(), 1024)
    }

    pub fn with(plan: HostPlan, connections: u32) -> Self {
        let config = Config {
            shards: 1,
            seed: 7,
            now: 1,
        };
        let words = Words::anonymous(words_for(connections)).unwrap();
        let worker = |number| {
            Worker::new(WorkerSettings {
                number,
                flows: 1024,
                seed: 5,
            })
        };
        let mut host = Self {
            tables: Tables::new(7),
            builder: TableBuilder::new(),
            plan: HostPlan::default(),
            connections: Connections::open(words, config).unwrap().0,
            new_connections: NewConnections::new(7),
            workers: [worker(0), worker(1)],
            pool: Pool::new(PoolSettings {
                buffers: 64,
                slabs: 8,
                ..PoolSettings::default()
            })
            .unwrap(),
            egress: Egress::default(),
            now: 1_000_000_000,
            loose_pickup: false,
            trace_agrees: true,
        };
        host.change_to(plan);
        host
    }

    /// A changed plan, built into the tables.
    pub fn change(&mut self, change: impl FnOnce(&mut HostPlan)) {
        let mut plan = self.plan.clone();
        change(&mut plan);
        self.change_to(plan);
    }

    fn change_to(&mut self, plan: HostPlan) {
        plan.validate().expect("the plan is valid");
        let changes = diff(&self.plan, &plan);
        for op in self.builder.apply(&self.plan, &plan, &changes).unwrap() {
            self.tables.perform(&op);
        }
        self.plan = plan;
        assert_eq!(
            self.builder.audit(&self.tables, &self.plan),
            [],
            "the tables are the plan's"
        );
    }

    pub fn interface(&self, from: From<'_>) -> Interface {
        match from {
            From::Port(name) => Interface::port(self.builder.port_index(&id(name)).unwrap()),
            From::Tunnel(..) | From::Underlay => Interface::UPLINK,
        }
    }

    /// The frame through worker 0, and through a trace: the two say the same, and what leaves keeps to the rules that
    /// hold for every frame.
    pub fn send(&mut self, from: From<'_>, frame: &[u8]) -> Seen {
        self.send_on(0, from, frame, Meta::default())
    }

    pub fn send_on(&mut self, worker: usize, from: From<'_>, frame: &[u8], mut meta: Meta) -> Seen {
        let bytes = match from {
            From::Tunnel(source, vni) => outer(source, vni, frame),
            From::Port(_) | From::Underlay => frame.to_vec(),
        };
        if let anet_memory::buffer::Checksum::Partial { start, .. } = &mut meta.checksum {
            *start += (bytes.len() - frame.len()) as u16;
        }
        let trace = self.trace(from, &bytes, meta);
        let before = self.counts(worker, from);
        self.run(worker, from, &bytes, meta);
        let after = self.counts(worker, from);
        let sent = self.collect();
        let dropped = DropReason::ALL
            .into_iter()
            .flat_map(|r| std::iter::repeat_n(r, (after.0[r.index()] - before.0[r.index()]) as usize))
            .collect();
        let seen = Seen {
            sent,
            dropped,
            replies: after.1 - before.1,
            consumed: after.2 - before.2,
            hits: after.3 - before.3,
            trace,
        };
        if self.trace_agrees {
            agree(&seen);
        }
        keeps_to_the_rules(&self.plan, from, &seen);
        seen
    }

    fn environment(&self) -> Environment<'_> {
        Environment {
            tables: &self.tables,
            connections: &self.connections,
            new_connections: &self.new_connections,
            now: self.now,
            loose_pickup: self.loose_pickup,
        }
    }

    fn trace(&self, from: From<'_>, bytes: &[u8], meta: Meta) -> Trace {
        let Some(mut buffer) = self.pool.copy_from(bytes) else {
            return Trace::default();
        };
        buffer.meta = meta;
        let connections = self.connections.len();
        let trace = pipeline::trace(self.environment(), self.interface(from), &mut buffer);
        assert_eq!(self.connections.len(), connections, "a trace changes nothing");
        trace
    }

    fn run(&mut self, worker: usize, from: From<'_>, bytes: &[u8], meta: Meta) {
        let interface = self.interface(from);
        let mut buffer = self.pool.copy_from(bytes).expect("a buffer for the frame");
        buffer.meta = meta;
        buffer.meta.ingress = interface.get();
        let environment = Environment {
            tables: &self.tables,
            connections: &self.connections,
            new_connections: &self.new_connections,
            now: self.now,
            loose_pickup: self.loose_pickup,
        };
        let mut with = Surroundings {
            environment,
            pool: &self.pool,
            egress: &mut self.egress,
        };
        self.workers[worker].process(&mut with, interface, &mut vec![buffer]);
        self.now += 1_000;
    }

    /// Drops of the interface; replies, consumed and hits of the worker.
    fn counts(&self, worker: usize, from: From<'_>) -> (Vec<u64>, u64, u64, u64) {
        let counters = self.workers[worker].counters();
        let drops = counters
            .interface(self.interface(from))
            .drops
            .iter()
            .map(|c| c.get());
        (
            drops.collect(),
            counters.replies.get(),
            counters.consumed.get(),
            counters.hits.get(),
        )
    }

    fn collect(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        let builder = &self.builder;
        self.egress.drain(|interface, list| {
            for buffer in list.drain(..) {
                let (bytes, meta) = (buffer.to_vec(), buffer.meta);
                sent.push(match interface {
                    Interface::UPLINK => unwrap(&bytes, meta),
                    port => Sent {
                        to: To::Port(builder.port_at(port.get()).unwrap().to_string()),
                        bytes,
                        outer: Vec::new(),
                        meta,
                    },
                });
            }
        });
        sent
    }
}

/// The trace's fate is what became of the frame.
fn agree(seen: &Seen) {
    let ways = seen.ways();
    let agrees = match seen.trace.fate.as_ref().expect("a trace ends") {
        // A trace has seen no first fragment; the worker may have.
        Fate::Drop(DropReason::FragmentWithoutFirst) => true,
        Fate::Drop(reason) => seen.reason() == Some(*reason),
        Fate::Deliver { port } => ways == [To::Port(port.clone())],
        Fate::Encapsulate { endpoint, vni } => ways == [To::Tunnel(*endpoint, *vni)],
        Fate::Flood { ports, endpoints } => {
            let local = ways.iter().filter(|w| matches!(w, To::Port(_))).count();
            !ways.is_empty() && (local, ways.len() - local) == (*ports, *endpoints)
        }
        Fate::Reply => seen.replies == 1 && ways.len() == 1,
        Fate::Consumed => seen.consumed == 1 && ways.is_empty(),
    };
    assert!(agrees, "the trace says otherwise: {seen:?}");
}

/// What holds for every frame: none goes back where it came from (but an answer), none from the tunnel into a tunnel, none to
/// another network.
fn keeps_to_the_rules(plan: &HostPlan, from: From<'_>, seen: &Seen) {
    let network = match from {
        From::Port(name) => plan
            .ports
            .get(&id(name))
            .map(|p| plan.networks[&p.network].vni.get()),
        From::Tunnel(_, vni) => Some(vni),
        From::Underlay => None,
    };
    for sent in &seen.sent {
        let (to, is_source) = match &sent.to {
            To::Port(name) => (
                plan.ports
                    .get(&id(name))
                    .map(|p| plan.networks[&p.network].vni.get()),
                matches!(from, From::Port(source) if source == name),
            ),
            To::Tunnel(_, vni) => (Some(*vni), !matches!(from, From::Port(_))),
        };
        assert!(
            !is_source || seen.replies == 1,
            "back where it came from: {seen:?}"
        );
        let same = network.is_none() || to.is_none() || network == to;
        assert!(same, "to another network: {seen:?}");
    }
}

/// An outer frame to this host.
pub fn outer(source: IpAddr, vni: u32, inner: &[u8]) -> Vec<u8> {
    outer_builder(source, vni, inner).build()
}

pub fn outer_builder(source: IpAddr, vni: u32, inner: &[u8]) -> FrameBuilder {
    let macs = (Mac([2, 9, 9, 9, 9, 1]), Mac([2, 9, 9, 9, 9, 2]));
    let local = if source.is_ipv4() {
        LOCAL
    } else {
        "2001:db8::1".parse().unwrap()
    };
    FrameBuilder::udp(macs.0, macs.1, source, local, (50_000, 4789)).vxlan(Vni::new(vni).unwrap(), inner)
}

fn unwrap(bytes: &[u8], meta: Meta) -> Sent {
    let (end, endpoint): (usize, IpAddr) = if bytes[12..14] == [0x08, 0x00] {
        (50, <[u8; 4]>::try_from(&bytes[30..34]).unwrap().into())
    } else {
        (70, <[u8; 16]>::try_from(&bytes[38..54]).unwrap().into())
    };
    let vni = u32::from_be_bytes([0, bytes[end - 4], bytes[end - 3], bytes[end - 2]]);
    Sent {
        to: To::Tunnel(endpoint, vni),
        bytes: bytes[end..].to_vec(),
        outer: bytes[..end].to_vec(),
        meta,
    }
}
