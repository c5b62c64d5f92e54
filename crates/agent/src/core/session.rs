//! The agent's side of a session.

use anet_model::changeset::Revision;
use anet_wire::control::Refusal;
use anet_wire::session::{
    AgentHello, AgentMessage, AgentReport, OLDEST_PROTOCOL, PROTOCOL, SignedChangeset, VswitchState,
};

use super::agent::Agent;
use super::io::{Asked, Output, Said};
use super::parts::{Busy, Place, Plane, Session};

/// Changesets that may wait.
const WAITING_MAXIMUM: usize = 64;

/// Entries that may wait in all of them.
const WAITING_ENTRIES_MAXIMUM: usize = 1_000_000;

impl Agent {
    pub(super) fn connected(&mut self) {
        let hello = AgentHello {
            protocol: PROTOCOL,
            software: self.identity.software.clone(),
            host: self.identity.host.clone(),
            instance: self.identity.instance,
            cursor: self.memory.applied.cursor,
            digest: self.memory.applied.digest,
            machine: self.identity.machine.clone(),
        };
        self.session = Session::Greeting;
        self.send(AgentMessage::Hello(hello));
    }

    pub(super) fn send(&mut self, message: AgentMessage) {
        if !matches!(self.session, Session::Closed { .. }) {
            self.outputs.push(Output::Send(message));
        }
    }

    pub(super) fn said(&mut self, said: Said) {
        match (&self.session, said) {
            (Session::Closed { .. }, _) => {}
            (_, Said::Farewell { reason, retry }) => self.close_session(reason, retry),
            (
                Session::Greeting,
                Said::Welcome {
                    protocol,
                    software,
                    cluster,
                    cursor,
                    digest,
                },
            ) => {
                self.welcomed(protocol, software, &cluster, Place { cursor, digest });
            }
            (Session::Greeting, _) => {
                self.close_session("the controller did not begin with its hello".to_owned(), true);
            }
            (Session::Open { .. }, Said::Welcome { .. }) => {
                self.close_session("the controller said hello twice".to_owned(), true);
            }
            (Session::Open { .. }, Said::Changeset(changeset)) => self.offered(changeset),
            (Session::Open { .. }, Said::Trace { id, request }) => {
                if !self.ask(Asked::Trace { id, request }) {
                    let answer = Err(self.why_down());
                    self.send(AgentMessage::TraceAnswer { id, answer });
                }
            }
        }
    }

    fn welcomed(&mut self, protocol: u32, software: String, cluster: &str, newest: Place) {
        if cluster != self.identity.cluster {
            let ours = &self.identity.cluster;
            let reason = format!("the controller is of cluster `{cluster}`, this host of `{ours}`");
            return self.close_session(reason, false);
        }
        if !(OLDEST_PROTOCOL..=PROTOCOL).contains(&protocol) {
            let reason = format!(
                "the controller speaks session protocol {protocol}, this agent {OLDEST_PROTOCOL} to {PROTOCOL}: replace the older one"
            );
            return self.close_session(reason, false);
        }
        self.event(format!("in session with {software}"));
        self.session = Session::Open { software, newest };
        self.compare_with_controller();
    }

    /// What the controller had when it said hello may be what is desired already: then nothing newer is on its way.
    pub(super) fn compare_with_controller(&mut self) {
        let may_be_taken_back = matches!(self.memory.busy, Some(Busy::Writing(_)));
        if let Session::Open { newest, .. } = &self.session
            && !may_be_taken_back
        {
            self.memory.settled |= newest.digest == self.desired.digest().total();
        }
    }

    fn close_session(&mut self, reason: String, retry: bool) {
        self.event(format!("the session is closed: {reason}"));
        self.memory.parting = Some(reason.clone());
        self.session = Session::Closed { reason };
        self.outputs.push(Output::Close { retry });
    }

    /// Of a stream that was closed here, the reason is known better than its end tells it.
    pub(super) fn disconnected(&mut self, reason: String) {
        let reason = self.memory.parting.take().unwrap_or(reason);
        self.session = Session::Closed { reason };
    }

    fn offered(&mut self, changeset: Result<SignedChangeset, String>) {
        match changeset {
            Err(reason) => self.refuse(0, Refusal::Invalid, reason),
            Ok(signed) if signed.host != self.identity.host => {
                let reason = format!(
                    "the changeset is for host {}, this is {}",
                    signed.host, self.identity.host
                );
                self.refuse(signed.changeset.to, Refusal::Invalid, reason);
            }
            Ok(SignedChangeset { changeset, .. }) => {
                let waiting = &self.memory.waiting;
                let entries = waiting
                    .iter()
                    .map(|changeset| changeset.changes.len())
                    .sum::<usize>();
                if waiting.len() >= WAITING_MAXIMUM
                    || entries + changeset.changes.len() > WAITING_ENTRIES_MAXIMUM
                {
                    let reason = "too many changesets wait on this host: send them again later".to_owned();
                    return self.refuse(changeset.to, Refusal::Unavailable, reason);
                }
                self.memory.close_due |= self.memory.stalled;
                self.memory.waiting.push_back(changeset);
            }
        }
    }

    pub(super) fn refuse(&mut self, changeset_to: Revision, refusal: Refusal, reason: String) {
        self.event(format!(
            "a changeset to revision {changeset_to} is refused: {reason}"
        ));
        // What is too old is so beside what is accepted, be it applied or not.
        let cursor = match refusal {
            Refusal::Outdated => self.desired.cursor(),
            _ => self.memory.applied.cursor,
        };
        self.send(AgentMessage::Refused {
            cursor,
            changeset_to,
            refusal,
            reason,
        });
    }

    pub(super) fn acknowledge(&mut self) {
        self.send(AgentMessage::Acknowledged {
            cursor: self.memory.applied.cursor,
            digest: self.memory.applied.digest,
        });
    }

    pub(super) fn report(&mut self) {
        let down = match &self.plane {
            Plane::Up { .. } => None,
            Plane::Down { reason } => Some(reason.clone()),
        };
        self.send(AgentMessage::Report(AgentReport {
            cursor: self.memory.applied.cursor,
            digest: self.memory.verified,
            ports: match down {
                None => self.memory.ports.clone(),
                Some(_) => Vec::new(),
            },
            not_durable: self.memory.not_durable.clone(),
            vswitch: down.map_or(VswitchState::Up, |reason| VswitchState::Down { reason }),
        }));
    }

    pub(super) fn why_down(&self) -> String {
        match &self.plane {
            Plane::Down { reason } => format!("the vswitch of host {} is down: {reason}", self.identity.host),
            Plane::Up { .. } => format!("the vswitch of host {} did not answer", self.identity.host),
        }
    }
}
