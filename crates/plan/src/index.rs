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

/// Some things, in order. One alone, which is the rule where things are claimed, has no tree: a node has room for eleven.
#[derive(Debug)]
enum Held<V> {
    One(V),
    /// Two or more.
    Many(BTreeSet<V>),
}

impl<V: Ord> Held<V> {
    fn insert(&mut self, value: V) {
        match self {
            Self::One(one) if *one == value => {}
            Self::One(_) => {
                let before = std::mem::replace(self, Self::Many(BTreeSet::from([value])));
                if let (Self::One(one), Self::Many(many)) = (before, self) {
                    many.insert(one);
                }
            }
            Self::Many(many) => drop(many.insert(value)),
        }
    }

    /// True where it is alone: then it is still there.
    fn remove(&mut self, value: &V) -> bool {
        match self {
            Self::One(one) => one == value,
            Self::Many(many) => {
                many.remove(value);
                if many.len() == 1
                    && let Some(left) = many.pop_first()
                {
                    *self = Self::One(left);
                }
                false
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &V> {
        let (one, many) = match self {
            Self::One(one) => (Some(one), None),
            Self::Many(many) => (None, Some(many)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn first(&self) -> Option<&V> {
        match self {
            Self::One(one) => Some(one),
            Self::Many(many) => many.first(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(many) => many.len(),
        }
    }

    fn contains(&self, value: &V) -> bool {
        match self {
            Self::One(one) => one == value,
            Self::Many(many) => many.contains(value),
        }
    }
}

/// For each key the sorted things that hang on it.
#[derive(Debug)]
pub(crate) struct Sets<K, V>(BTreeMap<K, Held<V>>);

impl<K, V> Default for Sets<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone, V: Ord> Sets<K, V> {
    /// True where it is the key's first one.
    pub(crate) fn insert(&mut self, key: &K, value: V) -> bool {
        if let Some(held) = self.0.get_mut(key) {
            held.insert(value);
            return false;
        }
        self.0.insert(key.clone(), Held::One(value));
        true
    }

    /// True where it was the key's last one.
    pub(crate) fn remove(&mut self, key: &K, value: &V) -> bool {
        let last = self.0.get_mut(key).is_some_and(|held| held.remove(value));
        if last {
            self.0.remove(key);
        }
        last
    }

    pub(crate) fn of(&self, key: &K) -> impl Iterator<Item = &V> {
        self.0.get(key).into_iter().flat_map(Held::all)
    }

    pub(crate) fn first(&self, key: &K) -> Option<&V> {
        self.0.get(key).and_then(Held::first)
    }

    pub(crate) fn count(&self, key: &K) -> usize {
        self.0.get(key).map_or(0, Held::len)
    }

    pub(crate) fn contains(&self, key: &K, value: &V) -> bool {
        self.0.get(key).is_some_and(|held| held.contains(value))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_hangs_on_a_key_is_a_set(steps in prop::collection::vec((0..3_u8, 0..5_u8, any::<bool>()), 0..60)) {
            let mut sets = Sets::default();
            let mut model: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
            for (key, value, comes) in steps {
                let expected = model.entry(key).or_default();
                let (was, changed) = (expected.len(), match comes {
                    true => { expected.insert(value); sets.insert(&key, value) }
                    false => { expected.remove(&value); sets.remove(&key, &value) }
                });
                prop_assert_eq!(changed, (was == 0) != expected.is_empty(), "first and last are told");
                prop_assert!(sets.of(&key).eq(expected.iter()));
                prop_assert_eq!((sets.count(&key), sets.first(&key)), (expected.len(), expected.first()));
                prop_assert!((0..5).all(|value| sets.contains(&key, &value) == expected.contains(&value)));
                prop_assert_eq!(sets.0.contains_key(&key), !expected.is_empty());
            }
        }
    }
}
