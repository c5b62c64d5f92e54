//! OVS-DPDK: its user-space data path with connection tracking and VXLAN, from Debian's packages, in a database, folder and
//! namespace of its own. docs/performance.md explains each setting.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anet_lab::{Namespace, Process, output_of};

use super::generator::Session;
use super::program::{Program, Running, Task, Variant, forwarding_threads};
use super::rig::Rig;
use super::scene;
use super::traffic::Traffic;
use crate::error::BenchError;

const DAEMON: &str = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk";
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const PATIENCE: Duration = Duration::from_secs(20);
/// Largest packet on the devices: the generator's largest with its outer headers. The default would drop it.
const MTU: u32 = 1600;
/// Connections that it may track; its default is three million, said here so that nobody has to wonder.
const CONNECTIONS: u32 = 3_000_000;

/// `ovs-vswitchd` with DPDK.
#[derive(Debug, Clone, Copy)]
pub struct Ovs;

impl Program for Ovs {
    fn name(&self) -> &'static str {
        "ovs"
    }

    fn start(&self, rig: &Rig, task: Task, workers: u32) -> Result<Running, BenchError> {
        if !Path::new(DAEMON).is_file() {
            return Err(BenchError::Missing(format!(
                "{DAEMON} is not there; scripts/install-packages bench installs it"
            )));
        }
        let session = rig.session(&Traffic::paused(workers))?;
        let control = Control::new(rig)?;
        let database = start_database(rig, &control)?;
        configure(&control, &session, workers)?;
        let process = start_daemon(rig, &control, &session)?;
        let mut running = Running {
            process,
            others: vec![database],
            session,
            variants: cache_variants(&control),
            namespace: control.namespace.clone(),
        };
        match task {
            Task::StatefulVxlan => stateful_vxlan(&control, workers)?,
            Task::Forward => forward(&control, workers)?,
        }
        running.wait()?;
        Ok(running)
    }
}

/// Talking to one OVS.
#[derive(Debug, Clone)]
struct Control {
    folder: PathBuf,
    namespace: Namespace,
}

impl Control {
    fn new(rig: &Rig) -> Result<Self, BenchError> {
        Ok(Self {
            folder: rig.fresh_folder("ovs")?,
            namespace: rig.namespace()?,
        })
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// All that OVS would else look for in the system's own places.
    fn environment(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        ["OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"]
            .into_iter()
            .map(|name| (name, self.folder.as_path()))
    }

    /// Runs one of OVS's tools to its end, in the namespace, where it is ended with everything else.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, BenchError> {
        let mut command = self.namespace.command(program);
        Ok(output_of(command.envs(self.environment()).args(arguments))?)
    }

    /// Changes the database, without waiting for the daemon.
    fn set(&self, arguments: &[&str]) -> Result<(), BenchError> {
        let database = format!("--db=unix:{}", self.file("db.sock"));
        let mut all = vec!["--no-wait", &database];
        all.extend_from_slice(arguments);
        self.run("ovs-vsctl", &all).map(drop)
    }

    /// Changes the database and waits until the daemon has done what it says.
    fn change(&self, arguments: &[&str]) -> Result<(), BenchError> {
        let database = format!("--db=unix:{}", self.file("db.sock"));
        let timeout = format!("--timeout={}", PATIENCE.as_secs());
        let mut all = vec![timeout.as_str(), &database];
        all.extend_from_slice(arguments);
        self.run("ovs-vsctl", &all).map(drop)
    }

    fn ask(&self, arguments: &[&str]) -> Result<String, BenchError> {
        let target = format!("--target={}", self.file("control"));
        let mut all = vec![target.as_str()];
        all.extend_from_slice(arguments);
        self.run("ovs-appctl", &all)
    }

    fn flows(&self, bridge: &str, flows: &[String]) -> Result<(), BenchError> {
        let path = self.file(&format!("{bridge}.flows"));
        std::fs::write(&path, flows.join("\n")).map_err(BenchError::system(path.clone()))?;
        let socket = format!("unix:{}", self.file(&format!("{bridge}.mgmt")));
        self.run("ovs-ofctl", &["add-flows", &socket, &path]).map(drop)
    }
}

