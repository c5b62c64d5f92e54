//! Attaching and detaching for somebody who waits: onto the disk, then into the data plane.

use anet_model::changeset::Change;
use anet_model::host_plan::Attachment;

use super::agent::Agent;
use super::attachments::{Attachments, Holder};
use super::io::{Output, Record, Ticket};
use super::parts::{Applying, Attaching, Busy, Knowledge};

impl Agent {
    pub(super) fn attach(&mut self, attaching: Attaching) {
        let (ticket, holder) = (attaching.ticket, &attaching.holder);
        if self.attachments.of(holder) == attaching.attachment {
            return self.answer(ticket, self.as_it_is(&attaching));
        }
        match self.attachments.with(holder, &attaching.attachment) {
            Err(error) => self.answer(ticket, Err(error.to_string())),
            Ok(mut with) => {
                with.settle(&self.desired);
                let before = std::mem::replace(&mut self.attachments, with);
                let record = Record::Attachments(self.attachments.kept(self.desired.cursor()));
                self.persist(record, Busy::WritingAttachments(attaching, before));
            }
        }
    }

    /// The answer where nothing is to be done.
    fn as_it_is(&self, attaching: &Attaching) -> Result<String, String> {
        let Attaching {
            holder, attachment, ..
        } = attaching;
        if let (Holder::Port(id), Attachment::Detached) = (holder, attachment)
            && let Some(port) = self.desired.plan().ports.get(id)
            && self.attachments.by_mac(id, port).is_some()
        {
            let mac = port.mac;
            return Err(format!(
                "port {id} is attached by its MAC: detach that (--mac {mac})"
            ));
        }
        Ok(self.told_of_attachments("it is so already").to_owned())
    }

    fn answer(&mut self, ticket: Ticket, answer: Result<String, String>) {
        self.outputs.push(Output::Answer(ticket, answer));
    }

    pub(super) fn attachments_written(
        &mut self,
        attaching: Attaching,
        before: Attachments,
        outcome: Result<(), String>,
    ) {
        let Attaching {
            ticket,
            holder,
            attachment,
        } = attaching;
        let detaches = attachment == Attachment::Detached;
        // What was not written may be there all the same, until something else is.
        self.memory.attachments_due = outcome.is_err();
        // Detaching closes, and is carried out at any rate.
        if let (Err(reason), false) = (&outcome, detaches) {
            self.attachments = before;
            let text = format!("not attached, since it cannot be written: {reason}");
            return self.answer(ticket, Err(text));
        }
        let told = self.told_of_attachments("kept");
        let plan = self.merged.plan();
        let ports = self.attachments.differing(&before, plan).into_iter();
        let changes: Vec<Change> = ports
            .map(|id| Change::Port(id.clone(), plan.ports.get(&id).cloned()))
            .collect();
        if changes.is_empty() {
            let text = format!("{told}; {}", why_nothing_changes(&holder, detaches));
            return self.answer(ticket, Ok(text));
        }
        let was = self.merged.digest().total();
        match self.merge(changes) {
            Ok(applied) => {
                let now = self.merged.digest().total();
                let plain = self.memory.closed_from.map(|plain| plain.plus(now).minus(was));
                self.memory.closed_from = plain;
                if self.knowledge() == Some(Knowledge::Same) && !applied.changes.is_empty() {
                    self.apply(false, applied.changes, Applying::Attachment(ticket));
                } else {
                    let text = format!("{told}; the vswitch gets it as soon as it answers");
                    self.answer(ticket, Ok(text));
                }
            }
            Err(error) => {
                self.attachments = before;
                self.answer(ticket, Err(format!("not attached: {error}")));
                self.write_attachments();
            }
        }
    }

    /// What somebody is told whose attachment is carried out: `done`, unless it is not on the disk.
    pub(super) fn told_of_attachments(&self, done: &'static str) -> &'static str {
        match (self.memory.attachments_due, &self.memory.not_durable) {
            (false, _) | (_, None) => done,
            (true, Some(_)) => {
                "done, and it could not be written: tried again each second, and until then it comes back with a restart"
            }
        }
    }

    /// Writes the attachments where the disk has others; false where that is not so, or it is not time.
    pub(super) fn write_attachments_if_due(&mut self) -> bool {
        let due = self.memory.attachments_due && self.memory.again;
        if due {
            self.memory.again = false;
            self.write_attachments();
        }
        due
    }

    pub(super) fn write_attachments(&mut self) {
        let record = Record::Attachments(self.attachments.kept(self.desired.cursor()));
        self.persist(record, Busy::WritingAttachmentsAgain);
    }
}

fn why_nothing_changes(holder: &Holder, detaches: bool) -> String {
    match (holder, detaches) {
        (Holder::Port(port), false) => {
            format!("port {port} is not planned on this host, and is attached when it is")
        }
        (Holder::Port(port), true) => format!("port {port} is not planned on this host"),
        (Holder::Mac(mac), false) => {
            format!("the first port of MAC {mac} on this host that is not attached by its id has it")
        }
        (Holder::Mac(mac), true) => format!("no port of MAC {mac} on this host had it"),
    }
}
