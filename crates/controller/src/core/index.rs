//! Who uses what, and what is taken: kept beside the intent so that admission asks without scanning.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use anet_model::host_plan::{NetworkId, PortId, RuleId, SecurityGroupId, SubnetId};
use anet_model::intent::{
    ForeignEndpoint, ForeignEndpointId, HostId, IntentChange, Network, Port, ProjectId, Remote,
    SecurityGroup, SecurityGroupRule, Subnet,
};
use anet_packet::addr::{Mac, Vni};

use super::intervals::{Intervals, number};

/// Which `B`s belong to an `A`.
#[derive(Debug)]
pub struct Relation<A, B>(HashMap<A, BTreeSet<B>>);

impl<A, B> Default for Relation<A, B> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<A: Hash + Eq + Clone, B: Ord + Clone> Relation<A, B> {
    /// Those of one.
    pub fn of(&self, a: &A) -> impl DoubleEndedIterator<Item = &B> {
        self.0.get(a).into_iter().flatten()
    }

    /// How many one has.
    pub fn count(&self, a: &A) -> usize {
        self.0.get(a).map_or(0, BTreeSet::len)
    }

    fn set(&mut self, a: &A, b: &B, there: bool) {
        if there {
            self.0.entry(a.clone()).or_default().insert(b.clone());
        } else if let Some(set) = self.0.get_mut(a) {
            set.remove(b);
            if set.is_empty() {
                self.0.remove(a);
            }
        }
    }
}

/// All indexes.
#[derive(Debug, Default)]
pub struct Index {
    /// Segments and whose they are.
    pub vnis: BTreeMap<u32, NetworkId>,
    /// The same as a set.
    pub used_vnis: Intervals,
    /// MACs of ports and foreign stations, by network.
    pub macs: HashMap<NetworkId, BTreeSet<Mac>>,
    /// Addresses of ports, by subnet.
    pub addresses: HashMap<SubnetId, Intervals>,
    /// Networks of a project.
    pub project_networks: Relation<ProjectId, NetworkId>,
    /// Ports of a project.
    pub project_ports: Relation<ProjectId, PortId>,
    /// Security groups of a project.
    pub project_groups: Relation<ProjectId, SecurityGroupId>,
    /// Subnets of a network.
    pub network_subnets: Relation<NetworkId, SubnetId>,
    /// Ports of a network.
    pub network_ports: Relation<NetworkId, PortId>,
    /// Foreign endpoints of a network.
    pub network_foreign: Relation<NetworkId, ForeignEndpointId>,
    /// Ports with an address of a subnet.
    pub subnet_ports: Relation<SubnetId, PortId>,
    /// Ports that obey a group.
    pub group_ports: Relation<SecurityGroupId, PortId>,
    /// Rules of a group.
    pub group_rules: Relation<SecurityGroupId, RuleId>,
    /// Rules of other groups that name a group.
    pub group_remotes: Relation<SecurityGroupId, RuleId>,
    /// Ports on a host.
    pub host_ports: Relation<HostId, PortId>,
}

impl Index {
    /// Takes an object in (`there`) or out. A change is both: the old one out, the new one in.
    pub fn set(&mut self, object: &IntentChange, there: bool) {
        match object {
            IntentChange::Network(id, Some(network)) => self.network(id, network, there),
            IntentChange::Subnet(id, Some(subnet)) => self.subnet(id, subnet, there),
            IntentChange::Port(id, Some(port)) => self.port(id, port, there),
            IntentChange::SecurityGroup(id, Some(group)) => self.group(id, group, there),
            IntentChange::Rule(id, Some(rule)) => self.rule(id, rule, there),
            IntentChange::ForeignEndpoint(id, Some(endpoint)) => self.foreign(id, endpoint, there),
            _ => {}
        }
    }

    fn network(&mut self, id: &NetworkId, network: &Network, there: bool) {
        let vni = network.vni.get();
        if there {
            self.vnis.insert(vni, id.clone());
            self.used_vnis.insert(vni.into());
        } else if self.vnis.get(&vni) == Some(id) {
            self.vnis.remove(&vni);
            self.used_vnis.remove(vni.into());
        }
        self.project_networks.set(&network.project, id, there);
    }

    fn subnet(&mut self, id: &SubnetId, subnet: &Subnet, there: bool) {
        self.network_subnets.set(&subnet.network, id, there);
    }

    fn port(&mut self, id: &PortId, port: &Port, there: bool) {
        self.project_ports.set(&port.project, id, there);
        self.network_ports.set(&port.network, id, there);
        self.mac(&port.network, port.mac, there);
        for fixed in &port.fixed_ips {
            self.subnet_ports.set(&fixed.subnet, id, there);
            let used = self.addresses.entry(fixed.subnet.clone()).or_default();
            match there {
                true => used.insert(number(fixed.address)),
                false => used.remove(number(fixed.address)),
            };
        }
        for group in &port.security_groups {
            self.group_ports.set(group, id, there);
        }
        if let Some(host) = &port.host {
            self.host_ports.set(host, id, there);
        }
    }

    fn group(&mut self, id: &SecurityGroupId, group: &SecurityGroup, there: bool) {
        self.project_groups.set(&group.project, id, there);
    }

    fn rule(&mut self, id: &RuleId, rule: &SecurityGroupRule, there: bool) {
        self.group_rules.set(&rule.security_group, id, there);
        if let Remote::Group(remote) = &rule.remote
            && *remote != rule.security_group
        {
            self.group_remotes.set(remote, id, there);
        }
    }

    fn foreign(&mut self, id: &ForeignEndpointId, endpoint: &ForeignEndpoint, there: bool) {
        self.network_foreign.set(&endpoint.network, id, there);
        for station in &endpoint.stations {
            self.mac(&endpoint.network, station.mac, there);
        }
    }

    fn mac(&mut self, network: &NetworkId, mac: Mac, there: bool) {
        let used = self.macs.entry(network.clone()).or_default();
        match there {
            true => used.insert(mac),
            false => used.remove(&mac),
        };
        if used.is_empty() {
            self.macs.remove(network);
        }
    }

    /// True for a MAC that the network has.
    pub fn has_mac(&self, network: &NetworkId, mac: Mac) -> bool {
        self.macs.get(network).is_some_and(|used| used.contains(&mac))
    }

    /// True for an address that a port of the subnet has.
    pub fn has_address(&self, subnet: &SubnetId, address: std::net::IpAddr) -> bool {
        let used = self.addresses.get(subnet);
        used.is_some_and(|used| used.contains(number(address)))
    }

    /// The lowest free segment of a range.
    pub fn free_vni(&self, first: Vni, last: Vni) -> Option<Vni> {
        let free = self
            .used_vnis
            .lowest_free(first.get().into(), last.get().into())?;
        Vni::new(u32::try_from(free).ok()?).ok()
    }
}
