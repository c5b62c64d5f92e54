//! How many connections each local port has.

use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::FixedState;
use hashbrown::HashMap;

use super::identity::PortIdentity;
use super::ticks::Ticks;

const STRIPES: usize = 16;
type Counts = HashMap<PortIdentity, Count, FixedState>;

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    connections: u32,
    /// When the port, having spent its budget, had nothing that gives way.
    exhausted_at: Option<Ticks>,
}

/// What [`Budgets::take`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Counted.
    Granted,
    /// The budget is spent; something of the port's own may give way.
    Spent,
    /// The budget is spent, and within this millisecond nothing gave way: it costs too much to look again.
    Exhausted,
}

/// Counts by port. A count is there while it is not zero, so there are never more than connections.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    stripes: [Mutex<Counts>; STRIPES],
}

impl Budgets {
    /// Counts one more where the port has less than `limit`. A remote payer is not counted.
    pub(super) fn take(&self, payer: PortIdentity, limit: u32, now: Ticks) -> Taken {
        if payer.is_remote() {
            return Taken::Granted;
        }
        let mut counts = self.stripe(payer);
        let known = counts.get(&payer).copied().unwrap_or_default();
        if known.connections >= limit {
            let exhausted = limit == 0 || known.exhausted_at == Some(now);
            return if exhausted { Taken::Exhausted } else { Taken::Spent };
        }
        counts.entry(payer).or_default().connections += 1;
        Taken::Granted
    }

    /// Notes that nothing of the port's gives way now.
    pub(super) fn exhausted(&self, payer: PortIdentity, now: Ticks) {
        if let Some(count) = self.stripe(payer).get_mut(&payer) {
            count.exhausted_at = Some(now);
        }
    }

    /// Counts one less.
    pub(super) fn give_back(&self, payer: PortIdentity) {
        let mut counts = self.stripe(payer);
        if let Some(count) = counts.get_mut(&payer) {
            count.connections -= 1;
            if count.connections == 0 {
                counts.remove(&payer);
            }
        }
    }

    pub(super) fn count(&self, payer: PortIdentity) -> u32 {
        self.stripe(payer)
            .get(&payer)
            .map_or(0, |count| count.connections)
    }

    fn stripe(&self, payer: PortIdentity) -> MutexGuard<'_, Counts> {
        let hash = FixedState::default().hash_one(payer.get()) as usize;
        self.stripes[hash % STRIPES]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
