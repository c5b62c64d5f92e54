//! Which changeset is the next one.

use anet_model::changeset::{Change, Changeset};
use anet_model::host_plan::{AddressSet, HostPlan};
use anet_model::state::{ApplyError, PlanState};
use anet_model::testing::base_plan;

fn state() -> PlanState {
    PlanState::new(base_plan(), 5, 10).expect("the base plan is valid")
}

fn set(name: &str) -> Change {
    Change::AddressSet(name.parse().expect("a legal id"), Some(AddressSet::default()))
}

fn changeset(incarnation: u64, from: u64, to: u64) -> Changeset {
    Changeset {
        incarnation,
        from,
        to,
        changes: vec![set("new")],
        ..Changeset::default()
    }
}

fn check_refused(changeset: &Changeset, expected: &ApplyError) {
    let mut state = state();
    assert_eq!(state.apply(changeset).as_ref(), Err(expected));
    assert_eq!(state, self::state(), "a refused changeset must change nothing");
}

#[test]
fn a_changeset_applies_iff_from_is_at_most_applied_and_applied_is_below_to() {
    for (from, to) in [(10, 11), (0, 11), (10, 99), (9, 12)] {
        let mut state = state();
        state.apply(&changeset(5, from, to)).unwrap();
        assert_eq!((state.incarnation(), state.revision()), (5, to));
        assert!(state.plan().address_sets.contains_key(&"new".parse().unwrap()));
    }
    check_refused(
        &changeset(5, 11, 12),
        &ApplyError::Gap {
            applied: 10,
            from: 11,
        },
    );
    check_refused(
        &changeset(5, 9, 10),
        &ApplyError::AlreadyApplied { applied: 10, to: 10 },
    );
    check_refused(&changeset(5, 10, 10), &ApplyError::Backward { from: 10, to: 10 });
    check_refused(&changeset(5, 12, 11), &ApplyError::Backward { from: 12, to: 11 });
}

#[test]
fn incarnations_are_ordered() {
    check_refused(
        &changeset(4, 10, 11),
        &ApplyError::OlderIncarnation { found: 4, ours: 5 },
    );
    check_refused(
        &changeset(6, 10, 11),
        &ApplyError::SnapshotNeeded { found: 6, ours: 5 },
    );
    let old = Changeset {
        snapshot: true,
        ..changeset(4, 0, 99)
    };
    check_refused(&old, &ApplyError::OlderIncarnation { found: 4, ours: 5 });

    let mut state = state();
    state
        .apply(&Changeset {
            snapshot: true,
            ..changeset(6, 0, 1)
        })
        .unwrap();
    assert_eq!((state.incarnation(), state.revision()), (6, 1));
    assert_eq!(
        state.plan().entries().count(),
        1,
        "a higher incarnation replaces everything"
    );
}

#[test]
fn a_snapshot_counts_only_if_it_is_not_older() {
    let older = Changeset {
        snapshot: true,
        ..changeset(5, 0, 9)
    };
    check_refused(&older, &ApplyError::OlderSnapshot { applied: 10, to: 9 });
    let mut state = state();
    state
        .apply(&Changeset {
            snapshot: true,
            ..changeset(5, 0, 10)
        })
        .unwrap();
    assert_eq!(state.revision(), 10);
}

#[test]
fn an_entry_named_twice_is_refused() {
    let twice = Changeset {
        changes: vec![set("new"), set("new")],
        ..changeset(5, 10, 11)
    };
    check_refused(&twice, &ApplyError::Repeated("address set new".to_owned()));
    let rule = base_plan().security_groups[&"base".parse().unwrap()].rules[&"out4".parse().unwrap()].clone();
    let group = base_plan().security_groups[&"base".parse().unwrap()].clone();
    let both = vec![
        Change::SecurityGroup("base".parse().unwrap(), Some(group)),
        Change::Rule("base".parse().unwrap(), "out4".parse().unwrap(), Some(rule)),
    ];
    let both = Changeset {
        changes: both,
        ..changeset(5, 10, 11)
    };
    check_refused(&both, &ApplyError::Repeated("rule base/out4".to_owned()));
}

#[test]
fn a_member_named_beside_its_whole_set_is_changed_once() {
    let (id, member) = ("set".parse().unwrap(), "10.0.0.0/8".parse().unwrap());
    let full = AddressSet {
        members: [member].into(),
    };
    let mut plan = base_plan();
    plan.address_sets.insert("set".parse().unwrap(), full.clone());
    let mut state = PlanState::new(plan, 5, 10).unwrap();
    let changes = vec![
        Change::AddressSet("set".parse().unwrap(), Some(AddressSet::default())),
        Change::Member(id, member, true),
    ];
    let applied = state
        .apply(&Changeset {
            changes,
            ..changeset(5, 10, 11)
        })
        .unwrap();
    assert_eq!(applied.changes, [], "the set is as it was");
    assert_eq!(state.plan().address_sets[&"set".parse().unwrap()], full);
}

#[test]
fn a_member_needs_its_set_and_a_delete_of_nothing_is_fine() {
    let member = |present| Change::Member("none".parse().unwrap(), "10.0.0.0/8".parse().unwrap(), present);
    let add = Changeset {
        changes: vec![member(true)],
        ..changeset(5, 10, 11)
    };
    check_refused(&add, &ApplyError::NoAddressSet("none".parse().unwrap()));
    let mut state = state();
    let remove = vec![member(false), Change::Port("none".parse().unwrap(), None)];
    let applied = state
        .apply(&Changeset {
            changes: remove,
            ..changeset(5, 10, 11)
        })
        .unwrap();
    assert!(applied.changes.is_empty() && applied.undo.is_empty());
    assert_eq!(state.revision(), 11);
}

#[test]
fn the_first_changeset_of_an_empty_state() {
    let mut state = PlanState::default();
    assert_eq!(state.plan(), &HostPlan::default());
    state.apply(&changeset(0, 0, 1)).unwrap();
    assert_eq!(state.revision(), 1);
}
