//! The threads that forward: each with its own buffers, flow cache and queues.
//!
//! A worker sleeps until one of its receive queues has packets or the control thread wakes it. It reads the published
//! tables for the length of a round and lets them go before it sleeps, so that a change never waits for a sleeper. Nothing
//! is locked between a worker and the control thread: commands come through a channel that is looked at when the worker is
//! woken, events go back through another.

mod health;
mod laps;
mod panics;
mod places;
mod rhythm;
mod thread;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anet_datapath::burst::NewConnections;
use anet_datapath::connections::Connections;
use anet_datapath::counters::WorkerCounters;
use anet_datapath::flow_cache::Flow;
use anet_datapath::interface::Interface;
use anet_datapath::tables::Tables;
use anet_packet::flow_key::FlowKey;
use anet_ports::kernel::wait::{Waiter, Waker};
use anet_ports::{PortError, ReceiveQueue, TransmitQueue};
use left_right::ReadHandle;

pub use health::PortHealth;
pub use laps::StageCycles;
pub use panics::report_panics;
pub use rhythm::Polling;

/// How long a worker may take to answer; rounds are short, so longer means that it is gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// What all workers share.
#[derive(Clone)]
pub struct Shared {
    /// The host's connections.
    pub connections: Arc<Connections>,
    /// Marks of new connections.
    pub new_connections: Arc<NewConnections>,
    /// True: TCP in mid-stream may open a connection.
    pub loose_pickup: bool,
}

/// How workers are set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Threads, 1 to 64.
    pub workers: usize,
    /// Flows in the cache of each.
    pub flows: usize,
    /// Seed of their hashes.
    pub seed: u64,
    /// How queues without a descriptor are polled.
    pub polling: Polling,
    /// Cycles are counted by stage.
    pub stage_cycles: bool,
    /// Processors that workers are pinned to, in their order, around; without any, those of the process where there are
    /// several workers that poll, and none where they sleep until packets come.
    pub processors: Vec<usize>,
}

/// What a worker tells the control thread.
#[derive(Debug)]
pub enum Event {
    /// A port's device is gone; the worker has let its receive queue go.
    Lost(AttachedDevice, PortError),
    /// A port has trouble that may pass.
    Trouble(AttachedDevice, PortError),
    /// A port's packets keep panicking the worker.
    Quarantined(AttachedDevice),
    /// The thread ended by itself, which should not be.
    Ended(usize),
}

/// Which device an event is about. Events come late: the interface may be another device's by then, of another generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachedDevice {
    /// Its interface.
    pub interface: Interface,
    /// Which of those that had the interface.
    pub generation: u64,
}

/// A port's queues, as a worker gets them.
pub struct Attachment {
    /// Which device.
    pub device: AttachedDevice,
    /// Where its packets come in, for the worker that it is assigned to.
    pub receive: Option<Box<dyn ReceiveQueue>>,
    /// Where packets go out: each worker has one.
    pub transmit: Box<dyn TransmitQueue>,
    /// The port's health.
    pub health: Arc<PortHealth>,
}

/// Flows of a worker's cache.
pub type Flows = Vec<(FlowKey, Flow)>;

/// What the control thread tells a worker.
enum Command {
    Attach(Attachment),
    /// The queues go back, so that closing a device costs the worker nothing.
    Detach(Interface, Sender<Option<Attachment>>),
    Flows(Sender<Flows>),
    Stop,
}

struct Handle {
    commands: Sender<Command>,
    waker: Waker,
    counters: Arc<WorkerCounters>,
    sleeps: Arc<thread::Activity>,
    thread: Option<JoinHandle<()>>,
}

/// Why the workers could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system refused a descriptor or a thread.
    #[error(
        "worker {worker}: {source}; raise the limits of open files and threads (`ulimit -n`, `ulimit -u`)"
    )]
    System {
        /// Which worker.
        worker: usize,
        /// What the system said.
        source: std::io::Error,
    },
    /// No memory for buffers.
    #[error("worker {worker}: {cause}")]
    Memory {
        /// Which worker.
        worker: usize,
        /// What is missing.
        cause: String,
    },
}

