//! How many connections each local port has.

use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::FixedState;
use hashbrown::HashMap;

use super::identity::PortIdentity;

const STRIPES: usize = 16;
type Counts = HashMap<PortIdentity, u32, FixedState>;

/// Counts by port. A count is there while it is not zero, so there are never more than connections.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    stripes: [Mutex<Counts>; STRIPES],
}

impl Budgets {
    /// Counts one more, or returns false where the port has `limit` already. A remote payer is not counted.
    pub(super) fn take(&self, payer: PortIdentity, limit: u32) -> bool {
        if payer.is_remote() {
            return true;
        }
        let mut counts = self.stripe(payer);
        let count = counts.entry(payer).or_default();
        let granted = *count < limit;
        *count += u32::from(granted);
        if *count == 0 {
            counts.remove(&payer);
        }
        granted
    }

    /// Counts one less.
    pub(super) fn give_back(&self, payer: PortIdentity) {
        let mut counts = self.stripe(payer);
        if let Some(count) = counts.get_mut(&payer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&payer);
            }
        }
    }

    pub(super) fn count(&self, payer: PortIdentity) -> u32 {
        self.stripe(payer).get(&payer).copied().unwrap_or(0)
    }

    fn stripe(&self, payer: PortIdentity) -> MutexGuard<'_, Counts> {
        let hash = FixedState::default().hash_one(payer.get()) as usize;
        self.stripes[hash % STRIPES]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
