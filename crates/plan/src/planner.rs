//! The planner: intent in, each host's plan and its changes out.

use std::collections::{BTreeMap, BTreeSet};

use anet_model::changeset::Change;
use anet_model::digest::PlanDigest;
use anet_model::host_plan::HostPlan;
use anet_model::intent::{HostId, Intent, IntentChange};

use crate::emit::Planned;
use crate::fabric::Fabric;
use crate::problem::Problem;
use crate::see::View;
use crate::settings::{Limits, Settings};

/// What the last [`Planner::apply`] did, as counts: what it costs, whatever the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Objects of the intent that were resolved again.
    pub resolved: usize,
    /// Entries of plans that were looked at.
    pub looked_at: usize,
    /// Changes that were answered.
    pub emitted: usize,
}

/// The intent of a fabric, and the plan of each of its hosts.
#[derive(Debug, Default)]
pub struct Planner {
    fabric: Fabric,
    hosts: BTreeMap<HostId, Planned>,
    cost: Cost,
}

impl Planner {
    /// A planner of an empty intent.
    pub fn new(settings: Settings) -> Self {
        Self::with_limits(settings, Limits::default())
    }

    /// One whose plans hold less than the model allows. Limits above the model's are of no use: its plans would be refused.
    pub fn with_limits(settings: Settings, limits: Limits) -> Self {
        Self {
            fabric: Fabric {
                settings,
                limits,
                ..Fabric::default()
            },
            ..Self::default()
        }
    }

    /// The intent as it is now.
    pub const fn intent(&self) -> &Intent {
        &self.fabric.intent
    }

    /// The plan of a host; of every host of the intent there is one, and it is valid.
    pub fn host_plan(&self, host: &HostId) -> Option<&HostPlan> {
        self.hosts.get(host).map(Planned::plan)
    }

    /// The digest of [`Self::host_plan`], kept as changes were answered.
    pub fn digest(&self, host: &HostId) -> Option<&PlanDigest> {
        self.hosts.get(host).map(Planned::digest)
    }

    /// What was asked for that concerns this host and is not in its plan. Cost: proportional to the plan.
    pub fn problems(&self, host: &HostId) -> Vec<Problem> {
        let planned = self.hosts.get(host);
        planned.map_or_else(Vec::new, |planned| self.fabric.problems(host, planned.wanted()))
    }

    /// What the last [`Self::apply`] cost.
    pub const fn last_cost(&self) -> Cost {
        self.cost
    }

    /// Puts changes; answers, for each host whose plan is different now, exactly what differs: each entry once, in an order in
    /// which it can be put. Hosts of whose plan nothing changed are not in the answer, nor are hosts that are gone. A host that
    /// came, or came back, starts from an empty plan.
    pub fn apply(&mut self, changes: Vec<IntentChange>) -> BTreeMap<HostId, Vec<Change>> {
        let mut hosts = BTreeSet::new();
        for change in changes {
            if let IntentChange::Host(id, _) = &change {
                hosts.insert(id.clone());
            }
            self.fabric.put(change);
        }
        for host in hosts {
            match self.fabric.intent.hosts.contains_key(&host) {
                true => {
                    self.hosts.entry(host).or_default();
                }
                false => {
                    self.hosts.remove(&host);
                }
            }
        }
        self.fabric.resolve();
        self.cost = Cost {
            resolved: std::mem::take(&mut self.fabric.resolved_count),
            ..Cost::default()
        };
        let mut answer = BTreeMap::new();
        for (host, keys) in std::mem::take(&mut self.fabric.dirty).0 {
            // A host that is gone was marked for what it had.
            let Some(planned) = self.hosts.get_mut(&host) else {
                continue;
            };
            let view = View {
                fabric: &self.fabric,
                host: &host,
            };
            self.cost.looked_at += keys.len();
            let changes = planned.update(view, &keys, &self.fabric.limits);
            if !changes.is_empty() {
                self.cost.emitted += changes.len();
                answer.insert(host, changes);
            }
        }
        answer
    }
}
