//! The programs of a lab and their command lines.

use std::path::{Path, PathBuf};
use std::process::Command;

use anet_packet::addr::Mac;

use super::daemon::{Who, detached};
use super::place::Place;
use super::state::State;
use crate::vswitch::workspace_program;
use crate::{Guest, LabError, output_of};

/// Where the controller serves its API; Neutron's port.
const API_PORT: u16 = 9_696;
/// Where it serves hosts.
const HOSTS_PORT: u16 = 9_697;
/// Connections that each switch of a lab has room for; many switches share a machine.
const CONNECTIONS: &str = "32768";

/// The path of a program: what the environment says, beside this program, or on the path.
pub fn find(name: &str) -> Result<PathBuf, LabError> {
    let variable = match name {
        "anet-controller" => "ANET_CONTROLLER",
        "anet-agent" => "ANET_AGENT",
        _ => "ANET_VSWITCH",
    };
    workspace_program(name, variable).or_else(|error| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|path| path.is_file());
        found.ok_or(error)
    })
}

/// Every program, so that a missing one is told before anything is made.
pub(super) fn find_all() -> Result<(), LabError> {
    ["anet-controller", "anet-agent", "anet-vswitch"]
        .iter()
        .try_for_each(|name| find(name).map(drop))
}

/// The command that makes the controller's data.
pub(super) fn init_command(place: &Place, state: &State) -> Result<Command, LabError> {
    let mut command = place.namespace("controller").command(find("anet-controller")?);
    command.arg("init").arg("--data").arg(place.file("controller"));
    command
        .arg("--advertise")
        .arg(state.controller_address().to_string());
    Ok(command)
}

/// The command that runs a daemon.
pub(super) fn run_command(place: &Place, state: &State, who: &Who) -> Result<Command, LabError> {
    let namespace = place.namespace(who.member());
    match who {
        Who::Controller => {
            let address = state.controller_address().to_string();
            let mut command = detached(&namespace, &find("anet-controller")?);
            command.arg("run").arg("--data").arg(place.file("controller"));
            command
                .args(["--listen-api", &format!("{address}:{API_PORT}")])
                .args(["--listen-hosts", &format!("{address}:{HOSTS_PORT}")])
                .args(["--advertise", &address]);
            Ok(command)
        }
        Who::Agent(host) => {
            let mut command = detached(&namespace, &find("anet-agent")?);
            command.arg("run").arg("--data").arg(agent_data(place, host));
            command.arg("--vswitch-socket").arg(vswitch_socket(place, host));
            command.arg("--socket").arg(agent_socket(place, host));
            Ok(command)
        }
        Who::Vswitch(host) => {
            let mut command = detached(&namespace, &find("anet-vswitch")?);
            command
                .arg("run")
                .arg("--control")
                .arg(vswitch_socket(place, host));
            command
                .arg("--connections")
                .arg(place.member_folder(host).join("connections"))
                .args(["--connection-capacity", CONNECTIONS]);
            Ok(command)
        }
    }
}

/// Lets a host join.
pub(super) fn join(place: &Place, host: &str, token: &str, tunnel: &str) -> Result<(), LabError> {
    let mut command = place.namespace(host).command(find("anet-agent")?);
    command.args(["join", token, "--tunnel-address", tunnel, "--name", host]);
    command.arg("--data").arg(agent_data(place, host));
    output_of(&mut command).map(drop)
}

/// Tells a host's agent that a port's guest is here: a TAP in a namespace.
pub(super) fn attach(place: &Place, host: &str, port: &str, namespace: &Path) -> Result<(), LabError> {
    let mut command = agent_command(place, host, "attach")?;
    command.arg(port).args(["--tap", Guest::INTERFACE]);
    command.arg("--netns").arg(namespace);
    output_of(&mut command).map(drop)
}

/// Tells a host's agent that the guest of whatever port has this MAC is here: a TAP in a namespace. There may be no such port yet.
pub fn attach_by_mac(place: &Place, host: &str, mac: Mac, namespace: &Path) -> Result<(), LabError> {
    let mut command = agent_command(place, host, "attach")?;
    command.args(["--mac", &mac.to_string(), "--tap", Guest::INTERFACE]);
    command.arg("--netns").arg(namespace);
    output_of(&mut command).map(drop)
}

/// Tells a host's agent that a port's guest is not here any more.
pub(super) fn detach(place: &Place, host: &str, port: &str) -> Result<(), LabError> {
    output_of(agent_command(place, host, "detach")?.arg(port)).map(drop)
}

/// What a host's agent says about itself.
pub fn agent_status(place: &Place, host: &str) -> Result<String, LabError> {
    output_of(&mut agent_command(place, host, "status")?)
}

/// `anet-vswitch ctl ARGUMENTS` on a host: what it prints.
pub fn vswitch_ctl(place: &Place, host: &str, arguments: &[&str]) -> Result<String, LabError> {
    let mut command = Command::new(find("anet-vswitch")?);
    command
        .args(["ctl", "--control"])
        .arg(vswitch_socket(place, host))
        .args(arguments);
    output_of(&mut command)
}

/// True where a host's switch holds the interface of a port.
pub(super) fn holds(place: &Place, host: &str, port: &str) -> bool {
    let ports = vswitch_ctl(place, host, &["ports"]).unwrap_or_default();
    // PORT, LINK, and more.
    let mut rows = ports
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.any(|row| row.first() == Some(&port) && row.get(1) == Some(&"up"))
}

/// Puts what a client needs to know where clients look for it.
pub(super) fn write_client_file(place: &Place, _state: &State) -> Result<(), LabError> {
    let made = place.file("controller").join("client.json");
    std::fs::copy(&made, place.client_file())
        .map(drop)
        .map_err(LabError::io(format!("copy {}", made.display())))
}

fn agent_command(place: &Place, host: &str, word: &str) -> Result<Command, LabError> {
    let mut command = Command::new(find("anet-agent")?);
    command.arg(word).arg("--socket").arg(agent_socket(place, host));
    Ok(command)
}

/// The control socket of a host's switch.
pub fn vswitch_socket(place: &Place, host: &str) -> PathBuf {
    place.member_folder(host).join("vswitch.sock")
}

/// The local socket of a host's agent.
pub fn agent_socket(place: &Place, host: &str) -> PathBuf {
    place.member_folder(host).join("agent.sock")
}

fn agent_data(place: &Place, host: &str) -> PathBuf {
    place.member_folder(host).join("agent")
}
