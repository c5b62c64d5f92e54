//! The flow cache: what a worker remembers of verdicts it made.
//!
//! Each worker has its own. A hit is one lookup of an exact-match key; the flow's two [`Witness`]es tell whether the
//! verdict still holds. Set-associative: a flow lives in one of two buckets of eight ways, and may be evicted at any
//! time (a connection may not, but that is another table). Tags of a bucket fill a quarter of a cache line, an entry two lines.

use anet_packet::flow_key::FlowKey;

use crate::connections::{ConnectionId, Direction};
use crate::tables::Witness;
use crate::verdict::DropReason;

const WAYS: usize = 8;
/// So many free ways are left in a bucket that is nearly full.
const NEARLY_FULL: u32 = 2;

/// What is done with the packets of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To a port of this host, by index.
    Deliver(u32),
    /// Through a tunnel: adjacency index, VNI and outer source port.
    Encapsulate {
        /// Index of the adjacency.
        adjacency: u32,
        /// The network's VNI.
        vni: u32,
        /// Entropy of the flow (RFC 7348 section 5).
        source_port: u16,
    },
    /// Nowhere.
    Drop(DropReason),
}

/// A connection's half that a flow keeps up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Half {
    /// The connection.
    pub connection: ConnectionId,
    /// Which half.
    pub direction: Direction,
}

/// A verdict about a flow and what it rests on.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// What is done.
    pub action: Action,
    /// The half to keep up to date; `None` for flows that are not tracked.
    pub half: Option<Half>,
    /// What the source side rests on.
    pub source: Witness,
    /// What the destination side rests on.
    pub destination: Witness,
    /// For a drop: the count of connections made in the tuple's neighbourhood, since a new connection may allow what
    /// was dropped. Bucket and count, see [`crate::burst::NewConnections`].
    pub mark: (u32, u32),
    /// Bytes of the longest packet, Ethernet header included, that the verdict holds for: what the network's MTU lets
    /// pass. Large segments are not held against it.
    pub longest: u32,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Entry {
    key: FlowKey,
    hash: u64,
    flow: Flow,
}

#[derive(Clone, Copy)]
#[repr(align(16))]
struct Tags([u16; WAYS]);

/// Where an entry may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position(u32);

impl Position {
    /// No entry is there.
    pub const NOWHERE: Self = Self(u32::MAX);
}

/// See the module's page.
pub struct FlowCache {
    tags: Vec<Tags>,
    entries: Vec<Entry>,
    mask: usize,
    seed: u64,
    hand: usize,
    /// Flows that had to make room.
    pub evictions: u64,
}

impl FlowCache {
    /// A cache for about `flows` flows (rounded up to a power of two, at least 64), keyed by `seed`.
    /// Costs 130 bytes a flow.
    pub fn new(flows: usize, seed: u64) -> Self {
        let buckets = (flows.max(64) / WAYS).next_power_of_two();
        let nothing = Flow {
            action: Action::Drop(DropReason::Malformed),
            half: None,
            source: Witness::ALWAYS,
            destination: Witness::ALWAYS,
            mark: (0, 0),
            longest: u32::MAX,
        };
        let entry = Entry {
            key: FlowKey::default(),
            hash: 0,
            flow: nothing,
        };
        Self {
            tags: filled(Tags([0; WAYS]), buckets),
            entries: filled(entry, buckets * WAYS),
            mask: buckets - 1,
            seed,
            hand: 0,
            evictions: 0,
        }
    }

    /// Flows it can hold.
    pub fn capacity(&self) -> usize {
        self.entries.len()
    }

    /// Flows it holds; walks all tags.
    pub fn len(&self) -> usize {
        self.tags
            .iter()
            .map(|t| t.0.iter().filter(|t| **t != 0).count())
            .sum()
    }

    /// True where it holds no flow.
    pub fn is_empty(&self) -> bool {
        self.tags.iter().all(|t| t.0 == [0; WAYS])
    }

    /// The hash of a key under this cache's seed.
    #[inline]
    pub fn hash(&self, key: &FlowKey) -> u64 {
        key.hash(self.seed)
    }

    /// Asks the processor for the tags that a lookup will read.
    #[inline]
    pub fn prefetch_tags(&self, hash: u64) {
        anet_memory::prefetch::read(&self.tags, self.buckets(hash).0);
    }

    /// Where the flow probably is: the first way whose tag matches, or nowhere. Asks the processor for the entry.
    #[inline]
    pub fn candidate(&self, hash: u64) -> Position {
        let (first, second) = self.buckets(hash);
        let tag = tag_of(hash);
        let mut ways = matches(&self.tags[first], tag);
        let mut bucket = first;
        if ways == 0 {
            ways = matches(&self.tags[second], tag);
            bucket = second;
        }
        if ways == 0 {
            return Position::NOWHERE;
        }
        let position = bucket * WAYS + ways.trailing_zeros() as usize;
        anet_memory::prefetch::read_all(&self.entries, position);
        Position(position as u32)
    }

    /// The flow at a position, whose ever it is.
    #[inline]
    pub fn peek(&self, position: Position) -> Option<&Flow> {
        self.entries.get(position.0 as usize).map(|entry| &entry.flow)
    }

    /// The flow at a position, where it is the one of `key`.
    #[inline]
    pub fn at(&self, position: Position, key: &FlowKey) -> Option<&Flow> {
        let entry = self.entries.get(position.0 as usize)?;
        (entry.key == *key).then_some(&entry.flow)
    }

    /// The flow of a key, looking at both buckets.
    pub fn find(&self, hash: u64, key: &FlowKey) -> Option<&Flow> {
        self.position(hash, key).map(|p| &self.entries[p].flow)
    }

