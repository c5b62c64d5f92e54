//! `anet lab` from end to end, with the real daemons: up, everything that can be asked of a lab, down; and that nothing
//! stays of it, whatever is killed and when.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anet_lab::standing::{Place, ProcessIdentity, State, agent_status};
use anet_lab::{Folder, missing_for, skip, wait_for, workspace_program};
use nix::sys::signal::Signal;
use serde_json::Value;

/// A lab's name and file; whatever there is of it goes when the test ends.
struct Lab {
    name: String,
    file: PathBuf,
    place: Place,
    _folder: Folder,
}

impl Lab {
    fn new(suffix: &str) -> Self {
        let folder = Folder::new().unwrap();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/two-hosts.yaml");
        let name = format!("e{}-{suffix}", std::process::id());
        let text = std::fs::read_to_string(example).unwrap();
        let text = text.replace("name: two-hosts", &format!("name: {name}"));
        Self {
            place: Place::new(&name).unwrap(),
            file: folder.write("lab.yaml", &text).unwrap(),
            name,
            _folder: folder,
        }
    }

    /// `anet lab ARGUMENTS` for this lab.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anet"));
        command.args(["lab", "--lab", &self.name]).args(arguments);
        command
    }

    fn up_command(&self) -> Command {
        let mut command = self.command(&["up"]);
        command
            .arg(&self.file)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Runs it: whether it succeeded, and all it said.
    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.command(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    fn must(&self, arguments: &[&str]) -> String {
        let (ok, said) = self.run(arguments);
        assert!(ok, "anet lab {arguments:?}: {said}");
        said
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.must(&["status", "-o", "json"])).unwrap()
    }

    fn is_gone(&self) -> bool {
        let interface = Path::new("/sys/class/net").join(self.place.interface());
        !self.place.exists() && !interface.exists()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (_, said) = self.run(&["logs"]);
            eprintln!("{said}");
        }
        let _ = anet_lab::standing::remove(&self.place);
    }
}

/// Why the tests here cannot run.
fn missing() -> Option<String> {
    let programs = [
        ("anet-controller", "ANET_CONTROLLER"),
        ("anet-agent", "ANET_AGENT"),
        ("anet-vswitch", "ANET_VSWITCH"),
    ];
    let not_built = programs
        .iter()
        .find_map(|(name, variable)| workspace_program(name, variable).err());
    missing_for(&["dhclient", "ping", "setsid", "unshare"]).or(not_built.map(|error| error.to_string()))
}

fn condition(status: &Value, daemon: &str) -> String {
    let daemons = status["daemons"].as_array().unwrap();
    let found = daemons.iter().find(|entry| entry["daemon"] == daemon).unwrap();
    found["condition"].as_str().unwrap().to_owned()
}

#[test]
fn a_lab_does_what_it_is_asked() {
    if let Some(reason) = missing() {
        return skip("a_lab_does_what_it_is_asked", &reason);
    }
    let lab = Lab::new("asked");
    let file = lab.file.display().to_string();
    let said = lab.must(&["up", &file]);
    assert!(said.contains("is up"), "{said}");
    let (again, said) = lab.run(&["up", &file]);
    assert!(!again && said.contains("is there already"), "{said}");

    let status = lab.status();
    assert_eq!(status["phase"], "ready");
    for daemon in ["controller", "agent host-1", "vswitch host-2"] {
        assert_eq!(condition(&status, daemon), "running");
    }
    for (guest, addresses) in [
        ("web-1", ["10.0.0.11", "fd00:10::11"]),
        ("web-2", ["10.0.0.12", "fd00:10::12"]),
    ] {
        let entry = status["guests"]
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["guest"] == guest);
        let own = entry.unwrap()["addresses"].as_array().unwrap();
        assert!(
            addresses
                .iter()
                .all(|address| own.contains(&Value::from(*address))),
            "{own:?}"
        );
    }
    for address in ["10.0.0.12", "fd00:10::12"] {
        lab.must(&["exec", "web-1", "--", "ping", "-c", "2", "-W", "2", address]);
    }
    let exit = lab
        .command(&["exec", "web-1", "--", "sh", "-c", "exit 7"])
        .status()
        .unwrap();
    assert_eq!(exit.code(), Some(7), "the command's own exit status");
    let (ok, said) = lab.run(&["exec", "web-9", "--", "true"]);
    assert!(!ok && said.contains("web-1, web-2"), "{said}");

    lab.must(&["move", "web-2", "host-1"]);
    lab.must(&["exec", "web-1", "--", "ping", "-c", "2", "-W", "2", "10.0.0.12"]);
    what_a_move_had_to_leave_behind_goes_with_the_next(&lab);
    daemons_are_stopped_and_come_back(&lab);
    assert!(lab.must(&["list"]).contains(&lab.name));
    lab.must(&["down"]);
    assert!(lab.is_gone());
    let (_, said) = lab.run(&["down", &lab.name]);
    assert!(said.contains("is not up"), "{said}");
}

