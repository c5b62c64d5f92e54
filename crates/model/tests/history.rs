//! Changes of a plan, as properties: the incremental way says and does exactly what the whole way does.

use anet_model::changeset::{Change, Changeset};
use anet_model::diff::diff;
use anet_model::digest::{Digest, PlanDigest};
use anet_model::host_plan::HostPlan;
use anet_model::state::{ApplyError, PlanState};
use anet_model::testing::{change, history, host_plan};
use proptest::prelude::*;

fn next(state: &PlanState, changes: Vec<Change>) -> Changeset {
    let incarnation = state.incarnation();
    Changeset {
        incarnation,
        from: state.revision(),
        to: state.revision() + 1,
        changes,
        ..Changeset::default()
    }
}

/// The obvious way to put changes into a plan: groups and sets first, no index, no validation.
fn put_obviously(plan: &mut HostPlan, changes: &[Change]) {
    let inner = |change: &Change| matches!(change, Change::Rule(..) | Change::Member(..));
    let (last, first): (Vec<_>, Vec<_>) = changes.iter().cloned().partition(inner);
    for change in first.into_iter().chain(last) {
        match change {
            Change::Tunnel(new) => plan.tunnel = new,
            Change::Network(id, Some(new)) => drop(plan.networks.insert(id, new)),
            Change::Network(id, None) => drop(plan.networks.remove(&id)),
            Change::Subnet(id, Some(new)) => drop(plan.subnets.insert(id, new)),
            Change::Subnet(id, None) => drop(plan.subnets.remove(&id)),
            Change::Port(id, Some(new)) => drop(plan.ports.insert(id, new)),
            Change::Port(id, None) => drop(plan.ports.remove(&id)),
            Change::Endpoint(id, Some(new)) => drop(plan.endpoints.insert(id, new)),
            Change::Endpoint(id, None) => drop(plan.endpoints.remove(&id)),
            Change::Peer(id, Some(new)) => drop(plan.peers.insert(id, new)),
            Change::Peer(id, None) => drop(plan.peers.remove(&id)),
            Change::SecurityGroup(id, Some(new)) => drop(plan.security_groups.insert(id, new)),
            Change::SecurityGroup(id, None) => drop(plan.security_groups.remove(&id)),
            Change::AddressSet(id, Some(new)) => drop(plan.address_sets.insert(id, new)),
            Change::AddressSet(id, None) => drop(plan.address_sets.remove(&id)),
            Change::Rule(group, id, new) => {
                let rules = plan.security_groups.get_mut(&group).map(|group| &mut group.rules);
                rules.map(|rules| match new {
                    Some(rule) => rules.insert(id, rule),
                    None => rules.remove(&id),
                });
            }
            Change::Member(set, member, present) => {
                let members = plan.address_sets.get_mut(&set).map(|set| &mut set.members);
                members.map(|members| {
                    if present {
                        members.insert(member)
                    } else {
                        members.remove(&member)
                    }
                });
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn incremental_apply_is_the_whole_one(plan in host_plan(), batches in prop::collection::vec(prop::collection::vec(change(), 1..6), 1..6)) {
        let mut state = PlanState::new(plan, 7, 0).unwrap();
        for changes in batches {
            let before = state.clone();
            let mut expected = state.plan().clone();
            put_obviously(&mut expected, &changes);
            match state.apply(&next(&state, changes)) {
                Ok(applied) => {
                    prop_assert_eq!(expected.validate(), Ok(()));
                    prop_assert_eq!(&state, &PlanState::new(expected.clone(), 7, state.revision()).unwrap());
                    let mut returned = state.clone();
                    returned.take_back(&applied).unwrap();
                    prop_assert_eq!(&returned, &before);
                    let mut back = expected;
                    back.apply(&applied.undo).unwrap();
                    prop_assert_eq!(&back, before.plan());
                    back.apply(&applied.changes).unwrap();
                    prop_assert_eq!(&back, state.plan());
                }
                Err(error) => {
                    prop_assert_eq!(&state, &before);
                    match error {
                        ApplyError::Invalid(error) => prop_assert_eq!(Err(error), expected.validate()),
                        ApplyError::Repeated(_) | ApplyError::NoSecurityGroup(_) | ApplyError::NoAddressSet(_) => {}
                        other => prop_assert!(false, "unexpected: {other}"),
                    }
                }
            }
        }
    }

    #[test]
    fn a_diff_leads_from_one_plan_to_the_other(old in host_plan(), new in host_plan()) {
        let changes = diff(&old, &new);
        let mut state = PlanState::new(old.clone(), 0, 0).unwrap();
        let expected = PlanDigest::of(&new).total();
        let changeset = Changeset { digest_after: Some(expected.to_bytes()), ..next(&state, changes.clone()) };
        let applied = state.apply(&changeset).unwrap();
        prop_assert_eq!(state.plan(), &new);
        prop_assert_eq!(applied.changes.len(), changes.len(), "a change of a diff changed nothing");
        prop_assert!(diff(&new, &new).is_empty());
        let mut direct = old;
        direct.apply(&changes).unwrap();
        prop_assert_eq!(direct, new);
    }

    #[test]
    fn a_snapshot_replaces_everything(old in host_plan(), new in host_plan()) {
        let mut state = PlanState::new(old.clone(), 1, 9).unwrap();
        let changes = diff(&HostPlan::default(), &new);
        let snapshot = Changeset { incarnation: 1, from: 0, to: 9, snapshot: true, changes, digest_after: None };
        let applied = state.apply(&snapshot).unwrap();
        prop_assert_eq!(state.plan(), &new);
        prop_assert_eq!(applied.changes.len(), diff(&old, &new).len());
        prop_assert_eq!(&state, &PlanState::new(new, 1, 9).unwrap());
    }

    #[test]
    fn the_digest_follows_every_change((plan, changesets) in history(12)) {
        let mut state = PlanState::new(plan, 0, 0).unwrap();
        for changeset in changesets {
            let before = state.digest().total();
            let applied = state.apply(&changeset).unwrap();
            prop_assert_eq!(state.digest(), &PlanDigest::of(state.plan()));
            prop_assert_eq!(before == state.digest().total(), applied.changes.is_empty());
        }
    }

    #[test]
    fn a_wrong_digest_refuses_the_whole_changeset(plan in host_plan(), changes in prop::collection::vec(change(), 1..4)) {
        let mut state = PlanState::new(plan, 0, 0).unwrap();
        let before = state.clone();
        let changeset = Changeset { digest_after: Some([0x5a; 16]), ..next(&state, changes) };
        prop_assert!(state.apply(&changeset).is_err());
        prop_assert_eq!(state, before);
    }
}

#[test]
fn entries_that_swap_places_digest_differently() {
    let one: Change = Change::Member("a".parse().unwrap(), "10.0.0.0/8".parse().unwrap(), true);
    let other: Change = Change::Member("b".parse().unwrap(), "10.0.0.0/8".parse().unwrap(), true);
    let digest = |change: &Change| {
        let mut sum = Digest::default();
        change.visit_entries(|entry| sum.add(entry));
        sum
    };
    assert_ne!(digest(&one), digest(&other));
    assert_eq!(
        digest(&one).plus(digest(&other)),
        digest(&other).plus(digest(&one))
    );
    assert_eq!(
        digest(&one).plus(digest(&other)).minus(digest(&other)),
        digest(&one)
    );
    assert_eq!(Digest::from_bytes(digest(&one).to_bytes()), digest(&one));
}
