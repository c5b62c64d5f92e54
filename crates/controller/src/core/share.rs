//! One text for each id: what refers to an object holds the object's own copy of its id.
//!
//! A record that is read brings a text for each id in it. With many ports in few networks and groups these are most of the texts that
//! there are, and they would stay as long as the ports do.

use std::collections::{BTreeMap, HashSet};

use anet_model::id::Id;
use anet_model::intent::{Intent, IntentChange, Remote};

/// The ids of an intent, and those that come with the same changes.
struct Texts<'a> {
    intent: &'a Intent,
    fresh: HashSet<Id<()>>,
}

/// Makes changes that are about to be put share the texts of their ids, with each other and with what there is.
pub fn share(intent: &Intent, changes: &mut [IntentChange]) {
    let mut texts = Texts {
        intent,
        fresh: HashSet::new(),
    };
    changes.iter_mut().for_each(|change| texts.of_change(change));
}

impl Texts<'_> {
    fn of_change(&mut self, change: &mut IntentChange) {
        let intent = self.intent;
        match change {
            IntentChange::Project(id, _) => self.one(id, &intent.projects),
            IntentChange::Network(id, network) => {
                self.one(id, &intent.networks);
                if let Some(network) = network {
                    self.one(&mut network.project, &intent.projects);
                }
            }
            IntentChange::Subnet(id, subnet) => {
                self.one(id, &intent.subnets);
                if let Some(subnet) = subnet {
                    self.one(&mut subnet.project, &intent.projects);
                    self.one(&mut subnet.network, &intent.networks);
                }
            }
            IntentChange::Port(id, port) => {
                self.one(id, &intent.ports);
                if let Some(port) = port {
                    self.of_port(port);
                }
            }
            IntentChange::SecurityGroup(id, group) => {
                self.one(id, &intent.security_groups);
                if let Some(group) = group {
                    self.one(&mut group.project, &intent.projects);
                }
            }
            IntentChange::Rule(id, rule) => {
                self.one(id, &intent.rules);
                if let Some(rule) = rule {
                    self.one(&mut rule.project, &intent.projects);
                    self.one(&mut rule.security_group, &intent.security_groups);
                    if let Remote::Group(group) = &mut rule.remote {
                        self.one(group, &intent.security_groups);
                    }
                }
            }
            IntentChange::Host(id, _) => self.one(id, &intent.hosts),
            IntentChange::ForeignEndpoint(id, endpoint) => {
                self.one(id, &intent.foreign_endpoints);
                if let Some(endpoint) = endpoint {
                    self.one(&mut endpoint.network, &intent.networks);
                }
            }
        }
    }

    fn of_port(&mut self, port: &mut anet_model::intent::Port) {
        let intent = self.intent;
        self.one(&mut port.project, &intent.projects);
        self.one(&mut port.network, &intent.networks);
        for fixed in &mut port.fixed_ips {
            self.one(&mut fixed.subnet, &intent.subnets);
        }
        // A list that was read has room for more than there is.
        port.fixed_ips.shrink_to_fit();
        let groups = std::mem::take(&mut port.security_groups);
        let shared = groups.into_iter().map(|mut group| {
            self.one(&mut group, &intent.security_groups);
            group
        });
        port.security_groups = shared.collect();
        if let Some(host) = &mut port.host {
            self.one(host, &intent.hosts);
        }
    }

    fn one<N, V>(&mut self, id: &mut Id<N>, known: &BTreeMap<Id<N>, V>) {
        if let Some((known, _)) = known.get_key_value(id) {
            *id = known.clone();
        } else if let Some(fresh) = self.fresh.get(&id.cast()) {
            *id = fresh.cast();
        } else {
            self.fresh.insert(id.cast());
        }
    }
}

#[cfg(test)]
mod tests {
    use anet_model::intent::Project;
    use anet_model::intent::{Common, SecurityGroup};

    use super::*;

    fn group(id: &str, project: &str) -> IntentChange {
        let group = SecurityGroup {
            common: Common::default(),
            project: project.parse().unwrap(),
        };
        IntentChange::SecurityGroup(id.parse().unwrap(), Some(group))
    }

    fn project(change: &IntentChange) -> &str {
        match change {
            IntentChange::SecurityGroup(_, Some(group)) => group.project.as_str(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn texts_of_known_and_of_fresh_ids_are_shared_and_stay_the_same() {
        let mut intent = Intent::default();
        let common = Common::default();
        intent.put(IntentChange::Project(
            "red".parse().unwrap(),
            Some(Project { common }),
        ));
        let mut changes = [
            group("a", "red"),
            group("b", "blue"),
            group("c", "blue"),
            group("d", "red"),
        ];
        let before = changes.clone();
        share(&intent, &mut changes);
        assert_eq!(changes, before);
        let known = intent.projects.keys().next().unwrap();
        let same = |one: &str, other: &str| std::ptr::eq(one, other);
        assert!(same(project(&changes[0]), known.as_str()) && same(project(&changes[3]), known.as_str()));
        assert!(same(project(&changes[1]), project(&changes[2])));
    }
}