fn start_database(rig: &Rig, control: &Control) -> Result<Process, BenchError> {
    let file = control.file("conf.db");
    control.run("ovsdb-tool", &["create", &file, SCHEMA])?;
    let mut command = control.namespace.command("ovsdb-server");
    let socket = control.file("db.sock");
    command.envs(control.environment());
    command.args([&file, &format!("--remote=punix:{socket}"), "-vsyslog:off"]);
    let mut process = rig.spawn("ovsdb-server", command)?;
    process.wait_ready(PATIENCE, || Path::new(&socket).exists())?;
    Ok(process)
}

/// Before the daemon starts: EAL is initialised once. Polling threads on processors 1 and up, everything else on 0.
fn configure(control: &Control, session: &Session, workers: u32) -> Result<(), BenchError> {
    let polling = format!(
        "other_config:pmd-cpu-mask={:#x}",
        ((1u64 << forwarding_threads(workers)) - 1) << 1
    );
    let extra = format!("other_config:dpdk-extra=\"{}\"", session.eal().join(" "));
    control.set(&["init"])?;
    control.set(&[
        "set",
        "Open_vSwitch",
        ".",
        "other_config:dpdk-init=true",
        "other_config:dpdk-lcore-mask=0x1",
        &polling,
        &extra,
    ])
}

fn start_daemon(rig: &Rig, control: &Control, session: &Session) -> Result<Process, BenchError> {
    let mut command = control.namespace.command(DAEMON);
    command.envs(control.environment()).envs(session.environment());
    command.arg(format!("unix:{}", control.file("db.sock")));
    command.arg(format!("--unixctl={}", control.file("control")));
    command.arg(format!("--pidfile={}", control.file("vswitchd.pid")));
    command.arg("-vsyslog:off");
    let mut process = rig.spawn("ovs-vswitchd", command)?;
    let socket = control.file("control");
    process.wait_ready(PATIENCE, || Path::new(&socket).exists())?;
    Ok(process)
}

fn bridge(control: &Control, name: &str, more: &[&str]) -> Result<(), BenchError> {
    let mut arguments = vec!["add-br", name, "--", "set", "bridge", name];
    // Without a controller and without learning: only what the flows say.
    arguments.extend(["datapath_type=netdev", "fail-mode=secure"]);
    arguments.extend_from_slice(more);
    control.change(&arguments)
}

fn device(control: &Control, bridge: &str, name: &str, number: u32, workers: u32) -> Result<(), BenchError> {
    let settings = [
        "type=dpdk".to_owned(),
        format!("options:dpdk-devargs={}", scene::device(name)),
        format!("options:n_rxq={workers}"),
        format!("mtu_request={MTU}"),
        format!("ofport_request={number}"),
    ];
    let mut arguments = vec!["add-port", bridge, name, "--", "set", "interface", name];
    arguments.extend(settings.iter().map(String::as_str));
    control.change(&arguments)
}

fn forward(control: &Control, workers: u32) -> Result<(), BenchError> {
    bridge(control, "br-int", &[])?;
    device(control, "br-int", scene::GUEST_DEVICE, 1, workers)?;
    device(control, "br-int", scene::UNDERLAY_DEVICE, 2, workers)?;
    let there = format!("in_port=1,dl_dst={},actions=output:2", scene::PEER_MAC);
    let back = format!("in_port=2,dl_dst={},actions=output:1", scene::GUEST_MAC);
    control.flows("br-int", &[there, back])
}

