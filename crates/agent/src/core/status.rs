//! How an agent stands, for people.

use anet_model::host_plan::{Attachment, PortId};
use anet_model::state::Cursor;
use anet_packet::addr::Mac;
use anet_wire::control::report::LinkState;

use super::agent::Agent;
use super::attachments::Holder;
use super::parts::{Knowledge, Plane, Session};

/// How an agent stands, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The session with a controller.
    pub session: Result<String, String>,
    /// The data plane, or why it cannot be used.
    pub vswitch: Result<String, String>,
    /// What is in the data plane.
    pub applied: Cursor,
    /// What is accepted.
    pub desired: Cursor,
    /// Why something could not be written.
    pub not_durable: Option<String>,
    /// Planned ports.
    pub ports: Vec<PortStatus>,
    /// Attachments that no port has.
    pub waiting: Vec<Waiting>,
}

/// How a planned port stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortStatus {
    /// Its id.
    pub port: PortId,
    /// What it is attached to.
    pub attachment: Attachment,
    /// Its MAC, where that is what it is attached by.
    pub by_mac: Option<Mac>,
    /// Its link, as far as it is known.
    pub link: Option<LinkState>,
}

/// An attachment that waits for its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Whose it is.
    pub holder: Holder,
    /// To what.
    pub attachment: Attachment,
    /// For people.
    pub why: String,
}

impl Agent {
    /// How it stands.
    pub fn status(&self) -> Status {
        Status {
            session: match &self.session {
                Session::Open { software, .. } => Ok(software.clone()),
                Session::Greeting => Err("connected, and no word from the controller yet".to_owned()),
                Session::Closed { reason } => Err(reason.clone()),
            },
            vswitch: match &self.plane {
                Plane::Down { reason } => Err(reason.clone()),
                Plane::Up { knowledge, .. } => Ok(match knowledge {
                    Knowledge::Nothing => "being asked what it has",
                    Knowledge::Same => "has the plan",
                    Knowledge::Behind => "being brought up to date",
                    Knowledge::Unknown => {
                        "has a plan that this host's disk does not know; it is left alone until a controller has spoken"
                    }
                }
                .to_owned()),
            },
            applied: self.memory.applied.cursor,
            desired: self.desired.cursor(),
            not_durable: self.memory.not_durable.clone(),
            ports: self.ports_status(),
            waiting: self.waiting(),
        }
    }

    fn ports_status(&self) -> Vec<PortStatus> {
        let link = |id: &PortId| {
            let ports = &self.memory.ports;
            let found = ports.binary_search_by(|state| state.port.cmp(id)).ok();
            found.and_then(|at| ports.get(at)).map(|state| state.link.clone())
        };
        let ports = self.merged.plan().ports.iter();
        let status = ports.map(|(id, port)| PortStatus {
            port: id.clone(),
            attachment: port.attachment.clone(),
            by_mac: self.attachments.by_mac(id, port).map(|_| port.mac),
            link: link(id),
        });
        status.collect()
    }

    fn waiting(&self) -> Vec<Waiting> {
        let planned = &self.merged.plan().ports;
        let ports = self.attachments.all().iter();
        let ports = ports
            .filter(|(id, _)| !planned.contains_key(*id))
            .map(|(id, attachment)| Waiting {
                holder: Holder::Port(id.clone()),
                attachment: attachment.clone(),
                why: "not planned on this host".to_owned(),
            });
        let macs = self.attachments.all_by_mac().iter();
        let macs = macs.filter(|(_, by)| by.port.is_none()).map(|(mac, by)| Waiting {
            holder: Holder::Mac(*mac),
            attachment: by.attachment.clone(),
            why: self.why_mac_waits(*mac),
        });
        ports.chain(macs).collect()
    }

    fn why_mac_waits(&self, mac: Mac) -> String {
        let mut ports = self.desired.plan().ports.iter();
        match ports.find(|(_, port)| port.mac == mac) {
            None => "no port of this MAC is planned on this host".to_owned(),
            Some((id, _)) => format!("port {id} of this MAC is attached by its id"),
        }
    }
}
