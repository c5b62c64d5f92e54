//! What a host's plan says about one entry: each a function of what was resolved and of who has what.

use std::collections::BTreeSet;

use anet_model::host_plan::{
    self, AddressSet, Endpoint, EndpointId, Family, NetworkId, Peer, PortId, Rule, RuleId, SecurityGroup,
    SecurityGroupId, SubnetId, Tunnel,
};
use anet_model::intent::HostId;
use anet_packet::addr::IpPrefix;

use crate::fabric::{Fabric, Foreign, Place, Station};
use crate::index::Claimant;

/// The fabric as one host sees it.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) fabric: &'a Fabric,
    pub(crate) host: &'a HostId,
}

impl View<'_> {
    pub(crate) fn tunnel(self) -> Option<Tunnel> {
        self.fabric.resolved.hosts.get(self.host).cloned().flatten()
    }

    fn family(self) -> Option<Family> {
        let tunnel = self.fabric.resolved.hosts.get(self.host)?.as_ref();
        tunnel.map(|tunnel| Family::of(tunnel.address))
    }

    fn has_network(self, network: &NetworkId) -> bool {
        self.fabric.index.host_networks.contains(self.host, network)
    }

    /// Another host that this one has a tunnel to.
    fn reaches_host(self, other: &HostId) -> bool {
        let view = View {
            host: other,
            fabric: self.fabric,
        };
        other != self.host && self.family().is_some() && self.family() == view.family()
    }

    fn reaches_foreign(self, foreign: &Foreign) -> bool {
        self.family() == Some(Family::of(foreign.endpoint.address))
    }

    pub(crate) fn endpoint(self, id: &EndpointId) -> Option<Endpoint> {
        let (index, resolved) = (&self.fabric.index, &self.fabric.resolved);
        let other = id.cast();
        if let Some(tunnel) = resolved.hosts.get(&other) {
            let tunnel = tunnel.as_ref().filter(|_| self.reaches_host(&other))?;
            let shared = self.shares_a_network(&other);
            return shared.then_some(Endpoint {
                address: tunnel.address,
                udp_port: tunnel.udp_port,
                next_hop: None,
            });
        }
        let foreign = index
            .foreign_named
            .of(id)
            .filter_map(|foreign| resolved.foreign.get(foreign));
        foreign
            .filter(|foreign| self.reaches_foreign(foreign))
            .find(|foreign| self.has_network(&foreign.network))
            .map(|foreign| foreign.endpoint.clone())
    }

    fn shares_a_network(self, other: &HostId) -> bool {
        let networks = &self.fabric.index.host_networks;
        let (few, many) = match networks.count(self.host) <= networks.count(other) {
            true => (self.host, other),
            false => (other, self.host),
        };
        let mut few = networks.of(few);
        few.any(|network| networks.contains(many, network))
    }

    pub(crate) fn network(self, id: &NetworkId) -> Option<host_plan::Network> {
        let (index, resolved) = (&self.fabric.index, &self.fabric.resolved);
        let network = resolved.networks.get(id).filter(|_| self.has_network(id))?;
        let hosts = index.network_hosts.of(id);
        let hosts = hosts
            .filter(|other| self.reaches_host(other))
            .map(|other| other.cast());
        let foreign = index.resolved_foreign.of(id);
        let foreign = foreign.filter_map(|foreign| resolved.foreign.get(foreign));
        let foreign = foreign.filter(|foreign| self.reaches_foreign(foreign));
        let endpoints: BTreeSet<EndpointId> =
            hosts.chain(foreign.map(|foreign| foreign.id.clone())).collect();
        Some(host_plan::Network {
            vni: network.vni,
            mtu: network.mtu,
            endpoints: endpoints.into_iter().collect(),
        })
    }

    pub(crate) fn subnet(self, id: &SubnetId) -> Option<host_plan::Subnet> {
        let network = &self.fabric.intent.subnets.get(id)?.network;
        let subnets = self.fabric.resolved.subnets.get(network);
        subnets.filter(|_| self.has_network(network))?.get(id).cloned()
    }

    pub(crate) fn port(self, id: &PortId) -> Option<host_plan::Port> {
        let resolved = &self.fabric.resolved;
        let station = resolved.stations.get(&Claimant::Port(id.clone()))?;
        match &station.place {
            Some(Place::Host(host)) if host == self.host => {
                resolved.locals.get(id).map(|local| local.port.clone())
            }
            _ => None,
        }
    }

    pub(crate) fn peer(self, id: &PortId) -> Option<Peer> {
        let stations = &self.fabric.resolved.stations;
        let port = stations.get(&Claimant::Port(id.clone()));
        let station = || stations.get(&Claimant::Station(id.clone()));
        let station = port.or_else(station)?;
        let endpoint = self
            .way_to(station)
            .filter(|_| self.has_network(&station.network))?;
        Some(Peer {
            network: station.network.clone(),
            mac: station.mac,
            addresses: station.addresses.clone(),
            endpoint,
        })
    }

    fn way_to(self, station: &Station) -> Option<EndpointId> {
        match station.place.as_ref()? {
            Place::Host(other) => self.reaches_host(other).then(|| other.cast()),
            Place::Foreign(foreign) => {
                let foreign = self.fabric.resolved.foreign.get(foreign)?;
                self.reaches_foreign(foreign).then(|| foreign.id.clone())
            }
        }
    }

    pub(crate) fn has_group(self, id: &SecurityGroupId) -> bool {
        self.fabric.index.host_groups.contains(self.host, id)
    }

    pub(crate) fn group(self, id: &SecurityGroupId) -> Option<SecurityGroup> {
        let rules = self.fabric.index.resolved_rules.of(id);
        let rules = rules.filter_map(|rule| Some((rule.clone(), self.rule(id, rule)?)));
        self.has_group(id).then(|| SecurityGroup {
            rules: rules.collect(),
        })
    }

    pub(crate) fn rule(self, group: &SecurityGroupId, id: &RuleId) -> Option<Rule> {
        let rule = self.fabric.resolved.rules.get(id);
        let (_, rule) = rule.filter(|(of, _)| of == group && self.has_group(group))?;
        Some(rule.clone())
    }

    pub(crate) fn has_set(self, id: &SecurityGroupId) -> bool {
        self.fabric.index.set_hosts.contains(id, self.host)
    }

    pub(crate) fn set(self, id: &SecurityGroupId) -> Option<AddressSet> {
        let index = &self.fabric.index;
        let members = match self.is_too_large(id) {
            false => index.set_members.of(id).copied().collect(),
            true => BTreeSet::new(),
        };
        self.has_set(id).then_some(AddressSet { members })
    }

    pub(crate) fn has_member(self, set: &SecurityGroupId, prefix: &IpPrefix) -> bool {
        self.has_set(set) && !self.is_too_large(set) && self.fabric.index.set_members.contains(set, prefix)
    }

    /// A set of too many members has none at all: what nobody can look up allows nobody.
    fn is_too_large(self, set: &SecurityGroupId) -> bool {
        self.fabric.index.set_members.count(set) > self.fabric.limits.members_per_address_set
    }
}
