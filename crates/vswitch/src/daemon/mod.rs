//! The control thread: everything that changes goes through it, one thing after the other.
//!
//! It takes changesets from the plan file and the control socket, publishes tables, opens and closes ports, ages
//! connections, and answers questions. Packets never wait for it.

mod answers;
mod baselines;
pub mod connection_file;
mod devices;
mod flows;
pub mod plan_file;
mod publish;
pub mod socket;
pub mod tap_list;
#[cfg(test)]
mod tests;
mod trace;
mod uplink;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anet_datapath::burst::NewConnections;
use anet_datapath::connections::Timeouts;
use anet_datapath::tables::{TableOp, Tables};
use anet_memory::buffer::Pool;
use anet_memory::pool::PoolSettings;
use anet_model::host_plan::HostPlan;
use anet_ports::kernel::uplink::LargeSegments;
use anet_wire::control::{Request, Response};
use left_right::WriteHandle;

use crate::clock::{self, MILLISECOND, SECOND};
use crate::core::attachments::{Attachments, Key};
use crate::core::control::Control;
use crate::log;
use crate::workers::{self, Event, Shared, Workers};

use baselines::Baselines;
use connection_file::ConnectionFileError;
use devices::OpenPort;
use plan_file::{PlanFile, PlanFileError};
use socket::{ControlSocket, SocketError};
use tap_list::TapList;

/// How often the plan file is looked at.
const LOOK: u64 = 250 * MILLISECOND;
/// How often connections are aged.
const AGE: u64 = SECOND;
/// Connections looked at in one step of ageing: all of a million within a quarter of a minute.
const AGE_BUDGET: u32 = 65_536;
/// How often the tables are read back.
const AUDIT: u64 = 60 * SECOND;
/// What is to be done again and again may be done this much early: then one wake-up serves all of it.
const SLACK: u64 = 50 * MILLISECOND;

/// How the daemon is to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The plan file; without one, changesets come by the socket.
    pub plan: Option<PathBuf>,
    /// Takes the place of the tunnel in the plan file.
    pub tunnel: Option<std::net::SocketAddr>,
    /// The control socket's path.
    pub control: PathBuf,
    /// The connection file's path.
    pub connections: PathBuf,
    /// Connections there can be.
    pub connection_capacity: u32,
    /// Worker threads.
    pub workers: usize,
    /// How large TCP segments leave for other hosts.
    pub large_segments: LargeSegments,
    /// Flows in each worker's cache.
    pub flows: usize,
    /// True: TCP in mid-stream may open a connection.
    pub loose_pickup: bool,
    /// How queues without a descriptor are polled.
    pub polling: workers::Polling,
    /// Cycles are counted by stage.
    pub stage_cycles: bool,
    /// Processors that workers are pinned to.
    pub processors: Vec<usize>,
}

impl Settings {
    fn of_workers(&self, seed: u64) -> workers::Settings {
        workers::Settings {
            workers: self.workers,
            flows: self.flows,
            seed,
            polling: self.polling,
            stage_cycles: self.stage_cycles,
            processors: self.processors.clone(),
        }
    }
}

