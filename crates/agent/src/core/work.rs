//! Changesets on their way: onto the disk, into the data plane, acknowledged.

use anet_model::changeset::{Change, Changeset};
use anet_model::host_plan::PortId;
use anet_model::state::ApplyError;
use anet_wire::codec::snapshot_of;
use anet_wire::control::Refusal;

use super::agent::Agent;
use super::claims::Moved;
use super::closing::closing;
use super::delta::settled;
use super::io::{AppliedRecord, Output, Record};
use super::parts::{Applying, Batch, Busy, Knowledge, Place, Session, changes_of};

/// Entries in the log from which on it is shortened, however small the plan.
const LOG_MINIMUM: usize = 1_000;

/// Changesets that can be taken back while the data plane has none of them.
const UNDONE_MAXIMUM: usize = 256;

impl Agent {
    pub(super) fn persist(&mut self, record: Record, busy: Busy) {
        self.outputs.push(Output::Persist(record));
        self.memory.busy = Some(busy);
    }

    /// Takes the changesets that wait, as far as they fit, and has them written; false where none waits.
    pub(super) fn take_changesets(&mut self) -> bool {
        if self.memory.waiting.is_empty() {
            return false;
        }
        let mut batch = Batch::default();
        while let Some(changeset) = self.memory.waiting.pop_front() {
            self.take_changeset(changeset, &mut batch);
            if self.memory.singly > 0 {
                self.memory.singly -= 1;
                break;
            }
        }
        if !batch.changesets.is_empty() {
            let record = Record::Changesets(batch.changesets.clone());
            self.memory.retry = false;
            self.persist(record, Busy::Writing(Box::new(batch)));
        }
        true
    }

    fn take_changeset(&mut self, changeset: Changeset, batch: &mut Batch) {
        if self.needs_whole_plan(&changeset) {
            let reason = "the vswitch has a plan that this host's disk does not know: only the whole plan shows what is newer";
            return self.refuse(changeset.to, Refusal::SnapshotNeeded, reason.to_owned());
        }
        match self.desired.apply(&changeset) {
            Ok(applied) => {
                let moved = self.attachments.follow(&self.desired, &applied.changes);
                match self.merge(self.with_moved(&applied.changes, &moved)) {
                    Ok(merged) => {
                        batch.changesets.push(changeset);
                        batch.desired.push(applied);
                        batch.merged.push(merged);
                        batch.moved.extend(moved);
                    }
                    Err(_) if self.memory.closed_from.is_some() => {
                        // What is closed is in its way, and is closed by itself or by one behind it.
                        self.merge_anew();
                        if self.knowledge() == Some(Knowledge::Same) {
                            self.know(Knowledge::Behind);
                        }
                        batch.changesets.push(changeset);
                        batch.desired.push(applied);
                        batch.moved.extend(moved);
                        batch.anew = true;
                    }
                    Err(error) => {
                        // It was put a moment ago.
                        let _ = self.desired.take_back(&applied);
                        self.attachments.take_back(&moved);
                        let reason = format!("it does not fit the attachments of this host: {error}");
                        self.refuse(changeset.to, Refusal::Invalid, reason);
                    }
                }
            }
            Err(ApplyError::AlreadyApplied { .. }) => {
                if batch.changesets.is_empty() && self.memory.applied == Place::of(&self.desired) {
                    self.acknowledge();
                }
            }
            Err(error) => self.refuse(changeset.to, Refusal::of(&error), error.to_string()),
        }
    }

    /// Changes of what is desired, and the ports besides that have the attachment of a MAC by them.
    fn with_moved(&self, changes: &[Change], moved: &[Moved]) -> Vec<Change> {
        let mut all = changes.to_vec();
        let is_in = |id: &PortId| {
            changes
                .iter()
                .any(|change| matches!(change, Change::Port(other, _) if other == id))
        };
        for id in moved
            .iter()
            .filter_map(|moved| moved.to.as_ref())
            .filter(|id| !is_in(id))
        {
            all.push(Change::Port(
                id.clone(),
                self.desired.plan().ports.get(id).cloned(),
            ));
        }
        all
    }

    /// A data plane that may have something newer is left alone until what is desired has come to what the controller has. Step by
    /// step it would not: the controller waits for acknowledgements between them.
    fn needs_whole_plan(&self, changeset: &Changeset) -> bool {
        let Session::Open { newest, .. } = &self.session else {
            return false;
        };
        self.knowledge() == Some(Knowledge::Unknown)
            && !self.is_newest()
            && !changeset.snapshot
            && changeset.to > self.desired.revision()
            && changeset.to < newest.cursor.revision
    }

