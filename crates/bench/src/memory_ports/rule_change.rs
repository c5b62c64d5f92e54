//! `rule_change_dip_percent`: a rule is withdrawn while 100,000 live flows are carried.
//!
//! Ten rules, each allows 10,000 flows (5,000 connections, both directions; half between guests, half from peers to guests).
//! One worker carries packets of all flows in random order as fast as it can; another thread withdraws one rule. From the
//! change on the packets of that rule, a tenth of all, must be dropped, and no packet of any other flow may be lost: both are
//! checked, of every burst by the tables that it was carried by. The dip is the lowest 10 ms after the change against the mean of the 10 ms before. In the mode
//! `still_allowed` another rule allows the same flows, which then lose nothing.
//!
//! Bins are of the worker's processor time, so that others who use the processor make no dip.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anet_memory::cpu;
use anet_model::host_plan::{Rule, RuleId};

use super::fabric::{Changer, Fabric, rules_of};
use super::lane::Lane;
use super::random::Random;
use super::scaling::thread_time;
use super::traffic::{Connection, Frame, Path, Replay, both_ways};
use crate::error::{BenchError, require};
use crate::figure::Figure;
use crate::statistics::Runs;

/// Both directions of each are 100,000 flows.
const CONNECTIONS: usize = 50_000;
/// Each for TCP and for UDP: ten that decide.
const RULES: usize = 5;
const REPETITIONS: usize = 9;
/// Nanoseconds.
const BIN: u64 = 10_000_000;
/// Bins before the change that count, and after it.
const BEFORE: u64 = 30;
const AFTER: u64 = 50;
/// Bursts between two looks at the clock.
const LOOK: usize = 8;

/// What the other thread has done.
mod phase {
    /// Nothing.
    pub(super) const BEFORE: u8 = 0;
    /// It has begun to change.
    pub(super) const CHANGING: u8 = 1;
    /// It is over.
    pub(super) const OVER: u8 = 2;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// What the rule allowed is allowed no more.
    Withdrawn,
    /// Another rule allows it.
    StillAllowed,
    /// Nothing is changed: the noise of the measurement.
    Unchanged,
}

/// Measures.
pub fn run() -> Result<Vec<Figure>, BenchError> {
    let modes = [
        (Mode::Withdrawn, "withdrawn"),
        (Mode::StillAllowed, "still_allowed"),
        (Mode::Unchanged, "nothing_changed"),
    ];
    let mut figures = Vec::new();
    for (mode, name) in modes {
        let seen: Result<Vec<(f64, f64)>, _> = (0..REPETITIONS).map(|n| dip(mode, n)).collect();
        let seen = seen?;
        let runs = Runs::of(seen.iter().map(|(dip, _)| *dip));
        figures.push(Figure::of_runs("rule_change_dip_percent", runs, "percent").mode(name));
        if mode == Mode::Withdrawn {
            let runs = Runs::of(seen.iter().map(|(_, enforced)| *enforced));
            figures.push(Figure::of_runs("rule_withdrawn_from_10k_flows_ms", runs, "ms"));
        }
    }
    Ok(figures)
}

