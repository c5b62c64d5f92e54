//! Which entries a change can have made wrong: itself, what refers to it, and what claims the same thing.
//!
//! What this leaves out was valid before and is valid still; the property test against the whole validation holds
//! it to that.

use std::collections::BTreeSet;

use crate::changeset::Change;
use crate::host_plan::{
    Endpoint, EndpointId, Family, Network, NetworkId, Peer, Port, PortId, Remote, Rule, RuleId,
    SecurityGroupId, Subnet, SubnetId, Tunnel,
};
use crate::index::{DeviceKey, device_key};
use crate::validate::{Checker, Subject};

/// Collects what has to be checked again. `checker` looks at the plan as it is after all changes.
pub(crate) struct Touched<'a> {
    checker: Checker<'a>,
    pub(crate) subjects: BTreeSet<Subject>,
}

impl<'a> Touched<'a> {
    pub(crate) fn new(checker: Checker<'a>) -> Self {
        Self {
            checker,
            subjects: BTreeSet::from([Subject::Plan]),
        }
    }

    /// Takes in what `change` touched, where `undo` holds the value before it.
    pub(crate) fn by(&mut self, change: &Change, undo: &Change) {
        match (change, undo) {
            (Change::Tunnel(new), Change::Tunnel(old)) => self.by_tunnel(old.as_ref(), new.as_ref()),
            (Change::Network(id, new), Change::Network(_, old)) => {
                self.by_network(id, old.as_ref(), new.as_ref())
            }
            (Change::Subnet(id, new), Change::Subnet(_, old)) => {
                self.by_subnet(id, old.as_ref(), new.as_ref())
            }
            (Change::Port(id, new), _) => self.by_port(id, new.as_ref()),
            (Change::Endpoint(id, new), _) => self.by_endpoint(id, new.as_ref()),
            (Change::Peer(id, new), _) => self.by_peer(id, new.as_ref()),
            (Change::SecurityGroup(id, new), _) => match new {
                Some(group) => group
                    .rules
                    .iter()
                    .for_each(|(rule, value)| self.by_rule(id, rule, None, Some(value))),
                None => self.extend_ports_of_group(id),
            },
            (Change::Rule(group, id, new), Change::Rule(_, _, old)) => {
                self.by_rule(group, id, old.as_ref(), new.as_ref());
            }
            (Change::AddressSet(id, _), _) => {
                self.subjects.insert(Subject::AddressSet(id.clone()));
                let rules = self.checker.index.set_rules.of(id);
                self.subjects
                    .extend(rules.map(|(group, rule)| Subject::Rule(group.clone(), rule.clone())));
            }
            (Change::Member(id, ..), _) => {
                self.subjects.insert(Subject::AddressSet(id.clone()));
            }
            _ => {}
        }
    }

    fn by_tunnel(&mut self, old: Option<&Tunnel>, new: Option<&Tunnel>) {
        self.subjects.insert(Subject::Tunnel);
        let kind = |tunnel: Option<&Tunnel>| tunnel.map(|t| (Family::of(t.address), t.dpdk.is_some()));
        if kind(old) != kind(new) {
            self.subjects
                .extend(self.checker.plan.endpoints.keys().cloned().map(Subject::Endpoint));
        } else if let Some(tunnel) = new {
            self.subjects.extend(
                self.checker
                    .index
                    .endpoint_addresses
                    .of(&tunnel.address)
                    .iter()
                    .cloned(),
            );
        }
    }

    fn by_endpoint(&mut self, id: &EndpointId, new: Option<&Endpoint>) {
        let index = self.checker.index;
        match new {
            Some(endpoint) => self
                .subjects
                .extend(index.endpoint_addresses.of(&endpoint.address).iter().cloned()),
            None => {
                self.subjects
                    .extend(index.endpoint_networks.of(id).cloned().map(Subject::Network));
                self.subjects
                    .extend(index.endpoint_peers.of(id).cloned().map(Subject::Peer));
            }
        }
    }

