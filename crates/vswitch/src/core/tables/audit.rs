//! The tables read back and held against the plan: what the background walk does, and what tests lean on.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use anet_datapath::tables::{FloodMember, Network, Station, Tables};
use anet_model::host_plan::{AddressSetId, EndpointId, HostPlan, NetworkId, Peer, Port, PortId};
use anet_packet::addr::Mac;

use super::TableBuilder;
use super::endpoints::local_tunnel;

/// An object of the plan that the tables do not hold as they should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Network, port, peer, endpoint, address_set or tunnel.
    pub noun: &'static str,
    /// Its id.
    pub id: String,
    /// What is wrong.
    pub what: &'static str,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {} in the tables", self.noun, self.id, self.what)
    }
}

type Check = Result<(), &'static str>;

impl TableBuilder {
    /// Reads the tables back; empty where they hold the plan and nothing else. Walks everything: for a slow background
    /// walk, not for a change's way.
    pub fn audit(&self, tables: &Tables, plan: &HostPlan) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut note = |noun, id: &str, check: Check| {
            if let Err(what) = check {
                found.push(Difference {
                    noun,
                    id: id.to_string(),
                    what,
                });
            }
        };
        let tunnel = tables.tunnel().copied() == plan.tunnel.as_ref().map(local_tunnel);
        note("tunnel", "", holds(tunnel, "another address"));
        plan.endpoints
            .keys()
            .for_each(|id| note("endpoint", id.as_str(), self.endpoint_is_right(tables, plan, id)));
        plan.networks
            .keys()
            .for_each(|id| note("network", id.as_str(), self.network_is_right(tables, plan, id)));
        plan.ports
            .iter()
            .for_each(|(id, port)| note("port", id.as_str(), self.port_is_right(tables, id, port)));
        plan.peers
            .iter()
            .for_each(|(id, peer)| note("peer", id.as_str(), self.peer_is_right(tables, id, peer)));
        plan.address_sets
            .keys()
            .for_each(|id| note("address_set", id.as_str(), self.set_is_right(tables, plan, id)));
        note(
            "port",
            "*",
            holds(
                tables.ports().count() == plan.ports.len(),
                "a port that is not in the plan",
            ),
        );
        note(
            "network",
            "*",
            holds(
                tables.networks().count() == plan.networks.len(),
                "a network that is not in the plan",
            ),
        );
        found
    }

    fn endpoint_is_right(&self, tables: &Tables, plan: &HostPlan, id: &EndpointId) -> Check {
        let index = self.endpoints.get(id).ok_or("missing")?;
        let wanted = plan
            .tunnel
            .as_ref()
            .and_then(|_| plan.endpoints.get(id))
            .map(|e| e.address);
        holds(
            tables.endpoint(index).map(|header| header.remote()) == wanted,
            "another address",
        )
    }

    fn network_is_right(&self, tables: &Tables, plan: &HostPlan, id: &NetworkId) -> Check {
        let network = self.network(tables, id)?;
        let wanted = plan.networks.get(id).ok_or("missing")?;
        holds(
            (network.facts.vni, network.facts.mtu) == (wanted.vni, wanted.mtu),
            "another segment or MTU",
        )?;
        let subnets = plan
            .subnets
            .iter()
            .filter(|(_, s)| s.network == *id)
            .map(|(i, s)| (i.clone(), s.clone()));
        holds(subnets.eq(network.facts.subnets.iter().cloned()), "other subnets")?;
        for endpoint in &wanted.endpoints {
            let address = plan
                .endpoints
                .get(endpoint)
                .map(|e| e.address)
                .ok_or("an endpoint is missing")?;
            let member = tables
                .membership_of(wanted.vni.get(), address)
                .and_then(|i| tables.membership(i));
            let member = member.ok_or("a membership is missing")?;
            let index = self.endpoints.get(endpoint).ok_or("an endpoint is missing")?;
            holds(
                (Some(member.network), member.endpoint) == (self.networks.get(id), index),
                "a membership of another network or endpoint",
            )?;
            holds(
                network.flood().contains(&FloodMember::Endpoint(index)),
                "an endpoint gets no copies",
            )?;
        }
        let local = |member: &&FloodMember| matches!(member, FloodMember::Endpoint(_));
        holds(
            network.flood().iter().filter(local).count() == wanted.endpoints.len(),
            "too many endpoints get copies",
        )?;
        let ports = plan.ports.values().filter(|p| p.network == *id).count();
        let peers = plan.peers.values().filter(|p| p.network == *id).count();
        holds(
            network.station_count() == ports + peers,
            "stations that are not in the plan",
        )
    }

    fn port_is_right(&self, tables: &Tables, id: &PortId, wanted: &Port) -> Check {
        let index = self.ports.get(id).ok_or("missing")?;
        let port = tables.port(index).ok_or("missing")?;
        let same = (&port.id, port.mac, &port.addresses, port.admin_up, port.budgets)
            == (id, wanted.mac, &wanted.addresses, wanted.admin_up, wanted.budgets)
            && (&port.pairs, &port.hostname) == (&wanted.allowed_address_pairs, &wanted.hostname);
        holds(same, "other values")?;
        let policy = self
            .policies
            .get(&wanted.security_groups)
            .filter(|_| wanted.port_security);
        let same_policy = match (&port.firewall, policy) {
            (Some(there), Some(wanted)) => Arc::ptr_eq(there, &wanted.firewall),
            (None, None) => true,
            _ => false,
        };
        holds(same_policy, "another firewall")?;
        let network = self.network(tables, &wanted.network)?;
        holds(
            network.station(wanted.mac) == Some(Station::Local(index)),
            "its MAC is elsewhere",
        )?;
        holds(
            network.flood().contains(&FloodMember::Port(index)),
            "it gets no copies",
        )?;
        resolves(network, &wanted.addresses, wanted.mac)
    }

    fn peer_is_right(&self, tables: &Tables, id: &PortId, wanted: &Peer) -> Check {
        let index = self.adjacencies.get(id).ok_or("missing")?;
        let adjacency = tables.adjacency(index).ok_or("missing")?;
        holds(
            Some(adjacency.endpoint) == self.endpoints.get(&wanted.endpoint),
            "behind another endpoint",
        )?;
        let network = self.network(tables, &wanted.network)?;
        holds(
            network.station(wanted.mac) == Some(Station::Remote(index)),
            "its MAC is elsewhere",
        )?;
        resolves(network, &wanted.addresses, wanted.mac)
    }

    fn set_is_right(&self, tables: &Tables, plan: &HostPlan, id: &AddressSetId) -> Check {
        let index = self.sets.get(id).ok_or("missing")?;
        let wanted = plan.address_sets.get(id).ok_or("missing")?;
        holds(
            tables.sets().len(index) == wanted.members.len(),
            "too many or too few members",
        )?;
        let all = wanted
            .members
            .iter()
            .all(|member| tables.sets().contains(index, member.address()));
        holds(all, "a member is missing")
    }

    fn network<'t>(&self, tables: &'t Tables, id: &NetworkId) -> Result<&'t Network, &'static str> {
        self.networks
            .get(id)
            .and_then(|index| tables.network(index))
            .ok_or("missing")
    }
}

fn holds(condition: bool, what: &'static str) -> Check {
    if condition { Ok(()) } else { Err(what) }
}

fn resolves(network: &Network, addresses: &[IpAddr], mac: Mac) -> Check {
    holds(
        addresses
            .iter()
            .all(|address| network.resolve(*address) == Some(mac)),
        "an address resolves to another MAC",
    )
}
