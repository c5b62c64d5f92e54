//! A plan that would hold more than a plan may: which part of it the host gets.
//!
//! What comes first in the order of ids stays, what does not fit is left out with all that hangs on it, so that the rest is valid
//! and the same whatever came in which order. Rules and members only allow: a group that does not fit is left out whole, a set that
//! does not fit has no members.

use std::collections::{BTreeMap, BTreeSet};

use anet_model::changeset::Change;
use anet_model::host_plan::{HostPlan, NetworkId, Remote, SecurityGroupId};

use crate::settings::Limits;

/// Counts over a plan that are not the size of one of its maps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    rules: usize,
    members: usize,
}

impl Totals {
    /// The totals of a whole plan.
    pub(crate) fn of(plan: &HostPlan) -> Self {
        Self {
            rules: plan.security_groups.values().map(|group| group.rules.len()).sum(),
            members: plan.address_sets.values().map(|set| set.members.len()).sum(),
        }
    }

    /// Follows a change, where `before` takes it back.
    pub(crate) fn follow(&mut self, before: &Change, change: &Change) {
        let (rules, members) = Self::in_change(change);
        self.rules += rules;
        self.members += members;
        let (rules, members) = Self::in_change(before);
        self.rules -= rules;
        self.members -= members;
    }

    fn in_change(change: &Change) -> (usize, usize) {
        match change {
            Change::SecurityGroup(_, Some(group)) => (group.rules.len(), 0),
            Change::Rule(_, _, Some(_)) => (1, 0),
            Change::AddressSet(_, Some(set)) => (0, set.members.len()),
            Change::Member(_, _, true) => (0, 1),
            _ => (0, 0),
        }
    }

    /// Whether the plan, of which these are the totals, is too large in anything.
    pub(crate) fn exceed(&self, plan: &HostPlan, limits: &Limits) -> bool {
        let too_many = |(_, found, limit): (&str, usize, usize)| found > limit;
        // No network has more endpoints than the host.
        let perhaps = plan.endpoints.len() > limits.endpoints_per_network;
        self.against(plan, limits).into_iter().any(too_many)
            || (perhaps && widest(plan) > limits.endpoints_per_network)
    }

    fn against(&self, plan: &HostPlan, limits: &Limits) -> [(&'static str, usize, usize); 8] {
        [
            ("networks", plan.networks.len(), limits.networks),
            ("ports", plan.ports.len(), limits.ports),
            ("endpoints", plan.endpoints.len(), limits.endpoints),
            ("peers", plan.peers.len(), limits.peers),
            (
                "security groups",
                plan.security_groups.len(),
                limits.security_groups,
            ),
            ("rules", self.rules, limits.rules),
            ("address sets", plan.address_sets.len(), limits.address_sets),
            ("members of address sets", self.members, limits.members),
        ]
    }
}

/// The most endpoints that one network of the plan has.
fn widest(plan: &HostPlan) -> usize {
    let widths = plan.networks.values().map(|network| network.endpoints.len());
    widths.max().unwrap_or_default()
}

/// Too many of something, and how many there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excess {
    /// The network that has too many, or the host.
    pub(crate) network: Option<NetworkId>,
    pub(crate) noun: &'static str,
    pub(crate) found: usize,
    pub(crate) limit: usize,
}

/// The part of a plan that fits, and what did not. A plan that fits is answered as it is.
pub(crate) fn fit(wanted: &HostPlan, limits: &Limits) -> (HostPlan, Vec<Excess>) {
    let mut plan = wanted.clone();
    let mut excess: Vec<Excess> = Totals::of(wanted)
        .against(wanted, limits)
        .into_iter()
        .filter(|(_, found, limit)| found > limit)
        .map(|(noun, found, limit)| Excess {
            network: None,
            noun,
            found,
            limit,
        })
        .collect();
    fit_networks(&mut plan, limits);
    fit_endpoints(&mut plan, limits, &mut excess);
    keep_first(&mut plan.ports, limits.ports);
    keep_first(&mut plan.peers, limits.peers);
    fit_sets(&mut plan, limits);
    fit_groups(&mut plan, limits);
    (plan, excess)
}

fn keep_first<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, count: usize) {
    if let Some(key) = map.keys().nth(count).cloned() {
        map.split_off(&key);
    }
}

fn fit_networks(plan: &mut HostPlan, limits: &Limits) {
    keep_first(&mut plan.networks, limits.networks);
    let networks = &plan.networks;
    plan.subnets
        .retain(|_, subnet| networks.contains_key(&subnet.network));
    plan.ports.retain(|_, port| networks.contains_key(&port.network));
    plan.peers.retain(|_, peer| networks.contains_key(&peer.network));
}

fn fit_endpoints(plan: &mut HostPlan, limits: &Limits, excess: &mut Vec<Excess>) {
    keep_first(&mut plan.endpoints, limits.endpoints);
    for (id, network) in &mut plan.networks {
        let found = network.endpoints.len();
        if found > limits.endpoints_per_network {
            excess.push(Excess {
                network: Some(id.clone()),
                noun: "endpoints",
                found,
                limit: limits.endpoints_per_network,
            });
        }
        network
            .endpoints
            .retain(|endpoint| plan.endpoints.contains_key(endpoint));
        network.endpoints.truncate(limits.endpoints_per_network);
    }
    let networks = &plan.networks;
    plan.peers.retain(|_, peer| {
        let network = networks.get(&peer.network);
        network.is_some_and(|network| network.endpoints.binary_search(&peer.endpoint).is_ok())
    });
}

fn fit_sets(plan: &mut HostPlan, limits: &Limits) {
    keep_first(&mut plan.address_sets, limits.address_sets);
    let mut room = limits.members;
    for set in plan.address_sets.values_mut() {
        match room.checked_sub(set.members.len()) {
            Some(rest) => room = rest,
            None => set.members.clear(),
        }
    }
    let sets = &plan.address_sets;
    for group in plan.security_groups.values_mut() {
        group.rules.retain(|_, rule| match &rule.remote {
            Remote::Set(set) => sets.contains_key(set),
            Remote::Any | Remote::Prefix(_) => true,
        });
    }
}

fn fit_groups(plan: &mut HostPlan, limits: &Limits) {
    keep_first(&mut plan.security_groups, limits.security_groups);
    let mut room = limits.rules;
    plan.security_groups.retain(|_, group| {
        let rest = room.checked_sub(group.rules.len());
        room = rest.unwrap_or(room);
        rest.is_some()
    });
    let kept: BTreeSet<&SecurityGroupId> = plan.security_groups.keys().collect();
    for port in plan.ports.values_mut() {
        port.security_groups.retain(|group| kept.contains(group));
    }
}
