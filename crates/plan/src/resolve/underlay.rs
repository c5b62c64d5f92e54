//! Hosts with their tunnels, and foreign endpoints: who has which address of the underlay.
//!
//! An address belongs to one host, and to foreign endpoints only where no host has it; those share it only where they agree on
//! the UDP port. A plan knows endpoints by address, so two of one address could not be told apart.

use std::collections::BTreeMap;

use anet_model::host_plan::{Endpoint, EndpointId, PortId, Tunnel};
use anet_model::intent::{self, ForeignEndpoint, ForeignEndpointId, HostId};
use anet_packet::addr::Mac;

use crate::fabric::{Fabric, Foreign, Key};
use crate::index::Claimant;
use crate::problem::{Object, Problem, named};
use crate::put::{legal_end, legal_tunnel};

impl Fabric {
    pub(super) fn resolve_hosts(&mut self) {
        for id in std::mem::take(&mut self.pending.hosts) {
            self.resolved_count += 1;
            let known = self.intent.hosts.contains_key(&id);
            let new = known.then(|| self.tunnel(&id).ok().flatten());
            let old = self.resolved.hosts.get(&id).cloned();
            if new == old {
                continue;
            }
            if new.is_some() != old.is_some() {
                let ports = self.index.host_ports.of(&id).cloned();
                self.pending.claimants.extend(ports.map(Claimant::Port));
            }
            self.mark_tunnel(&id, old.flatten().as_ref(), new.clone().flatten().as_ref());
            match new {
                Some(new) => drop(self.resolved.hosts.insert(id, new)),
                None => drop(self.resolved.hosts.remove(&id)),
            }
        }
    }

    /// The tunnel that a host has; none where it asks for none.
    pub(crate) fn tunnel(&self, id: &HostId) -> Result<Option<Tunnel>, Problem> {
        let object = || Object::Host(id.clone());
        let Some(host) = self.intent.hosts.get(id) else {
            return Ok(None);
        };
        let Some(address) = host.tunnel_address else {
            return Ok(None);
        };
        let Some(tunnel) = legal_tunnel(host) else {
            let value = format!("tunnel {address} UDP port {}", host.tunnel_port);
            let expected = "a unicast address, not link-local, and a port from 1 on";
            return Err(Problem::illegal(object(), value, expected));
        };
        match self.index.tunnel_hosts.first(&address) {
            Some(first) if first != id => Err(Problem::taken(object(), address, Object::Host(first.clone()))),
            _ => Ok(Some(tunnel)),
        }
    }

    pub(super) fn resolve_foreign(&mut self) {
        for id in std::mem::take(&mut self.pending.foreign) {
            self.resolved_count += 1;
            let new = self.foreign(&id).ok();
            let old = self.resolved.foreign.get(&id).cloned();
            if new == old {
                continue;
            }
            for foreign in old.iter().chain(&new) {
                self.mark_foreign(foreign);
                let stations = foreign.stations.keys().cloned();
                self.pending.claimants.extend(stations.map(Claimant::Station));
            }
            if let Some(old) = old {
                self.index.resolved_foreign.remove(&old.network, &id);
                for station in old.stations.keys() {
                    self.resolved.station_owners.remove(station);
                }
                self.resolved.foreign.remove(&id);
            }
            if let Some(new) = new {
                self.index.resolved_foreign.insert(&new.network, id.clone());
                let stations = new.stations.keys().cloned();
                let owned = stations.map(|station| (station, id.clone()));
                self.resolved.station_owners.extend(owned);
                self.resolved.foreign.insert(id, new);
            }
        }
    }

    fn mark_foreign(&mut self, foreign: &Foreign) {
        for host in self.index.network_hosts.of(&foreign.network) {
            self.dirty.mark(host, Key::Endpoint(foreign.id.clone()));
            self.dirty.mark(host, Key::Network(foreign.network.clone()));
            for station in foreign.stations.keys() {
                self.dirty.mark(host, Key::Peer(station.clone()));
            }
        }
    }

    /// A foreign endpoint of the intent, unless its address belongs to somebody else.
    pub(crate) fn foreign(&self, id: &ForeignEndpointId) -> Result<Foreign, Option<Problem>> {
        let foreign = self.intent.foreign_endpoints.get(id).ok_or(None)?;
        let object = || Object::ForeignEndpoint(id.clone());
        let taken = |value: String, other| Err(Some(Problem::taken(object(), value, other)));
        let (address, udp_port) = (foreign.address, foreign.udp_port);
        if !self.resolved.networks.contains_key(&foreign.network) {
            let network = Object::Network(foreign.network.clone());
            return Err(Some(Problem::missing(object(), network)));
        }
        if !legal_end(address, udp_port) {
            let value = format!("{address} UDP port {udp_port}");
            let expected = "a unicast address, not link-local, and a port from 1 on";
            return Err(Some(Problem::illegal(object(), value, expected)));
        }
        if let Some(host) = self.index.tunnel_hosts.first(&address) {
            return taken(address.to_string(), Object::Host(host.clone()));
        }
        let first = self.index.foreign_at.first(&address);
        let first = first.and_then(|first| Some((first, self.intent.foreign_endpoints.get(first)?)));
        if let Some((other, _)) = first.filter(|(_, first)| first.udp_port != udp_port) {
            return taken(address.to_string(), Object::ForeignEndpoint(other.clone()));
        }
        let name = name_of_foreign(foreign).ok_or(None)?;
        if self.intent.hosts.contains_key(&name.cast()) {
            return taken(format!("the id {name}"), Object::Host(name.cast()));
        }
        Ok(Foreign {
            network: foreign.network.clone(),
            endpoint: Endpoint {
                address,
                udp_port,
                next_hop: None,
            },
            id: name,
            stations: self.stations_of_foreign(id, foreign),
        })
    }

    /// The stations that can become peers: of a MAC that is named once, under an id that is nobody else's.
    fn stations_of_foreign(
        &self,
        id: &ForeignEndpointId,
        foreign: &ForeignEndpoint,
    ) -> BTreeMap<PortId, intent::Station> {
        let mut stations = BTreeMap::new();
        for station in foreign.stations.iter().filter(|station| station.mac.is_station()) {
            match peer_of_station(id, station.mac) {
                Some(peer) if !self.intent.ports.contains_key(&peer) => {
                    stations.entry(peer).or_insert_with(|| station.clone());
                }
                _ => {}
            }
        }
        stations
    }
}

/// The id by which hosts know a foreign endpoint: one for an address and port, whatever the networks. An address's text is always
/// legal in an id, and short enough.
pub(crate) fn name_of_foreign(foreign: &ForeignEndpoint) -> Option<EndpointId> {
    named(&format!("foreign:{}:{}", foreign.address, foreign.udp_port))
}

/// The id of the peer that a foreign station becomes; none where it would be too long.
pub(crate) fn peer_of_station(foreign: &ForeignEndpointId, mac: Mac) -> Option<PortId> {
    let mac: String = mac.0.iter().map(|byte| format!("{byte:02x}")).collect();
    named(&format!("foreign-{foreign}-{mac}"))
}

/// The foreign endpoint whose station would become this peer.
pub(crate) fn foreign_of_peer(peer: &PortId) -> Option<ForeignEndpointId> {
    let (foreign, _) = peer.as_str().strip_prefix("foreign-")?.rsplit_once('-')?;
    named(foreign)
}
