//! Remote stations, and the address sets of rules.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anet_datapath::tables::{Adjacency, Station, TableOp};
use anet_model::host_plan::{HostPlan, Peer, PortId};
use anet_packet::addr::{IpPrefix, Mac};

use super::TableBuilder;
use super::dirty::Dirty;
use super::slots::Range;

impl TableBuilder {
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
            if after.is_some_and(|a| same_station(peer, a)) && !self.network_is_dirty(old, new, peer) {
                continue;
            }
            if let Some(slot) = self.peer_slots.get(id) {
                ops.push(TableOp::Bump(*slot, 1));
            }
            self.retire_station(peer, ops);
            self.disown(new, dirty, peer, ops);
            if after.is_none() {
                self.forget_peer(id, ops);
            }
        }
    }

    fn network_is_dirty(&self, old: &HostPlan, new: &HostPlan, peer: &Peer) -> bool {
        let vni = |plan: &HostPlan| plan.networks.get(&peer.network).map(|n| n.vni);
        vni(old) != vni(new)
    }

    /// A station that moves here is its endpoint's no more: frames with its MAC that still come from there are asked again.
    fn disown(&self, new: &HostPlan, dirty: &Dirty, peer: &Peer, ops: &mut Vec<TableOp>) {
        let mut ports = dirty.ports.iter().filter_map(|id| new.ports.get(id));
        if !ports.any(|port| (&port.network, port.mac) == (&peer.network, peer.mac)) {
            return;
        }
        let membership = (peer.network.clone(), peer.endpoint.clone());
        ops.extend(
            self.membership_slots
                .get(&membership)
                .map(|slot| TableOp::Bump(*slot, 1)),
        );
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
        if let Some(slot) = self.peer_slots.remove(id) {
            self.slots.give_back(Range {
                first: slot,
                count: 1,
            });
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
            let witness = *self
                .peer_slots
                .entry(id.clone())
                .or_insert_with(|| slots.take(1).first);
            let index = self.adjacencies.assign(id);
            ops.push(TableOp::Adjacency(index, Some(Adjacency { endpoint, witness })));
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

pub(super) fn addresses_of(network: u32, addresses: &[IpAddr], mac: Mac) -> impl Iterator<Item = TableOp> {
    addresses
        .iter()
        .map(move |address| TableOp::Address(network, *address, Some(mac)))
}

fn same_station(a: &Peer, b: &Peer) -> bool {
    (&a.network, a.mac, &a.addresses) == (&b.network, b.mac, &b.addresses)
}
