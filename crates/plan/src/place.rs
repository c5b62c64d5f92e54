//! Which host has what: ports on their hosts, networks on the hosts of their ports, and who sees whom.
//!
//! The hosts that a network is on are its span. What changes in a network concerns its span and nobody else.

use anet_model::host_plan::{Family, NetworkId, PortId, Tunnel};
use anet_model::intent::HostId;

use crate::fabric::{Fabric, Key, Local, Place, Station};
use crate::index::Claimant;

impl Fabric {
    /// Puts a port's own side in the place of the one before; `station` is the side that others see, which is put later.
    pub(crate) fn replace_local(&mut self, id: &PortId, new: Option<Local>, station: Option<&Station>) {
        let old = self.resolved.locals.remove(id);
        let host_of = |station: &Station| match &station.place {
            Some(Place::Host(host)) => Some(host.clone()),
            _ => None,
        };
        let before = self.resolved.stations.get(&Claimant::Port(id.clone()));
        let (old_host, new_host) = (before.and_then(host_of), station.and_then(host_of));
        if old != new || old_host != new_host {
            for host in old_host.iter().chain(&new_host) {
                self.dirty.mark(host, Key::Port(id.clone()));
            }
            let groups =
                |local: &Option<Local>| local.as_ref().map(|local| local.port.security_groups.clone());
            let (old_groups, new_groups) = (groups(&old), groups(&new));
            if (&old_groups, &old_host) != (&new_groups, &new_host) {
                for (host, group) in new_host.iter().zip([&new_groups]).flat_map(each_group) {
                    self.use_group(host, group);
                }
                for (host, group) in old_host.iter().zip([&old_groups]).flat_map(each_group) {
                    self.drop_group(host, group);
                }
            }
            self.replace_members(old.as_ref(), new.as_ref());
        }
        if let Some(new) = new {
            self.resolved.locals.insert(id.clone(), new);
        }
    }

    /// Puts what others see of a port or foreign station in the place of what they saw.
    pub(crate) fn replace_station(&mut self, claimant: Claimant, new: Option<Station>) {
        let old = self.resolved.stations.get(&claimant);
        if old == new.as_ref() {
            return;
        }
        let place = |station: Option<&Station>| {
            station.and_then(|station| Some((station.network.clone(), station.place.clone()?)))
        };
        let (old, came) = (place(old), place(new.as_ref()));
        let peer = claimant.peer();
        if old == came {
            if let Some((network, _)) = &old {
                self.mark_peer(network, peer);
            }
        } else {
            if let Some((network, place)) = &came {
                self.enter(peer, network, place);
            }
            if let Some((network, place)) = &old {
                self.leave(peer, network, place);
            }
        }
        match new {
            Some(new) => drop(self.resolved.stations.insert(claimant, new)),
            None => drop(self.resolved.stations.remove(&claimant)),
        }
    }

    fn enter(&mut self, peer: &PortId, network: &NetworkId, place: &Place) {
        match place {
            Place::Foreign(_) => drop(self.index.network_stations.insert(network, peer.clone())),
            Place::Host(host) => {
                let span = (host.clone(), network.clone());
                if self.index.span_ports.insert(&span, peer.clone()) {
                    self.index.network_hosts.insert(network, host.clone());
                    self.index.host_networks.insert(host, network.clone());
                    self.mark_span(host, network);
                }
                self.dirty.mark(host, Key::Port(peer.clone()));
            }
        }
        self.mark_peer(network, peer);
    }

    fn leave(&mut self, peer: &PortId, network: &NetworkId, place: &Place) {
        self.mark_peer(network, peer);
        match place {
            Place::Foreign(_) => drop(self.index.network_stations.remove(network, peer)),
            Place::Host(host) => {
                self.dirty.mark(host, Key::Port(peer.clone()));
                let span = (host.clone(), network.clone());
                if self.index.span_ports.count(&span) == 1 {
                    self.mark_span(host, network);
                    self.index.network_hosts.remove(network, host);
                    self.index.host_networks.remove(host, network);
                }
                self.index.span_ports.remove(&span, peer);
            }
        }
    }

    /// A peer of the network is different for its whole span.
    fn mark_peer(&mut self, network: &NetworkId, peer: &PortId) {
        for host in self.index.network_hosts.of(network) {
            self.dirty.mark(host, Key::Peer(peer.clone()));
        }
    }

    /// A network comes to a host or goes: the host sees all of it anew, and the others in it see the host anew.
    fn mark_span(&mut self, host: &HostId, network: &NetworkId) {
        for (subnet, _) in self.resolved.subnets.get(network).into_iter().flatten() {
            self.dirty.mark(host, Key::Subnet(subnet.clone()));
        }
        self.mark_reach(host, network);
        for foreign in self.index.resolved_foreign.of(network) {
            if let Some(foreign) = self.resolved.foreign.get(foreign) {
                self.dirty.mark(host, Key::Endpoint(foreign.id.clone()));
            }
        }
    }

    /// Who reaches whom in a network is different between a host and the others.
    fn mark_reach(&mut self, host: &HostId, network: &NetworkId) {
        self.dirty.mark(host, Key::Network(network.clone()));
        for station in self.index.network_stations.of(network) {
            self.dirty.mark(host, Key::Peer(station.clone()));
        }
        let own = (host.clone(), network.clone());
        for other in self
            .index
            .network_hosts
            .of(network)
            .filter(|other| *other != host)
        {
            self.dirty.mark(host, Key::Endpoint(other.cast()));
            self.dirty.mark(other, Key::Endpoint(host.cast()));
            self.dirty.mark(other, Key::Network(network.clone()));
            for port in self.index.span_ports.of(&own) {
                self.dirty.mark(other, Key::Peer(port.clone()));
            }
            let theirs = (other.clone(), network.clone());
            for port in self.index.span_ports.of(&theirs) {
                self.dirty.mark(host, Key::Peer(port.clone()));
            }
        }
    }

    /// A host's tunnel is another one.
    pub(crate) fn mark_tunnel(&mut self, host: &HostId, old: Option<&Tunnel>, new: Option<&Tunnel>) {
        self.dirty.mark(host, Key::Tunnel);
        let family = |tunnel: Option<&Tunnel>| tunnel.map(|tunnel| Family::of(tunnel.address));
        let networks: Vec<NetworkId> = self.index.host_networks.of(host).cloned().collect();
        for network in networks {
            if family(old) != family(new) {
                self.mark_span(host, &network);
                continue;
            }
            for other in self.index.network_hosts.of(&network) {
                self.dirty.mark(other, Key::Endpoint(host.cast()));
            }
        }
    }
}

/// Each group of a port on a host.
fn each_group<'a, H: ?Sized, G>(
    (host, groups): (&'a H, &'a Option<Vec<G>>),
) -> impl Iterator<Item = (&'a H, &'a G)> {
    groups.iter().flatten().map(move |group| (host, group))
}
