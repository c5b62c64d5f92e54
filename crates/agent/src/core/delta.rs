//! Many changes of a plan as one: each entry once, with the value that it has in the end.

use std::collections::BTreeSet;

use anet_model::changeset::Change;
use anet_model::host_plan::HostPlan;

/// The change that puts what `plan` has for every entry that `changes` name, in an order in which they can be put. Cost:
/// proportional to the changes, and to the groups and sets that are named as a whole.
pub fn settled(plan: &HostPlan, changes: &[Change]) -> Vec<Change> {
    let (mut seen, mut wholes, mut parts) = (BTreeSet::new(), Vec::new(), Vec::new());
    let mut whole_groups = BTreeSet::new();
    let mut whole_sets = BTreeSet::new();
    for change in changes {
        match change {
            Change::SecurityGroup(id, _) => drop(whole_groups.insert(id)),
            Change::AddressSet(id, _) => drop(whole_sets.insert(id)),
            _ => {}
        }
    }
    for change in changes.iter().filter(|change| seen.insert(change.key())) {
        match change {
            Change::Rule(group, _, _) if whole_groups.contains(group) => {}
            Change::Member(set, _, _) if whole_sets.contains(set) => {}
            Change::Rule(..) | Change::Member(..) => parts.push(now(plan, change)),
            _ => wholes.push(now(plan, change)),
        }
    }
    wholes.append(&mut parts);
    wholes
}

/// What the plan has for the entry that a change names.
fn now(plan: &HostPlan, change: &Change) -> Change {
    match change {
        Change::Tunnel(_) => Change::Tunnel(plan.tunnel.clone()),
        Change::Network(id, _) => Change::Network(id.clone(), plan.networks.get(id).cloned()),
        Change::Subnet(id, _) => Change::Subnet(id.clone(), plan.subnets.get(id).cloned()),
        Change::Port(id, _) => Change::Port(id.clone(), plan.ports.get(id).cloned()),
        Change::Endpoint(id, _) => Change::Endpoint(id.clone(), plan.endpoints.get(id).cloned()),
        Change::Peer(id, _) => Change::Peer(id.clone(), plan.peers.get(id).cloned()),
        Change::SecurityGroup(id, _) => {
            Change::SecurityGroup(id.clone(), plan.security_groups.get(id).cloned())
        }
        Change::Rule(group, id, _) => {
            let rule = plan
                .security_groups
                .get(group)
                .and_then(|group| group.rules.get(id));
            Change::Rule(group.clone(), id.clone(), rule.cloned())
        }
        Change::AddressSet(id, _) => Change::AddressSet(id.clone(), plan.address_sets.get(id).cloned()),
        Change::Member(id, member, _) => {
            let present = plan
                .address_sets
                .get(id)
                .is_some_and(|set| set.members.contains(member));
            Change::Member(id.clone(), *member, present)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_model::changeset::Changeset;
    use anet_model::state::PlanState;
    use anet_model::testing::history;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn one_change_leads_where_many_led((plan, changesets) in history(8)) {
            let mut state = PlanState::new(plan.clone(), 0, 0).unwrap();
            let mut all = Vec::new();
            for changeset in &changesets {
                all.extend(state.apply(changeset).unwrap().changes);
            }
            let changes = settled(state.plan(), &all);
            let mut other = PlanState::new(plan, 0, 0).unwrap();
            let one = Changeset { to: 1, changes, digest_after: Some(state.digest().total().to_bytes()), ..Changeset::default() };
            other.apply(&one).unwrap();
            prop_assert_eq!(other.plan(), state.plan());
        }
    }
}
