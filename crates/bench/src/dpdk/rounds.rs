//! Rounds: every program once, in turn, again and again. What is compared was measured within seconds, each time by a fresh
//! process, so that neither the machine's mood nor where a process's pages happen to lie decides.

use super::measure::{self, Rate};
use super::program::{Program, Task};
use super::rig::Rig;
use super::traffic::Traffic;
use crate::error::BenchError;
use crate::figure::Figure;
use crate::statistics::Runs;

/// How many.
pub const ROUNDS: usize = 5;

/// What each program gave in each round: `rates[program][round][point]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates(pub Vec<Vec<Vec<Rate>>>);

impl Rates {
    /// The rates of a program at a point, a round each.
    pub fn of(&self, program: usize, point: usize) -> Vec<f64> {
        let rounds = self.0[program].iter();
        rounds.map(|points| points[point].packets_per_second).collect()
    }

    /// The figure of one program's rate beside another's: the median of the rounds' ratios.
    pub fn figure(&self, name: &'static str, point: usize, ours: usize, peer: usize) -> Figure {
        let (ours, peer) = (self.of(ours, point), self.of(peer, point));
        let ratios = ours.iter().zip(&peer).map(|(ours, peer)| ours / peer);
        let median = |rates: &[f64]| Runs::of(rates.iter().copied()).median;
        Figure::of_runs(name, Runs::of(ratios), "ratio").sides(median(&ours) / 1e6, median(&peer) / 1e6)
    }
}

/// One program's part of a round: started, checked, measured at each point in turn, ended.
pub fn once(
    rig: &Rig,
    program: &dyn Program,
    task: Task,
    points: &[Traffic],
) -> Result<Vec<Rate>, BenchError> {
    let named = |error: BenchError| match error {
        BenchError::Void(what) => BenchError::Void(format!("{}: {what}", program.name())),
        other => other,
    };
    let Some(first) = points.first() else {
        return Ok(Vec::new());
    };
    let mut running = program.start(rig, task, first.queues)?;
    measure::check(&mut running, &checked(task, first)).map_err(named)?;
    points
        .iter()
        .map(|traffic| measure::rate(&mut running, traffic).map_err(named))
        .collect()
}

/// What is looked at before anything is timed: a few flows of the same kind, some forbidden where anything is.
fn checked(task: Task, traffic: &Traffic) -> Traffic {
    Traffic {
        flows: 1_000,
        forbidden_every: if task == Task::StatefulVxlan { 7 } else { 0 },
        ..traffic.clone()
    }
}

/// All rounds.
pub fn run(
    rig: &Rig,
    programs: &[&dyn Program],
    task: Task,
    points: &[Traffic],
) -> Result<Rates, BenchError> {
    let mut rates = vec![Vec::new(); programs.len()];
    for _ in 0..ROUNDS {
        for (program, rounds) in programs.iter().zip(&mut rates) {
            rounds.push(once(rig, *program, task, points)?);
        }
    }
    Ok(Rates(rates))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let rate = |packets_per_second| {
            vec![Rate {
                packets_per_second,
                variant: None,
                latency: None,
            }]
        };
        // A machine that is half as fast in the second round is no matter.
        let ours = vec![rate(4e6), rate(2e6), rate(5e6)];
        let peer = vec![rate(2e6), rate(1e6), rate(2e6)];
        let figure = Rates(vec![ours, peer]).figure("x", 0, 0, 1);
        assert_eq!((figure.value, figure.spread), (2.0, Some((2.0, 2.5))));
        assert_eq!((figure.ours, figure.peer), (Some(4.0), Some(2.0)));
    }
}
