//! Changes put into a plan one by one, with the way back kept until all of them have held.

use std::collections::HashSet;

use crate::changeset::Change;
use crate::diff::{diff_address_set, diff_security_group};
use crate::host_plan::{AddressSetId, HostPlan, Rule, RuleId, SecurityGroup, SecurityGroupId};
use crate::index::Index;
use crate::touched::Touched;
use crate::validate::{Checker, ValidationError};

/// A rule or member of something that is not there.
#[derive(Debug)]
pub(crate) enum Missing {
    SecurityGroup(SecurityGroupId),
    AddressSet(AddressSetId),
}

/// Changes that were put, each with the change that takes it back.
pub(crate) struct Transaction<'a> {
    plan: &'a mut HostPlan,
    index: &'a mut Index,
    done: Vec<(Change, Change)>,
}

impl<'a> Transaction<'a> {
    pub(crate) fn begin(plan: &'a mut HostPlan, index: &'a mut Index) -> Self {
        Self {
            plan,
            index,
            done: Vec::new(),
        }
    }

    /// Puts changes: groups and sets before rules and members, and only what differs. A rule that is named singly
    /// beside its whole group is put once, as it is named singly.
    pub(crate) fn put_all(&mut self, changes: &[Change]) -> Result<(), Missing> {
        let inner = |change: &&Change| matches!(change, Change::Rule(..) | Change::Member(..));
        let singly: HashSet<String> = changes.iter().filter(inner).map(Change::key).collect();
        changes
            .iter()
            .filter(|change| !inner(change))
            .for_each(|change| self.put_outer(change, &singly));
        changes
            .iter()
            .filter(inner)
            .try_for_each(|change| self.put_inner(change))
    }

    fn put_outer(&mut self, change: &Change, singly: &HashSet<String>) {
        let mut parts = Vec::new();
        match change {
            Change::SecurityGroup(id, Some(new)) if self.plan.security_groups.contains_key(id) => {
                diff_security_group(id, self.plan.security_groups.get(id), Some(new), &mut parts);
            }
            Change::AddressSet(id, Some(new)) if self.plan.address_sets.contains_key(id) => {
                diff_address_set(id, self.plan.address_sets.get(id), Some(new), &mut parts);
            }
            _ => return self.put(change.clone()),
        }
        parts.retain(|part| !singly.contains(&part.key()));
        parts.into_iter().for_each(|part| self.put(part));
    }

    fn put_inner(&mut self, change: &Change) -> Result<(), Missing> {
        match change {
            Change::Rule(group, _, Some(_)) if !self.plan.security_groups.contains_key(group) => {
                return Err(Missing::SecurityGroup(group.clone()));
            }
            Change::Member(set, _, true) if !self.plan.address_sets.contains_key(set) => {
                return Err(Missing::AddressSet(set.clone()));
            }
            _ => self.put(change.clone()),
        }
        Ok(())
    }

    fn put(&mut self, change: Change) {
        let undo = put(self.plan, self.index, change.clone());
        if undo != change {
            self.done.push((change, undo));
        }
    }

    /// Checks every entry that the changes touched, and those that refer to it or compete with it.
    pub(crate) fn validate(&self) -> Result<(), ValidationError> {
        let checker = Checker {
            plan: self.plan,
            index: self.index,
        };
        let mut touched = Touched::new(checker);
        self.done
            .iter()
            .for_each(|(change, undo)| touched.by(change, undo));
        touched
            .subjects
            .iter()
            .try_for_each(|subject| checker.check(subject))
    }

    /// What was really changed, with the way back beside each, so far.
    pub(crate) fn done(&self) -> &[(Change, Change)] {
        &self.done
    }

    /// Keeps the changes.
    pub(crate) fn commit(self) -> Vec<(Change, Change)> {
        self.done
    }

    /// Takes everything back, last change first.
    pub(crate) fn roll_back(self) {
        for (_, undo) in self.done.into_iter().rev() {
            put(self.plan, self.index, undo);
        }
    }
}

