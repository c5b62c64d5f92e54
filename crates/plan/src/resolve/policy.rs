//! Rules, and the groups that ports really have.
//!
//! A port with groups that do not fit together has those that do, in the order of their ids: rules only allow, so what is left
//! out closes.

use std::collections::{BTreeMap, BTreeSet};

use anet_model::host_plan::{self, AddressSet, HostPlan, Rule, RuleId, SecurityGroup, SecurityGroupId};
use anet_model::intent::Remote;

use crate::fabric::{Fabric, Key};
use crate::index::{Claimant, Policy};
use crate::problem::{Object, Problem};

impl Fabric {
    pub(super) fn resolve_rules(&mut self) {
        for id in std::mem::take(&mut self.pending.rules) {
            self.resolved_count += 1;
            let new = self.rule(&id).ok();
            let old = self.resolved.rules.get(&id).cloned();
            if new == old {
                continue;
            }
            for (group, _) in old.iter().chain(&new) {
                let policies = self.index.group_policies.of(group).cloned();
                self.pending.policies.extend(policies);
                let whole = Key::SecurityGroup(group.clone());
                for host in self.index.group_hosts.of(group) {
                    let part = || Key::Rule(group.clone(), id.clone());
                    self.dirty.mark_part(host, &whole, part);
                }
            }
            if let Some((group, rule)) = &new {
                self.index.resolved_rules.insert(group, id.clone());
                if let host_plan::Remote::Set(set) = &rule.remote {
                    self.name_set(group, &set.cast());
                }
            }
            if let Some((group, rule)) = &old {
                // A rule that stays in its group is in the index once.
                if new.as_ref().is_none_or(|(kept, _)| kept != group) {
                    self.index.resolved_rules.remove(group, &id);
                }
                if let host_plan::Remote::Set(set) = &rule.remote {
                    self.forget_set(group, &set.cast());
                }
            }
            match new {
                Some(new) => drop(self.resolved.rules.insert(id, new)),
                None => drop(self.resolved.rules.remove(&id)),
            }
        }
    }

    /// A rule of the intent with its group, if both are there and the rule means something.
    pub(crate) fn rule(&self, id: &RuleId) -> Result<(SecurityGroupId, Rule), Option<Problem>> {
        let rule = self.intent.rules.get(id).ok_or(None)?;
        let object = || Object::Rule(id.clone());
        let exists = |group: &SecurityGroupId| match self.intent.security_groups.contains_key(group) {
            true => Ok(()),
            false => {
                let group = Object::SecurityGroup(group.clone());
                Err(Some(Problem::missing(object(), group)))
            }
        };
        exists(&rule.security_group)?;
        let remote = match &rule.remote {
            Remote::Any => host_plan::Remote::Any,
            Remote::Prefix(prefix) => host_plan::Remote::Prefix(*prefix),
            Remote::Group(group) => {
                exists(group)?;
                host_plan::Remote::Set(group.cast())
            }
        };
        let planned = Rule {
            direction: rule.direction,
            family: rule.family,
            protocol: rule.protocol,
            remote,
        };
        let mut alone = HostPlan::default();
        if let host_plan::Remote::Set(set) = &planned.remote {
            alone.address_sets.insert(set.clone(), AddressSet::default());
        }
        let rules = BTreeMap::from([(id.clone(), planned.clone())]);
        alone
            .security_groups
            .insert(rule.security_group.clone(), SecurityGroup { rules });
        match alone.validate() {
            Ok(()) => Ok((rule.security_group.clone(), planned)),
            Err(error) => Err(Some(Problem::refused(object(), error))),
        }
    }

    pub(super) fn resolve_policies(&mut self) {
        for policy in std::mem::take(&mut self.pending.policies) {
            self.resolved_count += 1;
            if self.index.policy_ports.count(&policy) == 0 {
                self.resolved.policies.remove(&policy);
                continue;
            }
            let (new, _) = self.groups(&policy);
            if self.resolved.policies.get(&policy) != Some(&new) {
                let ports = self.index.policy_ports.of(&policy).cloned();
                self.pending.claimants.extend(ports.map(Claimant::Port));
                self.resolved.policies.insert(policy, new);
            }
        }
    }

    /// The groups that ports with these groups really have: those that exist and fit; and what is wrong with the others,
    /// for whatever names them.
    pub(crate) fn groups(&self, policy: &Policy) -> (Vec<SecurityGroupId>, Vec<GroupProblem>) {
        let (mut groups, mut problems) = (Vec::new(), Vec::new());
        let (mut rules, mut sets) = (0, BTreeSet::new());
        let limits = &self.limits;
        for group in policy {
            if !self.intent.security_groups.contains_key(group) {
                problems.push(GroupProblem::Missing(group.clone()));
                continue;
            }
            let rules_with = rules + self.index.resolved_rules.count(group);
            let sets_with = || {
                let more = self.index.group_sets.of(group).filter(|set| !sets.contains(*set));
                sets.len() + more.count()
            };
            let excess = [
                (
                    "security groups",
                    groups.len() + 1,
                    limits.security_groups_per_port,
                ),
                ("rules", rules_with, limits.rules_per_port),
                ("address sets", sets_with(), limits.address_sets_per_port),
            ];
            match excess.into_iter().find(|(_, found, limit)| found > limit) {
                Some((noun, found, limit)) => problems.push(GroupProblem::TooMany { noun, found, limit }),
                None => {
                    rules = rules_with;
                    sets.extend(self.index.group_sets.of(group));
                    groups.push(group.clone());
                }
            }
        }
        (groups, problems)
    }
}

/// Why a port has not one of its groups.
pub(crate) enum GroupProblem {
    Missing(SecurityGroupId),
    TooMany {
        noun: &'static str,
        found: usize,
        limit: usize,
    },
}

impl GroupProblem {
    pub(crate) fn of(self, object: Object) -> Problem {
        match self {
            GroupProblem::Missing(group) => Problem::missing(object, Object::SecurityGroup(group)),
            GroupProblem::TooMany { noun, found, limit } => Problem::TooMany {
                of: object,
                noun,
                found,
                limit,
            },
        }
    }
}
