//! The agent: its state, and what each input does to it.

use anet_model::changeset::Changeset;
use anet_model::host_plan::Attachment;
use anet_model::state::{Cursor, PlanState};
use anet_wire::control::report::PortState;

use super::attachments::Attachments;
use super::io::{Asked, Identity, Input, LocalRequest, Output};
use super::parts::{Attaching, Busy, Knowledge, Memory, Plane, Session};

/// See the module's page.
#[derive(Debug)]
pub struct Agent {
    pub(super) identity: Identity,
    /// The controller's plan, as far as it was accepted.
    pub(super) desired: PlanState,
    /// What the data plane is to have: `desired` with the attachments, unless something has to be closed.
    pub(super) merged: PlanState,
    pub(super) attachments: Attachments,
    pub(super) plane: Plane,
    pub(super) session: Session,
    pub(super) memory: Memory,
    pub(super) outputs: Vec<Output>,
}

impl Agent {
    /// Takes one input; the outputs have to be carried out in their order.
    pub fn handle(&mut self, input: Input) -> Vec<Output> {
        match input {
            Input::Connected => self.connected(),
            Input::Disconnected { reason } => self.disconnected(reason),
            Input::Said(said) => self.said(said),
            Input::Persisted(outcome) => self.persisted(outcome),
            Input::PlaneUp { epoch } => self.plane_up(epoch),
            Input::PlaneDown { reason } => self.plane_down(reason),
            Input::Plane(answer) => self.plane_answered(answer),
            Input::Local(ticket, LocalRequest::Attach(holder, attachment)) => {
                self.memory.local.push_back(Attaching {
                    ticket,
                    holder,
                    attachment,
                })
            }
            Input::Local(ticket, LocalRequest::Detach(holder)) => self.memory.local.push_back(Attaching {
                ticket,
                holder,
                attachment: Attachment::Detached,
            }),
            Input::Tick => self.tick(),
        }
        while self.memory.busy.is_none() && self.advance() {}
        std::mem::take(&mut self.outputs)
    }

    /// The controller's plan as it was accepted.
    pub const fn desired(&self) -> &PlanState {
        &self.desired
    }

    /// What the data plane is to have.
    pub const fn merged(&self) -> &PlanState {
        &self.merged
    }

    /// What is in the data plane, as far as is certain.
    pub const fn applied(&self) -> Cursor {
        self.memory.applied.cursor
    }

    /// True while nothing is under way and nothing waits.
    pub fn is_idle(&self) -> bool {
        let memory = &self.memory;
        let written = !memory.plan_due && !memory.record_due && !memory.attachments_due;
        memory.busy.is_none() && memory.waiting.is_empty() && memory.local.is_empty() && written
    }

    pub(super) fn event(&mut self, text: impl Into<String>) {
        self.outputs.push(Output::Event(text.into()));
    }

    /// Asks the data plane where it answers.
    pub(super) fn ask(&mut self, asked: Asked) -> bool {
        let Plane::Up { epoch, .. } = self.plane else {
            return false;
        };
        self.outputs.push(Output::Ask { epoch, asked });
        true
    }

    pub(super) fn knowledge(&self) -> Option<Knowledge> {
        match &self.plane {
            Plane::Up { knowledge, .. } => Some(*knowledge),
            Plane::Down { .. } => None,
        }
    }

    pub(super) fn know(&mut self, now: Knowledge) {
        if let Plane::Up { knowledge, .. } = &mut self.plane {
            *knowledge = now;
        }
    }

    /// What the data plane is to have is made anew from what is desired and the attachments.
    pub(super) fn merge_anew(&mut self) {
        let revision = self.merged.revision() + 1;
        let plan = self.attachments.fill_in_plan(self.desired.plan());
        self.merged = match PlanState::new(plan, 0, revision) {
            Ok(merged) => merged,
            Err(error) => {
                self.event(format!(
                    "the attachments of this host do not fit its plan, so that none is used: {error}"
                ));
                let none = Attachments::default().fill_in_plan(self.desired.plan());
                PlanState::new(none, 0, revision).unwrap_or_default()
            }
        };
        self.memory.closed_from = None;
    }

    /// Moves what the data plane is to have on by these changes.
    pub(super) fn merge(
        &mut self,
        changes: Vec<anet_model::changeset::Change>,
    ) -> Result<anet_model::state::Applied, anet_model::state::ApplyError> {
        let from = self.merged.revision();
        let changes = changes.into_iter().map(|change| self.attachments.fill_in(change));
        self.merged.apply(&Changeset {
            from,
            to: from + 1,
            changes: changes.collect(),
            ..Changeset::default()
        })
    }

    /// One step further where nothing is under way; false where there is nothing to do.
    fn advance(&mut self) -> bool {
        match self.knowledge() {
            Some(Knowledge::Nothing) => return self.begin(Asked::Digest, Busy::Asking),
            Some(Knowledge::Behind) if !self.memory.paused && !self.comes_singly() => {
                return self.bring_up_to_date();
            }
            Some(Knowledge::Unknown) if self.is_newest() => {
                self.know(Knowledge::Behind);
                return true;
            }
            _ => {}
        }
        if self.is_in_plane() && self.differs_from_record() {
            self.write_applied();
            return true;
        }
        if self.write_attachments_if_due() {
            return true;
        }
        if let Some(attaching) = self.memory.local.pop_front() {
            self.attach(attaching);
            return true;
        }
        if self.memory.stalled && !self.memory.retry {
            return self.memory.close_due && self.close();
        }
        self.write_plan_if_due() || self.take_changesets() || self.end_stall() || self.shorten_log()
    }

    /// Several changesets were taken back, since one of them was refused. The data plane may have the first of them, whose answer was
    /// lost: what is desired without any is not brought there before the next one was tried.
    fn comes_singly(&self) -> bool {
        let memory = &self.memory;
        let next_waits = memory.singly > 0 && !memory.waiting.is_empty();
        next_waits && memory.undone.is_empty() && !memory.stalled
    }

    /// True where what is desired is certainly not older than what the data plane has.
    pub(super) const fn is_newest(&self) -> bool {
        self.memory.settled
    }

    /// True where the data plane has exactly what is desired.
    pub(super) fn is_in_plane(&self) -> bool {
        self.knowledge() == Some(Knowledge::Same) && self.memory.closed_from.is_none()
    }

    /// Asks the data plane and waits for the answer.
    pub(super) fn begin(&mut self, asked: Asked, busy: Busy) -> bool {
        let begun = self.ask(asked);
        if begun {
            self.memory.busy = Some(busy);
        }
        begun
    }

    fn tick(&mut self) {
        self.memory.paused = false;
        self.memory.retry = self.memory.stalled;
        self.memory.again = true;
        if let Session::Open { .. } = &self.session {
            self.compare_with_controller();
            self.report();
        }
        if self.knowledge().is_some() && !self.memory.ports_asked {
            self.memory.ports_asked = self.ask(Asked::Ports);
        }
        self.memory.digest_in = self.memory.digest_in.saturating_sub(1);
        if self.memory.digest_in == 0
            && self.memory.busy.is_none()
            && self.knowledge() == Some(Knowledge::Same)
        {
            self.begin(Asked::Digest, Busy::Asking);
        }
    }
}

/// Ports in the order of their ids.
pub(super) fn sorted(mut ports: Vec<PortState>) -> Vec<PortState> {
    ports.sort_by(|one, other| one.port.cmp(&other.port));
    ports
}