/// Percent by which the worst bin lies below the mean before, and milliseconds until the last packet of a withdrawn rule.
fn dip(mode: Mode, repetition: usize) -> Result<(f64, f64), BenchError> {
    let tcp = repetition % 2 == 1;
    let rule = repetition % RULES;
    let mut fabric = Fabric::new(RULES, CONNECTIONS + 1024)?;
    let connections: Vec<Connection> = (0..CONNECTIONS)
        .map(|n| Connection::new(n / 2, if n % 2 == 0 { Path::Local } else { Path::In }, RULES))
        .collect();
    let tag = rule as u16 * 2 + u16::from(tcp);
    let resting = connections.iter().filter(|c| c.tag() == tag).count() * 100 / CONNECTIONS;
    require((9..=11).contains(&resting), || {
        format!("{resting} % of the flows rest on the rule, and it should be 10")
    })?;
    let packets = both_ways(&fabric, &connections);
    let replay = Replay::shuffled(packets, &mut Random::new(repetition as u64));
    let name = format!("{}-in-{rule}", if tcp { "tcp" } else { "udp" });
    Lane::of(&fabric, 64)?.open(&fabric, &connections)?;
    let reader = fabric.reader();
    let (mut changer, shared) = fabric.split();
    let phase = AtomicU8::new(phase::BEFORE);
    let expected = (mode == Mode::Withdrawn).then_some(tag);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let lane = Lane::new(0, 4 * CONNECTIONS, shared, reader)?;
            carry(lane, &replay, &phase, expected)
        });
        let changed = change(&mut changer, mode, &name, &phase);
        phase.store(phase::OVER, Ordering::Release);
        let log = worker
            .join()
            .map_err(|_| BenchError::Void("the worker panicked".to_owned()))??;
        changed?;
        if mode != Mode::Unchanged {
            require(log.rechecked > 0, || "no flow rested on the rule".to_owned())?;
        }
        let ended = connections.iter().filter(|c| Some(c.tag()) == expected).count();
        let left = shared.connections();
        require(left == CONNECTIONS - ended, || {
            format!("{left} connections of {CONNECTIONS} are left, and {ended} rested on the rule")
        })?;
        Ok((log.dip()?, log.enforced_ms()))
    })
}

/// The control thread's part.
fn change(changer: &mut Changer<'_>, mode: Mode, name: &str, phase: &AtomicU8) -> Result<(), BenchError> {
    let warm = Duration::from_millis(300);
    std::thread::sleep(warm);
    if mode == Mode::StillAllowed {
        changer.change_rules(|rules| twin(rules, name))?;
    }
    std::thread::sleep(warm + Duration::from_millis(BIN / 1_000_000 * BEFORE));
    phase.store(phase::CHANGING, Ordering::Release);
    if mode != Mode::Unchanged {
        changer.change_rules(|rules| {
            let id: RuleId = name.parse().expect("a legal name");
            rules.remove(&id);
        })?;
    }
    std::thread::sleep(Duration::from_millis(BIN / 1_000_000 * AFTER) + warm / 2);
    Ok(())
}

/// A second rule that allows what the one of this name does.
fn twin(rules: &mut BTreeMap<RuleId, Rule>, name: &str) {
    let rule = (0..RULES).flat_map(rules_of).find(|(n, _)| n == name);
    if let Some((_, rule)) = rule {
        let id = format!("zz-{name}").parse().expect("a legal name");
        rules.insert(id, rule);
    }
}

/// The worker's part: what it had carried at which time.
fn carry(
    mut lane: Lane<'_>,
    replay: &Replay,
    phase: &AtomicU8,
    withdrawn: Option<u16>,
) -> Result<Log, BenchError> {
    let last = cpu::allowed().ok().and_then(|all| all.last().copied());
    cpu::pin(last.unwrap_or(0)).map_err(BenchError::system("keep to one processor"))?;
    let mut log = Log::default();
    let mut packets = 0;
    let mut rechecks = 0;
    let mut first = None;
    for number in 0.. {
        for (index, (interface, frames)) in replay.bursts().enumerate() {
            let seen = phase.load(Ordering::Acquire);
            if seen == phase::OVER {
                log.rechecked = lane.worker.counters().rechecks.get() - rechecks;
                return Ok(log);
            }
            if seen != phase::BEFORE && log.changed_at.is_none() {
                log.changed_at = Some((now()?, packets));
                rechecks = lane.worker.counters().rechecks.get();
            }
            let carried = lane
                .carry(interface, frames)
                .ok_or_else(|| BenchError::Void("the pool of buffers ran dry".to_owned()))?;
            packets += carried.packets;
            let unchanged = *first.get_or_insert(lane.changes()) == lane.changes();
            if number > 0 {
                let lost = carried.packets - carried.sent;
                // Not by the phase: the change may be made between the look at it and the burst.
                let resting = judge(unchanged, frames, lost, withdrawn)?;
                if log.changed_at.is_some() && lost < resting {
                    log.last_passed = Some(now()?);
                }
            }
            if index % LOOK == 0 {
                log.samples.push((now()?, packets));
            }
        }
    }
    Ok(log)
}

