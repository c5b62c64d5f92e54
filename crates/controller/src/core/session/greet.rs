//! The beginning of a session: who may speak for the host, and what it needs.

use anet_model::state::Cursor;
use anet_wire::session::{AgentHello, ControllerMessage, OLDEST_PROTOCOL, PROTOCOL, common_protocol};

use super::super::events::EventKind;
use super::log::Behind;
use super::{Connection, HostSession, Live, Output, PlanView, SILENCE_MS, Stage};

/// What an agent with an older key of its host hears.
pub const JOINED_AGAIN: &str = "joined again elsewhere: another agent has joined as this host since, and only its key counts; \
                                       stop this one, or join it again with a new token";
/// What the agent of a host that is not there hears.
pub const DELETED: &str =
    "this host is not one of the cluster's: it was deleted; join it again with a new token";
/// What an agent hears while another one is at work with its host's key.
pub const ANOTHER_AT_WORK: &str = "another agent is at work with this host's key: if this data folder is a copy of that one's, stop this agent, \
                                   empty its folder, and join it as a host of its own with a new token (`anet host token`)";
/// A stream that was heard within this time is believed to be alive: reports come every second.
const ALIVE_MS: u64 = 2_500;
/// A live agent that is heard so long after another one knocked is not just one that is on its way out.
const CONTEST_MS: u64 = 1_200;
/// A contest is over when nobody has knocked for so long: agents that are sent away come back every ten seconds at least.
const CONTEST_OVER_MS: u64 = 600_000;
/// History begins anew at most so often because of one host.
const MINT_PAUSE_MS: u64 = 30_000;
/// An incarnation so far above ours is no incarnation of this store.
const INCARNATION_LEAP: u64 = 1 << 32;

/// Sends an agent away that never got a session.
pub fn send_away(connection: Connection, reason: &str, retry: bool, outputs: &mut Vec<Output>) {
    let reason = reason.to_owned();
    outputs.push(Output::Send(
        connection,
        ControllerMessage::Farewell { reason, retry },
    ));
    outputs.push(Output::Close(connection));
}

/// Two agents of one host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contest {
    /// When the second one knocked first.
    since_ms: u64,
    /// When it knocked last.
    last_ms: u64,
    /// A contest is told once, however long it lasts.
    told: bool,
}

impl HostSession {
    /// An agent's hello on a new stream whose certificate names this host. `fingerprint` is that of its key.
    pub fn hello(
        &mut self,
        connection: Connection,
        hello: &AgentHello,
        fingerprint: &str,
        view: &PlanView<'_>,
        now_ms: u64,
    ) -> Vec<Output> {
        let mut outputs = Vec::new();
        let Some(protocol) = common_protocol(hello.protocol) else {
            let reason = format!(
                "{} speaks version {} of the session protocol, this controller {OLDEST_PROTOCOL} to {PROTOCOL}: bring the older one up to date",
                hello.software, hello.protocol
            );
            return refuse(connection, &reason, false, outputs);
        };
        if fingerprint != view.identity {
            return refuse(connection, JOINED_AGAIN, false, outputs);
        }
        if !self.make_room(hello.instance, now_ms, &mut outputs) {
            send_away(connection, ANOTHER_AT_WORK, true, &mut outputs);
            return outputs;
        }
        outputs.push(Output::Send(connection, welcome(protocol, view)));
        let text = format!("{} on {}", hello.software, hello.machine);
        outputs.push(Output::Event(EventKind::HostConnected, text));
        self.health.greeted(hello);
        let mut live = Live::new(connection, hello, fingerprint, now_ms);
        live.stage = self.first_stage(&mut live.position, hello, view);
        self.live = Some(live);
        // Whoever knocked while an older stream was on its way out has come in.
        self.contest = self.contest.filter(|contest| contest.told);
        if is_ahead(hello.cursor, view) {
            self.ask_for_incarnation(hello.cursor, view, now_ms, &mut outputs);
        } else {
            self.pump(view, &mut outputs);
        }
        outputs
    }

