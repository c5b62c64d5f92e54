//! `agent_cold_start_ms`: a host with 1,000 ports comes back without a controller.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anet_lab::standing::{self, Who};
use anet_model::digest::Digest;
use nix::sys::signal::Signal;

use super::objects::Tenant;
use super::switch::{Sizes, Switch};
use super::{BARE_HOSTS, HOSTS, Lab, PATIENCE};
use crate::error::{BenchError, require};
use crate::figure::Figure;
use crate::statistics::Runs;

const NETWORKS: usize = 10;
const PORTS_EACH: usize = 100;
const RUNS: usize = 9;
const FILLED: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_micros(500);

/// What the host's switch has when it has all.
struct Whole {
    sizes: Sizes,
    digest: Digest,
}

/// The controller is stopped, agent and vswitch of the host are killed, and the vswitch is started, whose plan is empty then.
/// From the start of the agent's process until the switch answers that it has as many entries of each kind as before; that they are
/// the same ones, in the tables as well, is looked at behind each run.
pub fn run() -> Result<Vec<Figure>, BenchError> {
    let mut lab = Lab::up(BARE_HOSTS)?;
    fill(&lab)?;
    let mut switch = Switch::of(&lab.place, HOSTS[0])?;
    let whole = Whole {
        sizes: switch.sizes()?,
        digest: switch.digests()?.0,
    };
    let ports = whole.sizes.get("ports").copied();
    require(ports == Some((NETWORKS * PORTS_EACH) as u64), || {
        format!("the switch has {ports:?} ports")
    })?;
    drop(switch);
    standing::stop(&lab.place, &mut lab.state, &Who::Controller, Signal::SIGTERM)?;
    let times: Vec<f64> = (0..RUNS)
        .map(|_| cold_start(&mut lab, &whole))
        .collect::<Result<_, _>>()?;
    Ok(vec![
        Figure::of_runs("agent_cold_start_ms", Runs::of(times), "ms")
            .mode("1000_ports_from_process_to_whole_plan_in_vswitch"),
    ])
}

fn fill(lab: &Lab) -> Result<(), BenchError> {
    let tenant = Tenant::new(&lab.rest, "crowded")?;
    for number in 0..NETWORKS {
        tenant.network(&format!("10.{number}.0.0/24"), PORTS_EACH, Some(HOSTS[0]))?;
    }
    lab.wait_in_step(FILLED)
}

fn cold_start(lab: &mut Lab, whole: &Whole) -> Result<f64, BenchError> {
    let (agent, vswitch) = (Who::Agent(HOSTS[0].to_owned()), Who::Vswitch(HOSTS[0].to_owned()));
    for who in [&agent, &vswitch] {
        standing::stop(&lab.place, &mut lab.state, who, Signal::SIGKILL)?;
    }
    standing::start_ready(&lab.place, &mut lab.state, &vswitch)?;
    let mut switch = Switch::of(&lab.place, HOSTS[0])?;
    require(switch.sizes()?.values().all(|entries| *entries == 0), || {
        "the switch has a plan before there is an agent".to_owned()
    })?;
    let started = Instant::now();
    standing::start(&lab.place, &mut lab.state, &agent)?;
    while switch.sizes()? != whole.sizes {
        require(started.elapsed() < PATIENCE, || {
            "the switch does not get its plan".to_owned()
        })?;
        sleep(LOOK);
    }
    let took = started.elapsed();
    let (kept, read_back) = switch.digests()?;
    require(kept == whole.digest && read_back == whole.digest, || {
        "the switch has another plan than before".to_owned()
    })?;
    Ok(took.as_secs_f64() * 1e3)
}
