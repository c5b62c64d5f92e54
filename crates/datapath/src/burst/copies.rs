//! Broadcast and multicast: head-end copies to the members of the network, and to nobody else.

use anet_memory::buffer::Buffer;
use anet_packet::Tuple;
use anet_packet::parse::Layout;
use anet_packet::vxlan::outer_source_port;

use super::forward::wrap;
use super::{Surroundings, Worker};
use crate::interface::{Interface, InterfaceKind};
use crate::pipeline::{self, Walk, WorkerState};
use crate::tables::{FloodMember, Network, Tables};
use crate::verdict::DropReason;

impl Worker {
    /// Makes a copy for each member but the source. What came by a tunnel goes to ports only (split horizon).
    pub(super) fn copies(
        &mut self,
        with: &mut Surroundings<'_>,
        state: &mut WorkerState,
        interface: Interface,
        source: Interface,
        layout: Layout,
        buffer: &mut Buffer,
    ) {
        let tables = with.environment.tables;
        let Some(network) = network_of(tables, source) else {
            return self.count_drop(interface, DropReason::UnknownVni);
        };
        let vni = network.facts.vni.get();
        let mut sent = 0;
        for member in network.flood() {
            let target = match (*member, source.kind()) {
                (FloodMember::Port(port), InterfaceKind::Port(from)) if port == from => continue,
                (FloodMember::Endpoint(_), InterfaceKind::Membership(_)) => continue,
                (FloodMember::Port(port), _) => {
                    if !self.permits_copy(with, state, source, layout, buffer, port) {
                        continue;
                    }
                    Interface::port(port)
                }
                (FloodMember::Endpoint(_), _) => Interface::UPLINK,
            };
            let Some(mut copy) = with.pool.duplicate(buffer) else {
                self.count_drop(interface, DropReason::NoBuffer);
                continue;
            };
            if let FloodMember::Endpoint(endpoint) = *member
                && !wrap(
                    tables,
                    &mut copy,
                    endpoint,
                    vni,
                    outer_source_port(u64::from(vni) << 32),
                )
            {
                continue;
            }
            with.egress.push(target, copy);
            sent += 1;
        }
        self.counters.copies.add(sent);
        if sent == 0 {
            self.count_drop(interface, DropReason::NoMembers);
        }
    }

    fn permits_copy(
        &self,
        with: &Surroundings<'_>,
        state: &mut WorkerState,
        source: Interface,
        layout: Layout,
        buffer: &mut Buffer,
        port: u32,
    ) -> bool {
        let Some(port) = with.environment.tables.port(port) else {
            return false;
        };
        let tuple = Tuple::of(buffer.head(), &layout);
        let mut walk = Walk::new(with.environment, state, buffer, layout, source);
        walk.tuple = tuple;
        walk.control = layout.kind == anet_packet::parse::Kind::Arp;
        pipeline::flood_permits(&walk, port)
    }
}

fn network_of(tables: &Tables, source: Interface) -> Option<&Network> {
    match source.kind() {
        InterfaceKind::Port(port) => tables.network(tables.port(port)?.network),
        InterfaceKind::Membership(membership) => tables.network(tables.membership(membership)?.network),
        InterfaceKind::Uplink => None,
    }
}
