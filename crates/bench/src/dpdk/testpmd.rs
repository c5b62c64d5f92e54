//! testpmd: what the devices and the generator carry when nothing is decided at all.

use super::program::{Program, Running, Task, forwarding_threads};
use super::rig::Rig;
use super::scene;
use super::traffic::Traffic;
use crate::error::BenchError;

/// `dpdk-testpmd`, changing MAC addresses only.
#[derive(Debug, Clone, Copy)]
pub struct Testpmd;

impl Program for Testpmd {
    fn name(&self) -> &'static str {
        "testpmd"
    }

    /// The task makes no difference: it knows this one only.
    fn start(&self, rig: &Rig, _task: Task, workers: u32) -> Result<Running, BenchError> {
        let session = rig.session(&Traffic::paused(workers))?;
        let namespace = rig.namespace()?;
        let mut command = namespace.command("dpdk-testpmd");
        command.envs(session.environment());
        // The main thread on processor 0, forwarding from processor 1 on.
        let threads = forwarding_threads(workers);
        command.args(["-l", &format!("0-{threads}")]).args(session.eal());
        for device in [scene::GUEST_DEVICE, scene::UNDERLAY_DEVICE] {
            command.args(["--vdev", &scene::device(device)]);
        }
        // `mac`: a packet's headers are touched, as by anything that forwards. The pool is of a size that fits OVS's order of
        // magnitude; bursts are 32 packets, in both. A period for statistics keeps it running without a terminal.
        command.args(["--", "--forward-mode=mac", "--auto-start", "--burst=32"]);
        command.args(["--total-num-mbufs=65536", "--no-mlockall", "--stats-period=3600"]);
        command.args([
            format!("--nb-cores={threads}"),
            format!("--rxq={workers}"),
            format!("--txq={workers}"),
        ]);
        let mut running = Running {
            process: rig.spawn("testpmd", command)?,
            others: Vec::new(),
            session,
            variants: Vec::new(),
            namespace,
        };
        running.wait()?;
        Ok(running)
    }
}
