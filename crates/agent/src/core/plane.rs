//! The agent and its data plane: what it has, what it is to have, and what its answers mean.

use anet_model::changeset::{Change, Changeset};
use anet_model::diff::diff;
use anet_model::digest::Digest;
use anet_model::host_plan::HostPlan;
use anet_model::state::Cursor;
use anet_wire::control::report::DigestReport;
use anet_wire::control::{Refusal, Response};
use anet_wire::session::AgentMessage;

use super::agent::{Agent, sorted};
use super::io::{Asked, Output, PlaneAnswer};
use super::parts::{Applying, Busy, Knowledge, Plane};

/// Of the data plane's time, reading the tables back may take at most one part in so many.
const READ_BACK_SHARE: u128 = 200;
/// The longest time between two read-backs, in seconds.
const READ_BACK_MAXIMUM: u32 = 300;

impl Agent {
    pub(super) fn plane_up(&mut self, epoch: u64) {
        self.plane = Plane::Up {
            epoch,
            knowledge: Knowledge::Nothing,
            cursor: Cursor::default(),
        };
        self.memory.ports_asked = false;
        self.drop_questions();
    }

    pub(super) fn plane_down(&mut self, reason: String) {
        if !matches!(&self.plane, Plane::Down { reason: known } if *known == reason) {
            self.event(format!("the vswitch cannot be used: {reason}"));
        }
        self.plane = Plane::Down { reason };
        self.memory.ports.clear();
        self.memory.ports_asked = false;
        self.drop_questions();
    }

    /// What was under way in the data plane is not any more.
    fn drop_questions(&mut self) {
        match self.memory.busy.take() {
            Some(Busy::Applying(Applying::Attachment(ticket))) => {
                let told = self.told_of_attachments("kept");
                let text = format!("{told}; the vswitch does not answer, and gets it when it does");
                self.outputs.push(Output::Answer(ticket, Ok(text)));
            }
            Some(Busy::Applying(_) | Busy::Asking) => {}
            writing => self.memory.busy = writing,
        }
    }

    pub(super) fn plane_answered(&mut self, answer: PlaneAnswer) {
        match answer {
            PlaneAnswer::Ports(ports) => {
                self.memory.ports = sorted(ports);
                self.memory.ports_asked = false;
            }
            PlaneAnswer::Traced { id, answer } => self.send(AgentMessage::TraceAnswer { id, answer }),
            PlaneAnswer::Digest { report, took } => {
                if matches!(self.memory.busy, Some(Busy::Asking)) {
                    self.memory.busy = None;
                    let share = took.as_millis() * READ_BACK_SHARE / 1_000;
                    let seconds = u32::try_from(share).unwrap_or(READ_BACK_MAXIMUM);
                    self.memory.digest_in = seconds.clamp(1, READ_BACK_MAXIMUM);
                    self.learned(&report);
                }
            }
            PlaneAnswer::Applied(response) => match self.memory.busy.take() {
                Some(Busy::Applying(why)) => self.applied_or_not(why, response),
                other => self.memory.busy = other,
            },
        }
    }

    /// What the data plane has is held against what it is to have.
    fn learned(&mut self, report: &DigestReport) {
        let total = |of: fn(&anet_wire::control::report::NounDigest) -> Digest| {
            report
                .nouns
                .iter()
                .fold(Digest::default(), |sum, noun| sum.plus(of(noun)))
        };
        let (kept, read_back) = (total(|noun| noun.kept), total(|noun| noun.read_back));
        let wanted = self.merged.digest().total();
        if let Plane::Up { cursor, .. } = &mut self.plane {
            *cursor = Cursor {
                incarnation: report.incarnation,
                revision: report.revision,
            };
        }
        if kept == wanted {
            self.know(Knowledge::Same);
            self.memory.settled = true;
            self.read_back(read_back, kept);
            return;
        }
        let recorded = kept == self.memory.recorded.shown && !self.memory.lost;
        if recorded || kept == Digest::default() || self.is_newest() {
            let nouns = report
                .nouns
                .iter()
                .filter(|noun| self.merged.digest().noun(noun.noun) != noun.kept);
            let nouns: Vec<String> = nouns.map(|noun| noun.noun.to_string()).collect();
            self.event(format!(
                "the vswitch has another plan ({}): it gets this one",
                nouns.join(", ")
            ));
            self.know(Knowledge::Behind);
        } else {
            self.event(
                "the vswitch has a plan that this host's disk does not know, perhaps a newer one: it is left alone until a \
                 controller has spoken",
            );
            self.know(Knowledge::Unknown);
        }
    }

