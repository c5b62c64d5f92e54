//! What somebody on a host was told about attachments, which has to hold.

use std::collections::BTreeMap;

use anet_agent::core::{Input, LocalRequest, Ticket};
use anet_model::host_plan::{Attachment, HostPlan, PortId};

/// What an agent says where it has done what it could not write down.
const NOT_WRITTEN: &str = "could not be written";

/// What was said of a port.
#[derive(Debug)]
struct Told {
    attachment: Attachment,
    /// Also the next agent has to know it.
    durable: bool,
}

/// See the module's page.
#[derive(Debug, Default)]
pub struct Attachments {
    asked: BTreeMap<Ticket, (PortId, Attachment)>,
    last: Ticket,
    told: BTreeMap<PortId, Told>,
}

impl Attachments {
    /// Asks for one; what the agent hears of it.
    pub fn ask(&mut self, port: &PortId, attachment: Attachment) -> Input {
        self.last += 1;
        self.told.remove(port);
        self.asked.insert(self.last, (port.clone(), attachment.clone()));
        let request = match attachment {
            Attachment::Detached => LocalRequest::Detach(port.clone()),
            attachment => LocalRequest::Attach(port.clone(), attachment),
        };
        Input::Local(self.last, request)
    }

    /// What it came to. Of a port about which more was asked, or with which something was wrong, nothing is said.
    pub fn answered(&mut self, ticket: Ticket, answer: &Result<String, String>) {
        let Some((port, attachment)) = self.asked.remove(&ticket) else {
            return;
        };
        let again = self.asked.values().any(|(other, _)| *other == port);
        if let (Ok(text), false) = (answer, again) {
            let durable = !text.contains(NOT_WRITTEN);
            self.told.insert(port, Told { attachment, durable });
        }
    }

    /// The agent is gone: what it was about to do it may have done or not.
    pub fn agent_died(&mut self) {
        for (port, _) in std::mem::take(&mut self.asked).into_values() {
            self.told.remove(&port);
        }
        self.told.retain(|_, told| told.durable);
    }

    /// What is not as somebody was told.
    pub fn unsettled(&self, disk: &BTreeMap<PortId, Attachment>, plane: &HostPlan) -> Option<String> {
        for (port, told) in &self.told {
            let kept = disk.get(port).unwrap_or(&Attachment::Detached);
            let shown = plane.ports.get(port).map(|port| &port.attachment);
            if *kept != told.attachment || shown.is_some_and(|shown| *shown != told.attachment) {
                return Some(format!("port {port} is not attached as somebody was told"));
            }
        }
        None
    }
}
