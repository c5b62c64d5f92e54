//! Ports of this host: their tables and their witnesses.

use std::sync::Arc;

use anet_datapath::connections::PortIdentity;
use anet_datapath::tables::{self, FloodMember, Station, TableOp};
use anet_model::host_plan::{AddressSetId, Direction, HostPlan, Port, PortId};

use super::TableBuilder;
use super::dirty::Dirty;
use super::policies::{PolicyChange, PolicyChanges, key_of};
use super::slots::Range;
use super::stations::addresses_of;

impl TableBuilder {
    /// Ports that go or change: their verdicts are asked again, and their MAC and addresses are free.
    pub(super) fn retire_ports(
        &mut self,
        old: &HostPlan,
        new: &HostPlan,
        dirty: &Dirty,
        ops: &mut Vec<TableOp>,
    ) {
        for id in &dirty.ports {
            let Some(port) = old.ports.get(id) else { continue };
            if let Some(range) = self.port_slots.remove(id) {
                ops.push(TableOp::Bump(range.first, range.count));
                self.slots.give_back(range);
            }
            if let (Some(network), Some(index)) = (self.networks.get(&port.network), self.ports.get(id)) {
                ops.push(TableOp::Station(network, port.mac, None));
                ops.extend(
                    port.addresses
                        .iter()
                        .map(|address| TableOp::Address(network, *address, None)),
                );
                ops.push(TableOp::Flood(network, FloodMember::Port(index), false));
            }
            if !new.ports.contains_key(id)
                && let Some(index) = self.ports.release(id)
            {
                ops.push(TableOp::Port(index, None));
            }
        }
    }

    pub(super) fn build_ports(
        &mut self,
        new: &HostPlan,
        dirty: &Dirty,
        changes: &PolicyChanges,
        ops: &mut Vec<TableOp>,
    ) {
        for id in &dirty.ports {
            let Some(port) = new.ports.get(id) else { continue };
            let Some(network) = self.networks.get(&port.network) else {
                continue;
            };
            let index = self.ports.assign(id);
            self.put_port(id, port, index, network, ops);
            ops.push(TableOp::Station(network, port.mac, Some(Station::Local(index))));
            ops.extend(addresses_of(network, &port.addresses, port.mac));
            ops.push(TableOp::Flood(network, FloodMember::Port(index), true));
        }
        for id in &dirty.ports_by_policy {
            let Some(port) = new.ports.get(id) else { continue };
            let (Some(network), Some(index)) = (self.networks.get(&port.network), self.ports.get(id)) else {
                continue;
            };
            if let Some(change) = changes.get(&key_of(&port.security_groups)) {
                self.bump_for(id, change, ops);
            }
            self.put_port(id, port, index, network, ops);
        }
    }

    /// Puts the port with the policy of today; its range of slots grows where there are more rules than before.
    fn put_port(&mut self, id: &PortId, port: &Port, index: u32, network: u32, ops: &mut Vec<TableOp>) {
        let policy = self
            .policies
            .get(&port.security_groups)
            .filter(|_| port.port_security);
        let wanted =
            tables::Port::RESERVED_SLOTS + policy.map_or(0, super::policies::CompiledPolicy::ordinals);
        let firewall = policy.map(|policy| policy.firewall.clone());
        let range = self.range_for(id, wanted, ops);
        let entry = tables::Port {
            id: id.clone(),
            identity: PortIdentity::of(id.as_str()),
            network,
            mac: port.mac,
            addresses: port.addresses.clone(),
            pairs: port.allowed_address_pairs.clone(),
            hostname: port.hostname.clone(),
            firewall,
            witness_base: range.first,
            witness_count: range.count,
            budgets: port.budgets,
            admin_up: port.admin_up,
        };
        ops.push(TableOp::Port(index, Some(Arc::new(entry))));
    }

    fn range_for(&mut self, id: &PortId, wanted: u32, ops: &mut Vec<TableOp>) -> Range {
        match self.port_slots.get(id) {
            Some(range) if range.count >= wanted => return *range,
            Some(range) => {
                ops.push(TableOp::Bump(range.first, range.count));
                self.slots.give_back(*range);
            }
            None => {}
        }
        let range = self.slots.take(wanted);
        self.port_slots.insert(id.clone(), range);
        range
    }

    /// A withdrawn rule bumps its own slot, an added one the default deny of its direction.
    fn bump_for(&self, id: &PortId, change: &PolicyChange, ops: &mut Vec<TableOp>) {
        let Some(range) = self.port_slots.get(id) else {
            return;
        };
        let rule = |ordinal: &u32| TableOp::BumpRule(range.first + tables::Port::RESERVED_SLOTS + ordinal);
        ops.extend(
            change
                .withdrawn
                .iter()
                .filter(|o| tables::Port::RESERVED_SLOTS + **o < range.count)
                .map(rule),
        );
        if change.added_out {
            ops.push(TableOp::BumpRule(range.first));
        }
        if change.added_in {
            ops.push(TableOp::BumpRule(range.first + 1));
        }
    }

    /// Members left a set: the verdicts of the rules that name it are asked again. Members joined: the denials.
    pub(super) fn bump_users_of_set(
        &self,
        plan: &HostPlan,
        set: &AddressSetId,
        grows: bool,
        shrinks: bool,
        ops: &mut Vec<TableOp>,
    ) {
        for (id, port) in plan.ports.iter().filter(|(_, port)| port.port_security) {
            let (Some(policy), Some(range)) =
                (self.policies.get(&port.security_groups), self.port_slots.get(id))
            else {
                continue;
            };
            for (ordinal, direction) in policy.rules_with_set(set) {
                if shrinks {
                    ops.push(TableOp::BumpRule(
                        range.first + tables::Port::RESERVED_SLOTS + ordinal,
                    ));
                }
                if grows {
                    let deny = if direction == Direction::Egress { 0 } else { 1 };
                    ops.push(TableOp::BumpRule(range.first + deny));
                }
            }
        }
    }
}
