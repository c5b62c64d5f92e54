//! What of the intent counts, where objects are wrong, dangle, or claim the same thing.
//!
//! Of two that claim the same thing the one whose id comes first has it. That and everything else here is a function of the
//! intent alone. Each step looks only at what is pending and notes what the next ones have to look at; the order of steps is that
//! of who needs whom: networks, subnets, hosts, foreign endpoints, rules, policies, stations.

mod network;
pub(crate) mod policy;
pub(crate) mod station;
pub(crate) mod underlay;

use crate::fabric::Fabric;

impl Fabric {
    /// Resolves everything that is pending, and marks the entries that may be different after it.
    pub(crate) fn resolve(&mut self) {
        self.resolve_networks();
        self.resolve_subnets();
        self.resolve_hosts();
        self.resolve_foreign();
        self.resolve_rules();
        self.resolve_policies();
        self.resolve_stations();
    }
}
