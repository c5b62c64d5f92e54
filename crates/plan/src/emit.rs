//! Entries that may be different become changes of a host's plan, and nothing else does.

use std::collections::{BTreeMap, BTreeSet};

use anet_model::changeset::Change;
use anet_model::diff::diff;
use anet_model::digest::PlanDigest;
use anet_model::host_plan::{AddressSetId, HostPlan, RuleId, SecurityGroupId};

use crate::fabric::Key;
use crate::fit::{Totals, fit};
use crate::see::View;
use crate::settings::Limits;

/// The plan of one host.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    /// All of it, whether it fits a plan or not.
    wanted: HostPlan,
    totals: Totals,
    /// What of it fits, where not all does.
    fitting: Option<Box<HostPlan>>,
    digest: PlanDigest,
}

impl Planned {
    /// What the host is told.
    pub(crate) fn plan(&self) -> &HostPlan {
        self.fitting.as_deref().unwrap_or(&self.wanted)
    }

    /// What it would be told if plans had no limits.
    pub(crate) const fn wanted(&self) -> &HostPlan {
        &self.wanted
    }

    pub(crate) const fn digest(&self) -> &PlanDigest {
        &self.digest
    }

    /// Looks at the entries again; answers what is different now.
    pub(crate) fn update(&mut self, view: View<'_>, keys: &BTreeSet<Key>, limits: &Limits) -> Vec<Change> {
        let (mut found, mut undo) = (Vec::new(), Vec::new());
        for key in keys {
            for change in compare(view, &self.wanted, key) {
                let before = put(&mut self.wanted, change.clone());
                self.totals.follow(&before, &change);
                undo.push(before);
                found.push(change);
            }
        }
        if self.fitting.is_none() && !self.totals.exceed(&self.wanted, limits) {
            for (before, change) in undo.iter().zip(&found) {
                self.digest.replace(before, change);
            }
            return found;
        }
        self.refit(undo, limits)
    }

    /// The way of a plan with too much in it: it is fitted anew as a whole. Slow, and only this host's.
    fn refit(&mut self, undo: Vec<Change>, limits: &Limits) -> Vec<Change> {
        let before = self.fitting.take().map_or_else(
            || {
                let mut before = self.wanted.clone();
                for change in undo.into_iter().rev() {
                    put(&mut before, change);
                }
                before
            },
            |fitting| *fitting,
        );
        if self.totals.exceed(&self.wanted, limits) {
            self.fitting = Some(Box::new(fit(&self.wanted, limits).0));
        }
        self.digest = PlanDigest::of(self.plan());
        diff(&before, self.plan())
    }
}

/// What is different in one entry. Groups and sets come before their rules and members, which are the same then.
fn compare(view: View<'_>, plan: &HostPlan, key: &Key) -> Vec<Change> {
    let change = match key {
        Key::Tunnel => {
            let new = view.tunnel();
            (new != plan.tunnel).then_some(Change::Tunnel(new))
        }
        Key::Endpoint(id) => differ(plan.endpoints.get(id), view.endpoint(id), |new| {
            Change::Endpoint(id.clone(), new)
        }),
        Key::Network(id) => differ(plan.networks.get(id), view.network(id), |new| {
            Change::Network(id.clone(), new)
        }),
        Key::Subnet(id) => differ(plan.subnets.get(id), view.subnet(id), |new| {
            Change::Subnet(id.clone(), new)
        }),
        Key::AddressSet(id) => return compare_set(view, plan, id),
        Key::Member(set, prefix) => {
            let old = plan.address_sets.get(&set.cast());
            let old = old.is_some_and(|set| set.members.contains(prefix));
            let new = view.has_member(set, prefix);
            (new != old).then(|| Change::Member(set.cast(), *prefix, new))
        }
        Key::SecurityGroup(id) => return compare_group(view, plan, id),
        Key::Rule(group, id) => {
            let old = plan
                .security_groups
                .get(group)
                .and_then(|group| group.rules.get(id));
            differ(old, view.rule(group, id), |new| {
                Change::Rule(group.clone(), id.clone(), new)
            })
        }
        Key::Port(id) => differ(plan.ports.get(id), view.port(id), |new| {
            Change::Port(id.clone(), new)
        }),
        Key::Peer(id) => differ(plan.peers.get(id), view.peer(id), |new| {
            Change::Peer(id.clone(), new)
        }),
    };
    change.into_iter().collect()
}