/// All workers, as the control thread holds them.
pub struct Workers {
    handles: Vec<Handle>,
}

impl Workers {
    /// Starts the threads. They read `tables` and tell `events`.
    pub fn start(
        settings: Settings,
        shared: &Shared,
        tables: &ReadHandle<Tables>,
        events: impl Fn(Event) + Send + Clone + 'static,
    ) -> Result<Self, StartError> {
        let start = |number| start_one(number, settings.clone(), shared, tables, events.clone());
        let handles = (0..settings.workers).map(start).collect::<Result<_, _>>()?;
        Ok(Self { handles })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.handles.len()
    }

    /// The counters of each.
    pub fn counters(&self) -> impl Iterator<Item = &WorkerCounters> {
        self.handles.iter().map(|handle| handle.counters.as_ref())
    }

    /// The cycles of each by stage; all zero where they are not counted.
    pub fn stage_cycles(&self) -> impl Iterator<Item = &StageCycles> {
        self.handles.iter().map(|handle| handle.sleeps.stage_cycles())
    }

    /// What each did beside packets: (rounds with packets, times it went to sleep).
    pub fn activity(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.handles.iter().map(|handle| handle.sleeps.get())
    }

    /// The worker that receives from an interface.
    pub fn receiver_of(&self, interface: Interface) -> usize {
        match interface {
            Interface::UPLINK => 0,
            port => port.get() as usize % self.handles.len(),
        }
    }

    /// Hands a port's queues to a worker.
    pub fn attach(&self, worker: usize, attachment: Attachment) {
        self.tell(worker, Command::Attach(attachment));
    }

    /// Takes a port's queues from all workers and returns them when every worker has let go.
    pub fn detach(&self, interface: Interface) -> Vec<Attachment> {
        let ask = |reply| Command::Detach(interface, reply);
        self.ask_all(ask).into_iter().flatten().collect()
    }

    /// Copies of the flow caches, by worker.
    pub fn flows(&self) -> Vec<Flows> {
        self.ask_all(Command::Flows)
    }

    fn tell(&self, worker: usize, command: Command) {
        if let Some(handle) = self.handles.get(worker) {
            // A worker that has ended drops what is sent to it; the control thread knows from its event.
            let _ = handle.commands.send(command);
            handle.waker.wake();
        }
    }

    fn ask_all<T>(&self, command: impl Fn(Sender<T>) -> Command) -> Vec<T> {
        let ask = |worker| {
            let (reply, answer) = channel();
            self.tell(worker, command(reply));
            answer
        };
        let answers: Vec<Receiver<T>> = (0..self.handles.len()).map(ask).collect();
        let wait = |answer: Receiver<T>| answer.recv_timeout(PATIENCE).ok();
        answers.into_iter().filter_map(wait).collect()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        (0..self.handles.len()).for_each(|worker| self.tell(worker, Command::Stop));
        for thread in self.handles.iter_mut().filter_map(|handle| handle.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn start_one(
    number: usize,
    settings: Settings,
    shared: &Shared,
    tables: &ReadHandle<Tables>,
    events: impl Fn(Event) + Send + 'static,
) -> Result<Handle, StartError> {
    let system = |source| StartError::System {
        worker: number,
        source,
    };
    let waiter = Waiter::new().map_err(system)?;
    let waker = waiter.waker();
    let (commands, inbox) = channel();
    let (ready, started) = channel();
    let (shared, tables) = (shared.clone(), tables.clone());
    let sleeps: Arc<thread::Activity> = Arc::default();
    let activity = sleeps.clone();
    let body = move || {
        let seat = thread::Seat {
            number,
            settings,
            shared,
            waiter,
            inbox,
            activity,
        };
        thread::main(seat, &tables, &events, &ready);
    };
    let named = std::thread::Builder::new().name(format!("worker {number}"));
    let thread = named.spawn(body).map_err(system)?;
    let memory = |cause| StartError::Memory {
        worker: number,
        cause,
    };
    let counters = started
        .recv()
        .unwrap_or_else(|_| Err("it ended at once".to_owned()))
        .map_err(memory)?;
    Ok(Handle {
        commands,
        waker,
        counters,
        sleeps,
        thread: Some(thread),
    })
}
