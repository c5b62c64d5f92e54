//! Token buckets: what a port may use of the slow path in a second.

/// A token bucket; time in nanoseconds. Holds at most a tenth of a second's rate, at least 32 tokens, so that a
/// guest's start (DHCP, ARP, ND at once) passes and a flood does not.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenBucket {
    tokens: u64,
    refilled_at: u64,
    started: bool,
}

impl TokenBucket {
    /// Takes one token at `now` under `rate` tokens a second; false where none is left.
    pub fn take(&mut self, rate: u32, now: u64) -> bool {
        let depth = u64::from(rate / 10).max(32);
        self.refill(u64::from(rate), depth, now);
        let granted = self.tokens > 0;
        self.tokens -= u64::from(granted);
        granted
    }

    fn refill(&mut self, rate: u64, depth: u64, now: u64) {
        if !self.started {
            *self = Self {
                tokens: depth,
                refilled_at: now,
                started: true,
            };
            return;
        }
        let elapsed = now.saturating_sub(self.refilled_at);
        let earned = (u128::from(elapsed) * u128::from(rate) / 1_000_000_000) as u64;
        if earned > 0 {
            self.tokens = self.tokens.saturating_add(earned).min(depth);
            self.refilled_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_its_rate_and_no_more() {
        let mut bucket = TokenBucket::default();
        let granted = (0..1_000_000u64)
            .filter(|i| bucket.take(1_000, i * 10_000))
            .count();
        assert!(
            (9_900..=10_200).contains(&granted),
            "{granted} granted in 10 s at 1,000 a second"
        );
    }

    #[test]
    fn a_zero_rate_lets_the_first_few_through_only() {
        let mut bucket = TokenBucket::default();
        assert_eq!(
            (0..1_000u64)
                .filter(|i| bucket.take(0, i * 1_000_000_000))
                .count(),
            32
        );
    }
}