fn differ<V: PartialEq>(
    old: Option<&V>,
    new: Option<V>,
    change: impl FnOnce(Option<V>) -> Change,
) -> Option<Change> {
    (old != new.as_ref()).then(|| change(new))
}

fn compare_set(view: View<'_>, plan: &HostPlan, id: &SecurityGroupId) -> Vec<Change> {
    let set: AddressSetId = id.cast();
    match (plan.address_sets.get(&set), view.set(id)) {
        (Some(old), Some(new)) => {
            let come = new.members.difference(&old.members).map(|prefix| (prefix, true));
            let gone = old.members.difference(&new.members).map(|prefix| (prefix, false));
            come.chain(gone)
                .map(|(prefix, present)| Change::Member(set.clone(), *prefix, present))
                .collect()
        }
        (old, new) => {
            let change = differ(old, new, |new| Change::AddressSet(set.clone(), new));
            change.into_iter().collect()
        }
    }
}

fn compare_group(view: View<'_>, plan: &HostPlan, id: &SecurityGroupId) -> Vec<Change> {
    match (plan.security_groups.get(id), view.group(id)) {
        (Some(old), Some(mut new)) => {
            let gone = old.rules.keys().filter(|rule| !new.rules.contains_key(*rule));
            let gone: Vec<RuleId> = gone.cloned().collect();
            new.rules.retain(|rule, value| old.rules.get(rule) != Some(value));
            let come = new.rules.into_iter().map(|(rule, value)| (rule, Some(value)));
            come.chain(gone.into_iter().map(|rule| (rule, None)))
                .map(|(rule, value)| Change::Rule(id.clone(), rule, value))
                .collect()
        }
        (old, new) => {
            let change = differ(old, new, |new| Change::SecurityGroup(id.clone(), new));
            change.into_iter().collect()
        }
    }
}

/// Puts one change; answers the change that takes it back.
fn put(plan: &mut HostPlan, change: Change) -> Change {
    match change {
        Change::Tunnel(new) => Change::Tunnel(std::mem::replace(&mut plan.tunnel, new)),
        Change::Network(id, new) => {
            let old = replace(&mut plan.networks, &id, new);
            Change::Network(id, old)
        }
        Change::Subnet(id, new) => {
            let old = replace(&mut plan.subnets, &id, new);
            Change::Subnet(id, old)
        }
        Change::Port(id, new) => {
            let old = replace(&mut plan.ports, &id, new);
            Change::Port(id, old)
        }
        Change::Endpoint(id, new) => {
            let old = replace(&mut plan.endpoints, &id, new);
            Change::Endpoint(id, old)
        }
        Change::Peer(id, new) => {
            let old = replace(&mut plan.peers, &id, new);
            Change::Peer(id, old)
        }
        Change::SecurityGroup(id, new) => {
            let old = replace(&mut plan.security_groups, &id, new);
            Change::SecurityGroup(id, old)
        }
        Change::AddressSet(id, new) => {
            let old = replace(&mut plan.address_sets, &id, new);
            Change::AddressSet(id, old)
        }
        Change::Rule(group, id, new) => {
            let rules = plan.security_groups.get_mut(&group).map(|group| &mut group.rules);
            let old = rules.and_then(|rules| replace(rules, &id, new));
            Change::Rule(group, id, old)
        }
        Change::Member(id, prefix, present) => {
            let members = plan.address_sets.get_mut(&id).map(|set| &mut set.members);
            let was = members.is_some_and(|members| match present {
                true => !members.insert(prefix),
                false => members.remove(&prefix),
            });
            Change::Member(id, prefix, was)
        }
    }
}

fn replace<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, key: &K, new: Option<V>) -> Option<V> {
    match new {
        Some(value) => map.insert(key.clone(), value),
        None => map.remove(key),
    }
}
