//! Ports and foreign stations: who has which MAC and which address of a network.
//!
//! Ports come before stations. Who has lost its MAC to another is left out whole and claims no address; who has lost an address
//! is there without it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anet_model::host_plan::{self, AddressPair, Attachment, NetworkId, PortId, SubnetId};
use anet_model::intent;
use anet_model::validate::{is_host_name, is_host_of, is_station_address};
use anet_packet::addr::{IpPrefix, Mac};

use crate::fabric::{Fabric, Local, Place, Station};
use crate::index::Claimant;

impl Fabric {
    pub(super) fn resolve_stations(&mut self) {
        let mut concerned = std::mem::take(&mut self.pending.claimants);
        for claimant in concerned.clone() {
            self.claim_mac(&claimant, &mut concerned);
        }
        for claimant in concerned.clone() {
            self.claim_addresses(&claimant, &mut concerned);
        }
        self.resolved_count += concerned.len();
        for claimant in concerned {
            let new = self.station(&claimant);
            if let Claimant::Port(id) = &claimant {
                let local = new.as_ref().and_then(|station| self.local(id, station));
                self.replace_local(id, local, new.as_ref());
            }
            self.replace_station(claimant, new);
        }
    }

    /// Lets a claimant claim its MAC; notes whoever has won or lost one by that.
    fn claim_mac(&mut self, claimant: &Claimant, concerned: &mut BTreeSet<Claimant>) {
        let new = self.wanted_mac(claimant);
        let old = self.resolved.macs.get(claimant).cloned();
        if new == old {
            return;
        }
        let claims = &mut self.index.mac_claims;
        for key in old.iter().chain(&new) {
            concerned.extend(claims.first(key).cloned());
        }
        if let Some(old) = &old {
            claims.remove(old, claimant);
            self.resolved.macs.remove(claimant);
        }
        if let Some(new) = &new {
            claims.insert(new, claimant.clone());
            self.resolved.macs.insert(claimant.clone(), new.clone());
        }
        for key in old.iter().chain(&new) {
            concerned.extend(claims.first(key).cloned());
        }
    }

    /// The MAC that a claimant may claim: in a network that counts.
    fn wanted_mac(&self, claimant: &Claimant) -> Option<(NetworkId, Mac)> {
        let (network, mac) = match claimant {
            Claimant::Port(id) => {
                let port = self.intent.ports.get(id)?;
                (&port.network, port.mac)
            }
            Claimant::Station(id) => {
                let foreign = self.resolved.foreign.get(self.resolved.station_owners.get(id)?)?;
                (&foreign.network, self.foreign_station(id)?.mac)
            }
        };
        let counts = mac.is_station() && self.resolved.networks.contains_key(network);
        counts.then(|| (network.clone(), mac))
    }

    /// As [`Self::claim_mac`], for its addresses.
    fn claim_addresses(&mut self, claimant: &Claimant, concerned: &mut BTreeSet<Claimant>) {
        let wins = |(network, mac): &(NetworkId, Mac)| {
            let key = (network.clone(), *mac);
            (self.index.mac_claims.first(&key) == Some(claimant)).then(|| network.clone())
        };
        let network = self.resolved.macs.get(claimant).and_then(wins);
        let new = network.map(|network| {
            let addresses = self.wanted_addresses(claimant, &network);
            (network, addresses.into_boxed_slice())
        });
        let old = self.resolved.addresses.get(claimant).cloned();
        if new == old {
            return;
        }
        let keys = |claim: &Option<(NetworkId, Box<[IpAddr]>)>| -> Vec<(NetworkId, IpAddr)> {
            let all = claim.iter().flat_map(|(network, addresses)| {
                addresses.iter().map(move |address| (network.clone(), *address))
            });
            all.collect()
        };
        let (old_keys, new_keys) = (keys(&old), keys(&new));
        let claims = &mut self.index.address_claims;
        for key in old_keys.iter().chain(&new_keys) {
            concerned.extend(claims.first(key).cloned());
        }
        for key in &old_keys {
            claims.remove(key, claimant);
        }
        for key in &new_keys {
            claims.insert(key, claimant.clone());
        }
        for key in old_keys.iter().chain(&new_keys) {
            concerned.extend(claims.first(key).cloned());
        }
        match new {
            Some(new) => drop(self.resolved.addresses.insert(claimant.clone(), new)),
            None => drop(self.resolved.addresses.remove(claimant)),
        }
    }

