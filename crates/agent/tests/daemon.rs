//! The real agent with a real vswitch; no port is attached, so that it runs anywhere.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "daemon/host.rs"]
mod host;

use std::process::{Command, Stdio};
use std::time::Duration;

use anet_lab::{skip, wait_for};
use anet_model::changeset::Change;
use anet_model::digest::PlanDigest;
use anet_wire::control::trace::{TraceFields, TracePacket, TraceProtocol, TraceRequest, TraceSource};
use anet_wire::session::{AgentMessage, ControllerMessage};
use host::{Controller, HOST, Host, Session, plan, programs, snapshot, step};

const PATIENCE: Duration = Duration::from_secs(20);

/// What a daemon says that must not start: one line.
fn refused(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    text
}

/// A trace that a controller asks for comes back with its steps.
fn is_traced(controller: &Controller, session: &mut Session) {
    let fields = TraceFields {
        source: None,
        destination: "10.0.0.2".parse().unwrap(),
        destination_mac: None,
        protocol: TraceProtocol::Icmp {
            kind: None,
            code: None,
        },
    };
    let request = TraceRequest {
        from: TraceSource::Port("port-0001".parse().unwrap()),
        packet: TracePacket::Fields(fields),
    };
    session.say(&ControllerMessage::Trace { id: 3, request });
    controller.hear(session, |message| match message {
        AgentMessage::TraceAnswer { id: 3, answer } => {
            assert!(answer.unwrap().steps.iter().any(|step| step.stage == "guard"));
            Some(())
        }
        _ => None,
    });
}

/// Everything is gone but the disk.
fn comes_up_from_disk(host: &mut Host) {
    host.agent.take().unwrap().kill9();
    host.vswitch.take().unwrap().kill9();
    host.start_vswitch();
    host.start_agent();
    host.wait_for_plan("the plan from disk alone", |text| text.contains("port-0002"));
    let status = || Some(host.ask(&["status"])).filter(|(_, text)| text.contains("has the plan"));
    let (_, text) = wait_for("a status", PATIENCE, status).unwrap();
    assert!(
        text.contains("controller  none") && text.contains("applied     revision 8"),
        "{text}"
    );
}

#[test]
fn a_plan_comes_in_is_traced_survives_kills_and_needs_no_controller() {
    let name = "a_plan_comes_in_is_traced_survives_kills_and_needs_no_controller";
    let programs = match programs() {
        Ok(programs) => programs,
        Err(reason) => return skip(name, &reason),
    };
    let (mut controller, mut host) = (Controller::start(), Host::new(programs));
    controller.enrol(&host.data());
    host.start_vswitch();
    host.start_agent();
    let mut session = controller.session();
    assert_eq!(
        (session.hello.host.as_str(), session.hello.cursor.revision),
        (HOST, 0)
    );
    let mut wanted = plan(3);
    controller.send(&session, snapshot(&wanted, 7));
    controller.acknowledged(&mut session, 7);
    assert!(host.ctl(&["dump"]).unwrap().contains("port-0003"));
    controller.send(
        &session,
        step(8, vec![Change::Port("port-0003".parse().unwrap(), None)]),
    );
    controller.acknowledged(&mut session, 8);
    wanted.ports.remove(&"port-0003".parse().unwrap());
    assert!(!host.ctl(&["dump"]).unwrap().contains("port-0003"));
    let digest = PlanDigest::of(&wanted).total();
    controller.hear(&mut session, |message| match message {
        AgentMessage::Report(report) if report.cursor.revision == 8 && report.ports.len() == 2 => {
            assert_eq!((report.digest, report.not_durable), (digest, None));
            Some(())
        }
        _ => None,
    });
    is_traced(&controller, &mut session);

    // The vswitch is killed: it gets everything again.
    host.vswitch.take().unwrap().kill9();
    host.start_vswitch();
    host.wait_for_plan("the plan after a kill of the vswitch", |text| {
        text.contains("port-0002")
    });
    controller.hear(&mut session, |message| match message {
        AgentMessage::Report(report) => (report.digest == digest && report.ports.len() == 2).then_some(()),
        _ => None,
    });

    // The agent is killed: it goes on where it was.
    host.agent.take().unwrap().kill9();
    host.start_agent();
    let again = controller.session();
    assert_eq!((again.hello.cursor.revision, again.hello.digest), (8, digest));
    assert_ne!(again.hello.instance, session.hello.instance);

    drop(controller);
    comes_up_from_disk(&mut host);
}

#[test]
fn ports_are_attached_and_detached_by_hand() {
    let name = "ports_are_attached_and_detached_by_hand";
    let programs = match programs() {
        Ok(programs) => programs,
        Err(reason) => return skip(name, &reason),
    };
    let (mut controller, mut host) = (Controller::start(), Host::new(programs));
    controller.enrol(&host.data());
    host.start_vswitch();
    host.start_agent();
    let mut session = controller.session();
    controller.send(&session, snapshot(&plan(2), 1));
    controller.acknowledged(&mut session, 1);
    let absent = "anet-none0";
    let (done, text) = host.ask(&["attach", "port-0001", "--packet", absent]);
    assert!(done && text.contains("done"), "{text}");
    assert!(host.ctl(&["dump"]).unwrap().contains(absent));
    let (done, text) = host.ask(&["attach", "port-0002", "--tap", absent]);
    assert!(
        !done && text.contains("port port-0001 has this interface"),
        "{text}"
    );
    // Detached at the controller's side, and there again: the host still knows.
    let port = plan(2).ports[&"port-0001".parse().unwrap()].clone();
    controller.send(
        &session,
        step(2, vec![Change::Port("port-0001".parse().unwrap(), None)]),
    );
    controller.acknowledged(&mut session, 2);
    assert!(!host.ctl(&["dump"]).unwrap().contains(absent));
    controller.send(
        &session,
        step(3, vec![Change::Port("port-0001".parse().unwrap(), Some(port))]),
    );
    controller.acknowledged(&mut session, 3);
    assert!(host.ctl(&["dump"]).unwrap().contains(absent));
    let (done, text) = host.ask(&["detach", "port-0001"]);
    assert!(done, "{text}");
    assert!(!host.ctl(&["dump"]).unwrap().contains(absent));
    let (done, text) = host.ask(&["status", "--json"]);
    assert!(done && text.contains("\"vswitch_is_up\": true"), "{text}");
}

