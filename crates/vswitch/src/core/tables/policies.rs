//! Policies: the rules of a combination of groups, compiled once for all ports that have it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anet_datapath::firewall::Policy;
use anet_datapath::tables::PortFirewall;
use anet_model::host_plan::{AddressSetId, Direction, HostPlan, Remote, Rule, RuleId, SecurityGroupId};

use super::dirty::Dirty;
use super::indexes::Indexes;
use super::{BuildError, Groups};

/// All policies in use.
#[derive(Default)]
pub(super) struct Policies {
    by_groups: BTreeMap<Groups, CompiledPolicy>,
}

/// One policy. A rule keeps its ordinal, and so its witness slots, for as long as it stays as it is.
#[derive(Clone)]
pub(super) struct CompiledPolicy {
    pub(super) firewall: Arc<PortFirewall>,
    rules: BTreeMap<RuleId, (u32, Rule)>,
}

/// Policies compiled for a change that is not installed yet.
#[derive(Default)]
pub(super) struct Compiled {
    by_groups: BTreeMap<Groups, CompiledPolicy>,
}

/// What became of a policy: ordinals of rules that were withdrawn, and whether any was added, by direction.
#[derive(Default, Clone)]
pub(super) struct PolicyChange {
    pub(super) withdrawn: Vec<u32>,
    pub(super) added_out: bool,
    pub(super) added_in: bool,
}

/// What became of each policy that was installed.
pub(super) type PolicyChanges = BTreeMap<Groups, PolicyChange>;

/// The key of a policy.
pub(super) fn key_of(groups: &[SecurityGroupId]) -> Groups {
    let mut key: Groups = groups.to_vec();
    key.sort();
    key.dedup();
    key
}

impl Compiled {
    pub(super) fn contains(&self, groups: &[SecurityGroupId]) -> bool {
        self.by_groups.contains_key(&key_of(groups))
    }
}

impl CompiledPolicy {
    /// Ordinals there are.
    pub(super) fn ordinals(&self) -> u32 {
        self.firewall.rules.len() as u32
    }

    /// Ordinals and directions of the rules that name a set.
    pub(super) fn rules_with_set(&self, set: &AddressSetId) -> Vec<(u32, Direction)> {
        let names = |rule: &Rule| matches!(&rule.remote, Remote::Set(id) if id == set);
        self.rules
            .values()
            .filter(|(_, rule)| names(rule))
            .map(|(o, rule)| (*o, rule.direction))
            .collect()
    }

    fn compile(
        groups: &Groups,
        plan: &HostPlan,
        sets: &Indexes<AddressSetId>,
        before: Option<&CompiledPolicy>,
    ) -> Result<Self, BuildError> {
        let wanted = groups
            .iter()
            .filter_map(|id| plan.security_groups.get(id))
            .flat_map(|group| &group.rules);
        let wanted: BTreeMap<&RuleId, &Rule> = wanted.collect();
        let rules = assign_ordinals(&wanted, before);
        let count = rules.values().map(|(ordinal, _)| ordinal + 1).max().unwrap_or(0);
        let mut names = vec![None; count as usize];
        for (id, (ordinal, _)) in &rules {
            names[*ordinal as usize] = Some(id.clone());
        }
        let ordered = rules.values().map(|(ordinal, rule)| (*ordinal, rule));
        let policy = Policy::compile(ordered, |set| sets.get(set)).map_err(|cause| {
            let groups = groups
                .iter()
                .map(SecurityGroupId::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            BuildError::Policy { groups, cause }
        })?;
        Ok(Self {
            firewall: Arc::new(PortFirewall { policy, rules: names }),
            rules,
        })
    }
}

/// Rules that stay as they are keep their ordinals; the others get the lowest free ones.
fn assign_ordinals(
    wanted: &BTreeMap<&RuleId, &Rule>,
    before: Option<&CompiledPolicy>,
) -> BTreeMap<RuleId, (u32, Rule)> {
    let known = |id: &RuleId, rule: &Rule| {
        before
            .and_then(|b| b.rules.get(id))
            .filter(|(_, old)| old == rule)
            .map(|(ordinal, _)| *ordinal)
    };
    let kept: BTreeSet<u32> = wanted.iter().filter_map(|(id, rule)| known(id, rule)).collect();
    let mut free = (0..).filter(|ordinal| !kept.contains(ordinal));
    let ordinal = |id: &RuleId, rule: &Rule| known(id, rule).or_else(|| free.next()).unwrap_or(u32::MAX);
    let mut ordinal = ordinal;
    wanted
        .iter()
        .map(|(id, rule)| ((*id).clone(), (ordinal(id, rule), (*rule).clone())))
        .collect()
}

impl Policies {
    pub(super) fn get(&self, groups: &[SecurityGroupId]) -> Option<&CompiledPolicy> {
        self.by_groups.get(&key_of(groups))
    }

