//! Eviction: a connection that is half open or over makes room for a new one when there is none. An established
//! connection never does.

use std::sync::atomic::Ordering;

use super::layout::Entry;
use super::shard::{Hash, Shard};
use super::ticks::Ticks;
use super::timeouts::Life;
use super::{ConnectionId, Connections, PortIdentity};

/// Entries looked at for one that gives way.
const CANDIDATES: u32 = 32;
/// The same, where it must be of one port: most are passed over at a glance.
const PAYER_CANDIDATES: u32 = 256;

/// Who looks for a connection that gives way.
pub(super) struct Seeker<'s> {
    /// The shard whose lock is held.
    pub(super) shard: &'s mut Shard,
    /// Its number.
    pub(super) number: usize,
    pub(super) now: Ticks,
}

impl Connections {
    /// Ends a connection that gives way (of `payer`, if one is named) among the next few, and returns its slot. Other shards than the seeker's
    /// own are only tried.
    pub(super) fn evict(&self, seeker: &mut Seeker<'_>, payer: Option<PortIdentity>) -> Option<u32> {
        let end = self.walk_end.load(Ordering::Relaxed).max(1);
        let candidates = if payer.is_some() {
            PAYER_CANDIDATES
        } else {
            CANDIDATES
        };
        let start = self.evict_cursor.fetch_add(candidates, Ordering::Relaxed);
        let mut slots = (0..candidates.min(end)).map(|i| start.wrapping_add(i) % end);
        let evicted = slots.find(|&slot| self.evict_slot(seeker, payer, slot) == Some(true));
        self.counters.evicted.add(u64::from(evicted.is_some()));
        evicted
    }

    fn evict_slot(&self, seeker: &mut Seeker<'_>, payer: Option<PortIdentity>, slot: u32) -> Option<bool> {
        let entry = Entry::at(&self.words, slot)?;
        // Most are passed over at this glance, which does not ask whether the entry is in use.
        if payer.is_some_and(|payer| !entry.ports().contains(&payer)) {
            return None;
        }
        let (commit, key) = entry.read()?;
        if payer.is_some_and(|payer| payer != key.payer())
            || !Life::of(entry, seeker.now).progress.gives_way()
        {
            return None;
        }
        let id = ConnectionId {
            slot,
            sequence: commit.sequence(),
        };
        let hash = Hash::of(self.seed, key.zone, &key.tuple);
        let number = hash.shard(self.shards.len());
        if number == seeker.number {
            return Some(self.release_if_it_gives_way(seeker.shard, entry, hash, id, seeker.now));
        }
        let mut other = self.shards[number].try_lock()?;
        Some(self.release_if_it_gives_way(&mut other, entry, hash, id, seeker.now))
    }

    /// Under the shard's lock: true where the connection was the one that was looked at, and is released.
    fn release_if_it_gives_way(
        &self,
        shard: &mut Shard,
        entry: Entry<'_>,
        hash: Hash,
        id: ConnectionId,
        now: Ticks,
    ) -> bool {
        let gives_way = entry.is(id.sequence) && Life::of(entry, now).progress.gives_way();
        if gives_way {
            self.release(shard, entry, hash, id.slot);
        }
        gives_way
    }
}
