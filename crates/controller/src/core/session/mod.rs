//! One host's session: what its agent says → what is sent, what is told.
//!
//! [`HostSession`] is what is known of a host for as long as it exists, through all streams of its agent. A stream is a [`Connection`]; at
//! most one of them is live. Changesets go out a few at a time, and the next ones when those are acknowledged: what waits, waits in
//! the bounded [`log`], so that a slow agent costs no memory. Time is an argument, in milliseconds of a clock that never goes back.

mod acknowledge;
pub mod greet;
mod health;
pub mod log;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use anet_model::changeset::{Change, Changeset, Revision};
use anet_model::diff::diff;
use anet_model::digest::Digest;
use anet_model::host_plan::{HostPlan, PortId};
use anet_model::state::Cursor;
use anet_wire::control::trace::TraceReport;
use anet_wire::session::{AgentHello, AgentMessage, ControllerMessage};

use super::events::EventKind;
pub use health::Health;
use log::{Behind, ChangeLog, LogEntry};

/// Names a stream: counted up by whoever accepts them.
pub type Connection = u64;

/// Changesets that may be under way unacknowledged.
const WINDOW: usize = 32;
/// An agent that says nothing for so long is not there any more: it reports every second.
pub const SILENCE_MS: u64 = 5_000;
/// A snapshot for a digest that differs is sent at most so often.
const REPAIR_PAUSE_MS: u64 = 5_000;

/// A host's plan as it is now.
#[derive(Debug, Clone, Copy)]
pub struct PlanView<'a> {
    /// The plan.
    pub plan: &'a HostPlan,
    /// Its digest.
    pub digest: Digest,
    /// The store's revision as of which it is right.
    pub revision: Revision,
    /// The history.
    pub incarnation: u64,
    /// The cluster's name.
    pub cluster: &'a str,
    /// The fingerprint of the key the host joined with.
    pub identity: &'a str,
}

impl PlanView<'_> {
    fn snapshot(&self) -> Changeset {
        Changeset {
            incarnation: self.incarnation,
            from: 0,
            to: self.revision,
            snapshot: true,
            changes: diff(&HostPlan::default(), self.plan),
            digest_after: Some(self.digest.to_bytes()),
        }
    }
}

/// What a session wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A message for a stream.
    Send(Connection, ControllerMessage),
    /// A changeset for a stream; it is signed on its way.
    Changeset(Connection, Changeset),
    /// A stream is to be closed behind what was sent.
    Close(Connection),
    /// Something to tell.
    Event(EventKind, String),
    /// The agent has what the store has not: history must begin anew, in an incarnation above this one.
    Mint {
        /// The highest one seen.
        above: u64,
    },
    /// The answer to a trace.
    Traced {
        /// Of which request.
        id: u64,
        /// What became of it.
        answer: Result<TraceReport, String>,
    },
}

/// A stream that speaks for the host.
#[derive(Debug)]
struct Live {
    connection: Connection,
    instance: u64,
    fingerprint: String,
    heard_ms: u64,
    /// What the agent will have applied when all that is under way has arrived.
    sent: Revision,
    /// Up to where in the log it has been sent.
    position: Revision,
    in_flight: VecDeque<Revision>,
    stage: Stage,
    repaired_ms: Option<u64>,
    /// When to send again what could not be carried out.
    retry_ms: Option<u64>,
}

/// What a live stream needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Changes as they come.
    Follow,
    /// The whole plan. True: because a changeset was refused as invalid.
    Snapshot { last_try: bool },
    /// The snapshot for a refused changeset is under way.
    LastTry,
    /// Nothing, until the plan changes: what there is was refused.
    Stuck,
    /// Nothing, until history begins anew: it has what the store has not.
    Ahead,
}

/// What is known of a host.
#[derive(Debug)]
pub struct HostSession {
    log: ChangeLog,
    live: Option<Live>,
    /// What was last acknowledged, in any session.
    acknowledged: Option<Cursor>,
    /// Ports whose last change is not acknowledged: the revision that made it.
    pending: BTreeMap<PortId, Revision>,
    health: Health,
    minted_ms: Option<u64>,
    /// A second agent with the host's key.
    contest: Option<greet::Contest>,
}

impl HostSession {
    /// A host whose plan's history is not known before `revision`.
    pub fn new(revision: Revision) -> Self {
        Self {
            log: ChangeLog::new(revision),
            live: None,
            acknowledged: None,
            pending: BTreeMap::new(),
            health: Health::default(),
            minted_ms: None,
            contest: None,
        }
    }