fn stateful_vxlan(control: &Control, workers: u32) -> Result<(), BenchError> {
    let mac = format!("other-config:hwaddr={}", scene::LOCAL_MAC);
    bridge(control, "br-phy", &[&mac])?;
    device(control, "br-phy", scene::UNDERLAY_DEVICE, 1, workers)?;
    bridge(control, "br-int", &[])?;
    device(control, "br-int", scene::GUEST_DEVICE, 1, workers)?;
    control.change(&[
        "add-port",
        "br-int",
        "vxlan",
        "--",
        "set",
        "interface",
        "vxlan",
        "type=vxlan",
        "options:remote_ip=flow",
        "options:key=flow",
        "ofport_request=2",
    ])?;
    // The bridge's own interface has the tunnel's address: OVS takes its routes from the kernel's tables of its namespace.
    let address = format!("{}/24", scene::LOCAL_IPV4);
    control.namespace.add_address("br-phy", &address)?;
    control.flows("br-phy", &["actions=NORMAL".to_owned()])?;
    control.flows("br-int", &stateful_flows())?;
    // The far end's MAC as if ARP had asked: nobody is there to answer.
    control.ask(&["tnl/neigh/set", "br-phy", scene::REMOTE_IPV4, scene::REMOTE_MAC])?;
    control.ask(&["dpctl/ct-set-maxconns", &CONNECTIONS.to_string()])?;
    Ok(())
}

/// What our plan says, in OVS's words: the guest speaks for itself, connections that rules allow may begin, what belongs to one
/// may pass, and a station's MAC says which tunnel it is behind.
fn stateful_flows() -> Vec<String> {
    let (mac, ipv4, ipv6) = (scene::GUEST_MAC, scene::GUEST_IPV4, scene::GUEST_IPV6);
    let vni = scene::VNI;
    // 16384-32767 as a mask.
    let allowed = format!("tp_dst={:#x}/0xc000", scene::ALLOWED_PORTS.0);
    let mut flows = vec![
        format!("table=0,in_port=1,dl_src={mac},ip,nw_src={ipv4},actions=ct(table=1,zone=1)"),
        format!("table=0,in_port=1,dl_src={mac},ipv6,ipv6_src={ipv6},actions=ct(table=1,zone=1)"),
        format!("table=0,in_port=2,tun_id={vni},ip,actions=ct(table=1,zone=1)"),
        format!("table=0,in_port=2,tun_id={vni},ipv6,actions=ct(table=1,zone=1)"),
        "table=1,ct_state=+trk+est,actions=goto_table:2".to_owned(),
        format!("table=2,in_port=2,dl_dst={mac},actions=output:1"),
    ];
    for protocol in ["udp", "tcp", "udp6", "tcp6"] {
        flows.push(format!(
            "table=1,in_port=1,ct_state=+trk+new,{protocol},{allowed},actions=ct(commit,zone=1),goto_table:2"
        ));
    }
    for peer in 0..scene::PEERS {
        flows.push(format!(
            "table=2,in_port=1,dl_dst={},actions=set_field:{vni}->tun_id,set_field:{}->tun_dst,output:2",
            scene::peer_mac(peer),
            scene::REMOTE_IPV4
        ));
    }
    flows
}

/// The signature match cache is off by default and helps with many flows, and not with few: the better one counts each time.
fn cache_variants(control: &Control) -> Vec<Variant> {
    let variant = |name, setting: &'static str| {
        let control = control.clone();
        Variant {
            name,
            choose: Box::new(move || control.change(&["set", "Open_vSwitch", ".", setting])),
        }
    };
    vec![
        variant("without_smc", "other_config:smc-enable=false"),
        variant("with_smc", "other_config:smc-enable=true"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_ports_are_what_the_mask_says() {
        let (first, last) = scene::ALLOWED_PORTS;
        assert_eq!((first & 0x3fff, last), (0, first | 0x3fff));
        let flows = stateful_flows();
        assert_eq!(
            flows
                .iter()
                .filter(|flow| flow.contains("tp_dst=0x4000/0xc000"))
                .count(),
            4
        );
        assert_eq!(
            flows.iter().filter(|flow| flow.contains("tun_dst")).count(),
            scene::PEERS as usize
        );
    }
}
