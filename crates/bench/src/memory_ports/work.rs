//! Packets of one kind, carried once: what callgrind counts.

use anet_memory::allocation_count::allocations_of_this_thread;
use clap::ValueEnum;

use super::fabric::Fabric;
use super::lane::Lane;
use super::random::Random;
use super::traffic::{Connection, Path, Replay, Side};
use crate::error::{BenchError, require};

/// Flows of a known kind: few, so that callgrind is soon done.
const FLOWS: usize = 512;

/// A kind of packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// Of a known flow, dropped by the firewall.
    HitDrop,
    /// Of a known connection between guests.
    HitLocal,
    /// Of a known connection to a peer.
    HitEncapsulate,
    /// Of a known connection from a peer.
    HitDecapsulate,
    /// Of a known connection whose rule was withdrawn while another one allows it.
    RecheckAllowed,
    /// Of a known connection whose rule was withdrawn.
    RecheckDenied,
    /// Of a connection whose flow the cache has lost.
    MissKnown,
    /// The first of a connection between guests.
    MissNew,
    /// The first of a connection to a peer.
    MissNewEncapsulate,
}

impl Work {
    /// All kinds of hits.
    pub const HITS: [Work; 4] = [
        Work::HitDrop,
        Work::HitLocal,
        Work::HitEncapsulate,
        Work::HitDecapsulate,
    ];
    /// All kinds of known flows that a change of rules concerns.
    pub const RECHECKS: [Work; 2] = [Work::RecheckAllowed, Work::RecheckDenied];
    /// All kinds of misses.
    pub const MISSES: [Work; 3] = [Work::MissKnown, Work::MissNew, Work::MissNewEncapsulate];

    /// As it is written on the command line and in figures.
    pub fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |v| v.get_name().to_owned())
    }

    fn path(self) -> Path {
        match self {
            Work::HitEncapsulate | Work::HitDecapsulate | Work::MissNewEncapsulate => Path::Out,
            _ => Path::Local,
        }
    }

    /// Carries `packets` packets of this kind (rounded up to whole bursts of one interface) after everything they need has
    /// been made, and makes sure that they were of this kind. Answers with how often memory was asked for meanwhile, where
    /// the program counts that.
    pub fn run(self, packets: usize) -> Result<u64, BenchError> {
        if Self::RECHECKS.contains(&self) {
            return self.run_rechecks(packets);
        }
        let is_new = matches!(self, Work::MissNew | Work::MissNewEncapsulate);
        let connections = if is_new { packets } else { FLOWS };
        let fabric = Fabric::new(10, connections + 1024)?;
        // A flow cache of the least size forgets nearly all of them.
        let mut lane = Lane::of(
            &fabric,
            if self == Work::MissKnown {
                64
            } else {
                4 * connections
            },
        )?;
        // Rules are for the ports of the numbers 0 to 9: what number 10 is for is forbidden.
        let rules = if self == Work::HitDrop { 11 } else { 10 };
        let made = (0..).map(|n| Connection::new(n, self.path(), rules));
        let connections: Vec<Connection> = made
            .filter(|c| (c.rule == 10) == (self == Work::HitDrop) && !(is_new && c.is_tcp()))
            .take(connections)
            .collect();
        if !is_new && self != Work::HitDrop {
            lane.open(&fabric, &connections)?;
        }
        let side = match self {
            Work::HitDecapsulate => Side::Server,
            _ => Side::Client,
        };
        let frames = connections
            .iter()
            .map(|c| (fabric.interface(c.sender(side)), c.frame(side)));
        let replay = Replay::shuffled(frames.collect(), &mut Random::new(1));
        if !is_new {
            lane.play(&replay)?;
        }
        self.measure(&mut lane, &replay, packets)
    }

    /// Each flow is asked again once: there are as many as packets.
    fn run_rechecks(self, packets: usize) -> Result<u64, BenchError> {
        let mut fabric = Fabric::new(10, packets + 1024)?;
        if self == Work::RecheckAllowed {
            (0..10).try_for_each(|number| fabric.split().0.add_twins(number))?;
        }
        let connections: Vec<Connection> = (0..packets)
            .map(|n| Connection::new(n, Path::Local, 10))
            .collect();
        Lane::of(&fabric, 64)?.open(&fabric, &connections)?;
        let frames = connections
            .iter()
            .map(|c| (fabric.interface(c.sender(Side::Client)), c.frame(Side::Client)));
        let replay = Replay::shuffled(frames.collect(), &mut Random::new(1));
        let reader = fabric.reader();
        let (mut changer, shared) = fabric.split();
        let mut lane = Lane::new(0, 4 * packets, shared, reader)?;
        lane.play(&replay)?;
        (0..10).try_for_each(|number| changer.withdraw(number))?;
        let rechecks = lane.worker.counters().rechecks.get();
        let allocations = allocations_of_this_thread();
        let mut sent = 0;
        for (interface, frames) in replay.bursts() {
            let burst = lane
                .carry_counted(interface, frames)
                .ok_or_else(|| BenchError::Void("the pool of buffers ran dry".to_owned()))?;
            sent += burst.sent;
        }
        let allocations = allocations_of_this_thread() - allocations;
        let rechecks = lane.worker.counters().rechecks.get() - rechecks;
        let all = packets as u64;
        let expected = if self == Work::RecheckAllowed { all } else { 0 };
        require((rechecks, sent) == (all, expected), || {
            format!("of {packets} packets {rechecks} were asked again and {sent} left")
        })?;
        Ok(allocations)
    }

    fn measure(self, lane: &mut Lane<'_>, replay: &Replay, packets: usize) -> Result<u64, BenchError> {
        let allocations = allocations_of_this_thread();
        let before = (
            lane.worker.counters().hits.get(),
            lane.worker.counters().misses.get(),
        );
        let (mut carried, mut sent) = (0, 0);
        while carried < packets {
            for (interface, frames) in replay.bursts() {
                if carried >= packets {
                    break;
                }
                let burst = lane
                    .carry_counted(interface, frames)
                    .ok_or_else(|| BenchError::Void("the pool of buffers ran dry".to_owned()))?;
                carried += frames.len();
                sent += burst.sent;
            }
        }
        let allocations = allocations_of_this_thread() - allocations;
        let hits = lane.worker.counters().hits.get() - before.0;
        let misses = lane.worker.counters().misses.get() - before.1;
        let is_hit = Self::HITS.contains(&self);
        let share = if is_hit { hits } else { misses };
        require(share * 10 >= carried as u64 * 8, || {
            format!("of {carried} packets {hits} hit and {misses} missed")
        })?;
        let is_sent = (sent == 0) == (self == Work::HitDrop || carried == 0);
        require(is_sent, || format!("{sent} of {carried} packets left"))?;
        Ok(allocations)
    }
}
