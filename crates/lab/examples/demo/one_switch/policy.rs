//! Rules: what is blocked, why, and what a change does to traffic that runs.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use anet_lab::fabric::Fabric;
use anet_lab::probe::{Attempt, Listener, PacedUdp, TcpHold, attempt, ping};
use anet_lab::{LabError, wait_for};

use super::port;
use crate::report::{Row, Seen};

/// What is taken back while traffic runs.
pub const WITHDRAWN: [&str; 2] = ["tcp-withdrawn", "udp-withdrawn"];

const PACE: Duration = Duration::from_millis(1);

pub const ROWS: &[Row<Fabric>] = &[
    Row {
        tried: "TCP to port 8080, which no rule allows, where a server listens",
        expected: "silence, and a trace that says which stage dropped it and why",
        run: blocked_and_explained,
    },
    Row {
        tried: "a rule is withdrawn by a new plan file, under running TCP and UDP",
        expected: "what it allowed ends; other flows lose nothing",
        run: withdrawn_under_traffic,
    },
    Row {
        tried: "a plan file with an error",
        expected: "refused whole, with line and reason; the last good plan stays",
        run: wrong_plan_refused,
    },
];

fn blocked_and_explained(fabric: &mut Fabric) -> Result<Seen, LabError> {
    let address = fabric.layout.addresses("blue-12")[0];
    let target = SocketAddr::new(address, port::BLOCKED);
    let listener = Listener::new(fabric.namespace("blue-12"), target)?;
    let outcome = attempt(fabric.namespace("blue-11"), target, Duration::from_secs(1))?;
    let silent = outcome == Attempt::Silent && listener.connections() == 0;
    let arguments = ["--port", "blue-11", "--to", &address.to_string(), "--tcp", "8080"];
    let (passes, trace) = fabric.vswitch("host-a").trace(&arguments)?;
    let words = trace.to_lowercase();
    let explained = !passes && words.contains("firewall");
    Ok(Seen::new(
        silent && explained,
        format!("connect: {outcome:?}; trace:\n{trace}"),
    ))
}

fn withdrawn_under_traffic(fabric: &mut Fabric) -> Result<Seen, LabError> {
    let address = fabric.layout.addresses("blue-13")[0];
    let to = |port| (fabric.namespace("blue-13"), SocketAddr::new(address, port));
    let from = fabric.namespace("blue-11");
    let kept_tcp = TcpHold::start(from, to(port::TCP_KEPT))?;
    let kept_udp = PacedUdp::start(from, to(port::UDP_KEPT), PACE)?;
    let ended_tcp = TcpHold::start(from, to(port::TCP_WITHDRAWN))?;
    let ended_udp = PacedUdp::start(from, to(port::UDP_WITHDRAWN), PACE)?;
    sleep(Duration::from_millis(300));

    WITHDRAWN.iter().for_each(|name| fabric.layout.close(name));
    fabric.replace_plan("host-b")?;
    sleep(Duration::from_millis(200));
    let received = ended_udp.received();
    let ended = !ended_tcp.is_alive(Duration::from_secs(1));
    let silent = ended_udp.received() == received;
    let alive = kept_tcp.is_alive(Duration::from_secs(1));
    let kept = kept_udp.finish();
    Ok(Seen::all([
        Seen::new(
            ended,
            if ended {
                "withdrawn TCP: ended"
            } else {
                "withdrawn TCP: still flows"
            },
        ),
        Seen::new(
            silent,
            if silent {
                "withdrawn UDP: ended"
            } else {
                "withdrawn UDP: still arrives"
            },
        ),
        Seen::new(
            alive,
            if alive {
                "other TCP: lives"
            } else {
                "other TCP: dead"
            },
        ),
        Seen::new(
            kept.lost() == 0,
            format!("other UDP: {} of {} lost", kept.lost(), kept.sent),
        ),
    ]))
}

fn wrong_plan_refused(fabric: &mut Fabric) -> Result<Seen, LabError> {
    let vswitch = fabric.vswitch("host-a");
    let (digest, said) = (vswitch.ctl(&["digest"])?, vswitch.log().len());
    let good = fabric.plan_of("host-a");
    vswitch.write_plan(&good.replace("02:00:00:00:00:12", "02:00:00:00:00"))?;
    let complaint = || {
        let log = vswitch.log();
        let line = log
            .get(said..)
            .unwrap_or_default()
            .lines()
            .find(|line| line.contains("mac"));
        line.map(ToOwned::to_owned)
    };
    let complaint = wait_for("a complaint about the plan", Duration::from_secs(5), complaint)?;
    let kept = vswitch.ctl(&["digest"])? == digest;
    let pings = ping(
        fabric.namespace("blue-11"),
        fabric.layout.addresses("blue-12")[0],
        2,
    )?;
    vswitch.write_plan(&good)?;
    Ok(Seen::all([
        Seen::new(true, complaint),
        Seen::new(
            kept,
            if kept {
                "the plan is as before"
            } else {
                "the plan changed"
            },
        ),
        Seen::new(
            pings.all_answered(),
            format!("{} of {} pings answered", pings.received, pings.sent),
        ),
    ]))
}
