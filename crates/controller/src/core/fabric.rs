//! The whole of a controller's state: the mirror, one session for each host, and what happened.
//!
//! The driver feeds it with what the store and the streams say, and carries out the [`Effect`]s, in their order.

use std::collections::{BTreeMap, HashMap};

use anet_api::resource::{HostObserved, HostState, PortStatus};
use anet_model::changeset::Changeset;
use anet_model::host_plan::PortId;
use anet_model::intent::HostId;
use anet_plan::Settings;
use anet_store::{KeyValue, Listing, WatchBatch};
use anet_wire::control::trace::{TraceReport, TraceRequest};
use anet_wire::session::{AgentHello, AgentMessage, ControllerMessage};

use super::events::{EventKind, Events};
use super::mirror::{Followed, HostChanges, Mirror};
use super::record::RecordError;
use super::session::{Connection, HostSession, Output, PlanView, greet};

/// What the time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds of a clock that never goes back.
    pub ms: u64,
    /// Milliseconds since 1970 (UTC).
    pub wall_ms: i64,
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send a message.
    Send(Connection, ControllerMessage),
    /// Sign a changeset for a host, and send it.
    Changeset(Connection, HostId, Changeset),
    /// Close a stream behind what was sent.
    Close(Connection),
    /// Write a higher incarnation than this one to the store.
    Mint {
        /// The highest one seen.
        above: u64,
    },
    /// A trace was answered.
    Traced {
        /// Which.
        id: u64,
        /// How.
        answer: Result<TraceReport, String>,
    },
}

/// The state.
#[derive(Debug)]
pub struct Fabric {
    mirror: Mirror,
    sessions: BTreeMap<HostId, HostSession>,
    connections: HashMap<Connection, HostId>,
    heard: HashMap<HostId, i64>,
    events: Events,
    incarnation: u64,
}

