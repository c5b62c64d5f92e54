//! When leases expire. In memory only: after a restart each lease has its whole time again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::record::LeaseId;

/// The moments at which leases expire, by the clock of whoever keeps this.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deadlines {
    of_lease: BTreeMap<LeaseId, Duration>,
}

impl Deadlines {
    /// The lease lives until `at`.
    pub(crate) fn set(&mut self, lease: LeaseId, at: Duration) {
        self.of_lease.insert(lease, at);
    }

    /// When the lease expires.
    pub(crate) fn of(&self, lease: LeaseId) -> Option<Duration> {
        self.of_lease.get(&lease).copied()
    }

    /// The lease is gone.
    pub(crate) fn remove(&mut self, lease: LeaseId) {
        self.of_lease.remove(&lease);
    }

    /// The lease that expires first, and when.
    pub(crate) fn first(&self) -> Option<(Duration, LeaseId)> {
        self.of_lease.iter().map(|(lease, at)| (*at, *lease)).min()
    }

    /// The leases that have expired by `now`, in the order in which they did.
    pub(crate) fn expired(&self, now: Duration) -> Vec<LeaseId> {
        let due = self.of_lease.iter().filter(|(_, at)| **at <= now);
        let mut due: Vec<(Duration, LeaseId)> = due.map(|(lease, at)| (*at, *lease)).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, lease)| lease).collect()
    }
}
