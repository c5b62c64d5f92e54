//! Opening a table: a fresh one, or one that another process left, however it ended.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64};

use anet_memory::words::Words;

use super::budget::{Budgets, Taken};
use super::create::Used;
use super::header::{Header, OpenError};
use super::layout::Entry;
use super::looks::NextLooks;
use super::shard::{Hash, ShardLock};
use super::statistics::Counters;
use super::ticks::Ticks;
use super::{Config, Connections};

/// What was found in a table that another process left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Connections that live on.
    pub kept: u32,
    /// Damaged entries; they are free now.
    pub discarded: u32,
}

impl Connections {
    /// Opens the table in `words`: zeroed ones become an empty table of as many connections as fit (see
    /// [`super::words_for`]); else every undamaged connection is found again. The words must be nobody else's now.
    pub fn open(words: Words, config: Config) -> Result<(Self, Recovered), OpenError> {
        let (header, capacity) = Header::open(&words)?;
        let (epoch, mark) = (header.next_epoch(), header.mark(capacity));
        let shards = config.shards.clamp(1, 1 << 16).next_power_of_two();
        let mut connections = Self {
            words,
            capacity,
            epoch,
            seed: config.seed,
            shards: (0..shards).map(|_| ShardLock::default()).collect(),
            used: Mutex::new(Used { next: 0, mark }),
            walk_end: AtomicU32::new(0),
            age_cursor: AtomicU32::new(0),
            next_looks: NextLooks::new(capacity)?,
            evict_cursor: AtomicU32::new(0),
            live: AtomicU32::new(0),
            full_at: AtomicU64::new(u64::MAX),
            budgets: Budgets::default(),
            counters: Counters::default(),
        };
        let recovered = connections.recover(mark, Ticks::at(config.now));
        Ok((connections, recovered))
    }

    fn recover(&mut self, mark: u32, now: Ticks) -> Recovered {
        let mut recovered = Recovered::default();
        let mut next = 0;
        for slot in 0..mark {
            match self.recover_slot(slot, now) {
                Slot::Free => continue,
                Slot::Kept => recovered.kept += 1,
                Slot::Discarded => recovered.discarded += 1,
            }
            next = slot + 1;
        }
        self.add_free_below(next);
        // Also where one of the mark's two copies was damaged.
        Header::of(&self.words).set_mark(mark);
        self.used().next = next;
        *self.walk_end.get_mut() = next;
        *self.live.get_mut() = recovered.kept;
        recovered
    }

    fn recover_slot(&self, slot: u32, now: Ticks) -> Slot {
        let Some(entry) = Entry::at(&self.words, slot) else {
            return Slot::Free;
        };
        if entry.is_free() {
            return Slot::Free;
        }
        if !entry.is_whole(slot) || !self.adopt(entry, slot) {
            entry.free();
            return Slot::Discarded;
        }
        entry.set_clock(now);
        Slot::Kept
    }

    /// Enters a whole connection into index and budgets; false where the same connection is there already.
    fn adopt(&self, entry: Entry<'_>, slot: u32) -> bool {
        let Some((_, key)) = entry.read() else {
            return false;
        };
        let hash = Hash::of(self.seed, key.zone, &key.tuple);
        let mut shard = self.shard(hash).lock();
        if self.find_in(&shard, hash, key.zone, &key.tuple).is_some() {
            return false;
        }
        shard.insert(hash, slot);
        self.budgets.take(key.payer(), u32::MAX, Ticks(0)) == Taken::Granted
    }

    fn add_free_below(&self, end: u32) {
        let is_free = |slot: &u32| Entry::at(&self.words, *slot).is_some_and(|e| !e.commit().is_committed());
        for (slot, shard) in (0..end).filter(is_free).zip(self.shards.iter().cycle()) {
            shard.lock().add_free([slot]);
        }
    }
}

enum Slot {
    Free,
    Kept,
    Discarded,
}
