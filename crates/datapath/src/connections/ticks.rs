//! Time as the table keeps it.

/// A point in time in units of 2^20 nanoseconds (about 1.05 ms).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticks(pub(super) u64);

/// Another worker's `now` may be this much ahead of ours: 69 seconds.
const SKEW: u32 = 1 << 16;

impl Ticks {
    #[inline]
    pub(super) const fn at(now: u64) -> Self {
        Self(now >> 20)
    }

    /// The 32 bits that a half keeps.
    #[inline]
    pub(super) const fn low(self) -> u32 {
        self.0 as u32
    }

    /// The last point not after `now` whose 32 bits these are: right for what was less than 52 days ago.
    pub(super) const fn restore(low: u32, now: Ticks) -> Self {
        let age = now.low().wrapping_sub(low);
        let ahead = age > u32::MAX - SKEW;
        Self(if ahead {
            now.0
        } else {
            now.0.saturating_sub(age as u64)
        })
    }

    /// Ticks from here to `now`; zero where this lies ahead.
    #[inline]
    pub(super) const fn age(self, now: Ticks) -> u64 {
        now.0.saturating_sub(self.0)
    }

    pub(super) const fn nanoseconds(self) -> u64 {
        self.0.saturating_mul(1 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_restored_for_fifty_days() {
        let day = 86_400 * 1_000_000_000;
        for now in [Ticks::at(0), Ticks::at(60 * day), Ticks::at(u64::MAX)] {
            for age in [0, 1, 1 << 20, u64::from(u32::MAX - SKEW)] {
                let then = Ticks(now.0.saturating_sub(age));
                assert_eq!(Ticks::restore(then.low(), now), then);
            }
            assert_eq!(
                Ticks::restore(now.low().wrapping_add(5), now),
                now,
                "a worker that is ahead"
            );
        }
    }
}
