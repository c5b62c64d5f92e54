//! What the planner knows: the intent, what counts of it, its indexes, and what is still to be looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anet_model::host_plan::{
    self, Endpoint, EndpointId, NetworkId, PortId, Rule, RuleId, SecurityGroupId, SubnetId, Tunnel,
};
use anet_model::intent::{self, ForeignEndpointId, HostId, Intent};
use anet_packet::addr::{IpPrefix, Mac, Mtu, Vni};

use crate::index::{Claimant, Index, Policy};
use crate::settings::{Limits, Settings};

/// A network that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) vni: Vni,
    pub(crate) mtu: Mtu,
    pub(crate) admin_state_up: bool,
}

/// A foreign endpoint that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Foreign {
    pub(crate) network: NetworkId,
    pub(crate) id: EndpointId,
    pub(crate) endpoint: Endpoint,
    /// Its stations by the peers they become.
    pub(crate) stations: BTreeMap<PortId, intent::Station>,
}

/// Where a station is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// On a host of the fabric.
    Host(HostId),
    /// Behind a foreign endpoint.
    Foreign(ForeignEndpointId),
}

/// A port or a foreign station as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Station {
    pub(crate) network: NetworkId,
    pub(crate) mac: Mac,
    pub(crate) addresses: Vec<IpAddr>,
    /// Nowhere: a port bound to no host that exists.
    pub(crate) place: Option<Place>,
}

/// A port as its own host, and the groups that it is a member of, see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) port: host_plan::Port,
    /// Sorted, without repeats.
    pub(crate) member_of: Box<[SecurityGroupId]>,
    /// Sorted, without repeats.
    pub(crate) prefixes: Box<[IpPrefix]>,
}

/// What of the intent counts, each as it was last found; a function of the intent, whatever came in which order.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) networks: BTreeMap<NetworkId, Network>,
    pub(crate) subnets: BTreeMap<NetworkId, BTreeMap<SubnetId, host_plan::Subnet>>,
    /// Every host, with its tunnel where it may have one.
    pub(crate) hosts: BTreeMap<HostId, Option<Tunnel>>,
    pub(crate) foreign: BTreeMap<ForeignEndpointId, Foreign>,
    pub(crate) station_owners: BTreeMap<PortId, ForeignEndpointId>,
    pub(crate) rules: BTreeMap<RuleId, (SecurityGroupId, Rule)>,
    /// The groups that ports with these groups really have.
    pub(crate) policies: BTreeMap<Policy, Vec<SecurityGroupId>>,
    /// Who claims which MAC.
    pub(crate) macs: BTreeMap<Claimant, (NetworkId, Mac)>,
    /// Who claims which addresses: only who has got its MAC.
    pub(crate) addresses: BTreeMap<Claimant, (NetworkId, Box<[IpAddr]>)>,
    pub(crate) stations: BTreeMap<Claimant, Station>,
    pub(crate) locals: BTreeMap<PortId, Local>,
}

/// Objects that have to be resolved again.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) networks: BTreeSet<NetworkId>,
    /// Networks whose subnets are to be looked at.
    pub(crate) subnets: BTreeSet<NetworkId>,
    pub(crate) hosts: BTreeSet<HostId>,
    pub(crate) foreign: BTreeSet<ForeignEndpointId>,
    pub(crate) rules: BTreeSet<RuleId>,
    pub(crate) policies: BTreeSet<Policy>,
    pub(crate) claimants: BTreeSet<Claimant>,
}

/// An entry of a host's plan, in the order in which entries are put.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Tunnel,
    Endpoint(EndpointId),
    Network(NetworkId),
    Subnet(SubnetId),
    AddressSet(SecurityGroupId),
    Member(SecurityGroupId, IpPrefix),
    SecurityGroup(SecurityGroupId),
    Rule(SecurityGroupId, RuleId),
    Port(PortId),
    Peer(PortId),
}

/// Entries that may be different now, by host. Whatever changes something marks all that may follow from it; an entry
/// that proves to be the same costs a look and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Dirty(pub(crate) BTreeMap<HostId, BTreeSet<Key>>);

impl Dirty {
    /// Marks a rule or a member, unless the group or set is looked at as a whole anyway.
    pub(crate) fn mark_part(&mut self, host: &HostId, whole: &Key, part: impl FnOnce() -> Key) {
        if !self.0.get(host).is_some_and(|keys| keys.contains(whole)) {
            self.mark(host, part());
        }
    }

    pub(crate) fn mark(&mut self, host: &HostId, key: Key) {
        if let Some(keys) = self.0.get_mut(host) {
            keys.insert(key);
        } else {
            self.0.insert(host.clone(), BTreeSet::from([key]));
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Fabric {
    pub(crate) intent: Intent,
    pub(crate) settings: Settings,
    pub(crate) limits: Limits,
    pub(crate) index: Index,
    pub(crate) resolved: Resolved,
    pub(crate) pending: Pending,
    pub(crate) dirty: Dirty,
    /// Objects resolved since it was last set to zero.
    pub(crate) resolved_count: usize,
}
