//! The smallest changes that lead from one plan to another.

use std::collections::BTreeMap;

use crate::changeset::Change;
use crate::host_plan::{AddressSet, AddressSetId, HostPlan, SecurityGroup, SecurityGroupId};

/// The changes that make `old` into `new`: nothing for what is equal; rules and members singly where their group
/// or set is on both sides. Cost: proportional to both plans.
pub fn diff(old: &HostPlan, new: &HostPlan) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.tunnel != new.tunnel {
        changes.push(Change::Tunnel(new.tunnel.clone()));
    }
    diff_map(&old.endpoints, &new.endpoints, Change::Endpoint, &mut changes);
    diff_map(&old.networks, &new.networks, Change::Network, &mut changes);
    diff_map(&old.subnets, &new.subnets, Change::Subnet, &mut changes);
    for id in either(&old.address_sets, &new.address_sets) {
        diff_address_set(
            id,
            old.address_sets.get(id),
            new.address_sets.get(id),
            &mut changes,
        );
    }
    for id in either(&old.security_groups, &new.security_groups) {
        diff_security_group(
            id,
            old.security_groups.get(id),
            new.security_groups.get(id),
            &mut changes,
        );
    }
    diff_map(&old.ports, &new.ports, Change::Port, &mut changes);
    diff_map(&old.peers, &new.peers, Change::Peer, &mut changes);
    changes
}

/// The keys of both maps: those of `new` first, then those that only `old` has.
fn either<'a, K: Ord, V>(old: &'a BTreeMap<K, V>, new: &'a BTreeMap<K, V>) -> impl Iterator<Item = &'a K> {
    new.keys().chain(old.keys().filter(|key| !new.contains_key(*key)))
}

fn diff_map<K: Ord + Clone, V: PartialEq + Clone>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    change: impl Fn(K, Option<V>) -> Change,
    changes: &mut Vec<Change>,
) {
    for key in either(old, new) {
        if old.get(key) != new.get(key) {
            changes.push(change(key.clone(), new.get(key).cloned()));
        }
    }
}

pub(crate) fn diff_security_group(
    id: &SecurityGroupId,
    old: Option<&SecurityGroup>,
    new: Option<&SecurityGroup>,
    changes: &mut Vec<Change>,
) {
    match (old, new) {
        (Some(old), Some(new)) => {
            let rule = |rule_id, rule| Change::Rule(id.clone(), rule_id, rule);
            diff_map(&old.rules, &new.rules, rule, changes);
        }
        (old, new) if old == new => {}
        (_, new) => changes.push(Change::SecurityGroup(id.clone(), new.cloned())),
    }
}

pub(crate) fn diff_address_set(
    id: &AddressSetId,
    old: Option<&AddressSet>,
    new: Option<&AddressSet>,
    changes: &mut Vec<Change>,
) {
    match (old, new) {
        (Some(old), Some(new)) => {
            let member = |prefix: &_, present| Change::Member(id.clone(), *prefix, present);
            changes.extend(
                new.members
                    .difference(&old.members)
                    .map(|prefix| member(prefix, true)),
            );
            changes.extend(
                old.members
                    .difference(&new.members)
                    .map(|prefix| member(prefix, false)),
            );
        }
        (old, new) if old == new => {}
        (_, new) => changes.push(Change::AddressSet(id.clone(), new.cloned())),
    }
}
