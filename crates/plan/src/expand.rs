//! Remote groups become address sets: which hosts need which set, and what is in it.

use std::collections::BTreeSet;

use anet_model::host_plan::SecurityGroupId;
use anet_model::intent::HostId;
use anet_packet::addr::IpPrefix;

use crate::fabric::{Fabric, Key, Local};

impl Fabric {
    /// A rule of the group names the set.
    pub(crate) fn name_set(&mut self, group: &SecurityGroupId, set: &SecurityGroupId) {
        if self.index.group_sets.add(group, set) {
            for host in self.index.group_hosts.of(group) {
                if self.index.set_hosts.add(set, host) {
                    self.dirty.mark(host, Key::AddressSet(set.clone()));
                }
            }
        }
    }

    /// One rule less of the group names the set.
    pub(crate) fn forget_set(&mut self, group: &SecurityGroupId, set: &SecurityGroupId) {
        if self.index.group_sets.subtract(group, set) {
            for host in self.index.group_hosts.of(group) {
                if self.index.set_hosts.subtract(set, host) {
                    self.dirty.mark(host, Key::AddressSet(set.clone()));
                }
            }
        }
    }

    /// A port on the host has the group.
    pub(crate) fn use_group(&mut self, host: &HostId, group: &SecurityGroupId) {
        if self.index.host_groups.add(host, group) {
            self.index.group_hosts.insert(group, host.clone());
            self.dirty.mark(host, Key::SecurityGroup(group.clone()));
            for set in self.index.group_sets.of(group) {
                if self.index.set_hosts.add(set, host) {
                    self.dirty.mark(host, Key::AddressSet(set.clone()));
                }
            }
        }
    }

    /// One port less on the host has the group.
    pub(crate) fn drop_group(&mut self, host: &HostId, group: &SecurityGroupId) {
        if self.index.host_groups.subtract(host, group) {
            self.index.group_hosts.remove(group, host);
            self.dirty.mark(host, Key::SecurityGroup(group.clone()));
            for set in self.index.group_sets.of(group) {
                if self.index.set_hosts.subtract(set, host) {
                    self.dirty.mark(host, Key::AddressSet(set.clone()));
                }
            }
        }
    }

    /// A port shares other addresses with its groups than before.
    pub(crate) fn replace_members(&mut self, old: Option<&Local>, new: Option<&Local>) {
        let shares = |local: Option<&Local>, group: &SecurityGroupId| -> BTreeSet<IpPrefix> {
            let local = local.filter(|local| local.member_of.contains(group));
            let prefixes = local.into_iter().flat_map(|local| local.prefixes.iter());
            prefixes.copied().collect()
        };
        let groups = old.iter().chain(&new).flat_map(|local| local.member_of.iter());
        let groups: BTreeSet<&SecurityGroupId> = groups.collect();
        for group in groups {
            let (old, new) = (shares(old, group), shares(new, group));
            for prefix in new.difference(&old) {
                if self.index.set_members.add(group, prefix) {
                    self.mark_member(group, *prefix, 1);
                }
            }
            for prefix in old.difference(&new) {
                if self.index.set_members.subtract(group, prefix) {
                    self.mark_member(group, *prefix, 0);
                }
            }
        }
    }

    /// Where the set just grew to or shrank from one member too many, all its members are concerned.
    fn mark_member(&mut self, set: &SecurityGroupId, prefix: IpPrefix, grown: usize) {
        let crossed = self.index.set_members.count(set) == self.limits.members_per_address_set + grown;
        let whole = Key::AddressSet(set.clone());
        for host in self.index.set_hosts.of(set) {
            if crossed {
                self.dirty.mark(host, whole.clone());
            } else {
                let part = || Key::Member(set.clone(), prefix);
                self.dirty.mark_part(host, &whole, part);
            }
        }
    }
}