    /// True where no other agent is at work; one that is silent, or is the same process, makes room.
    fn make_room(&mut self, instance: u64, now_ms: u64, outputs: &mut Vec<Output>) -> bool {
        let Some(live) = &mut self.live else {
            return true;
        };
        let silent = now_ms.saturating_sub(live.heard_ms) > ALIVE_MS.min(SILENCE_MS);
        if live.instance == instance || silent {
            outputs.push(Output::Close(live.connection));
            self.live = None;
            return true;
        }
        let old = self.contest;
        let old = old.filter(|contest| now_ms.saturating_sub(contest.last_ms) <= CONTEST_OVER_MS);
        self.contest = Some(Contest {
            since_ms: old.map_or(now_ms, |contest| contest.since_ms),
            last_ms: now_ms,
            told: old.is_some_and(|contest| contest.told),
        });
        false
    }

    /// Tells where a second agent was refused and the first one goes on speaking.
    pub(super) fn settle_contest(&mut self, now_ms: u64, outputs: &mut Vec<Output>) {
        if let Some(contest) = &mut self.contest
            && !contest.told
            && now_ms >= contest.since_ms + CONTEST_MS
        {
            contest.told = true;
            let text = "two hosts with one identity: a second agent shows this host's key while the first one is at work; one of them is a \
                        copy of the other's data folder: stop it, empty its folder and join it as a host of its own";
            outputs.push(Output::Event(EventKind::TwoIdentities, text.to_owned()));
        }
    }

    /// What the agent needs first, and up to where in the log it is.
    fn first_stage(&mut self, position: &mut u64, hello: &AgentHello, view: &PlanView<'_>) -> Stage {
        if is_ahead(hello.cursor, view) {
            return Stage::Ahead;
        }
        if hello.cursor.incarnation != view.incarnation {
            self.expect_everything(view);
            return Stage::Snapshot { last_try: false };
        }
        if hello.digest == view.digest {
            *position = self.log.head();
            self.acknowledged = Some(hello.cursor);
            self.pending.clear();
            return Stage::Follow;
        }
        let known = self.log.digest_at(hello.cursor.revision);
        match self.log.behind(hello.cursor.revision) {
            Behind::Entry(_) if known.is_none_or(|digest| digest == hello.digest) => Stage::Follow,
            _ => {
                self.expect_everything(view);
                Stage::Snapshot { last_try: false }
            }
        }
    }

    pub(super) fn ask_for_incarnation(
        &mut self,
        cursor: Cursor,
        view: &PlanView<'_>,
        now_ms: u64,
        outputs: &mut Vec<Output>,
    ) {
        let leap = cursor.incarnation > view.incarnation.saturating_add(INCARNATION_LEAP);
        if leap {
            let reason = "what it has applied is of no history of this cluster: empty its data folder and join it again";
            self.farewell(reason, false, outputs);
            outputs.push(Output::Event(EventKind::Refused, reason.to_owned()));
            return;
        }
        if self.minted_ms.is_some_and(|at| now_ms < at + MINT_PAUSE_MS) {
            self.farewell("history has just begun anew", true, outputs);
            return;
        }
        self.minted_ms = Some(now_ms);
        let text = format!(
            "the host has revision {} of incarnation {}, the store is at revision {} of incarnation {}: the store was restored from \
             an older copy; history begins anew, and every host gets its whole plan",
            cursor.revision, cursor.incarnation, view.revision, view.incarnation
        );
        outputs.push(Output::Event(EventKind::IncarnationMinted, text));
        let above = cursor.incarnation.max(view.incarnation);
        outputs.push(Output::Mint { above });
    }
}

/// True where an agent has what the store has not.
pub(super) const fn is_ahead(cursor: Cursor, view: &PlanView<'_>) -> bool {
    cursor.incarnation > view.incarnation
        || (cursor.incarnation == view.incarnation && cursor.revision > view.revision)
}

fn welcome(protocol: u32, view: &PlanView<'_>) -> ControllerMessage {
    ControllerMessage::Welcome {
        protocol,
        software: super::super::SOFTWARE.to_owned(),
        cluster: view.cluster.to_owned(),
        cursor: Cursor {
            incarnation: view.incarnation,
            revision: view.revision,
        },
        digest: view.digest,
    }
}

fn refuse(connection: Connection, reason: &str, retry: bool, mut outputs: Vec<Output>) -> Vec<Output> {
    send_away(connection, reason, retry, &mut outputs);
    outputs.push(Output::Event(EventKind::Refused, reason.to_owned()));
    outputs
}
