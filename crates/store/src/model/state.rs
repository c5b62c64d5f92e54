//! What a model store holds, and what is due.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{Clock, ManualClock};
use crate::engine::{Deadlines, MemoryTables, Tables, renew, revoke, transact};
use crate::error::StoreError;
use crate::record::LeaseId;
use crate::transaction::Transaction;

/// Everything behind the lock.
#[derive(Debug, Default)]
pub(super) struct State {
    pub tables: MemoryTables,
    pub deadlines: Deadlines,
    pub minimum_ttl: Duration,
    /// Transactions that their clients have given up and that arrive all the same, by time and order.
    late: BTreeMap<(Duration, u64), Transaction>,
    sent: u64,
}

impl State {
    /// Does what was due by now, in the order of time: leases expire, late transactions arrive.
    pub(super) fn settle(&mut self, clock: &ManualClock) {
        let now = clock.now();
        loop {
            let lease = self.deadlines.first().filter(|(at, _)| *at <= now);
            let arrival = self.late.first_key_value().map(|(due, _)| *due);
            let arrival = arrival.filter(|(at, _)| *at <= now);
            match (lease, arrival) {
                (Some((expiry, lease)), due) if due.is_none_or(|(at, _)| expiry <= at) => self.expire(lease),
                (_, Some(due)) => self.arrive(due),
                _ => return,
            }
        }
    }

    fn expire(&mut self, lease: LeaseId) {
        self.deadlines.remove(lease);
        // Only NoLease can come back: these tables do not fail.
        let _gone_already = revoke(&mut self.tables, lease);
    }

    fn arrive(&mut self, due: (Duration, u64)) {
        if let Some(transaction) = self.late.remove(&due) {
            // Nobody is there to hear that it was refused.
            let _unheard = transact(&mut self.tables, &transaction);
        }
    }

    /// Lets a transaction arrive at a later time.
    pub(super) fn send_late(&mut self, at: Duration, transaction: Transaction) {
        self.sent += 1;
        self.late.insert((at, self.sent), transaction);
    }

    /// Lets a lease live anew; answers for how long.
    pub(super) fn renew(&mut self, lease: LeaseId, clock: &ManualClock) -> Result<Duration, StoreError> {
        let ttl = renew(&self.tables, lease)?;
        self.deadlines.set(lease, clock.now() + ttl);
        Ok(ttl)
    }

    /// Ends a lease.
    pub(super) fn revoke(&mut self, lease: LeaseId) -> Result<(), StoreError> {
        revoke(&mut self.tables, lease)?;
        self.deadlines.remove(lease);
        Ok(())
    }

    pub(super) fn restore(&mut self, tables: MemoryTables, clock: &ManualClock) {
        self.deadlines = Deadlines::default();
        for (lease, ttl) in tables.leases() {
            self.deadlines.set(lease, clock.now() + ttl);
        }
        self.late.clear();
        self.tables = tables;
    }

    /// Compacts all that there is.
    pub(super) fn compact_all(&mut self) {
        let revision = self.tables.position().revision;
        let _infallible = crate::engine::compact(&mut self.tables, revision);
    }
}