    /// The host's plan has changed.
    pub fn plan_changed(&mut self, changes: Vec<Change>, view: &PlanView<'_>) -> Vec<Output> {
        for change in &changes {
            match change {
                Change::Port(port, Some(_)) => {
                    self.pending.insert(port.clone(), view.revision);
                }
                Change::Port(port, None) => {
                    self.pending.remove(port);
                }
                _ => {}
            }
        }
        if self.live.is_none() && self.acknowledged.is_none() {
            // Whoever comes will need the whole plan.
            self.log = ChangeLog::new(view.revision);
            return Vec::new();
        }
        self.log.push(LogEntry {
            to: view.revision,
            changes: changes.into(),
            digest: view.digest,
        });
        if let Some(live) = &mut self.live
            && live.stage == Stage::Stuck
        {
            live.stage = Stage::Snapshot { last_try: true };
        }
        let mut outputs = Vec::new();
        self.pump(view, &mut outputs);
        outputs
    }

    /// History has begun anew: what the agent has counts for nothing.
    pub fn began_anew(&mut self, view: &PlanView<'_>) -> Vec<Output> {
        self.log = ChangeLog::new(view.revision);
        self.expect_everything(view);
        self.acknowledged = None;
        let mut outputs = Vec::new();
        if let Some(live) = &mut self.live {
            live.stage = Stage::Snapshot { last_try: false };
            live.in_flight.clear();
        }
        self.pump(view, &mut outputs);
        outputs
    }

    /// No port is taken for done before the plan as it is now is acknowledged.
    fn expect_everything(&mut self, view: &PlanView<'_>) {
        let ports = view.plan.ports.keys();
        self.pending = ports.map(|port| (port.clone(), view.revision)).collect();
    }

    /// What came from a stream's agent.
    pub fn message(
        &mut self,
        connection: Connection,
        message: AgentMessage,
        view: &PlanView<'_>,
        now_ms: u64,
    ) -> Vec<Output> {
        let mut outputs = Vec::new();
        if !self.heard(connection, now_ms, &mut outputs) {
            return vec![Output::Close(connection)];
        }
        match message {
            AgentMessage::Hello(_) => self.farewell("a second hello in one session", true, &mut outputs),
            AgentMessage::Acknowledged { cursor, digest } => {
                self.acknowledge(cursor, digest, view, now_ms, &mut outputs);
            }
            AgentMessage::Refused {
                cursor,
                changeset_to,
                refusal,
                reason,
            } => {
                let told = acknowledge::Told {
                    changeset_to,
                    refusal,
                    reason: &reason,
                };
                self.refused(cursor, &told, view, now_ms, &mut outputs);
            }
            AgentMessage::Report(report) => {
                let (cursor, digest) = (report.cursor, report.digest);
                self.health.report(report, &mut outputs);
                self.acknowledge(cursor, digest, view, now_ms, &mut outputs);
            }
            AgentMessage::TraceAnswer { id, answer } => outputs.push(Output::Traced { id, answer }),
        }
        self.pump(view, &mut outputs);
        outputs
    }

    /// A stream has ended.
    pub fn closed(&mut self, connection: Connection) -> Vec<Output> {
        match &self.live {
            Some(live) if live.connection == connection => {
                self.live = None;
                let text =
                    "the session with its agent has ended; the host goes on with what it has".to_owned();
                vec![Output::Event(EventKind::HostDisconnected, text)]
            }
            _ => Vec::new(),
        }
    }

    /// Time passes: an agent that is silent is let go, one whose key is not the host's any more is sent away.
    pub fn tick(&mut self, view: Option<&PlanView<'_>>, now_ms: u64) -> Vec<Output> {
        let mut outputs = Vec::new();
        let Some(live) = &self.live else {
            return outputs;
        };
        match view {
            None => self.farewell(greet::DELETED, false, &mut outputs),
            Some(view) if view.identity != live.fingerprint => {
                self.farewell(greet::JOINED_AGAIN, false, &mut outputs);
            }
            Some(_) if now_ms.saturating_sub(live.heard_ms) > SILENCE_MS => {
                self.farewell("nothing was heard for 5 s", true, &mut outputs);
            }
            Some(view) => {
                self.try_again(now_ms);
                self.pump(view, &mut outputs);
            }
        }
        outputs
    }

