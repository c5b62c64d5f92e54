//! Standing labs without their daemons: underlays, the management network, and that nothing stays, whatever happened.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;
use std::process::{Command, Stdio};

use anet_lab::description::{self, Description};
use anet_lab::standing::{self, Place, State};
use anet_lab::{Namespace, missing_for, output_of, probe, skip, wait_for};

const TOOLS: [&str; 3] = ["ping", "bridge", "sysctl"];

/// A lab that goes when the test ends, also by a panic.
struct Lab {
    place: Place,
    description: Description,
}

impl Lab {
    /// Its name is of this process alone.
    fn new(suffix: &str, underlay: &str) -> Self {
        let text = format!(
            "name: t{}-{suffix}\nunderlay: {underlay}\nhosts: {{host-1: , host-2: }}\nmachines: {{linux: }}\n\
             projects: {{red: {{networks: {{front: {{subnets: {{four: {{cidr: 10.0.0.0/24}}}}}}}}, \
             guests: {{web-1: {{network: front, host: host-1}}}}}}}}\n",
            std::process::id()
        );
        let description = description::parse(&text).unwrap();
        Self {
            place: Place::new(&description.name).unwrap(),
            description,
        }
    }

    fn prepare(&self) -> State {
        let (_lock, state) = standing::prepare(&self.place, self.description.clone()).unwrap();
        state
    }

    fn is_gone(&self) -> bool {
        let interface = Path::new("/sys/class/net").join(self.place.interface());
        !self.place.exists() && !self.place.folder().exists() && !interface.exists()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = standing::remove_all(&self.place);
    }
}

fn answers(from: &Namespace, address: &str) -> bool {
    // Where there is no route, ping says so at once.
    probe::ping(from, address.parse().unwrap(), 2).is_ok_and(|pings| pings.received > 0)
}

fn check_underlay(suffix: &str, underlay: &str) {
    let lab = Lab::new(suffix, underlay);
    let state = lab.prepare();
    let links = lab.description.links().unwrap();
    for from in &links {
        for to in &links {
            let seen = answers(&lab.place.namespace(&from.member), &to.address.to_string());
            assert!(seen, "{} reaches {} ({underlay})", from.member, to.member);
        }
    }
    let controller = state.controller_address().to_string();
    assert!(answers(&lab.place.namespace("host-2"), &controller));
    assert!(
        !answers(&lab.place.namespace("linux"), &controller),
        "a machine is on the underlay alone"
    );
    output_of(Command::new("ping").args(["-c", "1", "-W", "2", &controller])).unwrap();
    let tap = lab
        .place
        .namespace("web-1")
        .ip(&["-d", "link", "show", "eth0"])
        .unwrap();
    assert!(tap.contains("vnet_hdr on") && tap.contains("persist on"), "{tap}");
    assert!(standing::remove(&lab.place).unwrap());
    assert!(lab.is_gone());
}

#[test]
fn hosts_are_joined_by_a_bridge() {
    if let Some(reason) = missing_for(&TOOLS) {
        return skip("hosts_are_joined_by_a_bridge", &reason);
    }
    check_underlay("s4", "{kind: switched, mtu: 1600}");
    check_underlay("s6", "{kind: switched, ipv6: 2001:db8:7::/64}");
}

#[test]
fn hosts_are_joined_by_a_router() {
    if let Some(reason) = missing_for(&TOOLS) {
        return skip("hosts_are_joined_by_a_router", &reason);
    }
    check_underlay("r4", "{kind: routed}");
    check_underlay("r6", "{kind: routed, ipv6: 2001:db8:7::/64}");
}

#[test]
fn labs_stand_side_by_side_and_a_name_is_taken_once() {
    if let Some(reason) = missing_for(&TOOLS) {
        return skip("labs_stand_side_by_side_and_a_name_is_taken_once", &reason);
    }
    let (one, other) = (Lab::new("one", "{}"), Lab::new("other", "{}"));
    let states = [one.prepare(), other.prepare()];
    assert_ne!(states[0].near_address, states[1].near_address);
    for state in &states {
        let address = state.controller_address().to_string();
        output_of(Command::new("ping").args(["-c", "1", "-W", "2", &address])).unwrap();
    }
    let error = standing::prepare(&one.place, one.description.clone()).unwrap_err();
    assert!(error.to_string().contains("is there already"), "{error}");
    assert!(standing::remove(&one.place).unwrap());
    assert!(one.is_gone());
    assert!(other.place.exists(), "the other one stays");
    assert!(answers(&other.place.namespace("host-1"), "192.0.2.2"));
}

#[test]
fn nothing_stays_whatever_is_left_of_a_lab() {
    if let Some(reason) = missing_for(&TOOLS) {
        return skip("nothing_stays_whatever_is_left_of_a_lab", &reason);
    }
    let lab = Lab::new("left", "{}");
    lab.prepare();
    // A process that nobody knows, in a session of its own, deaf to polite words.
    let mut command = lab.place.namespace("host-1").command("setsid");
    command.args(["sh", "-c", "trap '' TERM; sleep 1000; sleep 1000"]);
    let pid = command.stdout(Stdio::null()).spawn().unwrap().id();
    let inside = || {
        let pids =
            output_of(Command::new("ip").args(["netns", "pids", lab.place.namespace("host-1").name()]));
        pids.unwrap()
            .lines()
            .any(|line| line.trim() == pid.to_string())
            .then_some(())
    };
    wait_for("the stranger", std::time::Duration::from_secs(5), inside).unwrap();
    // The folder is gone as after the loss of /run; the namespaces are not.
    std::fs::remove_dir_all(lab.place.folder()).unwrap();
    assert!(lab.place.exists());
    assert!(standing::remove(&lab.place).unwrap());
    assert!(lab.is_gone());
    let stranger = standing::ProcessIdentity::of(pid);
    assert!(
        !stranger.is_some_and(|process| process.is_alive()),
        "it was killed"
    );
    assert!(
        !standing::remove(&lab.place).unwrap(),
        "asking twice is no mistake"
    );
}

#[test]
fn a_damaged_state_keeps_nobody_from_taking_the_lab_down() {
    if let Some(reason) = missing_for(&TOOLS) {
        return skip("a_damaged_state_keeps_nobody_from_taking_the_lab_down", &reason);
    }
    let lab = Lab::new("torn", "{}");
    lab.prepare();
    std::fs::write(lab.place.file("state.json"), "{\"version\": 1, \"na").unwrap();
    let error = State::read(&lab.place).unwrap_err();
    assert!(error.to_string().contains("anet lab down"), "{error}");
    assert!(standing::remove(&lab.place).unwrap());
    assert!(lab.is_gone());
}
