//! A shard: the part of the index, and of the free entries, behind one lock. Private to the process.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use anet_packet::addr::Vni;
use anet_packet::tuple::Tuple;
use hashbrown::HashTable;

use super::layout::mix;

/// The hash of a connection: the same for both of its directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash(u64);

impl Hash {
    pub(super) const fn of(seed: u64, zone: Vni, tuple: &Tuple) -> Self {
        Self(mix(tuple.symmetric_hash(seed) ^ (zone.get() as u64) << 32))
    }

    fn tag(self) -> u32 {
        self.0 as u32
    }

    pub(super) fn shard(self, shards: usize) -> usize {
        (self.0 >> 40) as usize & (shards - 1)
    }
}

/// What the index holds of an entry: where it is, and enough of its hash to pass over others without reading them.
#[derive(Debug, Clone, Copy)]
struct Pointer {
    tag: u32,
    slot: u32,
}

/// `HashTable` takes its bucket from the low bits and its own tag from the highest seven.
fn spread(tag: u32) -> u64 {
    u64::from(tag) | u64::from(tag) << 32
}

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Shard {
    index: HashTable<Pointer>,
    /// Oldest first: an entry is used again as late as possible, so that a worker that still holds its id has let go.
    free: VecDeque<u32>,
}

impl Shard {
    /// The slot for which `is_it` holds among those of that hash.
    pub(super) fn find(&self, hash: Hash, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.index
            .find(spread(hash.tag()), |p| p.tag == hash.tag() && is_it(p.slot))
            .map(|p| p.slot)
    }

    pub(super) fn insert(&mut self, hash: Hash, slot: u32) {
        self.index.insert_unique(
            spread(hash.tag()),
            Pointer {
                tag: hash.tag(),
                slot,
            },
            |p| spread(p.tag),
        );
    }

    pub(super) fn remove(&mut self, hash: Hash, slot: u32) {
        if let Ok(found) = self.index.find_entry(spread(hash.tag()), |p| p.slot == slot) {
            found.remove();
        }
    }

    pub(super) fn take_free(&mut self) -> Option<u32> {
        self.free.pop_front()
    }

    pub(super) fn add_free(&mut self, slots: impl IntoIterator<Item = u32>) {
        self.free.extend(slots);
    }

    /// Bytes of process memory.
    pub(super) fn memory(&self) -> usize {
        self.index.allocation_size() + self.free.capacity() * size_of::<u32>()
    }
}

/// A shard on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct ShardLock(Mutex<Shard>);

impl ShardLock {
    /// A worker that panicked inside left at most one entry unused: the lock is taken all the same.
    pub(super) fn lock(&self) -> MutexGuard<'_, Shard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Shard>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
