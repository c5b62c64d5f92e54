//! Faults by chance, the same for the same seed.

use std::time::Duration;

use crate::model::faults::{DeliveryFault, Faults, LeaseFault, ReadFault, TransactionFault};
use crate::record::Revision;

/// How often something goes wrong: so many in a thousand, of which each kind has an equal part. Delays are up to
/// [`Chances::delay`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chances {
    /// Of transactions.
    pub transactions: u16,
    /// Of readings.
    pub reads: u16,
    /// Of deliveries to watchers.
    pub deliveries: u16,
    /// Of calls about leases.
    pub leases: u16,
    /// The longest delay.
    pub delay: Duration,
}

/// Faults out of a seed.
#[derive(Debug, Clone)]
pub struct Seeded {
    state: u64,
    chances: Chances,
}

impl Seeded {
    /// The same seed and the same questions give the same faults.
    pub const fn new(seed: u64, chances: Chances) -> Self {
        Self { state: seed, chances }
    }

    /// SplitMix64: a full-period generator that needs no more than a counter.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// One of `faults`, or none, by so many in a thousand.
    fn pick<F: Copy + Default>(&mut self, per_thousand: u16, faults: &[F]) -> F {
        if self.below(1_000) >= u64::from(per_thousand) {
            return F::default();
        }
        let which = self.below(faults.len() as u64);
        usize::try_from(which)
            .ok()
            .and_then(|which| faults.get(which).copied())
            .unwrap_or_default()
    }

    fn delay(&mut self) -> Duration {
        let longest = u64::try_from(self.chances.delay.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.below(longest))
    }
}

impl Faults for Seeded {
    fn transaction(&mut self) -> TransactionFault {
        let (late, slow) = (self.delay(), self.delay());
        let faults = [
            TransactionFault::Refused,
            TransactionFault::LostBefore,
            TransactionFault::LostAfter,
            TransactionFault::ArrivesLate(late),
            TransactionFault::Slow(slow),
        ];
        self.pick(self.chances.transactions, &faults)
    }

    fn read(&mut self) -> ReadFault {
        let (slow, old) = (self.delay(), self.below(16));
        let faults = [ReadFault::Refused, ReadFault::Slow(slow), ReadFault::Old(old)];
        self.pick(self.chances.reads, &faults)
    }

    fn delivery(&mut self, _revision: Revision) -> DeliveryFault {
        let (back, delay) = (self.below(16), self.delay());
        let faults = [
            DeliveryFault::Lost,
            DeliveryFault::Repeated,
            DeliveryFault::Rewound(back),
            DeliveryFault::Delayed(delay),
            DeliveryFault::Broken,
            DeliveryFault::Overtaken,
        ];
        self.pick(self.chances.deliveries, &faults)
    }

    fn lease(&mut self) -> LeaseFault {
        let longer = self.delay();
        let faults = [LeaseFault::Refused, LeaseFault::Longer(longer)];
        self.pick(self.chances.leases, &faults)
    }
}
