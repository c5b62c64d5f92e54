//! Ageing: ends connections that were silent for too long, a few entries at a time.

use std::sync::atomic::Ordering;

use super::layout::Entry;
use super::looks::Look;
use super::ticks::Ticks;
use super::timeouts::{Life, Timeouts};
use super::{ConnectionId, Connections};

/// What a step of ageing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aged {
    /// Entries passed, free ones and those that cannot be over yet included.
    pub examined: u32,
    /// Entries among them that were read.
    pub read: u32,
    /// Connections ended.
    pub expired: u32,
}

impl Connections {
    /// Goes over the next `budget` entries (at most all of them) and ends those that were silent for longer than their
    /// timeout at `now` (nanoseconds). Any number of workers may call it, each gets its own share; a lock is taken only
    /// for a connection that ends. Timeouts that are shorter than those of an earlier call hold within a minute.
    pub fn age(&self, now: u64, budget: u32, timeouts: &Timeouts) -> Aged {
        let end = self.walk_end.load(Ordering::Relaxed);
        let budget = budget.min(end);
        let start = self.age_cursor.fetch_add(budget, Ordering::Relaxed);
        let first = start.checked_rem(end).unwrap_or_default();
        let before_end = budget.min(end - first);
        let slots = (first..first + before_end).chain(0..budget - before_end);
        let mut aged = Aged {
            examined: budget,
            ..Aged::default()
        };
        for slot in slots {
            if let Some(look) = self.next_looks.begin(slot, Ticks::at(now)) {
                aged.read += 1;
                aged.expired += u32::from(self.look_at(look, slot, Ticks::at(now), timeouts));
            }
        }
        self.counters.expired.add(u64::from(aged.expired));
        aged
    }

    /// True where there was a connection that is over: it has ended.
    fn look_at(&self, look: Look<'_>, slot: u32, now: Ticks, timeouts: &Timeouts) -> bool {
        let Some(entry) = Entry::at(&self.words, slot) else {
            return false;
        };
        let commit = entry.commit();
        if !commit.is_committed() {
            return false;
        }
        let life = Life::of(entry, now);
        if !life.is_over(timeouts) {
            look.end(life.over_at(timeouts, now));
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
            } else {
                self.next_looks.recall(slot);
            }
            over
        });
        expired == Some(true)
    }
}
