//! The intent and what was resolved of it, turned around: what makes a change cost what it touches.
//!
//! Every index is kept by whoever changes what it is of; none is ever built from the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anet_model::host_plan::{EndpointId, NetworkId, PortId, RuleId, SecurityGroupId, SubnetId};
use anet_model::intent::{ForeignEndpointId, HostId};
use anet_packet::addr::{IpPrefix, Mac, Vni};

/// The groups of a port as they were asked for. Ports with the same groups share what is found out about them.
pub(crate) type Policy = BTreeSet<SecurityGroupId>;

/// Who claims a MAC or an address of a network: ports before stations, each by id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claimant {
    /// A port.
    Port(PortId),
    /// A station behind a foreign endpoint, by the id of its peer.
    Station(PortId),
}

impl Claimant {
    /// The id by which other hosts know it as a peer.
    pub(crate) const fn peer(&self) -> &PortId {
        match self {
            Claimant::Port(id) | Claimant::Station(id) => id,
        }
    }
}

/// For each key the sorted things that hang on it.
#[derive(Debug)]
pub(crate) struct Sets<K, V>(BTreeMap<K, BTreeSet<V>>);

impl<K, V> Default for Sets<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone, V: Ord + Clone> Sets<K, V> {
    /// True where it is the key's first one.
    pub(crate) fn insert(&mut self, key: &K, value: V) -> bool {
        if let Some(values) = self.0.get_mut(key) {
            values.insert(value);
            return false;
        }
        self.0.insert(key.clone(), BTreeSet::from([value]));
        true
    }

    /// True where it was the key's last one.
    pub(crate) fn remove(&mut self, key: &K, value: &V) -> bool {
        let Some(values) = self.0.get_mut(key) else {
            return false;
        };
        let last = values.remove(value) && values.is_empty();
        if last {
            self.0.remove(key);
        }
        last
    }

    pub(crate) fn of(&self, key: &K) -> impl Iterator<Item = &V> {
        self.0.get(key).into_iter().flatten()
    }

    pub(crate) fn first(&self, key: &K) -> Option<&V> {
        self.0.get(key).and_then(BTreeSet::first)
    }

    pub(crate) fn count(&self, key: &K) -> usize {
        self.0.get(key).map_or(0, BTreeSet::len)
    }

    pub(crate) fn contains(&self, key: &K, value: &V) -> bool {
        self.0.get(key).is_some_and(|values| values.contains(value))
    }
}

/// For each key the things that hang on it, each as often as there are reasons for it.
#[derive(Debug)]
pub(crate) struct Counts<K, V>(BTreeMap<K, BTreeMap<V, usize>>);

impl<K, V> Default for Counts<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone, V: Ord + Clone> Counts<K, V> {
    /// True where there was no reason before.
    pub(crate) fn add(&mut self, key: &K, value: &V) -> bool {
        if !self.0.contains_key(key) {
            self.0.insert(key.clone(), BTreeMap::new());
        }
        let Some(values) = self.0.get_mut(key) else {
            return false;
        };
        if let Some(count) = values.get_mut(value) {
            *count += 1;
            return false;
        }
        values.insert(value.clone(), 1);
        true
    }

    /// True where it was the last reason.
    pub(crate) fn subtract(&mut self, key: &K, value: &V) -> bool {
        let Some(values) = self.0.get_mut(key) else {
            return false;
        };
        match values.get_mut(value) {
            Some(count) if *count > 1 => {
                *count -= 1;
                false
            }
            Some(_) => {
                values.remove(value);
                if values.is_empty() {
                    self.0.remove(key);
                }
                true
            }
            None => false,
        }
    }

    pub(crate) fn of(&self, key: &K) -> impl Iterator<Item = &V> {
        self.0.get(key).into_iter().flat_map(BTreeMap::keys)
    }

    pub(crate) fn count(&self, key: &K) -> usize {
        self.0.get(key).map_or(0, BTreeMap::len)
    }

    pub(crate) fn contains(&self, key: &K, value: &V) -> bool {
        self.0.get(key).is_some_and(|values| values.contains_key(value))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Index {
    // Of the intent as it was asked for.
    pub(crate) vni_networks: Sets<Vni, NetworkId>,
    pub(crate) network_subnets: Sets<NetworkId, SubnetId>,
    pub(crate) network_ports: Sets<NetworkId, PortId>,
    pub(crate) network_foreign: Sets<NetworkId, ForeignEndpointId>,
    pub(crate) subnet_ports: Sets<SubnetId, PortId>,
    /// Ports by the host they are bound to, which need not exist.
    pub(crate) host_ports: Sets<HostId, PortId>,
    pub(crate) group_rules: Sets<SecurityGroupId, RuleId>,
    /// Rules by the group that is their far side.
    pub(crate) remote_rules: Sets<SecurityGroupId, RuleId>,
    pub(crate) policy_ports: Sets<Policy, PortId>,
    pub(crate) group_policies: Sets<SecurityGroupId, Policy>,
    /// Hosts by their tunnel's address, where that is legal.
    pub(crate) tunnel_hosts: Sets<IpAddr, HostId>,
    /// Foreign endpoints by address, where that is legal.
    pub(crate) foreign_at: Sets<IpAddr, ForeignEndpointId>,
    /// Foreign endpoints by the id that hosts know them by.
    pub(crate) foreign_named: Sets<EndpointId, ForeignEndpointId>,

    // Of what was resolved.
    pub(crate) mac_claims: Sets<(NetworkId, Mac), Claimant>,
    pub(crate) address_claims: Sets<(NetworkId, IpAddr), Claimant>,
    pub(crate) resolved_rules: Sets<SecurityGroupId, RuleId>,
    /// The sets that a group's rules name.
    pub(crate) group_sets: Counts<SecurityGroupId, SecurityGroupId>,
    pub(crate) set_members: Counts<SecurityGroupId, IpPrefix>,
    pub(crate) resolved_foreign: Sets<NetworkId, ForeignEndpointId>,

    // Of what is where.
    /// A host's ports in a network: the reasons for the network to be on the host.
    pub(crate) span_ports: Sets<(HostId, NetworkId), PortId>,
    pub(crate) host_networks: Sets<HostId, NetworkId>,
    pub(crate) network_hosts: Sets<NetworkId, HostId>,
    /// Stations behind the foreign endpoints of a network.
    pub(crate) network_stations: Sets<NetworkId, PortId>,
    pub(crate) host_groups: Counts<HostId, SecurityGroupId>,
    pub(crate) group_hosts: Sets<SecurityGroupId, HostId>,
    /// Hosts by the sets that rules on them name.
    pub(crate) set_hosts: Counts<SecurityGroupId, HostId>,
}