/// Why the daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The control socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The connection file.
    #[error(transparent)]
    Connections(#[from] ConnectionFileError),
    /// The workers.
    #[error(transparent)]
    Workers(#[from] workers::StartError),
    /// The plan file.
    #[error(transparent)]
    Plan(#[from] PlanFileError),
    /// The plan is valid and cannot be carried out here.
    #[error("the plan file is refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// Something else of the system.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What comes to the control thread.
pub enum Message {
    /// A question from the socket, and where the answer goes.
    Request(Box<Request>, Sender<Response>),
    /// A worker tells something.
    Worker(Event),
    /// Large segments leave whole through this interface, or why they do not.
    Uplink(Result<String, String>),
    /// It is time to end.
    Stop,
}

/// The control thread's state. See the module's page.
pub struct Daemon {
    control: Control,
    attachments: Attachments,
    open: BTreeMap<Key, OpenPort>,
    tables: WriteHandle<Tables, TableOp>,
    workers: Workers,
    shared: Shared,
    baselines: Baselines,
    large_segments: LargeSegments,
    /// When the uplink is to find out how large segments can leave.
    uplink_trial_at: Option<u64>,
    /// For threads that work for this one.
    sender: Sender<Message>,
    plan_file: Option<PlanFile>,
    /// For the frames of traces.
    pool: Pool,
    inbox: Receiver<Message>,
    next_look: u64,
    next_age: u64,
    next_audit: u64,
    /// When interfaces that an earlier run left, and that somebody still holds, are tried again.
    next_leftovers: Option<u64>,
    /// The interfaces that were made here.
    taps: TapList,
    /// Panics of this thread.
    panics: u64,
    /// Removes the socket's file at the end.
    _socket: ControlSocket,
}

impl Daemon {
    /// Takes the socket and the connection file, starts the workers and applies the plan file.
    pub fn start(settings: &Settings) -> Result<(Self, Sender<Message>), StartError> {
        let mut plan_file = settings
            .plan
            .clone()
            .map(|path| PlanFile::new(path, settings.tunnel));
        // Before anything is taken: what cannot be read leaves no trace.
        let plan = plan_file.as_mut().map(PlanFile::first).transpose()?;
        let listener = ControlSocket::bind(&settings.control)?;
        let system = |what| move |source| StartError::System { what, source };
        let seed = random().map_err(system("read random numbers from /dev/urandom"))?;
        let connections = connection_file::open(&settings.connections, settings.connection_capacity, seed)?;
        let shared = Shared {
            connections: Arc::new(connections),
            new_connections: Arc::new(NewConnections::new(seed)),
            loose_pickup: settings.loose_pickup,
        };
        let (tables, reader) = left_right::new_from_empty(Tables::new(seed));
        let (sender, inbox) = channel();
        let worker_settings = settings.of_workers(seed);
        let events = sender.clone();
        let tell = move |event| drop(events.send(Message::Worker(event)));
        let workers = Workers::start(worker_settings, &shared, &reader, tell)?;
        let pool = Pool::new(PoolSettings {
            buffers: 4,
            slabs: 0,
            ..PoolSettings::default()
        });
        let pool = pool.map_err(|error| StartError::System {
            what: "take memory for traces",
            source: std::io::Error::other(error),
        })?;
        let now = clock::now();
        let mut daemon = Self {
            control: Control::new(),
            attachments: Attachments::default(),
            open: BTreeMap::new(),
            tables,
            workers,
            shared,
            baselines: Baselines::default(),
            large_segments: settings.large_segments,
            uplink_trial_at: None,
            sender: sender.clone(),
            plan_file,
            pool,
            inbox,
            next_look: now + LOOK,
            next_age: now + AGE,
            next_audit: now + AUDIT,
            next_leftovers: None,
            taps: TapList::load(tap_list::path_beside(&settings.connections)),
            panics: 0,
            _socket: listener,
        };
        if let Some(plan) = plan {
            daemon.apply_first_plan(&plan)?;
        }
        daemon
            ._socket
            .serve(sender.clone())
            .map_err(system("start the socket's thread"))?;
        Ok((daemon, sender))
    }

    fn apply_first_plan(&mut self, plan: &HostPlan) -> Result<(), StartError> {
        if let Some(Response::Refused { reason, .. }) = self.adopt(plan) {
            return Err(StartError::Refused { reason });
        }
        let (ports, networks) = (plan.ports.len(), plan.networks.len());
        log::line(format_args!(
            "the plan file was applied: ports: {ports}, networks: {networks}"
        ));
        self.remove_leftovers();
        Ok(())
    }

    /// Works until it is told to stop. Ports stay as they are: who comes next finds them.
    pub fn run(mut self) {
        loop {
            let now = clock::now();
            let pause = Duration::from_nanos(self.next_task().saturating_sub(now));
            match self.inbox.recv_timeout(pause) {
                Ok(Message::Stop) => return,
                Ok(Message::Request(request, answer)) => {
                    // Who asked may have gone meanwhile.
                    let _ = answer.send(self.answer(*request));
                }
                Ok(Message::Worker(event)) => self.survive(|daemon| daemon.hear(event)),
                Ok(Message::Uplink(found)) => self.survive(|daemon| daemon.uplink_found(found)),
                Err(RecvTimeoutError::Timeout) => {}
                // We hold a sender ourselves.
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.survive(|daemon| daemon.do_tasks(clock::now()));
        }
    }

    /// A panic costs what was done at that moment, and no more: it is in the log, and the tables are made whole again.
    fn survive(&mut self, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.mend();
            // What panics again and again must not keep a processor busy.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn next_task(&self) -> u64 {
        let look = self.plan_file.as_ref().map(|_| self.next_look);
        let due = self.attachments.next_due();
        let leftovers = self.next_leftovers;
        let trial = self.uplink_trial_at;
        let tasks = [
            Some(self.next_age),
            Some(self.next_audit),
            look,
            due,
            leftovers,
            trial,
        ];
        tasks.into_iter().flatten().min().unwrap_or(self.next_age)
    }

    fn do_tasks(&mut self, now: u64) {
        let soon = now + SLACK;
        if self.next_look <= soon {
            self.next_look = now + LOOK;
            self.look_at_plan_file();
        }
        if self.next_age <= soon {
            self.next_age = now + AGE;
            self.shared.connections.age(now, AGE_BUDGET, &Timeouts::default());
        }
        if self.next_audit <= soon {
            self.next_audit = now + AUDIT;
            self.read_back();
        }
        if self.next_leftovers.is_some_and(|due| due <= now) {
            self.remove_leftovers();
        }
        if self.attachments.next_due().is_some_and(|due| due <= now) {
            self.open_due_ports(now);
        }
        if self.uplink_trial_at.is_some_and(|at| at <= now) {
            self.try_uplink();
        }
    }

    fn look_at_plan_file(&mut self) {
        let Some(file) = &mut self.plan_file else { return };
        match file.changed() {
            None => {}
            Some(Err(error)) => {
                for line in error.to_string().lines() {
                    log::line(line);
                }
                log::line("the plan file is refused as a whole; the plan stays as it was");
            }
            Some(Ok(plan)) => match self.adopt(&plan) {
                Some(Response::Refused { reason, .. }) => {
                    log::line(format_args!(
                        "the plan file is refused: {reason}; the plan stays as it was"
                    ));
                }
                Some(_) => {
                    let revision = self.control.state().revision();
                    log::line(format_args!("the plan file was applied as revision {revision}"));
                }
                None => {}
            },
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Lost(device, error) => self.lost(device, &error),
            Event::Trouble(_, error) => log::line(error),
            Event::Quarantined(device) => {
                let name = self.name_of(device.interface);
                log::line(format_args!(
                    "port {name}: its packets keep panicking a worker; they are dropped for some seconds"
                ));
            }
            Event::Ended(worker) => {
                log::line(format_args!(
                    "worker {worker} has ended by itself; restart the daemon"
                ));
            }
        }
    }
}

/// 64 bits that nobody can foresee.
fn random() -> std::io::Result<u64> {
    use std::io::Read;
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}
