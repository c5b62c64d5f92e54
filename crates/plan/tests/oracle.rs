//! The planner against its oracle: after every step of every history each host has the plan that a whole computation gives it, and
//! what was answered leads there.

use std::collections::BTreeMap;

use anet_model::changeset::{Change, Changeset};
use anet_model::digest::PlanDigest;
use anet_model::host_plan::HostPlan;
use anet_model::intent::{HostId, Intent, IntentChange};
use anet_model::state::PlanState;
use anet_model::testing::intent::{base_intent, change, changes_of, consistent_history, history};
use anet_plan::{Limits, Planner, Settings, recompute, recompute_within};
use proptest::prelude::*;

/// A planner, and what its hosts would have who only ever got its answers.
struct Fabric {
    planner: Planner,
    intent: Intent,
    limits: Limits,
    mirrors: BTreeMap<HostId, PlanState>,
}

impl Fabric {
    fn new(limits: Limits) -> Self {
        Self {
            planner: Planner::with_limits(Settings::default(), limits),
            intent: Intent::default(),
            limits,
            mirrors: BTreeMap::new(),
        }
    }

    /// Puts changes and checks everything; the answer of the planner.
    fn step(&mut self, changes: Vec<IntentChange>) -> BTreeMap<HostId, Vec<Change>> {
        for change in changes.clone() {
            self.intent.put(change);
        }
        let answer = self.planner.apply(changes);
        let expected = recompute_within(&self.intent, &Settings::default(), &self.limits);
        self.mirrors.retain(|host, _| expected.contains_key(host));
        for (host, changes) in &answer {
            assert!(
                expected.contains_key(host),
                "{host} is gone and was told something"
            );
            let mirror = self.mirrors.entry(host.clone()).or_default();
            follow(host, mirror, changes);
        }
        assert_eq!(self.planner.intent(), &self.intent);
        for (host, plan) in &expected {
            assert_eq!(plan.validate(), Ok(()), "{host}");
            let mirror = self.mirrors.entry(host.clone()).or_default();
            assert_same(host, self.planner.host_plan(host), plan, "planned");
            assert_same(host, Some(mirror.plan()), plan, "told");
            assert_eq!(self.planner.digest(host), Some(&PlanDigest::of(plan)), "{host}");
        }
        for host in self.mirrors.keys() {
            assert!(expected.contains_key(host));
        }
        answer
    }
}

fn assert_same(host: &HostId, found: Option<&HostPlan>, expected: &HostPlan, what: &str) {
    let found = found.expect("a plan of every host");
    let wrong = anet_model::diff::diff(found, expected);
    assert!(wrong.is_empty(), "{host} as {what} lacks {wrong:?}");
}

/// Applies an answer as an agent would; nothing in it may be of no effect.
fn follow(host: &HostId, mirror: &mut PlanState, changes: &[Change]) {
    assert!(!changes.is_empty(), "{host} was told nothing");
    let changeset = Changeset {
        from: mirror.revision(),
        to: mirror.revision() + 1,
        changes: changes.to_vec(),
        ..Changeset::default()
    };
    match mirror.apply(&changeset) {
        Ok(applied) => assert_eq!(applied.changes.len(), changes.len(), "{host}: {changes:?}"),
        Err(error) => panic!("{host}: {error}"),
    }
}

fn tight() -> Limits {
    Limits {
        networks: 2,
        subnets_per_network: 2,
        endpoints_per_network: 1,
        ports: 3,
        addresses_per_station: 1,
        address_pairs_per_port: 1,
        security_groups_per_port: 1,
        rules_per_port: 3,
        address_sets_per_port: 2,
        endpoints: 2,
        peers: 3,
        security_groups: 2,
        rules: 4,
        address_sets: 2,
        members_per_address_set: 2,
        members: 3,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_history_leads_to_what_the_oracle_says(batches in history(40)) {
        let mut fabric = Fabric::new(Limits::default());
        fabric.step(changes_of(&base_intent()));
        for batch in batches {
            fabric.step(batch);
        }
    }

    #[test]
    fn plans_that_do_not_fit_do_not_lead_elsewhere(batches in history(30)) {
        let mut fabric = Fabric::new(tight());
        fabric.step(changes_of(&base_intent()));
        for batch in batches {
            fabric.step(batch);
        }
    }

    #[test]
    fn from_nothing_in_any_order(changes in prop::collection::vec(change(), 0..60).prop_shuffle()) {
        let mut fabric = Fabric::new(Limits::default());
        for change in changes {
            fabric.step(vec![change]);
        }
    }

    #[test]
    fn one_batch_leads_where_single_steps_lead(batches in history(30)) {
        let mut together = Planner::new(Settings::default());
        together.apply(changes_of(&base_intent()));
        together.apply(batches.concat());
        for (host, plan) in recompute(together.intent(), &Settings::default()) {
            assert_same(&host, together.host_plan(&host), &plan, "planned");
        }
    }

    #[test]
    fn of_a_consistent_intent_nothing_is_left_out(changes in consistent_history(60)) {
        let mut fabric = Fabric::new(Limits::default());
        fabric.step(changes_of(&base_intent()));
        for change in changes {
            fabric.step(vec![change]);
            for host in fabric.intent.hosts.keys() {
                prop_assert_eq!(fabric.planner.problems(host), vec![]);
            }
            for (id, port) in &fabric.intent.ports {
                let Some(host) = &port.host else { continue };
                let plan = fabric.planner.host_plan(host).expect("a plan of every host");
                prop_assert_eq!(plan.ports[id].addresses.len(), port.fixed_ips.len());
                prop_assert_eq!(plan.ports[id].security_groups.len(), port.security_groups.len());
            }
        }
    }

    #[test]
    fn the_same_again_is_told_to_nobody(batches in history(20)) {
        let mut fabric = Fabric::new(Limits::default());
        fabric.step(changes_of(&base_intent()));
        for batch in batches {
            fabric.step(batch);
            let same = changes_of(&fabric.intent);
            prop_assert_eq!(fabric.step(same), BTreeMap::new());
        }
    }
}