    /// The tables as they are, in terms of the controller's plan.
    fn read_back(&mut self, read_back: Digest, kept: Digest) {
        let plain = self.memory.closed_from.unwrap_or(kept);
        self.memory.verified = self.memory.applied.digest.plus(read_back).minus(plain);
        let differs = read_back != kept;
        if differs && !self.memory.told_of_tables {
            self.event("the vswitch's tables differ from its plan; it makes them anew by itself".to_owned());
        }
        self.memory.told_of_tables = differs;
    }

    /// The data plane gets all that it is to have.
    pub(super) fn bring_up_to_date(&mut self) -> bool {
        if self.memory.stalled && self.memory.close_due {
            self.narrow();
        }
        let changes = diff(&HostPlan::default(), self.merged.plan());
        self.apply(true, changes, Applying::Whole)
    }

    /// Asks the data plane for a change of what it has.
    pub(super) fn apply(&mut self, snapshot: bool, changes: Vec<Change>, why: Applying) -> bool {
        let Plane::Up { cursor, .. } = &self.plane else {
            return false;
        };
        let changeset = Changeset {
            incarnation: cursor.incarnation,
            from: cursor.revision,
            to: cursor.revision + 1,
            snapshot,
            changes,
            digest_after: Some(self.merged.digest().total().to_bytes()),
        };
        self.begin(Asked::Apply(changeset), Busy::Applying(why))
    }

    fn applied_or_not(&mut self, why: Applying, response: Response) {
        let local = match why {
            Applying::Attachment(ticket) => Some(ticket),
            Applying::Desired | Applying::Whole | Applying::Closing => None,
        };
        let was_whole = matches!(why, Applying::Whole);
        let refused = match response {
            Response::Applied { revision, digest } if digest == self.merged.digest().total() => {
                if let Plane::Up { cursor, .. } = &mut self.plane {
                    cursor.revision = revision;
                }
                self.know(Knowledge::Same);
                self.memory.settled = true;
                None
            }
            Response::Refused {
                refusal: Refusal::Invalid,
                reason,
                ..
            } => Some((true, reason)),
            Response::Refused { refusal, reason, .. } => {
                self.memory.paused = was_whole || refusal == Refusal::Unavailable;
                Some((false, reason))
            }
            Response::Error(reason) => {
                self.memory.paused = true;
                Some((false, reason))
            }
            // Applied, and something else than was meant; or no answer to what was asked.
            _ => {
                self.memory.paused = was_whole;
                Some((false, "the vswitch has another plan than it was given".to_owned()))
            }
        };
        match (refused, local) {
            (None, Some(ticket)) => {
                let text = self.told_of_attachments("done").to_owned();
                self.outputs.push(Output::Answer(ticket, Ok(text)));
            }
            (None, None) => {}
            (Some((invalid, reason)), local) => {
                self.event(format!("the vswitch did not take a change: {reason}"));
                self.know(Knowledge::Nothing);
                if let Some(ticket) = local {
                    let text = format!("kept, and the vswitch did not take it: {reason}");
                    self.outputs.push(Output::Answer(ticket, Err(text)));
                } else if invalid {
                    self.roll_back(reason);
                }
            }
        }
    }
}
