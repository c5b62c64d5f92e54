//! What the agent costs on this machine: a change until it is acknowledged, a start from disk, standing idle. By hand: `cargo build
//! --release -p anet-vswitch -p anet-agent`, then `cargo run --release -p anet-agent --example agent_cost`.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a measurement that fails has nothing to say"
)]

#[path = "../tests/daemon/host.rs"]
mod host;

use std::time::{Duration, Instant};

use anet_model::changeset::Change;
use anet_model::host_plan::Port;
use host::{Controller, Host, plan, programs, snapshot, step};

const PORTS: usize = 1_000;
const CHANGES: u64 = 300;
const IDLE: Duration = Duration::from_secs(20);

fn say(name: &str, value: f64, unit: &str) {
    println!("bench={name} value={value:.3} unit={unit}");
}

/// Processor time that a process has used, user and system.
fn used(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    let mut total = Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap());
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let task = task.unwrap();
        if task.file_name().to_string_lossy() != pid.to_string() {
            let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap();
            total += Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap());
        }
    }
    total
}

fn main() {
    let (mut controller, mut host) = (Controller::start(), Host::new(programs().unwrap()));
    controller.enrol(&host.data());
    host.start_vswitch();
    host.start_agent();
    let mut session = controller.session();
    let wanted = plan(PORTS);
    let begun = Instant::now();
    controller.send(&session, snapshot(&wanted, 1));
    controller.acknowledged(&mut session, 1);
    say(
        "agent_snapshot_1000_ports",
        begun.elapsed().as_secs_f64() * 1_000.0,
        "ms",
    );

    let port = wanted.ports[&"port-0001".parse().unwrap()].clone();
    let mut times = Vec::new();
    for n in 0..CHANGES {
        let port = Port {
            admin_up: n % 2 == 1,
            ..port.clone()
        };
        let changes = vec![Change::Port("port-0001".parse().unwrap(), Some(port))];
        let begun = Instant::now();
        controller.send(&session, step(n + 2, changes));
        controller.acknowledged(&mut session, n + 2);
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1_000.0;
    say("agent_change_acknowledged_p50", at(50), "ms");
    say("agent_change_acknowledged_p99", at(99), "ms");

    let agent = host.agent.as_ref().unwrap().pid();
    let vswitch = host.vswitch.as_ref().unwrap().pid();
    let before = (used(agent), used(vswitch));
    let until = Instant::now() + IDLE;
    while Instant::now() < until {
        controller.hear(&mut session, |_| Some(()));
    }
    let share = |now: Duration, before: Duration| (now - before).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    say("agent_idle_1000_ports", share(used(agent), before.0), "percent");
    say(
        "vswitch_idle_1000_ports",
        share(used(vswitch), before.1),
        "percent",
    );

    drop(controller);
    host.agent.take().unwrap().kill9();
    host.vswitch.take().unwrap().kill9();
    host.start_vswitch();
    while host.ctl(&["version"]).is_none() {}
    let begun = Instant::now();
    host.start_agent();
    while !host.ctl(&["dump"]).unwrap().contains("port-1000") {}
    say(
        "agent_cold_start_1000_ports",
        begun.elapsed().as_secs_f64() * 1_000.0,
        "ms",
    );
}