/// Puts one change into the plan and its index; the answer is the change that takes it back.
fn put(plan: &mut HostPlan, index: &mut Index, change: Change) -> Change {
    match change {
        Change::Tunnel(new) => Change::Tunnel(std::mem::replace(&mut plan.tunnel, new)),
        Change::Network(id, new) => {
            let old = replace(&mut plan.networks, &id, new, |id, old, new| {
                old.iter().for_each(|network| index.remove_network(id, network));
                new.iter().for_each(|network| index.add_network(id, network));
            });
            Change::Network(id, old)
        }
        Change::Subnet(id, new) => {
            let old = replace(&mut plan.subnets, &id, new, |id, old, new| {
                old.iter().for_each(|subnet| index.remove_subnet(id, subnet));
                new.iter().for_each(|subnet| index.add_subnet(id, subnet));
            });
            Change::Subnet(id, old)
        }
        Change::Port(id, new) => {
            let old = replace(&mut plan.ports, &id, new, |id, old, new| {
                old.iter().for_each(|port| index.remove_port(id, port));
                new.iter().for_each(|port| index.add_port(id, port));
            });
            Change::Port(id, old)
        }
        Change::Endpoint(id, new) => {
            let old = replace(&mut plan.endpoints, &id, new, |id, old, new| {
                old.iter()
                    .for_each(|endpoint| index.remove_endpoint(id, endpoint.address));
                new.iter()
                    .for_each(|endpoint| index.add_endpoint(id, endpoint.address));
            });
            Change::Endpoint(id, old)
        }
        Change::Peer(id, new) => {
            let old = replace(&mut plan.peers, &id, new, |id, old, new| {
                old.iter().for_each(|peer| index.remove_peer(id, peer));
                new.iter().for_each(|peer| index.add_peer(id, peer));
            });
            Change::Peer(id, old)
        }
        Change::SecurityGroup(id, new) => put_security_group(plan, index, id, new),
        Change::Rule(group, id, new) => put_rule(plan, index, group, id, new),
        Change::AddressSet(id, new) => {
            let old = replace(&mut plan.address_sets, &id, new, |_, old, new| {
                index.members -= old.map_or(0, |set| set.members.len());
                index.members += new.map_or(0, |set| set.members.len());
            });
            Change::AddressSet(id, old)
        }
        Change::Member(id, prefix, present) => {
            let set = plan.address_sets.get_mut(&id);
            let was = set.is_some_and(|set| match present {
                true => !set.members.insert(prefix),
                false => set.members.remove(&prefix),
            });
            index.members = index.members + usize::from(present) - usize::from(was);
            Change::Member(id, prefix, was)
        }
    }
}

/// Replaces a value of a map, after `note` has seen the old and the new one.
fn replace<K: Ord + Clone, V>(
    map: &mut std::collections::BTreeMap<K, V>,
    key: &K,
    new: Option<V>,
    note: impl FnOnce(&K, Option<&V>, Option<&V>),
) -> Option<V> {
    note(key, map.get(key), new.as_ref());
    match new {
        Some(value) => map.insert(key.clone(), value),
        None => map.remove(key),
    }
}

fn put_security_group(
    plan: &mut HostPlan,
    index: &mut Index,
    id: SecurityGroupId,
    new: Option<SecurityGroup>,
) -> Change {
    let old = replace(&mut plan.security_groups, &id, new, |id, old, new| {
        for (rule_id, rule) in old.iter().flat_map(|group| &group.rules) {
            index.remove_rule(id, rule_id, rule);
        }
        for (rule_id, rule) in new.iter().flat_map(|group| &group.rules) {
            index.add_rule(id, rule_id, rule);
        }
    });
    Change::SecurityGroup(id, old)
}

fn put_rule(
    plan: &mut HostPlan,
    index: &mut Index,
    group: SecurityGroupId,
    id: RuleId,
    new: Option<Rule>,
) -> Change {
    let Some(security_group) = plan.security_groups.get_mut(&group) else {
        return Change::Rule(group, id, None);
    };
    let old = replace(&mut security_group.rules, &id, new, |id, old, new| {
        old.iter().for_each(|rule| index.remove_rule(&group, id, rule));
        new.iter().for_each(|rule| index.add_rule(&group, id, rule));
    });
    Change::Rule(group, id, old)
}