    /// Remembers a verdict, in place of an older one about the same key or, where both buckets are full, of another flow.
    pub fn insert(&mut self, hash: u64, key: &FlowKey, flow: Flow) {
        let position = self.position(hash, key).unwrap_or_else(|| self.room(hash));
        self.tags[position / WAYS].0[position % WAYS] = tag_of(hash);
        self.entries[position] = Entry {
            key: *key,
            hash,
            flow,
        };
    }

    /// The flow of a key, to be changed: at the position where it probably is, or wherever it is.
    #[inline]
    pub fn find_mut(&mut self, position: Position, hash: u64, key: &FlowKey) -> Option<&mut Flow> {
        let found = self.at(position, key).map(|_| position.0 as usize);
        let position = found.or_else(|| self.position(hash, key))?;
        self.entries.get_mut(position).map(|entry| &mut entry.flow)
    }

    /// Forgets a flow.
    pub fn remove(&mut self, hash: u64, key: &FlowKey) {
        if let Some(position) = self.position(hash, key) {
            self.tags[position / WAYS].0[position % WAYS] = 0;
        }
    }

    /// Forgets all flows.
    pub fn clear(&mut self) {
        self.tags.fill(Tags([0; WAYS]));
    }

    /// All flows, for people to look at.
    pub fn iter(&self) -> impl Iterator<Item = (&FlowKey, &Flow)> {
        let live = |position: &usize| self.tags[position / WAYS].0[position % WAYS] != 0;
        (0..self.entries.len())
            .filter(live)
            .map(|p| (&self.entries[p].key, &self.entries[p].flow))
    }

    fn position(&self, hash: u64, key: &FlowKey) -> Option<usize> {
        let (first, second) = self.buckets(hash);
        [first, second].into_iter().find_map(|bucket| {
            let mut ways = matches(&self.tags[bucket], tag_of(hash));
            while ways != 0 {
                let position = bucket * WAYS + ways.trailing_zeros() as usize;
                if self.entries[position].key == *key {
                    return Some(position);
                }
                ways &= ways - 1;
            }
            None
        })
    }

    /// A free way of the first bucket, which a lookup reads first and has asked for; of the emptier one where the first is nearly
    /// full; or a victim's.
    fn room(&mut self, hash: u64) -> usize {
        let (first, second) = self.buckets(hash);
        let free = |bucket: usize| matches(&self.tags[bucket], 0);
        let count = |bucket: usize| free(bucket).count_ones();
        let bucket = match count(first) > NEARLY_FULL || count(first) >= count(second) {
            true => first,
            false => second,
        };
        let ways = free(bucket);
        if ways != 0 {
            return bucket * WAYS + ways.trailing_zeros() as usize;
        }
        self.hand = self.hand.wrapping_add(1);
        self.evictions += 1;
        bucket * WAYS + self.hand % WAYS
    }

    #[inline]
    fn buckets(&self, hash: u64) -> (usize, usize) {
        let first = hash as usize & self.mask;
        // An odd multiple of the tag: never the same bucket unless the mask says so.
        let second = (first ^ (tag_of(hash) as usize).wrapping_mul(0x5bd1_e995)) & self.mask;
        (first, second)
    }
}

/// A vector on huge pages where it is large and the kernel has them.
fn filled<T: Clone>(value: T, len: usize) -> Vec<T> {
    let mut vector = Vec::with_capacity(len);
    anet_memory::region::advise_huge_pages(vector.spare_capacity_mut());
    vector.resize(len, value);
    vector
}

/// Sixteen bits of the hash that the bucket number does not use; never zero, which marks a free way.
#[inline]
fn tag_of(hash: u64) -> u16 {
    ((hash >> 48) as u16).max(1)
}

/// A bit for each way with the tag.
#[inline]
fn matches(tags: &Tags, tag: u16) -> u32 {
    anet_memory::lanes::equal(&tags.0, tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> FlowKey {
        FlowKey {
            words: [4 << 16, n, n << 20, n * 7, 0, 0, 0],
        }
    }

    fn flow(n: u32) -> Flow {
        Flow {
            action: Action::Deliver(n),
            half: None,
            source: Witness::ALWAYS,
            destination: Witness::ALWAYS,
            mark: (0, 0),
            longest: u32::MAX,
        }
    }

    #[test]
    fn what_is_remembered_is_found_until_it_is_forgotten() {
        let mut cache = FlowCache::new(4096, 7);
        for n in 0..2048u32 {
            let k = key(n.into());
            cache.insert(cache.hash(&k), &k, flow(n));
        }
        assert_eq!(
            (cache.len(), cache.evictions),
            (2048, 0),
            "half full: two choices leave room for all"
        );
        for n in 0..2048u32 {
            let k = key(n.into());
            let hash = cache.hash(&k);
            assert_eq!(cache.find(hash, &k).map(|f| f.action), Some(Action::Deliver(n)));
            assert!(cache.peek(cache.candidate(hash)).is_some());
            cache.remove(hash, &k);
            assert!(cache.find(hash, &k).is_none());
        }
        assert!(cache.is_empty());
    }

    #[test]
    fn a_full_cache_evicts_and_never_lies() {
        let mut cache = FlowCache::new(64, 7);
        for n in 0..10_000u32 {
            let k = key(n.into());
            cache.insert(cache.hash(&k), &k, flow(n));
        }
        assert!(cache.evictions > 9_000 && cache.len() <= 64);
        let wrong = (0..10_000u32).filter(|n| {
            let k = key((*n).into());
            cache
                .find(cache.hash(&k), &k)
                .is_some_and(|f| f.action != Action::Deliver(*n))
        });
        assert_eq!(wrong.count(), 0);
    }

    #[test]
    fn an_entry_is_two_cache_lines() {
        assert_eq!(std::mem::size_of::<Entry>(), 128);
    }
}