/// Nothing is lost by the tables in which the rule stands, and exactly its packets by those in which it does not. Says how
/// many packets of the burst rest on the rule.
fn judge(rule_stands: bool, frames: &[Frame], lost: u64, withdrawn: Option<u16>) -> Result<u64, BenchError> {
    let resting = frames.iter().filter(|f| Some(f.tag) == withdrawn).count() as u64;
    let right = if rule_stands { 0 } else { resting };
    require(lost == right, || {
        let stands = if rule_stands { "stands" } else { "is withdrawn" };
        format!("{lost} packets of a burst were lost of which {resting} rest on the rule, which {stands}")
    })?;
    Ok(resting)
}

fn now() -> Result<u64, BenchError> {
    Ok(thread_time()?.as_nanos() as u64)
}

#[derive(Default)]
struct Log {
    /// Time and packets so far.
    samples: Vec<(u64, u64)>,
    changed_at: Option<(u64, u64)>,
    /// When a packet of the withdrawn rule was last carried.
    last_passed: Option<u64>,
    rechecked: u64,
}

impl Log {
    /// Milliseconds from the change to the last packet that the withdrawn rule let pass.
    fn enforced_ms(&self) -> f64 {
        let changed = self.changed_at.map_or(0, |(at, _)| at);
        self.last_passed
            .map_or(0.0, |last| last.saturating_sub(changed) as f64 / 1e6)
    }

    fn dip(&self) -> Result<f64, BenchError> {
        let (changed_at, packets) = self
            .changed_at
            .ok_or_else(|| BenchError::Void("the worker saw no change".to_owned()))?;
        let begin = changed_at.saturating_sub(BEFORE * BIN);
        let first = self.samples.iter().find(|(at, _)| *at >= begin);
        let &(from, earlier) =
            first.ok_or_else(|| BenchError::Void("no time before the change".to_owned()))?;
        let before = (packets - earlier) as f64 * BIN as f64 / (changed_at - from).max(1) as f64;
        let after = self.samples.iter().filter(|(at, _)| *at > changed_at);
        let mut lowest = f64::MAX;
        let (mut start, mut carried, mut bins) = (changed_at, packets, 0);
        for &(at, packets) in after {
            if at - start >= BIN && bins < AFTER {
                lowest = lowest.min((packets - carried) as f64 * BIN as f64 / (at - start) as f64);
                (start, carried, bins) = (at, packets, bins + 1);
            }
        }
        require(bins >= AFTER / 2 && changed_at - from >= BIN * BEFORE / 2, || {
            format!("the worker had the processor for {bins} bins only")
        })?;
        Ok((1.0 - lowest / before) * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_lost_is_said_by_the_tables_that_a_burst_was_carried_by() {
        let connection = |turn: usize| Connection::new(turn * 256, Path::Local, RULES);
        let frames = [0, 2, 1].map(|turn| connection(turn).frame(super::super::traffic::Side::Client));
        let withdrawn = Some(frames[0].tag);
        let resting = frames.iter().filter(|f| Some(f.tag) == withdrawn).count() as u64;
        assert_eq!(resting, 1);
        let is_right = |stands, lost| judge(stands, &frames, lost, withdrawn).is_ok();
        assert_eq!([0, 1, 2].map(|lost| is_right(true, lost)), [true, false, false]);
        assert_eq!([0, 1, 2].map(|lost| is_right(false, lost)), [false, true, false]);
        assert!(judge(false, &frames, 1, None).is_err(), "nothing was withdrawn");
    }
}
