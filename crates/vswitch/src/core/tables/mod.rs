//! From a host plan to the tables: each change of the plan becomes the operations that it needs, and no more.
//!
//! [`TableBuilder`] knows which index and which witness slots each noun has. What may be refused (a policy that is too
//! large, too many ports) is found before anything is changed. Which witnesses an operation bumps is decided here:
//! a withdrawn rule its own slots, an added one the default-deny slots of its direction, a port that changes all of its
//! own, a remote station that only moves host that of what comes from it.

mod audit;
mod dirty;
mod endpoints;
mod indexes;
mod policies;
mod ports;
mod slots;
mod stations;

use anet_datapath::firewall::PolicyTooLarge;
use anet_datapath::interface::Interface;
use anet_datapath::tables::TableOp;
use anet_model::changeset::Change;
use anet_model::diff::diff;
use anet_model::host_plan::{AddressSetId, EndpointId, HostPlan, NetworkId, PortId, SecurityGroupId};

use dirty::Dirty;
use indexes::Indexes;
use policies::Policies;
use slots::Slots;

pub use audit::Difference;

/// Why a plan has no tables. Nothing has been changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The rules of a combination of groups exceed a bound of the lookup.
    #[error("the rules of security groups {groups} together are too many for one port: {cause}")]
    Policy {
        /// The groups.
        groups: String,
        /// Which bound.
        cause: PolicyTooLarge,
    },
    /// More ports than a host can have.
    #[error(
        "the plan has {found} ports, and a host can have {}: move some to another host",
        Interface::MAX_PORTS
    )]
    Ports {
        /// How many.
        found: usize,
    },
}

/// See the module's page.
#[derive(Default)]
pub struct TableBuilder {
    networks: Indexes<NetworkId>,
    ports: Indexes<PortId>,
    endpoints: Indexes<EndpointId>,
    adjacencies: Indexes<PortId>,
    memberships: Indexes<(NetworkId, EndpointId)>,
    sets: Indexes<AddressSetId>,
    slots: Slots,
    policies: Policies,
    port_slots: std::collections::BTreeMap<PortId, slots::Range>,
    peer_slots: std::collections::BTreeMap<PortId, slots::Range>,
    /// Of frames of unknown stations, by network.
    stranger_slots: std::collections::BTreeMap<NetworkId, slots::Range>,
}

/// A combination of security groups, sorted: ports with the same one share a policy.
pub(crate) type Groups = Vec<SecurityGroupId>;

impl TableBuilder {
    /// A builder for empty tables.
    pub fn new() -> Self {
        Self::default()
    }

    /// The operations that lead from the tables of `old` to those of `new`, where `changes` are the difference. Cost: in
    /// proportion to the changes and, for a change of rules, to the rules and ports of the groups concerned.
    pub fn apply(
        &mut self,
        old: &HostPlan,
        new: &HostPlan,
        changes: &[Change],
    ) -> Result<Vec<TableOp>, BuildError> {
        if new.ports.len() > Interface::MAX_PORTS as usize {
            return Err(BuildError::Ports {
                found: new.ports.len(),
            });
        }
        let mut dirty = Dirty::of(old, new, changes);
        for id in &dirty.sets {
            if new.address_sets.contains_key(id) {
                self.sets.assign(id);
            }
        }
        let compiled = match self.policies.compile(new, &dirty, &self.sets) {
            Ok(compiled) => compiled,
            Err(error) => {
                self.forget_unused_sets(old);
                return Err(error);
            }
        };
        dirty.ports_of_policies(new, &compiled);
        let mut ops = Vec::new();
        self.retire(old, new, &dirty, &mut ops);
        self.build(old, new, &dirty, compiled, &mut ops);
        ops.insert(0, TableOp::Witnesses(self.slots.len()));
        Ok(ops)
    }

    /// A builder whose tables are made anew from nothing, and the operations that make them those of `plan`, whatever they
    /// hold now and whatever became of this builder. Ports keep their indexes: their devices are attached under these.
    pub fn anew(&self, plan: &HostPlan) -> Result<(Self, Vec<TableOp>), BuildError> {
        let mut fresh = Self {
            ports: self.ports.only(|id| plan.ports.contains_key(id)),
            ..Self::default()
        };
        let empty = HostPlan::default();
        let mut ops = vec![TableOp::Clear];
        ops.extend(fresh.apply(&empty, plan, &diff(&empty, plan))?);
        Ok((fresh, ops))
    }

    /// The index of a port in the tables, its number as an interface.
    pub fn port_index(&self, id: &PortId) -> Option<u32> {
        self.ports.get(id)
    }

    /// The index of a network in the tables.
    pub fn network_index(&self, id: &NetworkId) -> Option<u32> {
        self.networks.get(id)
    }

    /// The port behind an index.
    pub fn port_at(&self, index: u32) -> Option<&PortId> {
        self.ports.iter().find(|(_, i)| *i == index).map(|(id, _)| id)
    }

    /// First what goes or changes leaves the tables …
    fn retire(&mut self, old: &HostPlan, new: &HostPlan, dirty: &Dirty, ops: &mut Vec<TableOp>) {
        self.ask_strangers_again(new, dirty, ops);
        self.retire_ports(old, new, dirty, ops);
        self.retire_peers(old, new, dirty, ops);
        self.retire_memberships(old, new, dirty, ops);
        for id in dirty.sets.iter().filter(|id| !new.address_sets.contains_key(*id)) {
            if let Some(index) = self.sets.release(id) {
                ops.push(TableOp::SetClear(index));
            }
        }
        for id in dirty
            .endpoints
            .iter()
            .filter(|id| !new.endpoints.contains_key(*id))
        {
            if let Some(index) = self.endpoints.release(id) {
                ops.push(TableOp::Endpoint(index, None));
            }
        }
        for id in dirty.networks.iter().filter(|id| !new.networks.contains_key(*id)) {
            if let Some(index) = self.networks.release(id) {
                ops.push(TableOp::Network(index, None));
            }
            if let Some(range) = self.stranger_slots.remove(id) {
                self.slots.give_back(range);
            }
        }
    }

    /// … then what is new or changed enters, in the order in which one needs the other.
    fn build(
        &mut self,
        old: &HostPlan,
        new: &HostPlan,
        dirty: &Dirty,
        compiled: policies::Compiled,
        ops: &mut Vec<TableOp>,
    ) {
        self.build_endpoints(new, dirty, ops);
        self.build_networks(new, dirty, ops);
        self.build_memberships(old, new, dirty, ops);
        self.build_sets(old, new, dirty, ops);
        #[cfg(test)]
        crate::planted::fault_for(crate::planted::HALF_WAY, old, new);
        let changes = self.policies.install(compiled);
        self.build_peers(new, dirty, ops);
        self.build_ports(new, dirty, &changes, ops);
        self.policies.collect_unused(new);
    }

    fn forget_unused_sets(&mut self, old: &HostPlan) {
        self.sets.retain(|id| old.address_sets.contains_key(id));
    }
}
