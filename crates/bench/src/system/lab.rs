//! Figures of a whole fabric: controller, agents and switches of three hosts, as `examples/three-hosts.yaml` describes them.

use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anet_api::resource::Resource;
use anet_lab::probe::PacedUdp;
use anet_lab::standing::{self, Place, Rest, State, Who};
use anet_lab::{description, is_root};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::footprint::{cpu_seconds, resident_mb};
use super::socket;
use crate::error::{BenchError, require};
use crate::figure::Figure;
use crate::statistics::Runs;

const DESCRIPTION: &str = include_str!("../../../../examples/three-hosts.yaml");
/// Rules that are made one after the other.
const RULES: u16 = 60;
/// The first of the UDP ports that they open.
const FIRST_PORT: u16 = 20_000;
const PACE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(5);
const RESTARTS: usize = 5;
const BETWEEN: Duration = Duration::from_millis(200);
const SETTLE: Duration = Duration::from_secs(5);
const WATCHED: Duration = Duration::from_secs(30);

/// A lab that goes when it is dropped.
struct Lab {
    place: Place,
    state: State,
}

impl Lab {
    fn up() -> Result<Self, BenchError> {
        require(is_root(), || {
            "root is needed, for network namespaces: sudo make bench".to_owned()
        })?;
        let place = Place::new(&format!("bench-{}", std::process::id()))?;
        let parsed = description::parse(DESCRIPTION);
        let mut description = parsed.map_err(|error| BenchError::Void(error.to_string()))?;
        place.name().clone_into(&mut description.name);
        match standing::build(&place, description, &mut |_| {}) {
            Ok(state) => Ok(Self { place, state }),
            Err(error) => {
                standing::remove_all(&place)?;
                Err(error.into())
            }
        }
    }

    /// A stream of UDP from one guest to a port of another one, whether it arrives or not.
    fn stream(&self, from: &str, to: &str, port: u16) -> Result<PacedUdp, BenchError> {
        let address = self
            .state
            .guest(to)?
            .addresses
            .iter()
            .find(|address| address.is_ipv4());
        let address = address.ok_or_else(|| BenchError::Void(format!("{to} has no IPv4 address")))?;
        let (from, to) = (self.place.namespace(from), self.place.namespace(to));
        Ok(PacedUdp::start_unheard(
            &from,
            (&to, socket(*address, port)),
            PACE,
        )?)
    }

    /// The security group that a guest is in.
    fn group_of(&self, rest: &Rest, guest: &str) -> Result<Value, BenchError> {
        let port = &self.state.guest(guest)?.port;
        let shown = rest.client().show(Resource::Port, port);
        let shown = shown.map_err(|error| BenchError::Void(error.to_string()))?;
        let group = shown.get("security_groups").and_then(|groups| groups.get(0));
        group
            .cloned()
            .ok_or_else(|| BenchError::Void(format!("{guest} is in no security group")))
    }

    fn pid(&self, who: &Who) -> Result<u32, BenchError> {
        let process = self.state.process(who);
        let process = process.ok_or_else(|| BenchError::Void(format!("{who:?} does not run")))?;
        u32::try_from(process.pid).map_err(|_| BenchError::Void(format!("{who:?} has no process id")))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = standing::remove_all(&self.place) {
            eprintln!("the lab {} is not gone: {error}", self.place.name());
        }
    }
}