    /// What the data plane could not carry out is sent again after a while.
    fn try_again(&mut self, now_ms: u64) {
        if let Some(live) = &mut self.live
            && live.stage == Stage::Stuck
            && live.retry_ms.is_some_and(|at| now_ms >= at)
        {
            live.retry_ms = None;
            live.stage = Stage::Snapshot { last_try: true };
        }
    }

    /// The stream to send a trace on.
    pub fn connection(&self) -> Option<Connection> {
        self.live.as_ref().map(|live| live.connection)
    }

    /// The revision that changed its plan last, as far as is known.
    pub fn head(&self) -> Revision {
        self.log.head()
    }

    /// How it is.
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// What was last acknowledged.
    pub const fn acknowledged(&self) -> Option<Cursor> {
        self.acknowledged
    }

    /// True where all that is in the plan is acknowledged, as far as is known.
    pub fn is_in_step(&self, incarnation: u64) -> bool {
        let head = self.log.head();
        let caught_up = |live: &Live| live.stage == Stage::Follow && live.in_flight.is_empty();
        let there = self
            .live
            .as_ref()
            .is_some_and(|live| caught_up(live) && live.position >= head);
        there
            && self
                .acknowledged
                .is_some_and(|cursor| cursor.incarnation == incarnation)
    }

    /// True where the host has the port as it is now, and its interface is there.
    pub fn port_is_active(&self, port: &PortId) -> bool {
        self.acknowledged.is_some() && !self.pending.contains_key(port) && self.health.link_is_up(port)
    }

    /// Notes that a stream was heard; false where it is not the live one.
    fn heard(&mut self, connection: Connection, now_ms: u64, outputs: &mut Vec<Output>) -> bool {
        let Some(live) = self.live.as_mut().filter(|live| live.connection == connection) else {
            return false;
        };
        live.heard_ms = now_ms;
        self.settle_contest(now_ms, outputs);
        true
    }

    /// Ends the live stream.
    fn farewell(&mut self, reason: &str, retry: bool, outputs: &mut Vec<Output>) {
        let Some(live) = self.live.take() else {
            return;
        };
        greet::send_away(live.connection, reason, retry, outputs);
        outputs.push(Output::Event(EventKind::HostDisconnected, reason.to_owned()));
    }

    /// Sends what may be sent.
    fn pump(&mut self, view: &PlanView<'_>, outputs: &mut Vec<Output>) {
        let Some(live) = &mut self.live else {
            return;
        };
        loop {
            match live.stage {
                Stage::Follow => match self.log.behind(live.position) {
                    Behind::Nothing => return,
                    _ if live.in_flight.len() >= WINDOW => return,
                    Behind::Forgotten => live.stage = Stage::Snapshot { last_try: false },
                    Behind::Entry(entry) => outputs.push(live.step(entry, view.incarnation)),
                },
                Stage::Snapshot { last_try } => {
                    outputs.push(live.snapshot(view, self.log.head()));
                    live.stage = match last_try {
                        true => Stage::LastTry,
                        false => Stage::Follow,
                    };
                }
                Stage::LastTry | Stage::Stuck | Stage::Ahead => return,
            }
        }
    }
}

impl Live {
    fn new(connection: Connection, hello: &AgentHello, fingerprint: &str, now_ms: u64) -> Self {
        Self {
            connection,
            instance: hello.instance,
            fingerprint: fingerprint.to_owned(),
            heard_ms: now_ms,
            sent: hello.cursor.revision,
            position: hello.cursor.revision,
            in_flight: VecDeque::new(),
            stage: Stage::Follow,
            repaired_ms: None,
            retry_ms: None,
        }
    }

    fn step(&mut self, entry: &LogEntry, incarnation: u64) -> Output {
        let changeset = Changeset {
            incarnation,
            from: self.sent,
            to: entry.to,
            snapshot: false,
            changes: entry.changes.to_vec(),
            digest_after: Some(entry.digest.to_bytes()),
        };
        self.sent = entry.to;
        self.position = entry.to;
        self.in_flight.push_back(entry.to);
        Output::Changeset(self.connection, changeset)
    }

    fn snapshot(&mut self, view: &PlanView<'_>, head: Revision) -> Output {
        self.sent = view.revision;
        self.position = head;
        self.in_flight.push_back(view.revision);
        Output::Changeset(self.connection, view.snapshot())
    }
}
