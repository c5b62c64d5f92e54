//! What somebody on a host was told about attachments, which has to hold.

use std::collections::BTreeMap;

use anet_agent::core::{Holder, Input, Kept, LocalRequest, Ticket};
use anet_model::host_plan::{Attachment, HostPlan};

/// What an agent says where it has done what it could not write down.
const NOT_WRITTEN: &str = "could not be written";

/// What was said of a port, or of a MAC.
#[derive(Debug)]
struct Told {
    attachment: Attachment,
    /// Also the next agent has to know it.
    durable: bool,
}

/// See the module's page.
#[derive(Debug, Default)]
pub struct Attachments {
    asked: BTreeMap<Ticket, (Holder, Attachment)>,
    last: Ticket,
    told: BTreeMap<Holder, Told>,
}

impl Attachments {
    /// Asks for one; what the agent hears of it.
    pub fn ask(&mut self, holder: &Holder, attachment: Attachment) -> Input {
        self.last += 1;
        self.told.remove(holder);
        self.asked.insert(self.last, (holder.clone(), attachment.clone()));
        let request = match attachment {
            Attachment::Detached => LocalRequest::Detach(holder.clone()),
            attachment => LocalRequest::Attach(holder.clone(), attachment),
        };
        Input::Local(self.last, request)
    }

    /// What it came to. Where more was asked about the same, or with which something was wrong, nothing is said.
    pub fn answered(&mut self, ticket: Ticket, answer: &Result<String, String>) {
        let Some((holder, attachment)) = self.asked.remove(&ticket) else {
            return;
        };
        let again = self.asked.values().any(|(other, _)| *other == holder);
        if let (Ok(text), false) = (answer, again) {
            let durable = !text.contains(NOT_WRITTEN);
            self.told.insert(holder, Told { attachment, durable });
        }
    }

    /// The agent is gone: what it was about to do it may have done or not.
    pub fn agent_died(&mut self) {
        for (holder, _) in std::mem::take(&mut self.asked).into_values() {
            self.told.remove(&holder);
        }
        self.told.retain(|_, told| told.durable);
    }

    /// What is not as somebody was told.
    pub fn unsettled(&self, disk: &Kept, plane: &HostPlan) -> Option<String> {
        for (holder, told) in &self.told {
            let (kept, shown) = match holder {
                Holder::Mac(mac) => (disk.macs.get(mac).map(|by| &by.attachment), None),
                Holder::Port(id) => {
                    let planned = plane.ports.get(id);
                    // What its MAC is attached to, it may have.
                    let shown = planned.filter(|port| !disk.macs.contains_key(&port.mac));
                    (disk.ports.get(id), shown.map(|port| &port.attachment))
                }
            };
            let kept = kept.unwrap_or(&Attachment::Detached);
            if *kept != told.attachment || shown.is_some_and(|shown| *shown != told.attachment) {
                return Some(format!("{holder:?} is not attached as somebody was told"));
            }
        }
        None
    }
}
