//! The burst: up to [`BURST`] packets of one interface, through the flow cache or the pipeline, to their egress.
//!
//! The burst is walked several times, a short step each, so that what one step needs from memory is under way while
//! the others work: key and hash (asks for the tags), candidate (asks for the entry), flow (asks for the connection's
//! half), then verdict by verdict in the order of arrival. A packet without a fresh flow goes through the pipeline at its
//! place in that order, so that nothing overtakes.

mod advertise;
mod copies;
mod endings;
mod forward;
mod marks;
mod miss;
mod stages;

use std::sync::Arc;

use anet_memory::buffer::{Buffer, Pool, SegmentKind, hand_over};
use anet_packet::flow_key::FlowKey;

use crate::connections::Connections;
use crate::counters::WorkerCounters;
use crate::egress::Egress;
use crate::flow_cache::{FlowCache, Position};
use crate::interface::Interface;
use crate::pipeline::{self, Environment, WorkerState};
use crate::tables::Tables;
use crate::verdict::DropReason;

pub use endings::PER_MILLISECOND;
pub use marks::NewConnections;
pub use stages::{Stage, StageClock, Unmeasured};

/// Packets of a burst at most.
pub const BURST: usize = 32;

/// What the fast path knows of a packet of the burst.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// The source as it stands in flow keys: the port, or the membership.
    source: Interface,
    hash: u64,
    key: FlowKey,
    /// Bytes of the packet, and its TCP flags.
    length: u32,
    /// What is held against the flow's [`longest`](crate::flow_cache::Flow::longest): 0 for a large segment.
    uncut: u32,
    tcp_flags: u8,
    /// False: the key could not be read in the cheap way, or the packet must be looked at by the pipeline.
    plain: bool,
    position: Position,
    /// Set by `decap`: why it goes nowhere.
    refused: Option<DropReason>,
}

impl Seen {
    /// Not for the fast path. A call of its own: merged into the ordinary packets' way, each of their checks would clear all
    /// fields before it.
    #[inline(never)]
    fn is_not_plain(&mut self, source: Interface, refused: Option<DropReason>) {
        self.source = source;
        self.plain = false;
        self.position = Position::NOWHERE;
        self.refused = refused;
    }
}

/// How a worker is set up.
#[derive(Debug, Clone, Copy)]
pub struct WorkerSettings {
    /// The worker's number: the owner of connection halves.
    pub number: u16,
    /// Flows its cache holds.
    pub flows: usize,
    /// Seed of its hashes; from the system's random source.
    pub seed: u64,
}

/// A worker's own state: flow cache, budgets, scratch. One thread owns it.
pub struct Worker {
    number: u16,
    cache: FlowCache,
    state: WorkerState,
    /// `None` only during a burst, and after one that panicked.
    seen: Option<Box<[Seen; BURST]>>,
    endings: endings::Endings,
    counters: Arc<WorkerCounters>,
}

/// What is lent to a worker for a burst.
pub struct Surroundings<'s> {
    /// Tables, connections and the time.
    pub environment: Environment<'s>,
    /// Buffers for replies and copies.
    pub pool: &'s Pool,
    /// Where packets leave.
    pub egress: &'s mut Egress,
}

impl Worker {
    /// A worker with an empty cache.
    pub fn new(settings: WorkerSettings) -> Self {
        Self {
            number: settings.number,
            cache: FlowCache::new(settings.flows, settings.seed),
            state: WorkerState::default(),
            seen: None,
            endings: endings::Endings::default(),
            counters: Arc::default(),
        }
    }

    /// Its counters, for others to read.
    pub fn counters(&self) -> &Arc<WorkerCounters> {
        &self.counters
    }

    /// Its flow cache, for people to look at.
    pub fn cache(&self) -> &FlowCache {
        &self.cache
    }

    /// Forgets all flows: after a panic, or when a queue is handed over.
    pub fn forget_flows(&mut self) {
        self.cache.clear();
    }

    /// Takes all packets of `burst` (of `source`, at most [`BURST`]; more are taken in several turns) to their egress.
    pub fn process(&mut self, with: &mut Surroundings<'_>, source: Interface, burst: &mut Vec<Buffer>) {
        self.process_measured(with, source, burst, &mut Unmeasured);
    }