impl Fabric {
    /// One that knows nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            mirror: Mirror::new(settings),
            sessions: BTreeMap::new(),
            connections: HashMap::new(),
            heard: HashMap::new(),
            events: Events::default(),
            incarnation: 0,
        }
    }

    /// The mirror.
    pub const fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// The mirror, to be told that nothing was written.
    pub const fn mirror_mut(&mut self) -> &mut Mirror {
        &mut self.mirror
    }

    /// What happened.
    pub const fn events(&self) -> &Events {
        &self.events
    }

    /// Tells of something.
    pub fn tell(&mut self, now: Now, kind: EventKind, host: Option<&HostId>, message: impl Into<String>) {
        self.events.add(now.wall_ms, kind, host, message);
    }

    /// Tells of a refusal; those of one subject are merged.
    pub fn refuse(&mut self, now: Now, subject: &str, message: impl Into<String>) {
        self.events.refuse(now.wall_ms, subject, None, message);
    }

    /// Takes a listing in.
    pub fn list(
        &mut self,
        listing: &Listing,
        counter: Option<&KeyValue>,
        cluster: Option<&KeyValue>,
        now: Now,
    ) -> Result<Vec<Effect>, RecordError> {
        let changes = self.mirror.list(listing, counter, cluster)?;
        Ok(self.changed(changes, now))
    }

    /// Follows the watch; `None` where something is missing and all has to be listed again.
    pub fn follow(&mut self, batch: &WatchBatch, now: Now) -> Result<Option<Vec<Effect>>, RecordError> {
        Ok(match self.mirror.follow(batch)? {
            Followed::Applied(changes) => Some(self.changed(changes, now)),
            Followed::Gap => None,
        })
    }

    fn changed(&mut self, changes: HostChanges, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        let revision = self.mirror.revision();
        if self.sessions.len() != self.mirror.intent().hosts.len() || !changes.is_empty() {
            self.match_hosts(now, &mut effects);
        }
        let incarnation = self.mirror.cluster().incarnation;
        if incarnation != self.incarnation {
            let first = self.incarnation == 0;
            self.incarnation = incarnation;
            // At the first reading nobody is connected, and what every host has is what its agent will say.
            if !first {
                self.each_session(now, &mut effects, |session, view| session.began_anew(view));
            }
            return effects;
        }
        for (host, changes) in changes {
            let Some(view) = view(&self.mirror, &host) else {
                continue;
            };
            let session = self
                .sessions
                .entry(host.clone())
                .or_insert_with(|| HostSession::new(revision));
            let outputs = session.plan_changed(changes, &view);
            self.carry_out(&host, outputs, now, &mut effects);
        }
        effects
    }

    /// One session for each host there is.
    fn match_hosts(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let gone = self
            .sessions
            .keys()
            .filter(|host| !self.mirror.intent().hosts.contains_key(*host));
        for host in gone.cloned().collect::<Vec<_>>() {
            let outputs = self
                .sessions
                .remove(&host)
                .map(|mut session| session.tick(None, now.ms));
            self.carry_out(&host, outputs.unwrap_or_default(), now, effects);
            self.heard.remove(&host);
        }
        let revision = self.mirror.revision();
        for host in self.mirror.intent().hosts.keys() {
            if !self.sessions.contains_key(host) {
                self.sessions.insert(host.clone(), HostSession::new(revision));
            }
        }
    }

    fn each_session(
        &mut self,
        now: Now,
        effects: &mut Vec<Effect>,
        mut act: impl FnMut(&mut HostSession, &PlanView<'_>) -> Vec<Output>,
    ) {
        let mut told = Vec::new();
        for (host, session) in &mut self.sessions {
            if let Some(view) = view(&self.mirror, host) {
                told.push((host.clone(), act(session, &view)));
            }
        }
        for (host, outputs) in told {
            self.carry_out(&host, outputs, now, effects);
        }
    }

    /// An agent's first message on a new stream. The certificate says which host it is of, and which key it has.
    pub fn hello(
        &mut self,
        connection: Connection,
        certified: &str,
        fingerprint: &str,
        hello: &AgentHello,
        now: Now,
    ) -> Vec<Effect> {
        let mut outputs = Vec::new();
        let host = &hello.host;
        if host.as_str() != certified {
            let reason = format!("it speaks for host {host} with the certificate of host {certified}");
            greet::send_away(connection, &reason, false, &mut outputs);
            outputs.push(Output::Event(EventKind::Refused, reason));
        } else if let (Some(session), Some(view)) = (self.sessions.get_mut(host), view(&self.mirror, host)) {
            outputs = session.hello(connection, hello, fingerprint, &view, now.ms);
            self.connections.insert(connection, host.clone());
            self.heard.insert(host.clone(), now.wall_ms / 1_000);
        } else {
            greet::send_away(connection, greet::DELETED, false, &mut outputs);
            outputs.push(Output::Event(EventKind::Refused, greet::DELETED.to_owned()));
        }
        let mut effects = Vec::new();
        self.carry_out(&host.clone(), outputs, now, &mut effects);
        effects
    }

    /// A later message of a stream.
    pub fn message(&mut self, connection: Connection, message: AgentMessage, now: Now) -> Vec<Effect> {
        let Some(host) = self.connections.get(&connection).cloned() else {
            return vec![Effect::Close(connection)];
        };
        let mut effects = Vec::new();
        if let (Some(session), Some(view)) = (self.sessions.get_mut(&host), view(&self.mirror, &host)) {
            let outputs = session.message(connection, message, &view, now.ms);
            self.heard.insert(host.clone(), now.wall_ms / 1_000);
            self.carry_out(&host, outputs, now, &mut effects);
        }
        effects
    }

    /// A stream has ended.
    pub fn closed(&mut self, connection: Connection, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(host) = self.connections.remove(&connection) {
            let outputs = self
                .sessions
                .get_mut(&host)
                .map(|session| session.closed(connection));
            self.carry_out(&host, outputs.unwrap_or_default(), now, &mut effects);
        }
        effects
    }

    /// Time passes; every second is often enough.
    pub fn tick(&mut self, now: Now) -> Vec<Effect> {
        self.events.settle(now.wall_ms);
        let mut effects = Vec::new();
        self.each_session(now, &mut effects, |session, view| {
            session.tick(Some(view), now.ms)
        });
        effects
    }

    /// Asks a host for a trace; an error where it cannot be asked.
    pub fn trace(&self, host: &HostId, id: u64, request: TraceRequest) -> Result<Effect, String> {
        let connection = self.sessions.get(host).and_then(HostSession::connection);
        let connection = connection
            .ok_or_else(|| format!("the agent of host {host} is not connected: start it, then try again"))?;
        Ok(Effect::Send(connection, ControllerMessage::Trace { id, request }))
    }

    /// How a port is.
    pub fn port_status(&self, id: &PortId) -> PortStatus {
        let port = self.mirror.intent().ports.get(id);
        let session = port.and_then(|port| self.sessions.get(port.host.as_ref()?));
        match session {
            Some(session) if session.port_is_active(id) => PortStatus::Active,
            _ => PortStatus::Down,
        }
    }

    /// How a host is.
    pub fn observed(&self, host: &HostId) -> HostObserved {
        let ports = self.mirror.index().host_ports.count(host) as u64;
        let Some(session) = self.sessions.get(host) else {
            return HostObserved {
                ports,
                ..HostObserved::default()
            };
        };
        let heard = self.heard.get(host).copied();
        let health = session.health();
        let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        HostObserved {
            status: match (session.connection(), heard) {
                (Some(_), _) => HostState::Up,
                (None, Some(_)) => HostState::Down,
                (None, None) => HostState::New,
            },
            last_heard_at: heard,
            software: told(&health.software),
            machine: told(&health.machine),
            desired_revision: Some(session.head()),
            applied_revision: session.acknowledged().map(|cursor| cursor.revision),
            in_step: heard.map(|_| session.is_in_step(self.incarnation)),
            ports,
            troubles: health.troubles(),
        }
    }

    fn carry_out(&mut self, host: &HostId, outputs: Vec<Output>, now: Now, effects: &mut Vec<Effect>) {
        for output in outputs {
            effects.push(match output {
                Output::Send(connection, message) => Effect::Send(connection, message),
                Output::Changeset(connection, changeset) => {
                    Effect::Changeset(connection, host.clone(), changeset)
                }
                Output::Close(connection) => {
                    self.connections.remove(&connection);
                    Effect::Close(connection)
                }
                Output::Event(kind, message) => {
                    self.events.add(now.wall_ms, kind, Some(host), message);
                    continue;
                }
                Output::Mint { above } => Effect::Mint { above },
                Output::Traced { id, answer } => Effect::Traced { id, answer },
            });
        }
    }
}

/// A host's plan as it is now; `None` where there is no such host.
fn view<'a>(mirror: &'a Mirror, host: &HostId) -> Option<PlanView<'a>> {
    let planner = mirror.planner();
    Some(PlanView {
        plan: planner.host_plan(host)?,
        digest: planner.digest(host)?.total(),
        revision: mirror.revision(),
        incarnation: mirror.cluster().incarnation,
        cluster: &mirror.cluster().cluster,
        identity: &mirror.intent().hosts.get(host)?.identity,
    })
}
