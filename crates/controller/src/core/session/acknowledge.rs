//! What an agent has applied, or would not.

use anet_model::changeset::Revision;
use anet_model::digest::Digest;
use anet_model::state::Cursor;
use anet_wire::control::Refusal;

use super::super::events::EventKind;
use super::greet::is_ahead;
use super::{HostSession, Output, PlanView, REPAIR_PAUSE_MS, Stage};

/// What a data plane could not carry out is sent again after this time.
const RETRY_MS: u64 = 10_000;

/// What a refusal says.
pub(super) struct Told<'a> {
    /// Where the changeset would have led.
    pub(super) changeset_to: Revision,
    /// What kind.
    pub(super) refusal: Refusal,
    /// For a person.
    pub(super) reason: &'a str,
}

impl HostSession {
    /// All up to `cursor` is in the data plane.
    pub(super) fn acknowledge(
        &mut self,
        cursor: Cursor,
        digest: Digest,
        view: &PlanView<'_>,
        now_ms: u64,
        outputs: &mut Vec<Output>,
    ) {
        let Some(live) = self
            .live
            .as_mut()
            .filter(|_| cursor.incarnation == view.incarnation)
        else {
            return;
        };
        let before = live.in_flight.len();
        live.in_flight.retain(|to| *to > cursor.revision);
        let moved = live.in_flight.len() < before;
        if live.stage == Stage::LastTry && live.in_flight.is_empty() {
            live.stage = Stage::Follow;
        }
        if moved {
            self.health.accepted(outputs);
        }
        let idle = live.in_flight.is_empty() && live.stage == Stage::Follow;
        let expected = match live.position >= self.log.head() {
            true => Some(view.digest),
            false => None,
        };
        if idle && expected.is_some_and(|expected| expected != digest) {
            if live.repaired_ms.is_none_or(|at| now_ms >= at + REPAIR_PAUSE_MS) {
                live.repaired_ms = Some(now_ms);
                live.stage = Stage::Snapshot { last_try: false };
                let text = format!(
                    "its plan has digest {digest}, it should be {}: the whole plan is sent",
                    view.digest
                );
                outputs.push(Output::Event(EventKind::Repaired, text));
            }
            return;
        }
        self.acknowledged = Some(cursor);
        self.log.forget(cursor.revision);
        self.pending.retain(|_, revision| *revision > cursor.revision);
        if idle && expected.is_some() {
            // The plan is there as it should be, whatever revision last touched a port.
            self.pending.clear();
        }
    }

    /// A changeset was not applied.
    pub(super) fn refused(
        &mut self,
        cursor: Cursor,
        told: &Told<'_>,
        view: &PlanView<'_>,
        now_ms: u64,
        outputs: &mut Vec<Output>,
    ) {
        let Some(live) = &mut self.live else {
            return;
        };
        if told.refusal == Refusal::AlreadyApplied {
            live.in_flight.retain(|to| *to > cursor.revision);
            return;
        }
        let text = format!(
            "changeset to revision {} was refused: {}",
            told.changeset_to, told.reason
        );
        outputs.push(Output::Event(EventKind::ChangesetRefused, text));
        // All that was under way behind it meets a gap, and is refused too: one answer is enough.
        let waits = matches!(live.stage, Stage::Snapshot { .. } | Stage::Stuck | Stage::Ahead);
        let follows = live.stage == Stage::LastTry && told.changeset_to < live.sent;
        let known = told.changeset_to == 0 || live.in_flight.contains(&told.changeset_to);
        if waits || follows || !known {
            return;
        }
        if told.refusal == Refusal::Outdated && is_ahead(cursor, view) {
            // It had accepted more than it has applied, and more than there is.
            live.in_flight.clear();
            live.stage = Stage::Ahead;
            return self.ask_for_incarnation(cursor, view, now_ms, outputs);
        }
        let last_try = live.stage == Stage::LastTry;
        live.in_flight.clear();
        live.retry_ms = (told.refusal == Refusal::Unavailable).then_some(now_ms + RETRY_MS);
        live.stage = match told.refusal {
            Refusal::Invalid | Refusal::Unavailable if last_try => Stage::Stuck,
            Refusal::Invalid | Refusal::Unavailable => Stage::Snapshot { last_try: true },
            _ if last_try => Stage::Stuck,
            _ => Stage::Snapshot { last_try: false },
        };
        if matches!(told.refusal, Refusal::Invalid | Refusal::Unavailable) {
            self.health.refused(told.reason, outputs);
        }
    }
}