/// `rule_to_enforced_p99_ms`: from the request that makes a rule of a group to the first packet that it lets through on both hosts of the
/// group's members, with a packet each millisecond.
pub fn rules() -> Result<Vec<Figure>, BenchError> {
    let lab = Lab::up()?;
    let rest = Rest::of(&lab.place)?;
    let group = lab.group_of(&rest, "red-web-1")?;
    let mut times = Vec::new();
    for number in 0..RULES {
        let port = FIRST_PORT + number;
        let streams = [
            lab.stream("red-database", "red-web-1", port)?,
            lab.stream("red-database", "red-web-2", port)?,
        ];
        sleep(Duration::from_millis(20));
        require(streams.iter().all(|stream| stream.received() == 0), || {
            "packets arrived before there was a rule".to_owned()
        })?;
        let asked = Instant::now();
        let rule = json!({
            "security_group_id": group, "direction": "ingress", "ethertype": "IPv4", "protocol": "udp",
            "port_range_min": port, "port_range_max": port,
        });
        rest.create(Resource::SecurityGroupRule, rule)?;
        while streams.iter().any(|stream| stream.received() == 0) {
            require(asked.elapsed() < PATIENCE, || format!("port {port} stays closed"))?;
            sleep(Duration::from_micros(100));
        }
        times.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let rank = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    Ok(vec![
        Figure::new("rule_to_enforced_p50_ms", rank(50), "ms").mode("60_rules_2_hosts"),
        Figure::new("rule_to_enforced_p99_ms", rank(99), "ms").mode("60_rules_2_hosts"),
    ])
}

/// `agent_restart_lost_packets`: the agents of both hosts of a stream are killed and started again.
pub fn agent_restart() -> Result<Vec<Figure>, BenchError> {
    let mut lab = Lab::up()?;
    let stream = lab.stream("red-web-1", "red-web-2", 7_000)?;
    let begun = Instant::now();
    while stream.received() == 0 {
        require(begun.elapsed() < PATIENCE, || "no packet arrives".to_owned())?;
        sleep(PACE);
    }
    for _ in 0..RESTARTS {
        for host in ["host-1", "host-2"] {
            let who = Who::Agent(host.to_owned());
            standing::stop(&lab.place, &mut lab.state, &who, Signal::SIGKILL)?;
            standing::start_ready(&lab.place, &mut lab.state, &who)?;
            sleep(BETWEEN);
        }
    }
    let paced = stream.finish();
    require(paced.received > 500, || {
        format!("{} packets arrived", paced.received)
    })?;
    Ok(vec![
        Figure::new("agent_restart_lost_packets", paced.lost() as f64, "packets")
            .mode("10_kills_udp_each_ms"),
    ])
}

/// `host_idle_cpu_percent`, `host_rss_mb`: agent and vswitch of a host together.
pub fn host() -> Result<Vec<Figure>, BenchError> {
    let lab = Lab::up()?;
    let pids = [
        lab.pid(&Who::Agent("host-1".to_owned()))?,
        lab.pid(&Who::Vswitch("host-1".to_owned()))?,
    ];
    let used = || pids.iter().map(|pid| cpu_seconds(*pid)).sum::<Result<f64, _>>();
    sleep(SETTLE);
    let (before, started) = (used()?, Instant::now());
    sleep(WATCHED);
    let idle = (used()? - before) / started.elapsed().as_secs_f64() * 100.0;
    let rss = pids.iter().map(|pid| resident_mb(*pid)).sum::<Result<f64, _>>()?;
    Ok(vec![
        Figure::new("host_idle_cpu_percent", idle, "percent").mode("30s_2_guests"),
        Figure::new("host_rss_mb", rss, "MB").mode("2_guests_shared_pages_counted"),
    ])
}

/// `demo_seconds`: all of the demo, which has to pass.
pub fn demo() -> Result<Vec<Figure>, BenchError> {
    let program = demo_program()?;
    let started = Instant::now();
    let output = Command::new(&program).output();
    let output = output.map_err(BenchError::system(program.display().to_string()))?;
    let took = started.elapsed().as_secs_f64();
    require(output.status.success(), || {
        "the demo fails: see `make demo`".to_owned()
    })?;
    Ok(vec![Figure::of_runs("demo_seconds", Runs::of(vec![took]), "s")])
}

/// The demo beside this program.
fn demo_program() -> Result<PathBuf, BenchError> {
    let own = std::env::current_exe().map_err(BenchError::system("find this program".to_owned()))?;
    let program = own.with_file_name("examples").join("demo");
    require(program.exists(), || {
        format!("{} is not there: make build", program.display())
    })?;
    Ok(program)
}
