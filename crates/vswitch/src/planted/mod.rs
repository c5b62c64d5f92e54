//! Faults that only tests have: packets that panic a worker, and names in a plan that panic the control thread.

mod tests;

use anet_memory::buffer::Buffer;
use anet_model::host_plan::{HostPlan, PortId};

/// What a packet holds that panics a worker.
pub(crate) const MAGIC: &[u8] = b"aNET planted fault";

/// A network of this name panics whoever builds tables for it, half-way.
pub(crate) const HALF_WAY: &str = "planted-fault-half-way";

/// A network of this name panics the control thread between the building of the tables and their publication.
pub(crate) const UNPUBLISHED: &str = "planted-fault-unpublished";

pub(crate) fn fault_in(burst: &[Buffer]) {
    let is_magic = |buffer: &Buffer| buffer.head().windows(MAGIC.len()).any(|part| part == MAGIC);
    assert!(!burst.iter().any(is_magic), "a planted fault");
}

/// A question about a port of this name panics.
pub(crate) fn fault_for_port(port: Option<&PortId>) {
    assert!(
        port.is_none_or(|id| id.as_str() != "planted-fault"),
        "a planted fault"
    );
}

/// Once for each network that comes: what is built anew afterwards goes well.
pub(crate) fn fault_for(name: &str, old: &HostPlan, new: &HostPlan) {
    let has = |plan: &HostPlan| plan.networks.keys().any(|id| id.as_str() == name);
    assert!(
        old.networks.is_empty() || has(old) || !has(new),
        "a planted fault"
    );
}
