//! Which port has the attachment of a MAC.
//!
//! The first planned port with the MAC claims it, of several that come at once the one with the lowest id, and has it until it goes from
//! the plan, has another MAC, or is attached by its id. Then the next port with that MAC has it, or it waits. So it is never taken
//! from a port that has it, and what is on disk with the changesets since leads to the same claims again.

use std::collections::{BTreeMap, BTreeSet};

use anet_model::changeset::Change;
use anet_model::host_plan::{HostPlan, PortId};
use anet_model::state::{Cursor, PlanState};
use anet_packet::addr::Mac;

use super::attachments::Attachments;

/// The attachment of a MAC went from one port to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Whose.
    pub mac: Mac,
    /// The port that had it.
    pub from: Option<PortId>,
    /// The port that has it.
    pub to: Option<PortId>,
}

impl Attachments {
    /// Takes in that the plan stands at `desired` by these changes. Cost: proportional to the changes and the MACs, and to the ports
    /// of the plan only where one of them lets a claim go.
    pub fn follow(&mut self, desired: &PlanState, changes: &[Change]) -> Vec<Moved> {
        if self.ahead.is_some() {
            return match self.is_behind(desired) {
                true => Vec::new(),
                false => self.settle(desired),
            };
        }
        let plan = desired.plan();
        let ports = changes.iter().filter_map(|change| match change {
            Change::Port(id, _) => Some(id),
            _ => None,
        });
        let changed: BTreeSet<&PortId> = ports.collect();
        if self.macs.is_empty() || changed.is_empty() {
            return Vec::new();
        }
        let freed = self.let_go(plan);
        match freed.is_empty() {
            true => self.claim(plan, changed.into_iter(), freed),
            false => self.claim(plan, plan.ports.keys(), freed),
        }
    }

    /// Holds all claims against the plan.
    pub fn settle(&mut self, desired: &PlanState) -> Vec<Moved> {
        if self.macs.is_empty() {
            return Vec::new();
        }
        let plan = desired.plan();
        let freed = match self.is_behind(desired) {
            true => BTreeMap::new(),
            false => self.let_go(plan),
        };
        self.claim(plan, plan.ports.keys(), freed)
    }

    /// True while the plan is older than the claims, as it is where a disk has lost some of it: then none of them ends.
    fn is_behind(&mut self, desired: &PlanState) -> bool {
        let place = |cursor: Cursor| (cursor.incarnation, cursor.revision);
        self.ahead.take_if(|at| place(*at) <= place(desired.cursor()));
        self.ahead.is_some()
    }

    /// Takes moves back, as far as their MACs are still attached.
    pub fn take_back(&mut self, moved: &[Moved]) {
        for moved in moved.iter().rev() {
            if let Some(by) = self.macs.get_mut(&moved.mac) {
                by.port.clone_from(&moved.from);
            }
        }
    }

    fn suits(&self, plan: &HostPlan, mac: Mac, id: &PortId) -> bool {
        let has_mac = plan.ports.get(id).is_some_and(|port| port.mac == mac);
        has_mac && !self.ports.contains_key(id)
    }

    /// Ends the claims of ports that may not have them any more.
    fn let_go(&mut self, plan: &HostPlan) -> BTreeMap<Mac, PortId> {
        let claims = self
            .macs
            .iter()
            .filter_map(|(mac, by)| Some((*mac, by.port.clone()?)));
        let freed: BTreeMap<Mac, PortId> = claims.filter(|(mac, id)| !self.suits(plan, *mac, id)).collect();
        for mac in freed.keys() {
            if let Some(by) = self.macs.get_mut(mac) {
                by.port = None;
            }
        }
        freed
    }

    /// Hands what waits to the first of these ports, which come in the order of their ids.
    fn claim<'a>(
        &mut self,
        plan: &HostPlan,
        ports: impl Iterator<Item = &'a PortId>,
        mut freed: BTreeMap<Mac, PortId>,
    ) -> Vec<Moved> {
        let mut moved = Vec::new();
        for id in ports {
            let Some(mac) = plan.ports.get(id).map(|port| port.mac) else {
                continue;
            };
            if !self.suits(plan, mac, id) {
                continue;
            }
            if let Some(by) = self.macs.get_mut(&mac).filter(|by| by.port.is_none()) {
                by.port = Some(id.clone());
                let (from, to) = (freed.remove(&mac), Some(id.clone()));
                moved.push(Moved { mac, from, to });
            }
        }
        let waiting = freed.into_iter().map(|(mac, from)| Moved {
            mac,
            from: Some(from),
            to: None,
        });
        moved.extend(waiting);
        moved
    }
}
