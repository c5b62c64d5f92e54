//! How many entries a plan may have.

use super::{Check, Checker, at_most};
use crate::limits;

impl Checker<'_> {
    pub(super) fn check_totals(self) -> Check {
        let plan = self.plan;
        at_most("networks", plan.networks.len(), limits::NETWORKS)?;
        at_most("ports", plan.ports.len(), limits::PORTS)?;
        at_most("endpoints", plan.endpoints.len(), limits::ENDPOINTS)?;
        at_most("peers", plan.peers.len(), limits::PEERS)?;
        at_most(
            "security_groups",
            plan.security_groups.len(),
            limits::SECURITY_GROUPS,
        )?;
        at_most("rules", self.index.rules, limits::RULES)?;
        at_most("address_sets", plan.address_sets.len(), limits::ADDRESS_SETS)?;
        at_most("members", self.index.members, limits::MEMBERS)
    }
}