#[test]
fn a_guest_that_waits_by_its_mac_has_its_port_with_the_change_that_brings_it() {
    let name = "a_guest_that_waits_by_its_mac_has_its_port_with_the_change_that_brings_it";
    let programs = match programs() {
        Ok(programs) => programs,
        Err(reason) => return skip(name, &reason),
    };
    let (mut controller, mut host) = (Controller::start(), Host::new(programs));
    controller.enrol(&host.data());
    host.start_vswitch();
    host.start_agent();
    let mut session = controller.session();
    controller.send(&session, snapshot(&plan(1), 1));
    controller.acknowledged(&mut session, 1);
    let (absent, mac) = ("anet-none0", "02:00:00:00:00:02");
    let (done, text) = host.ask(&["attach", "--mac", mac, "--packet", absent]);
    assert!(done && text.contains("kept; the first port of MAC"), "{text}");
    let (_, text) = host.ask(&["status"]);
    let line = format!("MAC         {mac}: interface {absent}, no port of this MAC is planned on this host");
    assert!(text.contains(&line), "{text}");
    let port = plan(2).ports[&"port-0002".parse().unwrap()].clone();
    let brought = |to| {
        step(
            to,
            vec![Change::Port("port-0002".parse().unwrap(), Some(port.clone()))],
        )
    };
    controller.send(&session, brought(2));
    controller.acknowledged(&mut session, 2);
    assert!(host.ctl(&["dump"]).unwrap().contains(absent));
    let (_, text) = host.ask(&["status"]);
    assert!(
        text.contains(&format!("port-0002: interface {absent} by MAC {mac}")),
        "{text}"
    );
    let (done, text) = host.ask(&["detach", "port-0002"]);
    assert!(!done && text.contains(&format!("--mac {mac}")), "{text}");

    // Whether the port was written down for it yet or not: after a kill everything is as it was.
    host.agent.take().unwrap().kill9();
    host.vswitch.take().unwrap().kill9();
    host.start_vswitch();
    host.start_agent();
    host.wait_for_plan("the plan from disk", |text| text.contains(absent));
    let (done, text) = host.ask(&["detach", "--mac", mac]);
    assert!(done && text.contains("done"), "{text}");
    assert!(!host.ctl(&["dump"]).unwrap().contains(absent));
}

#[test]
fn what_is_no_guests_mac_is_refused() {
    let name = "what_is_no_guests_mac_is_refused";
    let programs = match programs() {
        Ok(programs) => programs,
        Err(reason) => return skip(name, &reason),
    };
    let (controller, mut host) = (Controller::start(), Host::new(programs));
    controller.enrol(&host.data());
    host.start_agent();
    let ready = || Some(host.ask(&["status"])).filter(|(done, _)| *done);
    wait_for("the agent", PATIENCE, ready).unwrap();
    for (arguments, says) in [
        (
            &["--mac", "ff:ff:ff:ff:ff:ff", "--tap", "tap0"][..],
            "is no guest's",
        ),
        (&["--mac", "00:00:00:00:00:00", "--tap", "tap0"], "is no guest's"),
        (&["--mac", "02:00", "--tap", "tap0"], "02:00:00:00:00:01"),
        (
            &["--mac", "02:00:00:00:00:01", "port-0001", "--tap", "tap0"],
            "cannot be used with",
        ),
        (&["--tap", "tap0"], "--mac"),
        (&["--mac", "02:00:00:00:00:01"], "--tap"),
    ] {
        let (done, text) = host.ask(&[&["attach"], arguments].concat());
        assert!(!done && text.contains(says), "{arguments:?}: {text}");
    }
    let (done, text) = host.ask(&["detach", "--mac", "02:00:00:00:00:01"]);
    assert!(done && text.contains("it is so already"), "{text}");
    host.agent.take().unwrap().kill9();
    std::fs::write(host.data().join("attachments.json"), r#"{"version": 9}"#).unwrap();
    assert!(refused(host.agent_command()).contains("start the newer agent"));
}

#[test]
fn what_cannot_start_says_why_in_one_line() {
    let name = "what_cannot_start_says_why_in_one_line";
    let programs = match programs() {
        Ok(programs) => programs,
        Err(reason) => return skip(name, &reason),
    };
    let (controller, mut host) = (Controller::start(), Host::new(programs));
    assert!(refused(host.agent_command()).contains("join first"));
    controller.enrol(&host.data());
    host.start_agent();
    let ready = || Some(host.ask(&["status"])).filter(|(done, _)| *done);
    let (_, text) = wait_for("the agent", PATIENCE, ready).unwrap();
    assert!(text.contains("vswitch     down: no connection to"), "{text}");
    assert!(refused(host.agent_command()).contains("in use by another agent"));
    host.agent.take().unwrap().kill9();
    std::fs::write(host.data().join("agent.json"), "{").unwrap();
    assert!(refused(host.agent_command()).contains("agent.json cannot be understood"));
}
