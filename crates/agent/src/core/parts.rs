//! The parts of an agent's state.

use std::collections::VecDeque;

use anet_model::changeset::{Change, Changeset};
use anet_model::digest::Digest;
use anet_model::host_plan::Attachment;
use anet_model::state::{Applied, Cursor, PlanState};
use anet_wire::control::report::PortState;

use super::attachments::{Attachments, Holder};
use super::claims::Moved;
use super::io::{AppliedRecord, Ticket};

/// A place in the controller's history, and the digest of the plan there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) cursor: Cursor,
    pub(super) digest: Digest,
}

impl Place {
    pub(super) fn of(state: &PlanState) -> Self {
        Self {
            cursor: state.cursor(),
            digest: state.digest().total(),
        }
    }
}

/// A port or MAC to attach or detach for somebody who waits.
#[derive(Debug)]
pub(super) struct Attaching {
    pub(super) ticket: Ticket,
    pub(super) holder: Holder,
    pub(super) attachment: Attachment,
}

/// What is being done, and what to do when it is.
#[derive(Debug)]
pub(super) enum Busy {
    /// Changesets are being written, all or none of them.
    Writing(Box<Batch>),
    /// The whole plan is being written: after a roll-back, or to shorten the log.
    WritingPlan,
    /// The place that is in the data plane is being written; then it is acknowledged, where it is a new one.
    WritingApplied { is_new: bool },
    /// Attachments are being written; what they were before.
    WritingAttachments(Attaching, Attachments),
    /// Attachments that did not fit are being written out again.
    WritingAttachmentsAgain,
    /// The data plane is being changed.
    Applying(Applying),
    /// The data plane was asked for its digest.
    Asking,
}

/// Changesets that are in `desired` and `shown` already, and not yet on disk.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) changesets: Vec<Changeset>,
    /// How to take them back, oldest first.
    pub(super) desired: Vec<Applied>,
    /// The same for what the data plane is to have.
    pub(super) merged: Vec<Applied>,
    /// The attachments of MACs that went to other ports by it.
    pub(super) moved: Vec<Moved>,
    /// What the data plane is to have was made anew from what is desired, so that `merged` says nothing.
    pub(super) anew: bool,
}

/// Why the data plane is being changed.
#[derive(Debug)]
pub(super) enum Applying {
    /// It is to have what has changed in what is desired.
    Desired,
    /// It is to have all of it.
    Whole,
    /// Ports were attached or detached for somebody who waits.
    Attachment(Ticket),
    /// What cannot be written down is to close at least.
    Closing,
}

/// What is known of the data plane while it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// Nothing yet, or not any more: its digest has to be asked for.
    Nothing,
    /// It has what it is to have.
    Same,
    /// It has something older.
    Behind,
    /// It has something that nobody here knows, perhaps newer than what the disk had.
    Unknown,
}

/// The data plane, seen from here.
#[derive(Debug)]
pub(super) enum Plane {
    Down {
        reason: String,
    },
    Up {
        epoch: u64,
        knowledge: Knowledge,
        /// Its own history and revision, as it last said.
        cursor: Cursor,
    },
}

/// The controller, seen from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Session {
    Closed {
        reason: String,
    },
    /// Our hello was said.
    Greeting,
    /// So was the controller's; with what it had for us then.
    Open {
        software: String,
        newest: Place,
    },
}

/// Everything else that an agent remembers from one input to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Changesets for this host from a controller of this cluster.
    pub(super) waiting: VecDeque<Changeset>,
    pub(super) local: VecDeque<Attaching>,
    pub(super) busy: Option<Busy>,
    /// What is in the data plane, as far as was certain.
    pub(super) applied: Place,
    /// The digest of what the disk says was shown: what the data plane may have at the first meeting.
    pub(super) recorded: AppliedRecord,
    /// `recorded` could not be written.
    pub(super) record_due: bool,
    /// The attachments are others than those on the disk, or other ports have those of MACs.
    pub(super) attachments_due: bool,
    /// It is time to try again what could not be written, one of them a tick.
    pub(super) again: bool,
    /// The disk had less than was applied: some of it was lost.
    pub(super) lost: bool,
    /// Takes `desired` back to what is applied, oldest first.
    pub(super) undo: Vec<Applied>,
    /// What `undo` did to attachments of MACs.
    pub(super) moved: Vec<Moved>,
    /// The changesets of `undo`.
    pub(super) undone: Vec<Changeset>,
    /// That many changesets are taken one by one, since one of them was refused.
    pub(super) singly: usize,
    /// Why the stream that is about to end was closed here.
    pub(super) parting: Option<String>,
    /// Why the last thing could not be written.
    pub(super) not_durable: Option<String>,
    /// Changesets wait for the disk.
    pub(super) stalled: bool,
    /// It is time to try it again.
    pub(super) retry: bool,
    /// The disk has something that was taken back: the whole plan has to be written before anything else.
    pub(super) plan_due: bool,
    /// Closings of stalled changesets are in the data plane: its digest without them.
    pub(super) closed_from: Option<Digest>,
    /// Closings of stalled changesets have to be looked for.
    pub(super) close_due: bool,
    /// The data plane refused for a reason that passes: tried again at the next tick.
    pub(super) paused: bool,
    /// The data plane had what it was to have at least once since this process began, or what is desired came to what a controller
    /// had when it said hello: what the data plane may have besides is not newer.
    pub(super) settled: bool,
    /// The controller's plan as read back from the data plane.
    pub(super) verified: Digest,
    /// Entries of the log since its last whole plan.
    pub(super) logged: usize,
    pub(super) ports: Vec<PortState>,
    pub(super) ports_asked: bool,
    /// Seconds until the digest is asked for again.
    pub(super) digest_in: u32,
    /// A difference between the data plane's plan and its tables was told.
    pub(super) told_of_tables: bool,
}

impl Memory {
    /// What was done can not be taken back any more.
    pub(super) fn forget_undo(&mut self) {
        self.undo.clear();
        self.moved.clear();
        self.undone.clear();
    }
}

/// The changes of applied changesets, one after the other.
pub(super) fn changes_of(applied: &[Applied]) -> Vec<Change> {
    applied
        .iter()
        .flat_map(|applied| applied.changes.clone())
        .collect()
}
