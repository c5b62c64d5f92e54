//! Remote stations, and the address sets of rules.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anet_datapath::tables::{Adjacency, Station, TableOp};
use anet_model::host_plan::{HostPlan, NetworkId, Peer, PortId};
use anet_packet::addr::{IpPrefix, Mac};

use super::TableBuilder;
use super::dirty::Dirty;
use super::slots::Range;

/// Witness slots of a peer: of the station, and of what comes from it.
const PEER_SLOTS: u32 = 2;
const SOURCE: u32 = 1;

impl TableBuilder {
    /// The witness slot of frames of a network's unknown stations.
    pub(super) fn strangers_of(&mut self, network: &NetworkId) -> Range {
        let slots = &mut self.slots;
        *self
            .stranger_slots
            .entry(network.clone())
            .or_insert_with(|| slots.take(1))
    }

    /// Who was no station of a network may be one now, or behind an endpoint that is no member any more.
    pub(super) fn ask_strangers_again(&self, new: &HostPlan, dirty: &Dirty, ops: &mut Vec<TableOp>) {
        let of_peers = dirty.peers.iter().filter_map(|id| new.peers.get(id));
        let of_ports = dirty.ports.iter().filter_map(|id| new.ports.get(id));
        let stations = of_peers.map(|p| &p.network).chain(of_ports.map(|p| &p.network));
        let networks: BTreeSet<&NetworkId> = stations.chain(&dirty.networks).collect();
        let known = networks.into_iter().filter_map(|id| self.stranger_slots.get(id));
        ops.extend(known.map(|range| TableOp::Bump(range.first, range.count)));
    }

    /// A peer that goes, or changes more than its host.
    pub(super) fn retire_peers(
        &mut self,
        old: &HostPlan,
        new: &HostPlan,
        dirty: &Dirty,
        ops: &mut Vec<TableOp>,
    ) {
        for id in &dirty.peers {
            let Some(peer) = old.peers.get(id) else { continue };
            let after = new.peers.get(id);
            let range = self.peer_slots.get(id);
            if after.is_some_and(|a| same_station(peer, a)) && !self.network_is_dirty(old, new, peer) {
                // Who sends to it follows its adjacency; what still comes from where it was is its own no more.
                ops.extend(range.map(ask_about_source));
                continue;
            }
            ops.extend(range.map(|range| TableOp::Bump(range.first, range.count)));
            self.retire_station(peer, ops);
            if after.is_none() {
                self.forget_peer(id, ops);
            }
        }
    }

    fn network_is_dirty(&self, old: &HostPlan, new: &HostPlan, peer: &Peer) -> bool {
        let vni = |plan: &HostPlan| plan.networks.get(&peer.network).map(|n| n.vni);
        vni(old) != vni(new)
    }

    fn retire_station(&self, peer: &Peer, ops: &mut Vec<TableOp>) {
        let Some(network) = self.networks.get(&peer.network) else {
            return;
        };
        ops.push(TableOp::Station(network, peer.mac, None));
        ops.extend(
            peer.addresses
                .iter()
                .map(|address| TableOp::Address(network, *address, None)),
        );
    }

    fn forget_peer(&mut self, id: &PortId, ops: &mut Vec<TableOp>) {
        if let Some(range) = self.peer_slots.remove(id) {
            self.slots.give_back(range);
        }
        if let Some(index) = self.adjacencies.release(id) {
            ops.push(TableOp::Adjacency(index, None));
        }
    }

    pub(super) fn build_peers(&mut self, new: &HostPlan, dirty: &Dirty, ops: &mut Vec<TableOp>) {
        for id in &dirty.peers {
            let Some(peer) = new.peers.get(id) else { continue };
            let (Some(network), Some(endpoint)) = (
                self.networks.get(&peer.network),
                self.endpoints.get(&peer.endpoint),
            ) else {
                continue;
            };
            let slots = &mut self.slots;
            let range = *self
                .peer_slots
                .entry(id.clone())
                .or_insert_with(|| slots.take(PEER_SLOTS));
            let index = self.adjacencies.assign(id);
            let adjacency = Adjacency {
                endpoint,
                witness: range.first,
                source_witness: range.first + SOURCE,
            };
            ops.push(TableOp::Adjacency(index, Some(adjacency)));
            ops.push(TableOp::Station(network, peer.mac, Some(Station::Remote(index))));
            ops.extend(addresses_of(network, &peer.addresses, peer.mac));
        }
    }

    pub(super) fn build_sets(
        &mut self,
        old: &HostPlan,
        new: &HostPlan,
        dirty: &Dirty,
        ops: &mut Vec<TableOp>,
    ) {
        for id in &dirty.sets {
            let (Some(set), Some(index)) = (new.address_sets.get(id), self.sets.get(id)) else {
                continue;
            };
            let none = BTreeSet::<IpPrefix>::new();
            let before = old.address_sets.get(id).map_or(&none, |set| &set.members);
            let joined = set
                .members
                .difference(before)
                .map(|m| TableOp::SetMember(index, *m, true));
            let left = before
                .difference(&set.members)
                .map(|m| TableOp::SetMember(index, *m, false));
            ops.extend(joined.chain(left));
            let (grows, shrinks) = (!set.members.is_subset(before), !before.is_subset(&set.members));
            self.bump_users_of_set(new, id, grows, shrinks, ops);
        }
    }
}

/// What comes from a station is asked about again, what goes to it is not.
pub(super) fn ask_about_source(range: &Range) -> TableOp {
    TableOp::Bump(range.first + SOURCE, 1)
}

pub(super) fn addresses_of(network: u32, addresses: &[IpAddr], mac: Mac) -> impl Iterator<Item = TableOp> {
    addresses
        .iter()
        .map(move |address| TableOp::Address(network, *address, Some(mac)))
}

fn same_station(a: &Peer, b: &Peer) -> bool {
    (&a.network, a.mac, &a.addresses) == (&b.network, b.mac, &b.addresses)
}