    /// Compiles what the change needs: policies with a changed group, and those that no port had before.
    pub(super) fn compile(
        &self,
        plan: &HostPlan,
        dirty: &Dirty,
        sets: &Indexes<AddressSetId>,
    ) -> Result<Compiled, BuildError> {
        let of_ports = dirty
            .ports
            .iter()
            .filter_map(|id| plan.ports.get(id))
            .filter(|port| port.port_security);
        let missing = of_ports
            .map(|port| key_of(&port.security_groups))
            .filter(|key| !self.by_groups.contains_key(key));
        // Deleting a group changes the groups of its ports as well, so its policy is no longer used.
        let changed = |key: &&Groups| key.iter().any(|group| dirty.groups.contains(group));
        let changed = self.by_groups.keys().filter(changed).cloned();
        // An index of a set that is gone may be given out again: what named it is compiled anew.
        let with_new_sets = self.by_groups.iter().filter(|(_, policy)| {
            dirty
                .sets
                .iter()
                .any(|set| !policy.rules_with_set(set).is_empty())
        });
        let resolved_anew = with_new_sets
            .filter(|_| {
                dirty
                    .sets
                    .iter()
                    .any(|set| !plan.address_sets.contains_key(set) || sets.get(set).is_none())
            })
            .map(|(key, _)| key.clone());
        let keys: BTreeSet<Groups> = missing.chain(changed).chain(resolved_anew).collect();
        let mut compiled = Compiled::default();
        for key in keys {
            let policy = CompiledPolicy::compile(&key, plan, sets, self.by_groups.get(&key))?;
            compiled.by_groups.insert(key, policy);
        }
        Ok(compiled)
    }

    /// Puts compiled policies in place and says what changed.
    pub(super) fn install(&mut self, compiled: Compiled) -> PolicyChanges {
        let mut changes = PolicyChanges::new();
        for (key, policy) in compiled.by_groups {
            let change = match self.by_groups.get(&key) {
                Some(before) => PolicyChange::between(before, &policy),
                None => PolicyChange::default(),
            };
            changes.insert(key.clone(), change);
            self.by_groups.insert(key, policy);
        }
        changes
    }

    /// Policies that no port has any more go.
    pub(super) fn collect_unused(&mut self, plan: &HostPlan) {
        if self.by_groups.len() > 16 && self.by_groups.len() < 2 * plan.ports.len() {
            return;
        }
        let used: BTreeSet<Groups> = plan
            .ports
            .values()
            .filter(|p| p.port_security)
            .map(|p| key_of(&p.security_groups))
            .collect();
        self.by_groups.retain(|key, _| used.contains(key));
    }
}

impl PolicyChange {
    fn between(before: &CompiledPolicy, after: &CompiledPolicy) -> Self {
        let stays = |id: &RuleId, entry: &(u32, Rule)| after.rules.get(id) == Some(entry);
        let withdrawn = before
            .rules
            .iter()
            .filter(|(id, entry)| !stays(id, entry))
            .map(|(_, (o, _))| *o)
            .collect();
        let is_new = |(id, entry): &(&RuleId, &(u32, Rule))| before.rules.get(*id) != Some(*entry);
        let added = |direction| {
            after
                .rules
                .iter()
                .filter(is_new)
                .any(|(_, (_, rule))| rule.direction == direction)
        };
        Self {
            withdrawn,
            added_out: added(Direction::Egress),
            added_in: added(Direction::Ingress),
        }
    }
}
