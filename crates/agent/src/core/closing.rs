//! The part of a change that only takes away what may pass: it is carried out even where it cannot be written down.

use anet_model::changeset::Change;
use anet_model::host_plan::{Attachment, HostPlan, Network, NetworkId, Port, PortId};

/// Of changes that lead away from `plan`, those that close, in an order in which they can be put. None of them lets
/// anything pass that did not pass before.
pub fn closing(plan: &HostPlan, changes: &[Change]) -> Vec<Change> {
    let closed = changes.iter().flat_map(|change| closed_by(plan, change, changes));
    // Stations go first: what they were behind may go only then.
    let (mut stations, rest): (Vec<_>, Vec<_>) =
        closed.partition(|change| matches!(change, Change::Port(..) | Change::Peer(..)));
    stations.extend(rest);
    stations
}

fn closed_by(plan: &HostPlan, change: &Change, all: &[Change]) -> Vec<Change> {
    match change {
        Change::Port(id, new) => {
            let old = plan.ports.get(id);
            let narrow = |old: &Port| match new {
                None => Some(Change::Port(id.clone(), None)),
                Some(new) => {
                    let narrowed = narrowed(old, new);
                    (narrowed != *old).then(|| Change::Port(id.clone(), Some(narrowed)))
                }
            };
            old.and_then(narrow).into_iter().collect()
        }
        Change::Peer(id, None) if plan.peers.contains_key(id) => vec![change.clone()],
        Change::Network(id, Some(new)) => {
            let left = |old: &Network| Network {
                endpoints: kept(&old.endpoints, &new.endpoints),
                ..old.clone()
            };
            let old = plan.networks.get(id).map(|old| (old, left(old)));
            let shrinks = old.filter(|(old, left)| left != *old && endpoints_are_free(plan, id, left, all));
            shrinks
                .map(|(_, left)| Change::Network(id.clone(), Some(left)))
                .into_iter()
                .collect()
        }
        Change::SecurityGroup(id, new) => {
            let rules = plan
                .security_groups
                .get(id)
                .into_iter()
                .flat_map(|group| &group.rules);
            let stays = |rule_id, rule| {
                new.as_ref()
                    .is_some_and(|new| new.rules.get(rule_id) == Some(rule))
            };
            let gone = rules.filter(|(rule_id, rule)| !stays(rule_id, rule));
            gone.map(|(rule_id, _)| Change::Rule(id.clone(), rule_id.clone(), None))
                .collect()
        }
        Change::Rule(group, id, new) => {
            let old = plan
                .security_groups
                .get(group)
                .and_then(|group| group.rules.get(id));
            let changes = old.is_some() && old != new.as_ref();
            changes
                .then(|| Change::Rule(group.clone(), id.clone(), None))
                .into_iter()
                .collect()
        }
        Change::AddressSet(id, new) => {
            let members = plan.address_sets.get(id).into_iter().flat_map(|set| &set.members);
            let stays = |member| new.as_ref().is_some_and(|new| new.members.contains(member));
            let gone = members.filter(|member| !stays(member));
            gone.map(|member| Change::Member(id.clone(), *member, false))
                .collect()
        }
        Change::Member(_, _, false) => vec![change.clone()],
        _ => Vec::new(),
    }
}

/// A peer must be behind an endpoint of its network, unless it goes as well.
fn endpoints_are_free(plan: &HostPlan, id: &NetworkId, left: &Network, all: &[Change]) -> bool {
    let goes = |peer: &PortId| {
        all.iter()
            .any(|change| matches!(change, Change::Peer(id, None) if id == peer))
    };
    let mut peers = plan.peers.iter().filter(|(_, peer)| peer.network == *id);
    peers.all(|(peer, value)| left.endpoints.contains(&value.endpoint) || goes(peer))
}

/// The old port with what the new one may no longer do taken away.
fn narrowed(old: &Port, new: &Port) -> Port {
    // Another network or MAC is another guest: until it can be written down, none.
    let same_guest = old.network == new.network && old.mac == new.mac;
    Port {
        allowed_address_pairs: kept(&old.allowed_address_pairs, &new.allowed_address_pairs),
        security_groups: kept(&old.security_groups, &new.security_groups),
        port_security: old.port_security || new.port_security,
        admin_up: old.admin_up && new.admin_up && same_guest,
        attachment: match old.attachment == new.attachment {
            true => old.attachment.clone(),
            false => Attachment::Detached,
        },
        ..old.clone()
    }
}

fn kept<T: PartialEq + Clone>(old: &[T], new: &[T]) -> Vec<T> {
    old.iter().filter(|item| new.contains(item)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_model::changeset::Changeset;
    use anet_model::diff::diff;
    use anet_model::state::PlanState;
    use anet_model::testing::host_plan;
    use proptest::prelude::*;

    /// What may pass, as far as entries say it.
    fn is_within(closed: &HostPlan, before: &HostPlan) -> bool {
        let ports = closed.ports.iter().all(|(id, port)| {
            before.ports.get(id).is_some_and(|old| {
                (old.admin_up || !port.admin_up)
                    && (port.port_security || !old.port_security)
                    && port
                        .security_groups
                        .iter()
                        .all(|g| old.security_groups.contains(g))
                    && port
                        .allowed_address_pairs
                        .iter()
                        .all(|p| old.allowed_address_pairs.contains(p))
            })
        });
        let rules = closed.security_groups.iter().all(|(id, group)| {
            let old = before.security_groups.get(id);
            old.is_some_and(|old| {
                group
                    .rules
                    .iter()
                    .all(|(id, rule)| old.rules.get(id) == Some(rule))
            })
        });
        let members = closed.address_sets.iter().all(|(id, set)| {
            before
                .address_sets
                .get(id)
                .is_some_and(|old| set.members.is_subset(&old.members))
        });
        ports && rules && members && closed.peers.keys().all(|id| before.peers.contains_key(id))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_closes_opens_nothing_and_withdraws_everything(before in host_plan(), after in host_plan()) {
            let changes = closing(&before, &diff(&before, &after));
            let mut state = PlanState::new(before.clone(), 0, 0).unwrap();
            // Put one by one, as it is done where they do not fit together.
            for (from, change) in changes.into_iter().enumerate() {
                let from = from as u64;
                let one = Changeset { from, to: from + 1, changes: vec![change], ..Changeset::default() };
                let was = state.plan().clone();
                if state.apply(&one).is_err() {
                    state = PlanState::new(was, 0, from + 1).unwrap();
                }
            }
            prop_assert!(is_within(state.plan(), &before));
            for (id, group) in &before.security_groups {
                for (rule_id, rule) in &group.rules {
                    let stays = after.security_groups.get(id).is_some_and(|group| group.rules.get(rule_id) == Some(rule));
                    let there = state.plan().security_groups.get(id).is_some_and(|group| group.rules.contains_key(rule_id));
                    prop_assert_eq!(there, stays, "rule {} of {}", rule_id, id);
                }
            }
            for id in before.ports.keys().filter(|id| !after.ports.contains_key(*id)) {
                prop_assert!(!state.plan().ports.contains_key(id));
            }
        }
    }
}
