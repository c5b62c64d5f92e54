//! Connections that a withdrawn rule has ended, on their way out of the table.
//!
//! A flow that no rule allows any more is a drop from that packet on; taking its connection out of the table costs several
//! times as much as finding that out, and nobody waits for it. So a worker takes out [`PER_MILLISECOND`] in a millisecond
//! with the burst that found them, and the others later, at the same pace: a change that ends very many connections at once
//! slows other traffic little. All are out before this worker uses newer tables, so that no rule that comes
//! back finds a connection that has ended.

use std::collections::VecDeque;

use crate::connections::{CloseReason, ConnectionId, Connections};
use crate::pipeline::Environment;

/// Connections that a worker takes out in a millisecond while there are packets.
pub const PER_MILLISECOND: u32 = 20;

/// What may wait; more are taken out at once. Asked for when the worker is made, and for the most part used when it is needed.
const ROOM: usize = 1 << 16;
/// Used from the beginning: the first packets after a change do not wait for the kernel's memory.
const READY: usize = 1 << 14;
/// [`PER_MILLISECOND`], and how long nothing is taken out after very many were found: as if so many were.
const EACH: i32 = PER_MILLISECOND as i32;
const DEBT: i32 = 4 * EACH;
/// So many are asked for from memory together.
const BATCH: usize = 16;
const MILLISECOND_NS: u64 = 1_000_000;

/// Those of a worker.
#[derive(Debug)]
pub(super) struct Endings {
    pending: VecDeque<ConnectionId>,
    /// The tables' count of changes by which they were ended.
    changes: u64,
    millisecond: u64,
    /// What is left in it; below zero: taken ahead by those that were found.
    left: i32,
}

impl Default for Endings {
    fn default() -> Self {
        let mut pending = VecDeque::with_capacity(ROOM);
        pending.resize(READY, ConnectionId::default());
        pending.clear();
        Self {
            pending,
            changes: 0,
            millisecond: 0,
            left: EACH,
        }
    }
}

impl Endings {
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Before packets are looked at: nothing that older tables have ended may be found by newer ones.
    #[inline]
    pub(super) fn observe(&mut self, environment: &Environment<'_>) {
        if !self.pending.is_empty() && environment.tables.witnesses().changes() != self.changes {
            self.finish(environment.connections);
        }
    }

    /// A connection has ended by these tables. To find that out counts as much as to take one out: while very many are found,
    /// taking out waits.
    pub(super) fn add(&mut self, connection: ConnectionId, environment: &Environment<'_>) {
        self.changes = environment.tables.witnesses().changes();
        self.begin(environment.now);
        self.left = (self.left - 1).max(-DEBT);
        if self.pending.len() == ROOM {
            environment.connections.close(connection, CloseReason::Withdrawn);
        } else {
            self.pending.push_back(connection);
        }
    }

    /// Takes out what this millisecond has room for.
    #[inline]
    pub(super) fn work_off(&mut self, environment: &Environment<'_>) {
        if !self.pending.is_empty() {
            self.work_off_some(environment);
        }
    }

    #[cold]
    fn work_off_some(&mut self, environment: &Environment<'_>) {
        self.begin(environment.now);
        while self.left > 0 && !self.pending.is_empty() {
            self.left -= self.take_out(self.left as usize, environment.connections);
        }
    }

    /// Each millisecond brings its room; what an earlier one left over is gone.
    fn begin(&mut self, now: u64) {
        let passed = (now / MILLISECOND_NS).saturating_sub(self.millisecond);
        if passed > 0 {
            let brought = EACH.saturating_mul(passed.min(16) as i32);
            self.left = (self.left.min(0) + brought).min(EACH);
            self.millisecond += passed;
        }
    }

    /// Takes out all.
    #[cold]
    pub(super) fn finish(&mut self, connections: &Connections) {
        while !self.pending.is_empty() {
            self.take_out(BATCH, connections);
        }
    }

    /// Takes out some, at most [`BATCH`]; says how many were still there. Most are found twice, by either direction.
    fn take_out(&mut self, most: usize, connections: &Connections) -> i32 {
        let batch = self.pending.len().min(most).min(BATCH);
        let ids = self.pending.iter().take(batch);
        ids.for_each(|id| connections.prefetch_entry(*id));
        let ids = self.pending.drain(..batch);
        ids.map(|id| i32::from(connections.close(id, CloseReason::Withdrawn)))
            .sum()
    }
}
