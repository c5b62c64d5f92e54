//! Where our cycles go, by stage of a worker's round: so that a regression has a name.
//!
//! A run of its own, because the clock that the switch reads at each stage's end costs a little. The generator's part is in
//! `receive` (it makes the packets there) and in `transmit` (it counts them).

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anet_wire::client::Client;
use anet_wire::control::report::WorkerCounters;
use anet_wire::control::{Request, Response};

use super::ours;
use super::program::Task;
use super::rig::Rig;
use super::traffic::Traffic;
use crate::error::{BenchError, require};
use crate::figure::Figure;

const WARM_UP: Duration = Duration::from_millis(400);
const WINDOW: Duration = Duration::from_millis(600);
/// What passes while there are no packets, and between two looks at the queues.
const IDLE: &str = "idle";

/// Cycles of the time stamp a packet, by stage and number of flows.
pub fn run() -> Result<Vec<Figure>, BenchError> {
    let rig = Rig::new()?;
    let (mut running, control) = ours::launch(&rig, Task::StatefulVxlan, 1, &["--stage-cycles"])?;
    let mut figures = Vec::new();
    for (flows, name) in [(1_000, "1k"), (100_000, "100k"), (1_000_000, "1m")] {
        running.tell(&Traffic::forward(flows))?;
        sleep(WARM_UP);
        let before = worker(&control)?;
        sleep(WINDOW);
        figures.extend(by_stage(name, &before, &worker(&control)?)?);
    }
    Ok(figures)
}

fn by_stage(flows: &str, before: &WorkerCounters, after: &WorkerCounters) -> Result<Vec<Figure>, BenchError> {
    let packets = after.packets - before.packets;
    require(packets > 10_000, || {
        format!("only {packets} packets were carried")
    })?;
    require(!after.stages.is_empty(), || "no stage was measured".to_owned())?;
    let earlier = |stage: &str| {
        let found = before.stages.iter().find(|seen| seen.stage == stage);
        found.map_or(0, |seen| seen.cycles)
    };
    let figure = |name: &str, cycles: u64| {
        let each = cycles as f64 / packets as f64;
        Figure::new("dpdk_cycles_by_stage", each, "cycles").mode(format!("{flows}_{name}"))
    };
    let passed: Vec<(&str, u64)> = after
        .stages
        .iter()
        .map(|seen| (seen.stage.as_str(), seen.cycles - earlier(&seen.stage)))
        .collect();
    let busy = passed.iter().filter(|(name, _)| *name != IDLE);
    let total = figure("all", busy.map(|(_, cycles)| cycles).sum());
    Ok(passed
        .iter()
        .map(|(name, cycles)| figure(name, *cycles))
        .chain([total])
        .collect())
}

/// The only worker's counters.
fn worker(control: &Path) -> Result<WorkerCounters, BenchError> {
    let failed = |what: String| BenchError::Program {
        program: "anet-vswitch".to_owned(),
        what,
    };
    let stream = UnixStream::connect(control).map_err(BenchError::system("reach the control socket"))?;
    let mut client = Client::greet(stream, "anet-bench").map_err(|error| failed(error.to_string()))?;
    match client.call(&Request::Counters) {
        Ok(Response::Counters(counters)) => {
            let first = counters.workers.into_iter().next();
            first.ok_or_else(|| failed("it has no worker".to_owned()))
        }
        Ok(_) => Err(failed("it did not tell its counters".to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_wire::control::report::StageCycles;

    fn counters(packets: u64, cycles: [u64; 2]) -> WorkerCounters {
        let stages = [IDLE, "receive"].into_iter().zip(cycles);
        WorkerCounters {
            packets,
            stages: stages
                .map(|(stage, cycles)| StageCycles {
                    stage: stage.to_owned(),
                    cycles,
                })
                .collect(),
            ..WorkerCounters::default()
        }
    }

    #[test]
    fn what_passed_is_shared_by_the_packets_and_idling_is_no_work() {
        let figures = by_stage(
            "1k",
            &counters(100, [5, 10]),
            &counters(100_100, [1_000_005, 5_000_010]),
        );
        let seen: Vec<(Option<String>, f64)> = figures
            .unwrap()
            .into_iter()
            .map(|figure| (figure.mode, figure.value))
            .collect();
        let expected = [("1k_idle", 10.0), ("1k_receive", 50.0), ("1k_all", 50.0)];
        assert_eq!(seen, expected.map(|(mode, value)| (Some(mode.to_owned()), value)));
        assert!(by_stage("1k", &counters(0, [0; 2]), &counters(1, [1; 2])).is_err());
    }
}
