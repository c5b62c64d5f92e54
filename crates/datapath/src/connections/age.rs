//! Ageing: ends connections that were silent for too long, a few entries at a time.

use std::sync::atomic::Ordering;

use super::layout::Entry;
use super::ticks::Ticks;
use super::timeouts::{Life, Timeouts};
use super::{ConnectionId, Connections};

/// What a step of ageing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aged {
    /// Entries looked at, free ones included.
    pub examined: u32,
    /// Connections ended.
    pub expired: u32,
}

impl Connections {
    /// Looks at the next `budget` entries (at most all of them) and ends those that were silent for longer than their
    /// timeout at `now` (nanoseconds). Any number of workers may call it, each gets its own share; a lock is taken only
    /// for a connection that ends.
    pub fn age(&self, now: u64, budget: u32, timeouts: &Timeouts) -> Aged {
        let end = self.walk_end.load(Ordering::Relaxed);
        let budget = budget.min(end);
        let start = self.age_cursor.fetch_add(budget, Ordering::Relaxed);
        let slots = (0..budget).map(|i| start.wrapping_add(i) % end);
        let expired = slots
            .filter(|&slot| self.expire(slot, Ticks::at(now), timeouts))
            .count();
        self.counters.expired.add(expired as u64);
        Aged {
            examined: budget,
            expired: expired as u32,
        }
    }

    fn expire(&self, slot: u32, now: Ticks, timeouts: &Timeouts) -> bool {
        let Some(entry) = Entry::at(&self.words, slot) else {
            return false;
        };
        let commit = entry.commit();
        if !commit.is_committed() || !Life::of(entry, now).is_over(timeouts) {
            return false;
        }
        let id = ConnectionId {
            slot,
            sequence: commit.sequence(),
        };
        let expired = self.with_entry(id, |shard, entry, hash| {
            let over = Life::of(entry, now).is_over(timeouts);
            if over {
                self.release(shard, entry, hash, slot);
                shard.add_free([slot]);
            }
            over
        });
        expired == Some(true)
    }
}
