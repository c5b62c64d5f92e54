//! Marks of new connections: why a cached drop is asked again.

use std::sync::atomic::{AtomicU32, Ordering};

use anet_packet::Tuple;

/// Counts of connections made, by a hash of their tuple that is the same for both directions. A cached drop remembers
/// the count of its tuple's bucket: a connection made since, on any worker, may allow what was dropped. Shared by all
/// workers; a hit of a cached drop costs one load.
pub struct NewConnections {
    counts: Box<[AtomicU32]>,
    seed: u64,
}

impl NewConnections {
    const BUCKETS: usize = 4096;

    /// No connection made yet.
    pub fn new(seed: u64) -> Self {
        Self {
            counts: (0..Self::BUCKETS).map(|_| AtomicU32::new(0)).collect(),
            seed,
        }
    }

    /// Notes that a connection was made. Called when it can be found by others.
    pub fn note(&self, tuple: &Tuple) {
        self.counts[self.bucket(tuple)].fetch_add(1, Ordering::Release);
    }

    /// Bucket and count of a tuple now. Asked before the connection table is.
    pub fn mark(&self, tuple: &Tuple) -> (u32, u32) {
        let bucket = self.bucket(tuple);
        (bucket as u32, self.counts[bucket].load(Ordering::Acquire))
    }

    /// Bucket and count now of the tuple that a mark is of.
    pub fn mark_again(&self, (bucket, _): (u32, u32)) -> (u32, u32) {
        let count = self.counts.get(bucket as usize);
        (bucket, count.map_or(0, |c| c.load(Ordering::Acquire)))
    }

    /// True where no connection was made in the bucket since.
    #[inline]
    pub fn is_fresh(&self, (bucket, count): (u32, u32)) -> bool {
        self.counts
            .get(bucket as usize)
            .is_some_and(|c| c.load(Ordering::Acquire) == count)
    }

    fn bucket(&self, tuple: &Tuple) -> usize {
        tuple.symmetric_hash(self.seed) as usize % Self::BUCKETS
    }
}
