//! `anet-agent run`: the core between its disk, its vswitch, its controller and this machine's tools.

use std::collections::HashMap;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::mpsc as threads;
use std::time::Duration;

use anet_cluster::trust::{ClientTls, Clock, Role, TrustError, Verifier};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use crate::core::{Agent, Identity, Input, LocalRequest, Output, Record, Ticket};
use crate::disk::{Disk, DiskError, Folder};
use crate::local::{self, Reply, StatusText};
use crate::session::{self, Command, Controllers};
use crate::told::Told;
use crate::{SOFTWARE, log, vswitch};

/// Things that may wait to be handled; who brings more waits.
const EVENTS: usize = 256;

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data folder.
    pub data: PathBuf,
    /// The vswitch's control socket.
    pub vswitch: PathBuf,
    /// Our own socket.
    pub socket: PathBuf,
    /// Controllers in place of those that joining named.
    pub controllers: Vec<String>,
}

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The data folder.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Keys and certificates.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The local socket.
    #[error("{0}")]
    Socket(String),
    /// The host's name is none.
    #[error("the host's name in the data folder is not legal: {0}")]
    Name(String),
    /// The system refused something.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What it said.
        source: std::io::Error,
    },
}

/// What the main loop hears.
#[derive(Debug)]
pub enum Event {
    /// For the core.
    Input(Input),
    /// A stream to a controller is open, and this is its number.
    Stream(u64),
    /// Somebody on this machine asks.
    Local(Ask, oneshot::Sender<Reply>),
}

/// What may be asked on this machine.
#[derive(Debug)]
pub enum Ask {
    /// Change an attachment.
    Change(LocalRequest),
    /// How it stands.
    Status,
}

/// Runs until it is told to stop.
pub fn run(settings: &Settings) -> Result<(), RunError> {
    let folder = Folder::take(&settings.data)?;
    let (credentials, joined) = folder.identity()?;
    let clock = Clock::system();
    let controllers = Controllers {
        addresses: match settings.controllers.is_empty() {
            true => joined.controllers.clone(),
            false => settings.controllers.clone(),
        },
        tls: ClientTls::new(&credentials, Role::Controller, clock.clone())?,
        verifier: Verifier::new(credentials.authority())?,
        clock,
    };
    let identity = Identity {
        host: joined
            .host
            .parse()
            .map_err(|error: anet_model::id::IdError| RunError::Name(error.to_string()))?,
        cluster: joined.cluster,
        instance: rand::random(),
        software: SOFTWARE.to_owned(),
        machine: machine(),
    };
    let (disk, restored, told) = Disk::open(&folder)?;
    let (agent, more, misfit) = Agent::restore(identity.clone(), restored);
    if misfit {
        folder.set_aside("desired")?;
    }
    told.into_iter().chain(more).for_each(log::line);
    let listener = local::bind(&settings.socket).map_err(RunError::Socket)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(system("start its runtime"))?;
    let desired = agent.desired();
    log::line(format_args!(
        "host {} of cluster {}; {} ports, revision {} of incarnation {} on disk",
        identity.host,
        identity.cluster,
        desired.plan().ports.len(),
        desired.revision(),
        desired.incarnation()
    ));
    let parts = Parts {
        agent,
        identity,
        disk,
        listener,
        controllers,
        vswitch: settings.vswitch.clone(),
    };
    let outcome = work(parts, &runtime);
    let _ = std::fs::remove_file(&settings.socket);
    outcome
}

/// What a run consists of.
struct Parts {
    agent: Agent,
    identity: Identity,
    disk: Disk,
    listener: UnixListener,
    controllers: Controllers,
    vswitch: PathBuf,
}