    pub(super) fn persisted(&mut self, outcome: Result<(), String>) {
        let busy = self.memory.busy.take();
        self.durable_or_not(&outcome);
        match (busy, outcome) {
            (Some(Busy::Writing(batch)), Ok(())) => self.written(*batch),
            (Some(Busy::Writing(batch)), Err(_)) => self.not_written(*batch),
            (Some(Busy::WritingPlan), Ok(())) => {
                self.memory.logged = 0;
                self.memory.plan_due = false;
            }
            (Some(Busy::WritingPlan), Err(_)) => self.memory.stalled |= self.memory.plan_due,
            (Some(Busy::WritingApplied { is_new }), outcome) => {
                self.memory.record_due = outcome.is_err();
                if is_new {
                    self.acknowledge();
                }
            }
            (Some(Busy::WritingAttachments(attaching, before)), outcome) => {
                self.attachments_written(attaching, before, outcome);
            }
            (Some(Busy::WritingAttachmentsAgain), outcome) => {
                self.memory.attachments_due = outcome.is_err();
                if outcome.is_err() && self.memory.plan_due {
                    self.memory.stalled = true;
                    self.memory.retry = false;
                }
            }
            (other, _) => self.memory.busy = other,
        }
    }

    fn durable_or_not(&mut self, outcome: &Result<(), String>) {
        match (outcome, &self.memory.not_durable) {
            (Err(reason), known) if known.as_ref() != Some(reason) => {
                self.event(format!("not written: {reason}"));
                self.memory.not_durable = Some(reason.clone());
            }
            (Ok(()), Some(_)) => {
                self.event("what has come is written again");
                self.memory.not_durable = None;
            }
            _ => {}
        }
    }

    /// Changesets are on the disk: now they may come into the data plane.
    fn written(&mut self, batch: Batch) {
        self.come_to_controller();
        let changes = changes_of(&batch.merged);
        self.memory.logged += changes_of(&batch.desired).len().max(1);
        self.memory.attachments_due |= !batch.moved.is_empty();
        self.memory.undo.extend(batch.desired);
        self.memory.moved.extend(batch.moved);
        self.memory.undone.extend(batch.changesets);
        if self.memory.undone.len() > UNDONE_MAXIMUM {
            self.memory.forget_undo();
        }
        if self.memory.waiting.is_empty() {
            self.end_stall();
        }
        if self.knowledge() == Some(Knowledge::Same) && !changes.is_empty() {
            let changes = settled(self.merged.plan(), &changes);
            self.apply(false, changes, Applying::Desired);
        }
    }

    /// What is on the disk now may be what the controller had when it said hello, or what has come of that since.
    fn come_to_controller(&mut self) {
        if let Session::Open { newest, .. } = &self.session {
            let (ours, theirs) = (self.desired.cursor(), newest.cursor);
            self.memory.settled |= (ours.incarnation, ours.revision) >= (theirs.incarnation, theirs.revision);
        }
        self.compare_with_controller();
    }

    /// They are not: everything is as before, and they wait.
    fn not_written(&mut self, batch: Batch) {
        for applied in batch.desired.iter().rev() {
            let _ = self.desired.take_back(applied);
        }
        self.attachments.take_back(&batch.moved);
        match batch.anew {
            true => self.merge_anew(),
            false => batch.merged.iter().rev().for_each(|merged| {
                let _ = self.merged.take_back(merged);
            }),
        }
        for changeset in batch.changesets.into_iter().rev() {
            self.memory.waiting.push_front(changeset);
        }
        self.memory.stalled = true;
        self.memory.close_due = true;
    }

    /// Nothing waits for the disk any more: what was closed is as it is desired. False where that was so already.
    pub(super) fn end_stall(&mut self) -> bool {
        let stalled = std::mem::take(&mut self.memory.stalled);
        self.memory.retry = false;
        if self.memory.closed_from.is_some() {
            self.merge_anew();
            if self.knowledge() == Some(Knowledge::Same) {
                self.know(Knowledge::Behind);
            }
        }
        stalled
    }

    /// What the changesets that wait for the disk would close is closed in the data plane.
    pub(super) fn close(&mut self) -> bool {
        if self.knowledge() != Some(Knowledge::Same) {
            return false;
        }
        let done = self.narrow();
        if done.is_empty() {
            return true;
        }
        let changes = settled(self.merged.plan(), &done);
        self.apply(false, changes, Applying::Closing)
    }

    /// The same in what the data plane is to have; answers what is closed.
    pub(super) fn narrow(&mut self) -> Vec<Change> {
        self.memory.close_due = false;
        let changes = self.changes_of_waiting();
        let closings = closing(self.merged.plan(), &changes);
        let plain = self.memory.closed_from.unwrap_or(self.merged.digest().total());
        let done = self.close_as_far_as_valid(closings);
        if !done.is_empty() {
            self.memory.closed_from = Some(plain);
            let count = done.len();
            self.event(format!(
                "{count} entries are closed in the data plane, although it cannot be written down"
            ));
        }
        done
    }

