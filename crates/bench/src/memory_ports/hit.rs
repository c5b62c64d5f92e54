//! `cycles_per_packet_hit`, `allocations_per_packet`: packets of known flows, by how many flows there are and by what is
//! done with them. `cycles_per_new_connection`: first packets.
//!
//! Cycles are those of the time stamp counter (its rate is constant: the nominal clock), around the worker's part alone: fetching the
//! frame into a buffer and giving the buffer back are not in them. The median over pieces of a thousand bursts leaves out
//! moments in which somebody else had the processor.

use anet_memory::allocation_count::allocations_of_this_thread;
use anet_memory::cpu;

use super::fabric::Fabric;
use super::lane::{Carried, Lane};
use super::random::Random;
use super::traffic::{Connection, Path, Replay, Side, both_ways};
use crate::error::{BenchError, require};
use crate::figure::Figure;
use crate::statistics::Runs;

/// Bursts that one value is taken over.
const PIECE: usize = 1000;
/// Packets of a way at least.
const PACKETS: usize = 3_000_000;

/// Known flows.
pub fn known() -> Result<Vec<Figure>, BenchError> {
    pin()?;
    let mut figures = Vec::new();
    let mut allocations = 0;
    let mut packets = 0;
    for (mode, flows) in [
        ("1k", 1_000),
        ("10k", 10_000),
        ("100k", 100_000),
        ("1m", 1_000_000),
    ] {
        let seen = hits(flows, Way::Out)?;
        figures.push(seen.figure(format!("stateful_encapsulate_{mode}")));
        (allocations, packets) = (allocations + seen.allocations, packets + seen.packets);
    }
    for (mode, way) in [("local_1k", Way::Local), ("decapsulate_1k", Way::Back)] {
        let seen = hits(1_000, way)?;
        figures.push(seen.figure(format!("stateful_{mode}")));
        (allocations, packets) = (allocations + seen.allocations, packets + seen.packets);
    }
    let each = allocations as f64 / packets as f64;
    figures.push(Figure::new("allocations_per_packet", each, "allocations").mode("hit"));
    Ok(figures)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Local,
    Out,
    Back,
}

struct Seen {
    cycles: Runs,
    packets: u64,
    allocations: u64,
}

impl Seen {
    fn figure(&self, mode: String) -> Figure {
        Figure::of_runs("cycles_per_packet_hit", self.cycles, "cycles").mode(mode)
    }
}

fn hits(flows: usize, way: Way) -> Result<Seen, BenchError> {
    let (path, connections) = match way {
        Way::Local => (Path::Local, flows / 2),
        Way::Out | Way::Back => (Path::Out, flows),
    };
    let fabric = Fabric::new(10, connections + 1024)?;
    let connections: Vec<Connection> = (0..connections).map(|n| Connection::new(n, path, 10)).collect();
    let mut lane = Lane::of(&fabric, flows * 2)?;
    lane.open(&fabric, &connections)?;
    let one_way = |side: Side| {
        let packet = |c: &Connection| (fabric.interface(c.sender(side)), c.frame(side));
        connections.iter().map(packet).collect()
    };
    let packets = match way {
        Way::Local => both_ways(&fabric, &connections),
        Way::Out => one_way(Side::Client),
        Way::Back => one_way(Side::Server),
    };
    let replay = Replay::shuffled(packets, &mut Random::new(3));
    measured(&mut lane, &replay)
}

fn measured(lane: &mut Lane<'_>, replay: &Replay) -> Result<Seen, BenchError> {
    lane.play(replay)?;
    lane.play(replay)?;
    let misses = lane.worker.counters().misses.get();
    let mut total = Carried::default();
    // Room beforehand: the list of pieces is not the data path's.
    let mut pieces: Vec<f64> = Vec::with_capacity(4 * PACKETS / PIECE);
    let room = allocations_of_this_thread();
    let mut piece = Carried::default();
    let mut bursts = 0;
    while total.packets < PACKETS as u64 {
        for (interface, frames) in replay.bursts() {
            piece += lane
                .carry(interface, frames)
                .ok_or_else(|| BenchError::Void("the pool of buffers ran dry".to_owned()))?;
            bursts += 1;
            if bursts % PIECE == 0 {
                pieces.push(piece.cycles as f64 / piece.packets as f64);
                total += std::mem::take(&mut piece);
            }
        }
    }
    let allocations = allocations_of_this_thread() - room;
    let misses = lane.worker.counters().misses.get() - misses;
    require(
        misses * 1000 < total.packets && total.sent == total.packets,
        || {
            format!(
                "of {} packets {misses} were no hit and {} left",
                total.packets, total.sent
            )
        },
    )?;
    Ok(Seen {
        cycles: quartiles(&pieces),
        packets: total.packets,
        allocations,
    })
}

/// The median, and as spread the middle half: a burst that was interrupted says nothing.
fn quartiles(pieces: &[f64]) -> Runs {
    let mut sorted = pieces.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: usize| sorted.get(sorted.len() * share / 4).copied().unwrap_or_default();
    Runs {
        median: at(2),
        low: at(1),
        high: at(3),
    }
}

/// First packets: UDP that a rule allows, a connection each, with 100,000 there before.
pub fn new() -> Result<Vec<Figure>, BenchError> {
    pin()?;
    const OLD: usize = 100_000;
    const NEW: usize = 400_000;
    let mut figures = Vec::new();
    for (mode, path) in [("local", Path::Local), ("encapsulate", Path::Out)] {
        let fabric = Fabric::new(10, OLD + NEW + 2048)?;
        let connections: Vec<Connection> = (0..OLD + NEW).map(|n| Connection::new(n, path, 10)).collect();
        let mut lane = Lane::of(&fabric, 2 * (OLD + NEW))?;
        lane.open(&fabric, &connections[..OLD])?;
        let first = |c: &Connection| {
            c.opening()
                .into_iter()
                .next()
                .map(|(s, f)| (fabric.interface(s), f))
        };
        let packets = connections[OLD..].iter().filter_map(first).collect();
        let replay = Replay::shuffled(packets, &mut Random::new(5));
        let mut pieces = Vec::new();
        let mut piece = Carried::default();
        for (number, (interface, frames)) in replay.bursts().enumerate() {
            piece += lane
                .carry(interface, frames)
                .ok_or_else(|| BenchError::Void("the pool of buffers ran dry".to_owned()))?;
            if number % 500 == 499 {
                require(piece.sent == piece.packets, || {
                    "a first packet was dropped".to_owned()
                })?;
                let piece = std::mem::take(&mut piece);
                pieces.push(piece.cycles as f64 / piece.packets as f64);
            }
        }
        let made = fabric.shared().connections();
        require(made >= OLD + NEW, || format!("{made} connections were made"))?;
        figures.push(Figure::of_runs("cycles_per_new_connection", quartiles(&pieces), "cycles").mode(mode));
    }
    Ok(figures)
}

fn pin() -> Result<(), BenchError> {
    let last = cpu::allowed()
        .ok()
        .and_then(|all| all.last().copied())
        .unwrap_or(0);
    cpu::pin(last).map_err(BenchError::system("keep to one processor"))
}
