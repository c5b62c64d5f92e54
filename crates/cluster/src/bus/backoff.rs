//! How long to wait before the next try, so that many that lost the same peer do not come back all at once.

use std::time::Duration;

/// Waits that double from `first` to `most`; each is drawn from the upper half of its span. Randomness is an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    span: Duration,
}

impl Backoff {
    /// Starts at `first`; no wait is longer than `most`.
    pub fn new(first: Duration, most: Duration) -> Self {
        let first = first.min(most);
        Self {
            first,
            most,
            span: first,
        }
    }

    /// The next wait. `random` is any number, uniformly drawn.
    pub fn next(&mut self, random: u64) -> Duration {
        let span = self.span;
        self.span = span.saturating_mul(2).min(self.most);
        let half = span / 2;
        let share = (u128::from(random) * (span - half).as_nanos()) >> 64;
        half + Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// After a success: starts again at the first wait.
    pub fn reset(&mut self) {
        self.span = self.first;
    }
}

impl Default for Backoff {
    /// From 200 ms to 10 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(200), Duration::from_secs(10))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        let longest: Vec<_> = (0..4).map(|_| backoff.next(u64::MAX).as_millis()).collect();
        assert_eq!(longest, [99, 199, 349, 349]);
        backoff.reset();
        assert_eq!(backoff.next(0), Duration::from_millis(50));
    }

    proptest! {
        #[test]
        fn a_wait_is_in_the_upper_half_of_its_span(randoms in proptest::collection::vec(any::<u64>(), 1..40)) {
            let mut backoff = Backoff::default();
            let mut span = Duration::from_millis(200);
            for random in randoms {
                let wait = backoff.next(random);
                prop_assert!(wait >= span / 2 && wait <= span, "{:?} of {:?}", wait, span);
                span = (span * 2).min(Duration::from_secs(10));
            }
        }
    }
}
