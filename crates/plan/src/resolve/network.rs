//! Networks and their subnets.

use std::collections::BTreeMap;

use anet_model::host_plan::{self, NetworkId, SubnetId};
use anet_model::intent;
use anet_packet::addr::IpPrefix;

use crate::fabric::{Fabric, Key, Network};
use crate::index::Claimant;
use crate::problem::{Object, Problem};
use crate::subnet::planned;

impl Fabric {
    pub(super) fn resolve_networks(&mut self) {
        for id in std::mem::take(&mut self.pending.networks) {
            self.resolved_count += 1;
            let new = self.network(&id).ok();
            let old = self.resolved.networks.get(&id).cloned();
            if new == old {
                continue;
            }
            for host in self.index.network_hosts.of(&id) {
                self.dirty.mark(host, Key::Network(id.clone()));
            }
            let part = |network: &Option<Network>| network.as_ref().map(|n| (n.mtu, n.admin_state_up));
            if part(&old) != part(&new) {
                self.pending.subnets.insert(id.clone());
                let ports = self.index.network_ports.of(&id).cloned();
                self.pending.claimants.extend(ports.map(Claimant::Port));
            }
            if old.is_some() != new.is_some() {
                let foreign = self.index.network_foreign.of(&id).cloned();
                self.pending.foreign.extend(foreign);
            }
            match new {
                Some(new) => drop(self.resolved.networks.insert(id, new)),
                None => drop(self.resolved.networks.remove(&id)),
            }
        }
    }

    /// A network of the intent, unless another one has its segment.
    pub(crate) fn network(&self, id: &NetworkId) -> Result<Network, Option<Problem>> {
        let network = self.intent.networks.get(id).ok_or(None)?;
        let object = || Object::Network(id.clone());
        match self.index.vni_networks.first(&network.vni) {
            Some(first) if first != id => {
                let value = format!("VNI {}", network.vni);
                Err(Some(Problem::taken(
                    object(),
                    value,
                    Object::Network(first.clone()),
                )))
            }
            _ => Ok(Network {
                vni: network.vni,
                mtu: network.mtu,
                admin_state_up: network.admin_state_up,
            }),
        }
    }

    pub(super) fn resolve_subnets(&mut self) {
        for network in std::mem::take(&mut self.pending.subnets) {
            self.resolved_count += 1;
            let (new, _) = self.subnets(&network);
            let old = self.resolved.subnets.remove(&network).unwrap_or_default();
            let all = new.keys().chain(old.keys().filter(|id| !new.contains_key(*id)));
            for id in all.filter(|id| old.get(*id) != new.get(*id)) {
                for host in self.index.network_hosts.of(&network) {
                    self.dirty.mark(host, Key::Subnet(id.clone()));
                }
                let prefix = |of: &BTreeMap<SubnetId, host_plan::Subnet>| of.get(id).map(|s| s.prefix);
                if prefix(&old) != prefix(&new) {
                    let ports = self.index.subnet_ports.of(id).cloned();
                    self.pending.claimants.extend(ports.map(Claimant::Port));
                }
            }
            if !new.is_empty() {
                self.resolved.subnets.insert(network, new);
            }
        }
    }

    /// The subnets of a network that a plan may have together: those of lower ids first; and what is left out, of them or of others.
    pub(crate) fn subnets(
        &self,
        network: &NetworkId,
    ) -> (BTreeMap<SubnetId, host_plan::Subnet>, Vec<Problem>) {
        let (mut admitted, mut problems) = (BTreeMap::new(), Vec::new());
        let Some(facts) = self.resolved.networks.get(network) else {
            return (admitted, problems);
        };
        let mut fitting = 0;
        for id in self.index.network_subnets.of(network) {
            let Some(subnet) = self.intent.subnets.get(id) else {
                continue;
            };
            match self.subnet(facts, id, subnet, &admitted) {
                Ok((subnet, without)) => {
                    problems.extend(without);
                    fitting += 1;
                    if fitting <= self.limits.subnets_per_network {
                        admitted.insert(id.clone(), subnet);
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        if fitting > self.limits.subnets_per_network {
            problems.push(Problem::TooMany {
                of: Object::Network(network.clone()),
                noun: "subnets",
                found: fitting,
                limit: self.limits.subnets_per_network,
            });
        }
        (admitted, problems)
    }

    fn subnet(
        &self,
        facts: &Network,
        id: &SubnetId,
        subnet: &intent::Subnet,
        earlier: &BTreeMap<SubnetId, host_plan::Subnet>,
    ) -> Result<(host_plan::Subnet, Vec<Problem>), Problem> {
        let object = || Object::Subnet(id.clone());
        let overlap = |a: IpPrefix, b: IpPrefix| a.contains(b.address()) || b.contains(a.address());
        let other = earlier
            .iter()
            .find(|(_, other)| overlap(other.prefix, subnet.cidr));
        if let Some((other, _)) = other {
            return Err(Problem::taken(
                object(),
                subnet.cidr,
                Object::Subnet(other.clone()),
            ));
        }
        planned(id, subnet, facts, &self.settings)
    }
}
