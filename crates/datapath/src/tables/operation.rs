//! The operations that change the tables.

use std::net::IpAddr;
use std::sync::Arc;

use anet_packet::addr::{IpPrefix, Mac};
use left_right::Absorb;

use super::{
    Adjacency, FloodMember, LocalTunnel, Membership, Network, NetworkFacts, OuterHeader, Port, Station,
    Tables,
};

/// One change. `None` deletes. Each costs what it changes, whatever the size of the tables.
pub enum TableOp {
    /// The host's own endpoint.
    Tunnel(Option<LocalTunnel>),
    /// A network's facts; deleting takes its members along.
    Network(u32, Option<Arc<NetworkFacts>>),
    /// Where a MAC of a network is.
    Station(u32, Mac, Option<Station>),
    /// Whose address it is in a network.
    Address(u32, IpAddr, Option<Mac>),
    /// A member for copies joins (true) or leaves a network.
    Flood(u32, FloodMember, bool),
    /// A port.
    Port(u32, Option<Arc<Port>>),
    /// A remote endpoint's compiled header.
    Endpoint(u32, Option<Arc<OuterHeader>>),
    /// The way to a remote station.
    Adjacency(u32, Option<Adjacency>),
    /// A remote endpoint's right to send into a network.
    Membership(u32, Option<Membership>),
    /// A member of an address set joins (true) or leaves.
    SetMember(u32, IpPrefix, bool),
    /// All members of an address set leave.
    SetClear(u32),
    /// Everything goes, and every verdict is asked again, at once. Slots stay as many as they are.
    Clear,
    /// There are at least this many witness slots from now on.
    Witnesses(u32),
    /// Verdicts that rest on these slots (first, count) are asked again: a port or station changed.
    Bump(u32, u32),
    /// Verdicts that rest on this slot are asked again: a rule changed, and nothing else has to be looked at.
    BumpRule(u32),
}

impl Absorb<TableOp> for Tables {
    fn absorb_first(&mut self, operation: &mut TableOp, _: &Self) {
        self.perform(operation);
    }

    fn sync_with(&mut self, first: &Self) {
        *self = first.clone();
    }
}

impl Tables {
    /// Performs an operation on this copy. Used through `left-right`, and directly where there is only one copy
    /// (tests, traces of plans).
    pub fn perform(&mut self, operation: &TableOp) {
        match operation {
            TableOp::Tunnel(tunnel) => self.tunnel = *tunnel,
            TableOp::Network(index, facts) => self.put_network(*index, facts.as_ref()),
            TableOp::Station(network, mac, station) => {
                self.with_network(*network, |n| put_key(&mut n.stations, *mac, *station));
            }
            TableOp::Address(network, address, mac) => {
                self.with_network(*network, |n| put_key(&mut n.addresses, *address, *mac));
            }
            TableOp::Flood(network, member, joins) => self.with_network(*network, |n| {
                n.flood.retain(|m| m != member);
                if *joins {
                    n.flood.push(*member);
                }
            }),
            TableOp::Port(index, port) => put(&mut self.ports, *index, port.clone()),
            TableOp::Endpoint(index, header) => put(&mut self.endpoints, *index, header.clone()),
            TableOp::Adjacency(index, adjacency) => put(&mut self.adjacencies, *index, *adjacency),
            TableOp::Membership(index, membership) => self.put_membership(*index, *membership),
            TableOp::SetMember(set, prefix, joins) => self.set_member(*set, *prefix, *joins),
            TableOp::SetClear(set) => self.sets.clear(*set),
            TableOp::Clear => self.clear(),
            TableOp::Witnesses(slots) => self.witnesses.grow(*slots),
            TableOp::Bump(first, count) => self.witnesses.bump(*first, *count),
            TableOp::BumpRule(slot) => self.witnesses.bump_rule(*slot),
        }
    }

    fn clear(&mut self) {
        let mut witnesses = std::mem::take(&mut self.witnesses);
        witnesses.bump(0, u32::MAX);
        *self = Self {
            witnesses,
            ..Self::new(self.seed)
        };
    }

    fn put_network(&mut self, index: u32, facts: Option<&Arc<NetworkFacts>>) {
        if let (Some(Some(network)), Some(facts)) = (self.networks.get_mut(index as usize), facts) {
            network.facts = facts.clone();
        } else {
            put(&mut self.networks, index, facts.map(|f| Network::new(f.clone())));
        }
    }

    fn put_membership(&mut self, index: u32, membership: Option<Membership>) {
        if let Some(Some(old)) = self.memberships.get(index as usize) {
            self.membership_by_source.remove(&(old.vni, old.source));
        }
        if let Some(new) = membership {
            self.membership_by_source.insert((new.vni, new.source), index);
        }
        put(&mut self.memberships, index, membership);
    }

    /// An index beyond the bound is refused where operations are built; here it has no effect.
    fn set_member(&mut self, set: u32, prefix: IpPrefix, joins: bool) {
        if joins {
            let _ = self.sets.insert(set, prefix);
        } else {
            self.sets.remove(set, prefix);
        }
    }

    fn with_network(&mut self, index: u32, change: impl FnOnce(&mut Network)) {
        if let Some(Some(network)) = self.networks.get_mut(index as usize) {
            change(network);
        }
    }
}

fn put<T>(slots: &mut Vec<Option<T>>, index: u32, value: Option<T>) {
    let index = index as usize;
    if index >= slots.len() {
        slots.resize_with(index + 1, || None);
    }
    slots[index] = value;
}

fn put_key<K: std::hash::Hash + Eq, V>(map: &mut super::TableMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}
