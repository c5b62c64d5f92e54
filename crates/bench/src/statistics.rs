//! The middle of several runs, and how far they lie apart.

/// What several runs of one measurement say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Runs {
    /// The middle one (of an even number: the mean of the two in the middle).
    pub median: f64,
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

impl Runs {
    /// Of at least one value; zeros where there is none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let half = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            at(half)
        } else {
            (at(half.saturating_sub(1)) + at(half)) / 2.0
        };
        Self {
            median,
            low: at(0),
            high: at(values.len().saturating_sub(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let runs = Runs::of([3.0, 1.0, 2.0]);
        assert_eq!((runs.median, runs.low, runs.high), (2.0, 1.0, 3.0));
        assert_eq!(Runs::of([4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Runs::of([]).median, 0.0);
    }
}