/// Starts threads and tasks, and stays with the main loop until it ends.
fn work(parts: Parts, runtime: &Runtime) -> Result<(), RunError> {
    let Parts {
        agent,
        identity,
        disk,
        listener,
        controllers,
        vswitch: socket,
    } = parts;
    let (events, heard) = mpsc::channel(EVENTS);
    let (questions, asked) = threads::channel();
    let (records, written) = threads::channel();
    let from_vswitch = events.clone();
    spawn("vswitch", move || vswitch::talk(socket, &asked, &from_vswitch))?;
    let from_disk = events.clone();
    spawn("disk", move || write(disk, &written, &from_disk))?;
    let from_local = events.clone();
    spawn("local", move || local::serve(&listener, &from_local))?;
    runtime.block_on(async {
        let (commands, told) = mpsc::unbounded_channel();
        tokio::spawn(session::talk(controllers, told, events));
        let main = Main {
            agent,
            identity,
            questions,
            records,
            commands,
            stream: 0,
            waiting: HashMap::new(),
            last: 0,
            told: Told::default(),
        };
        main.listen(heard).await
    })
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> RunError {
    move |source| RunError::System { what, source }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), RunError> {
    let named = std::thread::Builder::new().name(name.to_owned());
    named.spawn(work).map(drop).map_err(system("start a thread"))
}

/// The thread that writes.
fn write(mut disk: Disk, records: &threads::Receiver<Record>, events: &mpsc::Sender<Event>) {
    while let Ok(record) = records.recv() {
        let outcome = disk.write(&record).map_err(|error| error.to_string());
        if events
            .blocking_send(Event::Input(Input::Persisted(outcome)))
            .is_err()
        {
            return;
        }
    }
}

struct Main {
    agent: Agent,
    identity: Identity,
    questions: threads::Sender<vswitch::Question>,
    records: threads::Sender<Record>,
    commands: mpsc::UnboundedSender<Command>,
    /// The stream that is open, or the last that was.
    stream: u64,
    waiting: HashMap<Ticket, oneshot::Sender<Reply>>,
    last: Ticket,
    told: Told,
}

impl Main {
    async fn listen(mut self, mut heard: mpsc::Receiver<Event>) -> Result<(), RunError> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(system("wait for signals"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(system("wait for signals"))?;
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = heard.recv() => match event {
                    Some(event) => self.happened(event),
                    None => return Ok(()),
                },
                _ = seconds.tick() => self.handle(Input::Tick),
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            }
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Input(input) => self.handle(input),
            Event::Stream(number) => {
                self.stream = number;
                self.told.attempt();
                self.handle(Input::Connected);
            }
            Event::Local(Ask::Status, reply) => {
                let (host, cluster) = (self.identity.host.as_str(), self.identity.cluster.as_str());
                let status = StatusText::new(host, cluster, self.agent.status());
                // Who has gone away wants no answer.
                let _ = reply.send(Reply::Status(Box::new(status)));
            }
            Event::Local(Ask::Change(request), reply) => {
                self.last += 1;
                self.waiting.insert(self.last, reply);
                self.handle(Input::Local(self.last, request));
            }
        }
    }

    fn handle(&mut self, input: Input) {
        let of_session = matches!(input, Input::Said(_));
        for output in self.agent.handle(input) {
            match output {
                Output::Event(text) if of_session => self.tell_of_session(&text),
                output => self.carry_out(output),
            }
        }
    }

    /// Where there is no session, what the attempt before has said too is no news.
    fn tell_of_session(&mut self, text: &str) {
        let open = self.agent.status().session.is_ok();
        if open {
            self.told.in_session();
        }
        if open || self.told.is_news(text) {
            log::line(text);
        }
    }

    /// What goes to a thread or task that has ended is lost: then the process is ending, or a second later there is a line about it.
    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Persist(record) => drop(self.records.send(record)),
            Output::Ask { epoch, asked } => drop(self.questions.send((epoch, asked))),
            Output::Send(message) => drop(self.commands.send(Command::Send(self.stream, Box::new(message)))),
            Output::Close { retry } => {
                let stream = self.stream;
                drop(self.commands.send(Command::Close { stream, retry }));
            }
            Output::Answer(ticket, answer) => {
                if let Some(reply) = self.waiting.remove(&ticket) {
                    let _ = reply.send(answer.map_or_else(Reply::Error, Reply::Ok));
                }
            }
            Output::Event(text) => log::line(text),
        }
    }
}

/// What kind of machine this is, for people.
pub fn machine() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    let memory = kilobytes.map_or_else(String::new, |kilobytes| format!(", {} MiB", kilobytes >> 10));
    format!("Linux {}, {processors} processors{memory}", kernel.trim())
}