    fn close_as_far_as_valid(&mut self, closings: Vec<Change>) -> Vec<Change> {
        if closings.is_empty() {
            return closings;
        }
        if let Ok(applied) = self.merge_as_it_is(closings.clone()) {
            return applied;
        }
        let singly = closings.into_iter();
        singly
            .filter_map(|change| self.merge_as_it_is(vec![change]).ok())
            .flatten()
            .collect()
    }

    /// Like [`Agent::merge`], with attachments as they stand in the changes.
    fn merge_as_it_is(&mut self, changes: Vec<Change>) -> Result<Vec<Change>, ApplyError> {
        let from = self.merged.revision();
        let changeset = Changeset {
            from,
            to: from + 1,
            changes,
            ..Changeset::default()
        };
        self.merged.apply(&changeset).map(|applied| applied.changes)
    }

    /// What the changesets that wait come to, each entry once, with attachments.
    fn changes_of_waiting(&mut self) -> Vec<Change> {
        let mut applied = Vec::new();
        for changeset in &self.memory.waiting {
            applied.extend(self.desired.apply(changeset));
        }
        let changes = settled(self.desired.plan(), &changes_of(&applied));
        for done in applied.iter().rev() {
            let _ = self.desired.take_back(done);
        }
        changes
            .into_iter()
            .map(|change| self.attachments.fill_in(change))
            .collect()
    }

    /// True where what the data plane has is not what was last written of it, or could not be written and it is time to try again.
    pub(super) fn differs_from_record(&self) -> bool {
        (self.memory.record_due && self.memory.again)
            || self.memory.applied != Place::of(&self.desired)
            || self.memory.recorded.shown != self.merged.digest().total()
    }

    /// The data plane has what is desired: that is written down, and then acknowledged.
    pub(super) fn write_applied(&mut self) {
        let place = Place::of(&self.desired);
        let is_new = self.memory.applied != place;
        let record = AppliedRecord {
            cursor: place.cursor,
            digest: place.digest,
            shown: self.merged.digest().total(),
        };
        self.memory.applied = place;
        self.memory.verified = place.digest;
        self.memory.recorded = record;
        self.memory.again = false;
        self.memory.forget_undo();
        self.persist(Record::Applied(record), Busy::WritingApplied { is_new });
    }

    /// The data plane cannot have what is desired: back to what it had.
    pub(super) fn roll_back(&mut self, reason: String) {
        let undone = std::mem::take(&mut self.memory.undone);
        let Some(last) = undone.last() else {
            // What was applied before is not taken any more: nothing to go back to.
            self.memory.paused = true;
            return;
        };
        let to = last.to;
        for applied in std::mem::take(&mut self.memory.undo).iter().rev() {
            if let Err(error) = self.desired.take_back(applied) {
                self.event(format!("a change could not be taken back: {error}"));
            }
        }
        let moved = std::mem::take(&mut self.memory.moved);
        self.attachments.take_back(&moved);
        self.attachments.settle(&self.desired);
        self.memory.attachments_due |= !self.attachments.all_by_mac().is_empty();
        self.merge_anew();
        match undone.len() {
            1 => self.refuse(to, Refusal::Invalid, reason),
            several => {
                // One of them is at fault: which one shows when they come one by one.
                self.memory.singly = several;
                for changeset in undone.into_iter().rev() {
                    self.memory.waiting.push_front(changeset);
                }
            }
        }
        self.memory.plan_due = true;
    }

    /// Writes the whole plan where the disk has something that was taken back.
    pub(super) fn write_plan_if_due(&mut self) -> bool {
        if !self.memory.plan_due {
            return false;
        }
        if self.memory.attachments_due {
            // Which ports have those of MACs follows from the log, which goes.
            self.write_attachments();
            return true;
        }
        self.memory.retry = false;
        let plan = Box::new(snapshot_of(&self.desired));
        self.persist(Record::Plan(plan), Busy::WritingPlan);
        true
    }

    /// Replaces a long log by the plan that it leads to, once that is applied.
    pub(super) fn shorten_log(&mut self) -> bool {
        let written = self.memory.not_durable.is_none() && !self.memory.attachments_due;
        let settled = self.memory.undone.is_empty() && written;
        if !settled || self.memory.logged < LOG_MINIMUM.max(self.desired.plan().entries().count()) {
            return false;
        }
        let plan = Box::new(snapshot_of(&self.desired));
        self.persist(Record::Plan(plan), Busy::WritingPlan);
        true
    }
}
