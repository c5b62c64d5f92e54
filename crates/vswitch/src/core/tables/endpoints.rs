//! The overlay's side: endpoints, networks, memberships.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use anet_datapath::tables::{FloodMember, LocalTunnel, Membership, NetworkFacts, OuterHeader, TableOp};
use anet_model::host_plan::{Endpoint, EndpointId, HostPlan, NetworkId, Peer, Tunnel};
use anet_packet::addr::Mac;

use super::TableBuilder;
use super::dirty::Dirty;
use super::stations::ask_about_source;

impl TableBuilder {
    pub(super) fn build_endpoints(&mut self, new: &HostPlan, dirty: &Dirty, ops: &mut Vec<TableOp>) {
        let local = new.tunnel.as_ref().map(local_tunnel);
        let underlay = new.tunnel.as_ref().and_then(|tunnel| tunnel.dpdk.as_ref());
        let source = underlay.map_or(Mac::ZERO, |underlay| underlay.mac);
        let next_hop = |endpoint: &Endpoint| endpoint.next_hop.unwrap_or(Mac::ZERO);
        if dirty.tunnel {
            ops.push(TableOp::Tunnel(local));
        }
        for id in &dirty.endpoints {
            let Some(endpoint) = new.endpoints.get(id) else {
                continue;
            };
            // A socket uplink ignores the Ethernet addresses.
            let compile = |local| {
                OuterHeader::compile(
                    local,
                    endpoint.address,
                    endpoint.udp_port,
                    source,
                    next_hop(endpoint),
                )
            };
            let header = local.as_ref().and_then(compile).map(Arc::new);
            ops.push(TableOp::Endpoint(self.endpoints.assign(id), header));
        }
    }

    pub(super) fn build_networks(&mut self, new: &HostPlan, dirty: &Dirty, ops: &mut Vec<TableOp>) {
        for id in &dirty.networks {
            let Some(network) = new.networks.get(id) else {
                continue;
            };
            let subnets = new.subnets.iter().filter(|(_, subnet)| subnet.network == *id);
            let facts = NetworkFacts {
                id: id.clone(),
                vni: network.vni,
                mtu: network.mtu,
                subnets: subnets.map(|(id, subnet)| (id.clone(), subnet.clone())).collect(),
                strangers: self.strangers_of(id).first,
            };
            ops.push(TableOp::Network(self.networks.assign(id), Some(Arc::new(facts))));
        }
    }

    /// Memberships that end: of endpoints that left a network, and, since both are part of its key, all whose network or
    /// address changed. What came from stations behind them is asked again.
    pub(super) fn retire_memberships(
        &mut self,
        old: &HostPlan,
        new: &HostPlan,
        dirty: &Dirty,
        ops: &mut Vec<TableOp>,
    ) {
        let mut ended = BTreeSet::new();
        for network in &dirty.networks {
            let before = old
                .networks
                .get(network)
                .map(|n| n.endpoints.as_slice())
                .unwrap_or_default();
            for endpoint in before.iter().filter(|e| !same_membership(old, new, network, e)) {
                let key = (network.clone(), endpoint.clone());
                ended.insert((network, endpoint));
                if let Some(index) = self.memberships.release(&key) {
                    ops.push(TableOp::Membership(index, None));
                }
                if let (Some(network), Some(endpoint)) =
                    (self.networks.get(network), self.endpoints.get(endpoint))
                {
                    ops.push(TableOp::Flood(network, FloodMember::Endpoint(endpoint), false));
                }
            }
        }
        let behind = |peer: &Peer| ended.contains(&(&peer.network, &peer.endpoint));
        for (id, _) in old
            .peers
            .iter()
            .filter(|(_, peer)| !ended.is_empty() && behind(peer))
        {
            ops.extend(self.peer_slots.get(id).map(ask_about_source));
        }
    }

    pub(super) fn build_memberships(
        &mut self,
        old: &HostPlan,
        new: &HostPlan,
        dirty: &Dirty,
        ops: &mut Vec<TableOp>,
    ) {
        for id in &dirty.networks {
            let (Some(network), Some(index)) = (new.networks.get(id), self.networks.get(id)) else {
                continue;
            };
            for endpoint in network
                .endpoints
                .iter()
                .filter(|e| !same_membership(old, new, id, e))
            {
                let Some(source) = new.endpoints.get(endpoint).map(|e| e.address) else {
                    continue;
                };
                let key = (id.clone(), endpoint.clone());
                let endpoint = self.endpoints.assign(endpoint);
                let membership = Membership {
                    vni: network.vni.get(),
                    source,
                    network: index,
                    endpoint,
                };
                ops.push(TableOp::Membership(
                    self.memberships.assign(&key),
                    Some(membership),
                ));
                ops.push(TableOp::Flood(index, FloodMember::Endpoint(endpoint), true));
            }
        }
    }
}

pub(super) fn local_tunnel(tunnel: &Tunnel) -> LocalTunnel {
    LocalTunnel {
        address: tunnel.address,
        udp_port: tunnel.udp_port,
    }
}

/// True where the endpoint is in the network before and after, with the same segment and address.
fn same_membership(old: &HostPlan, new: &HostPlan, network: &NetworkId, endpoint: &EndpointId) -> bool {
    let key = |plan: &HostPlan| -> Option<(u32, IpAddr)> {
        let network = plan.networks.get(network)?;
        let address = plan.endpoints.get(endpoint)?.address;
        network
            .endpoints
            .contains(endpoint)
            .then_some((network.vni.get(), address))
    };
    let before = key(old);
    before.is_some() && before == key(new)
}
