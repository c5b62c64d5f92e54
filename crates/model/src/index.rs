//! What a plan's entries refer to and claim, turned around: the index that makes a change cost what it touches.
//!
//! It is derived from the plan and nothing else. [`crate::state::PlanState`] keeps it beside the plan; a whole
//! validation builds it afresh. It may hold a plan that is wrong (two owners of one MAC): finding that is
//! the business of [`crate::validate`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::net::IpAddr;

use anet_packet::addr::{Mac, Vni};

use crate::host_plan::{
    AddressSetId, Attachment, EndpointId, HostPlan, Network, NetworkId, Peer, Port, PortId, Remote, Rule,
    RuleId, SecurityGroupId, Subnet, SubnetId,
};
use crate::validate::Subject;

/// For each key the sorted things that hang on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct References<K: Ord, V: Ord>(BTreeMap<K, BTreeSet<V>>);

impl<K: Ord, V: Ord> Default for References<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone, V: Ord> References<K, V> {
    fn insert(&mut self, key: &K, value: V) {
        self.0.entry(key.clone()).or_default().insert(value);
    }

    fn remove(&mut self, key: &K, value: &V) {
        if let Some(values) = self.0.get_mut(key) {
            values.remove(value);
            if values.is_empty() {
                self.0.remove(key);
            }
        }
    }

    /// What hangs on `key`, sorted.
    pub(crate) fn of(&self, key: &K) -> impl Iterator<Item = &V> {
        self.0.get(key).into_iter().flatten()
    }

    /// How many.
    pub(crate) fn count(&self, key: &K) -> usize {
        self.0.get(key).map_or(0, BTreeSet::len)
    }

    /// Whether `value` hangs on `key`.
    pub(crate) fn contains(&self, key: &K, value: &V) -> bool {
        self.0.get(key).is_some_and(|values| values.contains(value))
    }
}

/// Things that only one owner may have, with everybody who claims them: one, in a valid plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims<K: Eq + Hash>(HashMap<K, Vec<Subject>>);

impl<K: Eq + Hash> Default for Claims<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Claims<K> {
    fn insert(&mut self, key: K, owner: Subject) {
        let owners = self.0.entry(key).or_default();
        let at = owners.partition_point(|o| *o < owner);
        owners.insert(at, owner);
    }

    fn remove(&mut self, key: &K, owner: &Subject) {
        if let Some(owners) = self.0.get_mut(key) {
            if let Ok(at) = owners.binary_search(owner) {
                owners.remove(at);
            }
            if owners.is_empty() {
                self.0.remove(key);
            }
        }
    }

    /// Everybody who claims `key`, sorted.
    pub(crate) fn of(&self, key: &K) -> &[Subject] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// The first claimant, where `subject` is a later one: the conflict that is `subject`'s fault.
    pub(crate) fn earlier(&self, key: &K, subject: &Subject) -> Option<&Subject> {
        self.of(key).first().filter(|first| *first < subject)
    }
}

/// A device claimed by an attachment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum DeviceKey {
    /// An interface of the kernel, by namespace and name.
    Interface(Option<String>, String),
    /// A DPDK device, by its string's first part.
    Dpdk(String),
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Index {
    pub(crate) vnis: Claims<Vni>,
    pub(crate) macs: Claims<(NetworkId, Mac)>,
    pub(crate) addresses: Claims<(NetworkId, IpAddr)>,
    pub(crate) devices: Claims<DeviceKey>,
    pub(crate) endpoint_addresses: Claims<IpAddr>,
    pub(crate) rule_ids: Claims<RuleId>,
    pub(crate) network_subnets: References<NetworkId, SubnetId>,
    pub(crate) network_ports: References<NetworkId, PortId>,
    pub(crate) network_peers: References<NetworkId, PortId>,
    pub(crate) endpoint_networks: References<EndpointId, NetworkId>,
    pub(crate) endpoint_peers: References<EndpointId, PortId>,
    pub(crate) group_ports: References<SecurityGroupId, PortId>,
    pub(crate) group_sets: BTreeMap<SecurityGroupId, BTreeMap<AddressSetId, usize>>,
    pub(crate) set_rules: References<AddressSetId, (SecurityGroupId, RuleId)>,
    pub(crate) rules: usize,
    pub(crate) members: usize,
}

impl Index {
    /// The index of a whole plan.
    pub(crate) fn of(plan: &HostPlan) -> Self {
        let mut index = Self::default();
        plan.networks
            .iter()
            .for_each(|(id, network)| index.add_network(id, network));
        plan.subnets
            .iter()
            .for_each(|(id, subnet)| index.network_subnets.insert(&subnet.network, id.clone()));
        plan.ports.iter().for_each(|(id, port)| index.add_port(id, port));
        for (id, endpoint) in &plan.endpoints {
            index
                .endpoint_addresses
                .insert(endpoint.address, Subject::Endpoint(id.clone()));
        }
        plan.peers.iter().for_each(|(id, peer)| index.add_peer(id, peer));
        for (group, security_group) in &plan.security_groups {
            security_group
                .rules
                .iter()
                .for_each(|(id, rule)| index.add_rule(group, id, rule));
        }
        index.members = plan.address_sets.values().map(|set| set.members.len()).sum();
        index
    }

    pub(crate) fn add_network(&mut self, id: &NetworkId, network: &Network) {
        self.vnis.insert(network.vni, Subject::Network(id.clone()));
        network
            .endpoints
            .iter()
            .for_each(|endpoint| self.endpoint_networks.insert(endpoint, id.clone()));
    }

