//! What a change of the plan touches: the nouns themselves, and those that depend on them.

use std::collections::BTreeSet;

use anet_model::changeset::Change;
use anet_model::host_plan::{AddressSetId, EndpointId, HostPlan, NetworkId, PortId, SecurityGroupId};

use super::policies::Compiled;

/// Ids of nouns whose tables may have to change.
#[derive(Default)]
pub(super) struct Dirty {
    pub(super) tunnel: bool,
    pub(super) networks: BTreeSet<NetworkId>,
    pub(super) ports: BTreeSet<PortId>,
    /// Ports that stay as they are but for their policy.
    pub(super) ports_by_policy: BTreeSet<PortId>,
    pub(super) endpoints: BTreeSet<EndpointId>,
    pub(super) peers: BTreeSet<PortId>,
    pub(super) groups: BTreeSet<SecurityGroupId>,
    pub(super) sets: BTreeSet<AddressSetId>,
}

impl Dirty {
    pub(super) fn of(old: &HostPlan, new: &HostPlan, changes: &[Change]) -> Self {
        let mut dirty = Self::default();
        for change in changes {
            dirty.add(old, new, change);
        }
        if dirty.tunnel {
            dirty.endpoints.extend(new.endpoints.keys().cloned());
        }
        dirty
    }

    fn add(&mut self, old: &HostPlan, new: &HostPlan, change: &Change) {
        match change {
            Change::Tunnel(_) => self.tunnel = true,
            Change::Network(id, _) => {
                let vni = |plan: &HostPlan| plan.networks.get(id).map(|n| n.vni);
                if vni(old) != vni(new) {
                    // The segment is part of every flow of the network.
                    let of = |network: &NetworkId| network == id;
                    self.ports.extend(
                        new.ports
                            .iter()
                            .filter(|(_, p)| of(&p.network))
                            .map(|(i, _)| i.clone()),
                    );
                    self.peers.extend(
                        new.peers
                            .iter()
                            .filter(|(_, p)| of(&p.network))
                            .map(|(i, _)| i.clone()),
                    );
                }
                let mtu = |plan: &HostPlan| plan.networks.get(id).map(|n| n.mtu);
                if mtu(old) != mtu(new) {
                    // Flows know how long their packets may be, and each has a port on one side.
                    self.ports.extend(
                        new.ports
                            .iter()
                            .filter(|(_, p)| p.network == *id)
                            .map(|(i, _)| i.clone()),
                    );
                }
                self.networks.insert(id.clone());
            }
            Change::Subnet(id, _) => {
                let networks = [old, new].into_iter().filter_map(|plan| plan.subnets.get(id));
                self.networks
                    .extend(networks.map(|subnet| subnet.network.clone()));
            }
            Change::Port(id, _) => drop(self.ports.insert(id.clone())),
            Change::Endpoint(id, _) => self.add_endpoint(old, new, id),
            Change::Peer(id, _) => drop(self.peers.insert(id.clone())),
            Change::SecurityGroup(id, _) | Change::Rule(id, _, _) => drop(self.groups.insert(id.clone())),
            Change::AddressSet(id, _) | Change::Member(id, _, _) => drop(self.sets.insert(id.clone())),
        }
    }

    /// The right to send into a network is by the endpoint's address.
    fn add_endpoint(&mut self, old: &HostPlan, new: &HostPlan, id: &EndpointId) {
        self.endpoints.insert(id.clone());
        let address = |plan: &HostPlan| plan.endpoints.get(id).map(|e| e.address);
        if address(old) != address(new) {
            let with = new.networks.iter().filter(|(_, n)| n.endpoints.contains(id));
            self.networks.extend(with.map(|(network, _)| network.clone()));
        }
    }

    /// Ports whose policy was compiled anew.
    pub(super) fn ports_of_policies(&mut self, new: &HostPlan, compiled: &Compiled) {
        let uses = |groups: &[SecurityGroupId]| compiled.contains(groups);
        let ports = new
            .ports
            .iter()
            .filter(|(_, port)| port.port_security && uses(&port.security_groups));
        self.ports_by_policy.extend(
            ports
                .map(|(id, _)| id.clone())
                .filter(|id| !self.ports.contains(id)),
        );
    }
}
