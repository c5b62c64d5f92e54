//! The figures that goals are kept under, and a look at one program alone.

use super::measure::Rate;
use super::ours::Ours;
use super::ovs::Ovs;
use super::program::{Program, Task};
use super::rig::Rig;
use super::rounds;
use super::testpmd::Testpmd;
use super::traffic::{Choice, Traffic};
use crate::error::BenchError;
use crate::figure::Figure;
use crate::statistics::Runs;

const FLOWS: [u32; 3] = [1_000, 100_000, 1_000_000];
const STATEFUL: [&str; 3] = [
    "stateful_vxlan_vs_ovs_1k",
    "stateful_vxlan_vs_ovs_100k",
    "stateful_vxlan_vs_ovs_1m",
];

fn stateful_points() -> Vec<Traffic> {
    FLOWS.map(Traffic::forward).to_vec()
}

fn forward_point() -> Traffic {
    Traffic {
        tunnelled: false,
        peers: 1,
        ..Traffic::forward(1_000)
    }
}

/// Connections, rules and VXLAN, beside OVS: sides in million packets a second.
pub fn stateful() -> Result<Vec<Figure>, BenchError> {
    let rig = Rig::new()?;
    let rates = rounds::run(&rig, &[&Ours, &Ovs], Task::StatefulVxlan, &stateful_points())?;
    let figures = STATEFUL.into_iter().enumerate();
    Ok(figures
        .map(|(point, name)| rates.figure(name, point, 0, 1))
        .collect())
}

/// Port to port, beside OVS and testpmd.
pub fn forward() -> Result<Vec<Figure>, BenchError> {
    let rig = Rig::new()?;
    let programs: [&dyn Program; 3] = [&Ours, &Ovs, &Testpmd];
    let rates = rounds::run(&rig, &programs, Task::Forward, &[forward_point()])?;
    Ok(vec![
        rates.figure("dpdk_forward_vs_ovs", 0, 0, 1),
        rates.figure("dpdk_forward_share_of_testpmd", 0, 0, 2),
    ])
}

/// Two workers beside one, both ways, half of the connections with their directions on different workers.
pub fn two_workers() -> Result<Vec<Figure>, BenchError> {
    let rig = Rig::new()?;
    let with = |queues| Traffic {
        queues,
        crossed: true,
        direction: Choice::Both,
        ..Traffic::forward(100_000)
    };
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..rounds::ROUNDS {
        for (queues, rates) in (1..).zip(&mut rates) {
            let measured = rounds::once(&rig, &Ours, Task::StatefulVxlan, &[with(queues)])?;
            rates.extend(measured.iter().map(|rate| rate.packets_per_second / 1e6));
        }
    }
    let ratios = rates[1].iter().zip(&rates[0]).map(|(two, one)| two / one);
    let median = |rates: &[f64]| Runs::of(rates.iter().copied()).median;
    let figure = Figure::of_runs("two_workers_vs_one_dpdk", Runs::of(ratios), "ratio");
    Ok(vec![figure.sides(median(&rates[1]), median(&rates[0]))])
}

/// One program alone, once: for a look, not for a goal.
pub fn look_at(name: &str) -> Result<Vec<String>, BenchError> {
    let programs: [&dyn Program; 3] = [&Ours, &Ovs, &Testpmd];
    let program = programs.into_iter().find(|program| program.name() == name);
    let program =
        program.ok_or_else(|| BenchError::Missing(format!("there is no program {name} to measure")))?;
    let rig = Rig::new()?;
    let mut lines = Vec::new();
    if name != Testpmd.name() {
        let rates = rounds::once(&rig, program, Task::StatefulVxlan, &stateful_points())?;
        for (flows, rate) in FLOWS.into_iter().zip(rates) {
            lines.push(line(&format!("stateful_vxlan flows={flows}"), &rate));
        }
    }
    let points = FLOWS.map(|flows| Traffic {
        flows,
        ..forward_point()
    });
    let rates = rounds::once(&rig, program, Task::Forward, &points)?;
    for (flows, rate) in FLOWS.into_iter().zip(rates) {
        lines.push(line(&format!("forward flows={flows}"), &rate));
    }
    Ok(lines)
}

fn line(what: &str, rate: &Rate) -> String {
    let mut line = format!("{what} mpps={:.3}", rate.packets_per_second / 1e6);
    if let Some(variant) = rate.variant {
        line.push_str(&format!(" variant={variant}"));
    }
    if let Some((half, most)) = rate.latency {
        line.push_str(&format!(" latency_p50_ns={half:.0} latency_p99_ns={most:.0}"));
    }
    line
}