    fn by_network(&mut self, id: &NetworkId, old: Option<&Network>, new: Option<&Network>) {
        let index = self.checker.index;
        let Some(new) = new else {
            self.extend_subnets(id);
            self.extend_ports_of_network(id);
            self.subjects
                .extend(index.network_peers.of(id).cloned().map(Subject::Peer));
            return;
        };
        self.subjects.insert(Subject::Network(id.clone()));
        self.subjects.extend(index.vnis.of(&new.vni).iter().cloned());
        let Some(old) = old else { return };
        if new.mtu < old.mtu {
            self.extend_subnets(id);
        }
        let kept: BTreeSet<&EndpointId> = new.endpoints.iter().collect();
        for gone in old.endpoints.iter().filter(|endpoint| !kept.contains(endpoint)) {
            let peers = index
                .endpoint_peers
                .of(gone)
                .filter(|peer| index.network_peers.contains(id, peer));
            self.subjects.extend(peers.cloned().map(Subject::Peer));
        }
    }

    fn by_subnet(&mut self, id: &SubnetId, old: Option<&Subnet>, new: Option<&Subnet>) {
        if let Some(new) = new {
            self.subjects.insert(Subject::Subnet(id.clone()));
            self.subjects.insert(Subject::Network(new.network.clone()));
            let overlapping = self.checker.overlapping_subnets(id, new);
            self.subjects.extend(overlapping.cloned().map(Subject::Subnet));
        }
        let range = |subnet: &Subnet| (subnet.network.clone(), subnet.prefix);
        if let Some(old) = old.filter(|old| Some(range(old)) != new.map(range)) {
            self.extend_ports_of_network(&old.network);
        }
    }

    fn by_port(&mut self, id: &PortId, new: Option<&Port>) {
        let Some(port) = new else { return };
        let index = self.checker.index;
        self.subjects
            .extend([Subject::Port(id.clone()), Subject::Peer(id.clone())]);
        self.subjects
            .extend(index.macs.of(&(port.network.clone(), port.mac)).iter().cloned());
        for address in &port.addresses {
            self.subjects.extend(
                index
                    .addresses
                    .of(&(port.network.clone(), *address))
                    .iter()
                    .cloned(),
            );
        }
        if let Some(key) = device_key(&port.attachment) {
            self.subjects.extend(index.devices.of(&key).iter().cloned());
            if matches!(key, DeviceKey::Dpdk(_)) {
                self.subjects.insert(Subject::Tunnel);
            }
        }
    }

    fn by_peer(&mut self, id: &PortId, new: Option<&Peer>) {
        let Some(peer) = new else { return };
        let index = self.checker.index;
        self.subjects.insert(Subject::Peer(id.clone()));
        self.subjects
            .extend(index.macs.of(&(peer.network.clone(), peer.mac)).iter().cloned());
        for address in &peer.addresses {
            self.subjects.extend(
                index
                    .addresses
                    .of(&(peer.network.clone(), *address))
                    .iter()
                    .cloned(),
            );
        }
    }

    /// A rule weighs on the ports of its group only where it is new or names another set.
    fn by_rule(&mut self, group: &SecurityGroupId, id: &RuleId, old: Option<&Rule>, new: Option<&Rule>) {
        let Some(new) = new else { return };
        self.subjects.insert(Subject::SecurityGroup(group.clone()));
        self.subjects
            .extend(self.checker.index.rule_ids.of(id).iter().cloned());
        let set = |rule: &Rule| match &rule.remote {
            Remote::Set(set) => Some(set.clone()),
            Remote::Any | Remote::Prefix(_) => None,
        };
        if old.is_none_or(|old| set(old) != set(new)) {
            self.extend_ports_of_group(group);
        }
    }

    fn extend_ports_of_group(&mut self, group: &SecurityGroupId) {
        self.subjects.extend(
            self.checker
                .index
                .group_ports
                .of(group)
                .cloned()
                .map(Subject::Port),
        );
    }

    fn extend_ports_of_network(&mut self, network: &NetworkId) {
        self.subjects.extend(
            self.checker
                .index
                .network_ports
                .of(network)
                .cloned()
                .map(Subject::Port),
        );
    }

    fn extend_subnets(&mut self, network: &NetworkId) {
        self.subjects.extend(
            self.checker
                .index
                .network_subnets
                .of(network)
                .cloned()
                .map(Subject::Subnet),
        );
    }
}
