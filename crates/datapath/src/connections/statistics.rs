//! What has happened to connections since the table was opened.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a connection was ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CloseReason {
    /// No rule allows it any more.
    Withdrawn = 0,
    /// A SYN began a new connection on its tuple.
    Reopened = 1,
    /// Its port left the host.
    PortRemoved = 2,
    /// An operator asked for it.
    Operator = 3,
}

impl CloseReason {
    const COUNT: usize = 4;
}

/// Counts since the table was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Connections made.
    pub created: u64,
    /// Connections that were silent for too long.
    pub expired: u64,
    /// Half-open or finished connections that made room for new ones.
    pub evicted: u64,
    /// Connections refused because the table was full.
    pub refused_full: u64,
    /// Connections refused because the port's budget was spent.
    pub refused_budget: u64,
    /// Connections ended, by [`CloseReason`] in the order of its variants.
    pub closed: [u64; CloseReason::COUNT],
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) created: Counter,
    pub(super) expired: Counter,
    pub(super) evicted: Counter,
    pub(super) refused_full: Counter,
    pub(super) refused_budget: Counter,
    closed: [Counter; CloseReason::COUNT],
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn closed(&self, reason: CloseReason) {
        self.closed[reason as usize].add(1);
    }

    pub(super) fn snapshot(&self) -> Statistics {
        Statistics {
            created: self.created.get(),
            expired: self.expired.get(),
            evicted: self.evicted.get(),
            refused_full: self.refused_full.get(),
            refused_budget: self.refused_budget.get(),
            closed: self.closed.each_ref().map(Counter::get),
        }
    }
}