    /// The same, telling `clock` where each [`Stage`] ends.
    #[inline]
    pub fn process_measured(
        &mut self,
        with: &mut Surroundings<'_>,
        source: Interface,
        burst: &mut Vec<Buffer>,
        clock: &mut impl StageClock,
    ) {
        let counters = self.counters.clone();
        let interface = counters.interface(source);
        self.endings.observe(&with.environment);
        interface.received_packets.add(burst.len() as u64);
        interface
            .received_bytes
            .add(burst.iter().map(|b| b.len() as u64).sum());
        let mut all = self
            .seen
            .take()
            .unwrap_or_else(|| Box::new([Seen::default(); BURST]));
        while !burst.is_empty() {
            let turn = burst.len().min(BURST);
            let seen = &mut all[..turn];
            self.read_keys(with.environment.tables, source, &mut burst[..turn], seen);
            clock.lap(Stage::Keys);
            self.find_candidates(seen);
            clock.lap(Stage::Candidates);
            self.ask_for_halves(with.environment.connections, seen);
            clock.lap(Stage::Halves);
            let mut seen = seen.iter();
            hand_over(burst, turn, |buffer| {
                if let Some(seen) = seen.next() {
                    self.settle(with, source, seen, buffer, clock);
                }
            });
            clock.lap(Stage::Verdicts);
        }
        self.seen = Some(all);
        self.endings.work_off(&with.environment);
    }

    /// Takes some of the connections that rules have ended out of the table, as after a burst.
    pub fn work_off_endings(&mut self, environment: &pipeline::Environment<'_>) {
        self.endings.observe(environment);
        self.endings.work_off(environment);
    }

    /// True where connections that rules have ended are still to be taken out of the table.
    pub fn has_endings(&self) -> bool {
        !self.endings.is_empty()
    }

    /// Takes all of them out: where there are no more packets for the moment, and before the worker ends.
    pub fn finish_endings(&mut self, connections: &Connections) {
        self.endings.finish(connections);
    }

    /// First step: source, key, hash.
    fn read_keys(&self, tables: &Tables, source: Interface, burst: &mut [Buffer], all: &mut [Seen]) {
        for (seen, buffer) in all.iter_mut().zip(burst) {
            let mut from = source;
            if source == Interface::UPLINK {
                match pipeline::decapsulate(tables, buffer) {
                    Ok(membership) => from = Interface::membership(membership),
                    Err(reason) => {
                        seen.is_not_plain(source, Some(reason));
                        continue;
                    }
                }
            }
            match FlowKey::extract(from.get(), buffer.head(), buffer.len()) {
                Some((key, brief)) => {
                    let hash = self.cache.hash(&key);
                    self.cache.prefetch_tags(hash);
                    let is_whole = buffer.meta.segmentation.kind == SegmentKind::None;
                    seen.source = from;
                    seen.hash = hash;
                    seen.key = key;
                    seen.length = brief.length;
                    seen.uncut = if is_whole { brief.length } else { 0 };
                    seen.tcp_flags = brief.tcp_flags;
                    seen.plain = true;
                    seen.refused = None;
                }
                None => seen.is_not_plain(from, None),
            }
        }
    }

    /// Second step: where the flow may be.
    fn find_candidates(&self, all: &mut [Seen]) {
        for seen in all.iter_mut().filter(|seen| seen.plain) {
            seen.position = self.cache.candidate(seen.hash);
        }
    }

    /// Third step: ask for the half of the connection that will be written.
    fn ask_for_halves(&self, connections: &Connections, all: &[Seen]) {
        for seen in all {
            // Of another flow now and then: that is asked for in vain.
            if let Some(half) = self.cache.peek(seen.position).and_then(|flow| flow.half) {
                connections.prefetch(half.connection, half.direction);
            }
        }
    }

    /// Last step: one packet, its verdict.
    #[inline]
    fn settle(
        &mut self,
        with: &mut Surroundings<'_>,
        source: Interface,
        seen: &Seen,
        buffer: Buffer,
        clock: &mut impl StageClock,
    ) {
        if let Some(reason) = seen.refused {
            self.count_drop(source, reason);
        } else if seen.plain {
            self.hit_or_miss(with, source, seen, buffer, clock);
        } else {
            clock.lap(Stage::Verdicts);
            self.miss(with, source, seen.source, buffer);
            clock.lap(Stage::Misses);
        }
    }

    fn count_drop(&self, source: Interface, reason: DropReason) {
        self.counters.interface(source).drops[reason.index()].add(1);
    }
}
