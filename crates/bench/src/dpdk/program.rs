//! A program that is measured, and one that runs.

use std::fmt;
use std::time::Duration;

use anet_lab::{Namespace, Process};

use super::generator::Session;
use super::results::Snapshot;
use super::rig::Rig;
use super::traffic::Traffic;
use crate::error::BenchError;

/// The longest that a million connections may take to come into being.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a program has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Rules, connections and VXLAN between the guest's device and the underlay's. Anti-spoofing; UDP and TCP to
    /// [`super::scene::ALLOWED_PORTS`] may leave, answers may come back.
    StatefulVxlan,
    /// Frames from device to device by MAC address, without any state.
    Forward,
}

/// How many threads of a peer forward for `workers` queues: processor 0 is for everything else.
pub fn forwarding_threads(workers: u32) -> u32 {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    workers.min(u32::try_from(processors - 1).unwrap_or(1)).max(1)
}

/// Something that can be measured.
pub trait Program: fmt::Debug {
    /// Its name, a word.
    fn name(&self) -> &'static str;

    /// Starts it, ready to be given packets; the generator stands still. `workers` threads forward, each with a receive queue
    /// of each device; the first is on processor 1.
    fn start(&self, rig: &Rig, task: Task, workers: u32) -> Result<Running, BenchError>;
}

/// A way of running a program, where there are several and nobody can say beforehand which is the best.
pub struct Variant {
    /// Its name, a word.
    pub name: &'static str,
    /// Switches to it.
    pub choose: Box<dyn Fn() -> Result<(), BenchError>>,
}

impl fmt::Debug for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A program that runs; it is ended when this is dropped.
#[derive(Debug)]
pub struct Running {
    /// The one that has the devices.
    pub process: Process,
    /// What it needs beside it.
    pub others: Vec<Process>,
    /// The generator in it.
    pub session: Session,
    /// Empty where there is one way only.
    pub variants: Vec<Variant>,
    /// Where it runs. The last field: what runs in it is ended first.
    pub namespace: Namespace,
}

impl Running {
    /// Tells the generator what to do, and waits until it does so: devices there, every flow established.
    pub fn tell(&mut self, traffic: &Traffic) -> Result<(), BenchError> {
        self.session.write(traffic)?;
        self.wait()
    }

    /// Waits until the generator does what it was told last.
    pub fn wait(&mut self) -> Result<(), BenchError> {
        let mut outcome = None;
        self.process.wait_ready(PATIENCE, || {
            outcome = self.session.reached();
            outcome.is_some()
        })?;
        outcome.unwrap_or(Ok(()))
    }

    /// What the generator says now.
    pub fn snapshot(&self) -> Result<Snapshot, BenchError> {
        let nothing = || BenchError::Void("the generator says nothing".to_owned());
        self.session.snapshot().ok_or_else(nothing)
    }
}
