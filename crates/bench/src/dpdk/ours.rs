//! `anet-vswitch` on DPDK devices.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anet_lab::{Vswitch, output_of};

use super::program::{Program, Running, Task};
use super::rig::Rig;
use super::scene;
use super::traffic::Traffic;
use crate::error::BenchError;

/// A million connections and some room.
const CONNECTIONS: u32 = 1_500_000;
/// Both directions of a million connections, and room for a cache that is not full.
const FLOWS: u32 = 4_194_304;

/// Our switch.
#[derive(Debug, Clone, Copy)]
pub struct Ours;

impl Program for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn start(&self, rig: &Rig, task: Task, workers: u32) -> Result<Running, BenchError> {
        launch(rig, task, workers, &[]).map(|(running, _)| running)
    }
}

/// Starts it with `further` arguments; its control socket beside it.
pub fn launch(
    rig: &Rig,
    task: Task,
    workers: u32,
    further: &[&str],
) -> Result<(Running, PathBuf), BenchError> {
    let program = Vswitch::program().map_err(|error| BenchError::Missing(error.to_string()))?;
    let help = output_of(Command::new(&program).args(["run", "--help"]))?;
    if !help.contains("--eal") {
        return Err(BenchError::Missing(
            "this anet-vswitch has no DPDK ports".to_owned(),
        ));
    }
    if !has_shim(&program) {
        let what = "this anet-vswitch was built without DPDK (`apt-get install libdpdk-dev`, `make build`)";
        return Err(BenchError::Missing(what.to_owned()));
    }
    let session = rig.session(&Traffic::paused(workers))?;
    let folder = rig.fresh_folder("ours")?;
    let file = |name: &str| folder.join(name);
    let plan = file("plan.yaml");
    std::fs::write(&plan, plan_text(task)).map_err(BenchError::system("write the plan"))?;
    let namespace = rig.namespace()?;
    let mut command = namespace.command(&program);
    command.envs(session.environment());
    command.arg("run").arg("--plan").arg(&plan);
    command.arg("--control").arg(file("control.sock"));
    command.arg("--connections").arg(file("connections"));
    command.args(["--connection-capacity", &CONNECTIONS.to_string()]);
    command.args(["--flows", &FLOWS.to_string()]);
    command.args(["--workers", &workers.to_string()]);
    command.args(["--processors", &processors(workers), "--polling", "always"]);
    command
        .arg(format!("--eal={}", session.eal().join(" ")))
        .args(further);
    let mut running = Running {
        process: rig.spawn("anet-vswitch", command)?,
        others: Vec::new(),
        session,
        variants: Vec::new(),
        namespace,
    };
    running.wait()?;
    Ok((running, file("control.sock")))
}

/// Whether `make build` made what the program loads for DPDK.
fn has_shim(program: &Path) -> bool {
    let folder = program.ancestors().nth(2).map(|target| target.join("dpdk"));
    let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok());
    let names = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    names
        .into_iter()
        .any(|name| name.to_string_lossy().starts_with("libanet-dpdk-"))
}

/// The first worker on processor 1, as the peers' one; another one on processor 0 where there are two processors only.
fn processors(workers: u32) -> String {
    let there = std::thread::available_parallelism().map_or(2, usize::from) as u32;
    let all: Vec<String> = (1..=workers).map(|number| (number % there).to_string()).collect();
    all.join(",")
}

fn plan_text(task: Task) -> String {
    match task {
        Task::StatefulVxlan => stateful_vxlan(),
        Task::Forward => forward(),
    }
}

/// What `ovs::stateful_flows` says, as a plan.
fn stateful_vxlan() -> String {
    let mut plan = format!(
        "tunnel:
  address: {local}
  dpdk: {{device: \"{device}\", mac: {mac}}}
endpoints:
  far: {{address: {remote}, next_hop: {next_hop}}}
networks:
  blue: {{vni: {vni}, mtu: 1504, endpoints: [far]}}
{subnets}peers:
",
        local = scene::LOCAL_IPV4,
        device = scene::device(scene::UNDERLAY_DEVICE),
        mac = scene::LOCAL_MAC,
        remote = scene::REMOTE_IPV4,
        next_hop = scene::REMOTE_MAC,
        vni = scene::VNI,
        subnets = SUBNETS,
    );
    for peer in 0..scene::PEERS {
        let (mac, ipv4, ipv6) = (
            scene::peer_mac(peer),
            scene::peer_ipv4(peer),
            scene::peer_ipv6(peer),
        );
        _ = writeln!(
            plan,
            "  peer-{peer}: {{network: blue, mac: {mac}, addresses: [{ipv4}, {ipv6}], endpoint: far}}"
        );
    }
    plan.push_str(&guest_port(
        "guest",
        scene::GUEST_DEVICE,
        GUEST,
        "security_groups: [out]",
    ));
    plan.push_str("security_groups:\n  out:\n    rules:\n");
    let (first, last) = scene::ALLOWED_PORTS;
    for (ethertype, protocol) in [("IPv4", "udp"), ("IPv4", "tcp"), ("IPv6", "udp"), ("IPv6", "tcp")] {
        _ = writeln!(
            plan,
            "      {protocol}-{ethertype}: {{direction: egress, ethertype: {ethertype}, protocol: {protocol}, ports: {first}-{last}}}"
        );
    }
    plan
}

/// Two guests of one network that nothing is asked of.
fn forward() -> String {
    let mut plan = format!("networks:\n  blue: {{vni: {}, mtu: 1504}}\n{SUBNETS}", scene::VNI);
    let open = "port_security: false";
    let peer = (scene::PEER_MAC, scene::PEER_IPV4, scene::PEER_IPV6);
    let ports = [
        guest_port("guest", scene::GUEST_DEVICE, GUEST, open),
        guest_port("other", scene::UNDERLAY_DEVICE, peer, open),
    ];
    plan.push_str(&ports[0]);
    plan.push_str(ports[1].trim_start_matches("ports:\n"));
    plan
}

const SUBNETS: &str = "subnets:
  blue-v4: {network: blue, prefix: 10.0.0.0/16, dhcp: false}
  blue-v6: {network: blue, prefix: \"fd00::/64\", dhcp: false}
";
const GUEST: (&str, &str, &str) = (scene::GUEST_MAC, scene::GUEST_IPV4, scene::GUEST_IPV6);

/// A port without a budget that the generator could reach.
fn guest_port(name: &str, device: &str, (mac, ipv4, ipv6): (&str, &str, &str), security: &str) -> String {
    format!(
        "ports:
  {name}:
    network: blue
    mac: {mac}
    addresses: [{ipv4}, \"{ipv6}\"]
    {security}
    dpdk: {{device: \"{device}\"}}
    budgets: {{connections: {CONNECTIONS}, new_flows_pps: 100000000}}
",
        device = scene::device(device),
    )
}