    /// The addresses that a claimant may claim, in its order: a port's have to be of the subnet that they name.
    fn wanted_addresses(&self, claimant: &Claimant, network: &NetworkId) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        let mut add = |address: IpAddr| {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        };
        match claimant {
            Claimant::Port(id) => {
                let fixed = self
                    .intent
                    .ports
                    .get(id)
                    .into_iter()
                    .flat_map(|port| &port.fixed_ips);
                fixed
                    .filter(|fixed| self.is_of_subnet(network, &fixed.subnet, fixed.address))
                    .for_each(|fixed| add(fixed.address));
            }
            Claimant::Station(id) => {
                let all = self
                    .foreign_station(id)
                    .into_iter()
                    .flat_map(|station| &station.addresses);
                all.filter(|address| is_station_address(**address))
                    .for_each(|address| add(*address));
            }
        }
        addresses
    }

    /// Whether a port of the network can have an address of that subnet.
    pub(crate) fn is_of_subnet(&self, network: &NetworkId, subnet: &SubnetId, address: IpAddr) -> bool {
        let subnets = self.resolved.subnets.get(network);
        let subnet = subnets.and_then(|subnets| subnets.get(subnet));
        subnet.is_some_and(|subnet| is_host_of(subnet.prefix, address)) && is_station_address(address)
    }

    /// A claimant with the addresses that it has got, up to the limit; none where its MAC is another's.
    fn station(&self, claimant: &Claimant) -> Option<Station> {
        let (network, wanted) = self.resolved.addresses.get(claimant)?;
        let (_, mac) = self.resolved.macs.get(claimant)?;
        let won = |address: &&IpAddr| {
            let key = (network.clone(), **address);
            self.index.address_claims.first(&key) == Some(claimant)
        };
        let addresses = wanted.iter().filter(won);
        let addresses = addresses.take(self.limits.addresses_per_station).copied();
        let mut addresses: Vec<IpAddr> = addresses.collect();
        // There are as many of them as there are ports: none has room for more than it has.
        addresses.shrink_to_fit();
        let place = match claimant {
            Claimant::Port(id) => {
                let host = self.intent.ports.get(id)?.host.clone();
                let host = host.filter(|host| self.resolved.hosts.contains_key(host));
                host.map(Place::Host)
            }
            Claimant::Station(id) => self.resolved.station_owners.get(id).cloned().map(Place::Foreign),
        };
        Some(Station {
            network: network.clone(),
            mac: *mac,
            addresses,
            place,
        })
    }

    /// The station of a foreign endpoint that becomes this peer.
    fn foreign_station(&self, peer: &PortId) -> Option<&intent::Station> {
        let owner = self.resolved.station_owners.get(peer)?;
        self.resolved.foreign.get(owner)?.stations.get(peer)
    }

    /// A port as its host and its groups know it.
    fn local(&self, id: &PortId, station: &Station) -> Option<Local> {
        let port = self.intent.ports.get(id)?;
        let network = self.resolved.networks.get(&port.network)?;
        let groups = self.resolved.policies.get(&port.security_groups);
        let pairs = port
            .allowed_address_pairs
            .iter()
            .filter(|pair| is_legal_pair(pair));
        let mut pairs: Vec<AddressPair> = pairs.take(self.limits.address_pairs_per_port).cloned().collect();
        let own = station.addresses.iter().map(|address| IpPrefix::host(*address));
        pairs.shrink_to_fit();
        let prefixes: BTreeSet<IpPrefix> = own.chain(pairs.iter().map(|pair| pair.prefix)).collect();
        let planned = host_plan::Port {
            network: port.network.clone(),
            mac: port.mac,
            addresses: station.addresses.clone(),
            allowed_address_pairs: pairs,
            port_security: port.port_security_enabled,
            security_groups: groups.cloned().unwrap_or_default(),
            hostname: port.dns_name.clone().filter(|name| is_host_name(name)),
            attachment: Attachment::Detached,
            budgets: self.settings.budgets,
            admin_up: port.admin_state_up && network.admin_state_up,
        };
        Some(Local {
            port: planned,
            member_of: port.security_groups.iter().cloned().collect(),
            prefixes: prefixes.into_iter().collect(),
        })
    }
}

/// Whether a plan may have the pair.
pub(crate) fn is_legal_pair(pair: &AddressPair) -> bool {
    pair.mac.is_none_or(Mac::is_station) && !pair.prefix.address().is_multicast()
}