    pub(crate) fn remove_network(&mut self, id: &NetworkId, network: &Network) {
        self.vnis.remove(&network.vni, &Subject::Network(id.clone()));
        network
            .endpoints
            .iter()
            .for_each(|endpoint| self.endpoint_networks.remove(endpoint, id));
    }

    pub(crate) fn add_subnet(&mut self, id: &SubnetId, subnet: &Subnet) {
        self.network_subnets.insert(&subnet.network, id.clone());
    }

    pub(crate) fn remove_subnet(&mut self, id: &SubnetId, subnet: &Subnet) {
        self.network_subnets.remove(&subnet.network, id);
    }

    pub(crate) fn add_port(&mut self, id: &PortId, port: &Port) {
        let subject = Subject::Port(id.clone());
        self.add_station(&subject, &port.network, port.mac, &port.addresses);
        if let Some(key) = device_key(&port.attachment) {
            self.devices.insert(key, subject);
        }
        self.network_ports.insert(&port.network, id.clone());
        port.security_groups
            .iter()
            .for_each(|group| self.group_ports.insert(group, id.clone()));
    }

    pub(crate) fn remove_port(&mut self, id: &PortId, port: &Port) {
        let subject = Subject::Port(id.clone());
        self.remove_station(&subject, &port.network, port.mac, &port.addresses);
        if let Some(key) = device_key(&port.attachment) {
            self.devices.remove(&key, &subject);
        }
        self.network_ports.remove(&port.network, id);
        port.security_groups
            .iter()
            .for_each(|group| self.group_ports.remove(group, id));
    }

    pub(crate) fn add_endpoint(&mut self, id: &EndpointId, address: IpAddr) {
        self.endpoint_addresses
            .insert(address, Subject::Endpoint(id.clone()));
    }

    pub(crate) fn remove_endpoint(&mut self, id: &EndpointId, address: IpAddr) {
        self.endpoint_addresses
            .remove(&address, &Subject::Endpoint(id.clone()));
    }

    pub(crate) fn add_peer(&mut self, id: &PortId, peer: &Peer) {
        self.add_station(
            &Subject::Peer(id.clone()),
            &peer.network,
            peer.mac,
            &peer.addresses,
        );
        self.network_peers.insert(&peer.network, id.clone());
        self.endpoint_peers.insert(&peer.endpoint, id.clone());
    }

    pub(crate) fn remove_peer(&mut self, id: &PortId, peer: &Peer) {
        self.remove_station(
            &Subject::Peer(id.clone()),
            &peer.network,
            peer.mac,
            &peer.addresses,
        );
        self.network_peers.remove(&peer.network, id);
        self.endpoint_peers.remove(&peer.endpoint, id);
    }

    pub(crate) fn add_rule(&mut self, group: &SecurityGroupId, id: &RuleId, rule: &Rule) {
        self.rules += 1;
        self.rule_ids
            .insert(id.clone(), Subject::Rule(group.clone(), id.clone()));
        if let Remote::Set(set) = &rule.remote {
            self.set_rules.insert(set, (group.clone(), id.clone()));
            *self
                .group_sets
                .entry(group.clone())
                .or_default()
                .entry(set.clone())
                .or_default() += 1;
        }
    }

    pub(crate) fn remove_rule(&mut self, group: &SecurityGroupId, id: &RuleId, rule: &Rule) {
        self.rules -= 1;
        self.rule_ids
            .remove(id, &Subject::Rule(group.clone(), id.clone()));
        if let Remote::Set(set) = &rule.remote {
            self.set_rules.remove(set, &(group.clone(), id.clone()));
            self.forget_set_of_group(group, set);
        }
    }

    fn forget_set_of_group(&mut self, group: &SecurityGroupId, set: &AddressSetId) {
        let Some(sets) = self.group_sets.get_mut(group) else {
            return;
        };
        if let Some(count) = sets.get_mut(set) {
            *count -= 1;
            if *count == 0 {
                sets.remove(set);
            }
        }
        if sets.is_empty() {
            self.group_sets.remove(group);
        }
    }

    fn add_station(&mut self, subject: &Subject, network: &NetworkId, mac: Mac, addresses: &[IpAddr]) {
        self.macs.insert((network.clone(), mac), subject.clone());
        for address in addresses.iter().collect::<BTreeSet<_>>() {
            self.addresses
                .insert((network.clone(), *address), subject.clone());
        }
    }

    fn remove_station(&mut self, subject: &Subject, network: &NetworkId, mac: Mac, addresses: &[IpAddr]) {
        self.macs.remove(&(network.clone(), mac), subject);
        for address in addresses.iter().collect::<BTreeSet<_>>() {
            self.addresses.remove(&(network.clone(), *address), subject);
        }
    }
}

/// The device that an attachment claims.
pub(crate) fn device_key(attachment: &Attachment) -> Option<DeviceKey> {
    match attachment {
        Attachment::Tap { interface, netns } | Attachment::Packet { interface, netns } => {
            Some(DeviceKey::Interface(netns.clone(), interface.clone()))
        }
        Attachment::Dpdk { device } => Some(DeviceKey::Dpdk(dpdk_name(device).to_owned())),
        Attachment::Detached => None,
    }
}

/// A DPDK device's name: its string up to the arguments.
pub(crate) fn dpdk_name(device: &str) -> &str {
    device.split(',').next().unwrap_or_default()
}
