//! What of a host's intent is not in its plan: asked for rarely, so it is found again and not kept.

use std::collections::BTreeSet;

use anet_model::host_plan::{HostPlan, NetworkId, PortId, SecurityGroupId};
use anet_model::intent::{FixedIp, ForeignEndpointId, HostId, Port, Remote, Station};
use anet_model::validate::{is_host_name, is_station_address};
use anet_packet::addr::Mac;

use crate::fabric::Fabric;
use crate::fit::fit;
use crate::index::Claimant;
use crate::problem::{Object, Problem};
use crate::resolve::policy::GroupProblem;
use crate::resolve::station::is_legal_pair;
use crate::resolve::underlay::peer_of_station;

impl Fabric {
    /// See [`crate::Planner::problems`]; `wanted` is the host's plan before it was fitted.
    pub(crate) fn problems(&self, host: &HostId, wanted: &HostPlan) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.tunnel(host).err().into_iter().collect();
        let (mut networks, mut groups) = (BTreeSet::new(), BTreeSet::new());
        for id in self.index.host_ports.of(host) {
            if let Some(port) = self.intent.ports.get(id) {
                networks.insert(&port.network);
                groups.extend(&port.security_groups);
                self.port_problems(id, port, &mut problems);
            }
        }
        for network in networks {
            self.network_problems(network, &mut problems);
        }
        for group in groups {
            self.group_problems(group, &mut problems);
        }
        for excess in fit(wanted, &self.limits).1 {
            problems.push(Problem::TooMany {
                of: excess
                    .network
                    .map_or_else(|| Object::Host(host.clone()), Object::Network),
                noun: excess.noun,
                found: excess.found,
                limit: excess.limit,
            });
        }
        problems
    }

    fn port_problems(&self, id: &PortId, port: &Port, problems: &mut Vec<Problem>) {
        let object = || Object::Port(id.clone());
        let claimant = Claimant::Port(id.clone());
        if !self.resolved.networks.contains_key(&port.network) {
            let network = Object::Network(port.network.clone());
            problems.push(Problem::missing(object(), network));
            return;
        }
        if let Some(problem) = self.mac_problem(&claimant, &port.network, port.mac) {
            problems.push(problem);
            return;
        }
        for fixed in &port.fixed_ips {
            problems.extend(self.fixed_ip_problem(&claimant, &port.network, fixed));
        }
        let wanted = self.resolved.addresses.get(&claimant);
        problems.extend(too_many(
            object(),
            "addresses",
            wanted.map_or(0, |(_, wanted)| wanted.len()),
            self.limits.addresses_per_station,
        ));
        let (legal, illegal): (Vec<_>, Vec<_>) = port
            .allowed_address_pairs
            .iter()
            .partition(|pair| is_legal_pair(pair));
        problems.extend(illegal.into_iter().map(|pair| {
            let value = format!("the allowed address pair with {}", pair.prefix);
            Problem::illegal(object(), value, "a station's MAC and a unicast range")
        }));
        problems.extend(too_many(
            object(),
            "allowed address pairs",
            legal.len(),
            self.limits.address_pairs_per_port,
        ));
        if let Some(name) = port.dns_name.as_ref().filter(|name| !is_host_name(name)) {
            let value = format!("DNS name {}", name.escape_debug());
            problems.push(Problem::illegal(object(), value, "a host name of RFC 1123"));
        }
        let (_, groups) = self.groups(&port.security_groups);
        problems.extend(
            groups
                .into_iter()
                .map(|problem: GroupProblem| problem.of(object())),
        );
    }

    fn mac_problem(&self, claimant: &Claimant, network: &NetworkId, mac: Mac) -> Option<Problem> {
        if !mac.is_station() {
            let value = format!("MAC {mac}");
            return Some(Problem::illegal(object_of(claimant), value, "a station's MAC"));
        }
        let first = self.index.mac_claims.first(&(network.clone(), mac));
        let other = first.filter(|first| *first != claimant)?;
        let value = format!("MAC {mac}");
        Some(Problem::taken(object_of(claimant), value, object_of(other)))
    }

    fn fixed_ip_problem(&self, claimant: &Claimant, network: &NetworkId, fixed: &FixedIp) -> Option<Problem> {
        let object = || object_of(claimant);
        let subnets = self.resolved.subnets.get(network);
        if !subnets.is_some_and(|subnets| subnets.contains_key(&fixed.subnet)) {
            let subnet = Object::Subnet(fixed.subnet.clone());
            return Some(Problem::missing(object(), subnet));
        }
        if !self.is_of_subnet(network, &fixed.subnet, fixed.address) {
            let value = format!("address {}", fixed.address);
            return Some(Problem::illegal(
                object(),
                value,
                "a host's address of the subnet",
            ));
        }
        self.address_problem(claimant, network, fixed.address)
    }

    fn address_problem(
        &self,
        claimant: &Claimant,
        network: &NetworkId,
        address: std::net::IpAddr,
    ) -> Option<Problem> {
        let first = self.index.address_claims.first(&(network.clone(), address));
        let other = first.filter(|first| *first != claimant)?;
        Some(Problem::taken(object_of(claimant), address, object_of(other)))
    }

    fn network_problems(&self, network: &NetworkId, problems: &mut Vec<Problem>) {
        problems.extend(self.network(network).err().flatten());
        problems.extend(self.subnets(network).1);
        for foreign in self.index.network_foreign.of(network) {
            match self.foreign(foreign) {
                Ok(_) => self.station_problems(foreign, network, problems),
                Err(problem) => problems.extend(problem),
            }
        }
    }

    fn station_problems(
        &self,
        foreign: &ForeignEndpointId,
        network: &NetworkId,
        problems: &mut Vec<Problem>,
    ) {
        let object = || Object::ForeignEndpoint(foreign.clone());
        let stations = self.intent.foreign_endpoints.get(foreign);
        let mut seen = BTreeSet::new();
        for station in stations.into_iter().flat_map(|foreign| &foreign.stations) {
            if !seen.insert(station.mac) {
                let value = format!("MAC {}", station.mac);
                problems.push(Problem::illegal(object(), value, "each MAC once"));
                continue;
            }
            match peer_of_station(foreign, station.mac) {
                None => {
                    let value = format!("station {}", station.mac);
                    let expected = "an id of the foreign endpoint of at most 43 characters";
                    problems.push(Problem::illegal(object(), value, expected));
                }
                Some(peer) if self.intent.ports.contains_key(&peer) => {
                    let value = format!("the id {peer}");
                    problems.push(Problem::taken(object(), value, Object::Port(peer)));
                }
                Some(peer) => self.claim_problems(Claimant::Station(peer), network, station, problems),
            }
        }
    }

    fn claim_problems(
        &self,
        claimant: Claimant,
        network: &NetworkId,
        station: &Station,
        problems: &mut Vec<Problem>,
    ) {
        if let Some(problem) = self.mac_problem(&claimant, network, station.mac) {
            problems.push(problem);
            return;
        }
        for address in &station.addresses {
            if is_station_address(*address) {
                problems.extend(self.address_problem(&claimant, network, *address));
            } else {
                let value = format!("address {address}");
                let expected = "a host's unicast address";
                problems.push(Problem::illegal(object_of(&claimant), value, expected));
            }
        }
        let wanted = self.resolved.addresses.get(&claimant);
        problems.extend(too_many(
            object_of(&claimant),
            "addresses",
            wanted.map_or(0, |(_, wanted)| wanted.len()),
            self.limits.addresses_per_station,
        ));
    }

    fn group_problems(&self, group: &SecurityGroupId, problems: &mut Vec<Problem>) {
        let mut sets = BTreeSet::new();
        for id in self.index.group_rules.of(group) {
            match self.rule(id) {
                Ok(_) => {
                    if let Some(Remote::Group(set)) = self.intent.rules.get(id).map(|rule| &rule.remote) {
                        sets.insert(set);
                    }
                }
                Err(problem) => problems.extend(problem),
            }
        }
        for set in sets {
            problems.extend(too_many(
                Object::SecurityGroup(set.clone()),
                "addresses as a remote group",
                self.index.set_members.count(set),
                self.limits.members_per_address_set,
            ));
        }
    }
}

fn object_of(claimant: &Claimant) -> Object {
    match claimant {
        Claimant::Port(id) => Object::Port(id.clone()),
        Claimant::Station(id) => Object::Station(id.clone()),
    }
}

fn too_many(of: Object, noun: &'static str, found: usize, limit: usize) -> Option<Problem> {
    (found > limit).then_some(Problem::TooMany {
        of,
        noun,
        found,
        limit,
    })
}