fn what_a_move_had_to_leave_behind_goes_with_the_next(lab: &Lab) {
    lab.must(&["stop", "agent", "host-1"]);
    let (ok, said) = lab.run(&["move", "web-2", "host-2"]);
    assert!(!ok, "{said}");
    lab.must(&["start", "agent", "host-1"]);
    let port = State::read(&lab.place)
        .unwrap()
        .guest("web-2")
        .unwrap()
        .port
        .clone();
    let keeps = || agent_status(&lab.place, "host-1").unwrap().contains(&port);
    assert!(keeps());
    assert!(lab.must(&["move", "web-2", "host-2"]).contains("is already on"));
    assert!(!keeps());
    lab.must(&["move", "web-2", "host-1"]);
}

fn daemons_are_stopped_and_come_back(lab: &Lab) {
    lab.must(&["kill", "vswitch", "host-1"]);
    assert_eq!(condition(&lab.status(), "vswitch host-1"), "stopped");
    lab.must(&["start", "vswitch", "host-1"]);
    lab.must(&["pause", "agent"]);
    assert_eq!(condition(&lab.status(), "agent host-2"), "paused");
    assert!(
        lab.must(&["start", "agent", "host-2"])
            .contains("anet lab resume")
    );
    lab.must(&["resume", "agent"]);
    lab.must(&["stop", "controller"]);
    assert_eq!(condition(&lab.status(), "controller"), "stopped");
    lab.must(&["start", "controller"]);
    assert!(lab.must(&["start", "controller"]).contains("runs already"));
    lab.must(&["exec", "web-1", "--", "ping", "-c", "2", "-W", "5", "10.0.0.12"]);
    assert!(
        lab.must(&["logs", "vswitch", "host-1"])
            .contains("vswitch host-1")
    );
    // One that ends by itself is told from one that was stopped.
    let state = State::read(&lab.place).unwrap();
    let agent = state
        .everyone()
        .into_iter()
        .find(|who| who.to_string() == "agent host-2");
    let process: ProcessIdentity = state.process(&agent.unwrap()).unwrap();
    assert!(process.signal(Signal::SIGKILL));
    wait_for("its end", Duration::from_secs(5), || {
        (!process.is_alive()).then_some(())
    })
    .unwrap();
    assert_eq!(condition(&lab.status(), "agent host-2"), "ended by itself");
}

#[test]
fn nothing_stays_of_a_lab_whose_maker_is_killed() {
    if let Some(reason) = missing() {
        return skip("nothing_stays_of_a_lab_whose_maker_is_killed", &reason);
    }
    for (number, milliseconds) in [30, 150, 400, 900, 1_800, 3_000].into_iter().enumerate() {
        let lab = Lab::new(&format!("k{number}"));
        let mut maker = lab.up_command().spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        maker.kill().unwrap();
        maker.wait().unwrap();
        lab.must(&["down", &lab.name]);
        assert!(lab.is_gone(), "killed after {milliseconds} ms");
    }
}

#[test]
fn a_maker_that_is_told_to_stop_takes_down_what_it_made() {
    if let Some(reason) = missing() {
        return skip("a_maker_that_is_told_to_stop_takes_down_what_it_made", &reason);
    }
    let lab = Lab::new("told");
    let mut maker = lab.up_command().spawn().unwrap();
    wait_for("the lab's folder", Duration::from_secs(5), || {
        lab.place.file("state.json").exists().then_some(())
    })
    .unwrap();
    // From another terminal.
    lab.must(&["down", &lab.name]);
    assert!(lab.is_gone());
    assert!(!maker.wait().unwrap().success());
    assert!(lab.is_gone(), "and nothing was made afterwards");

    let mut maker = lab.up_command().arg("--foreground").spawn().unwrap();
    wait_for("the lab", Duration::from_secs(40), || {
        let ready =
            State::read(&lab.place).is_ok_and(|state| state.phase == anet_lab::standing::Phase::Ready);
        ready.then_some(())
    })
    .unwrap();
    assert!(maker.try_wait().unwrap().is_none(), "it stays");
    let identity = ProcessIdentity::of(maker.id()).unwrap();
    assert!(identity.signal(Signal::SIGINT));
    assert!(maker.wait().unwrap().success());
    assert!(lab.is_gone());
}

#[test]
fn a_lab_that_cannot_be_made_leaves_nothing_unless_it_is_to_be_looked_at() {
    let test = "a_lab_that_cannot_be_made_leaves_nothing_unless_it_is_to_be_looked_at";
    if let Some(reason) = missing() {
        return skip(test, &reason);
    }
    let lab = Lab::new("broken");
    let try_it = |keep: &[&str]| {
        // An agent that ends at once: its host does not join.
        let command = lab
            .up_command()
            .env("ANET_AGENT", "/bin/false")
            .args(keep)
            .stderr(Stdio::piped())
            .output();
        let output = command.unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = try_it(&[]);
    assert!(said.contains("/bin/false"), "{said}");
    assert!(lab.is_gone());
    let said = try_it(&["--keep"]);
    assert!(said.contains("anet lab down"), "{said}");
    assert!(lab.place.exists());
    assert_eq!(lab.status()["phase"], "half made: take it down");
    // Its maker is gone: another one begins anew.
    let said = try_it(&[]);
    assert!(said.contains("/bin/false"), "{said}");
    assert!(lab.is_gone());
}
