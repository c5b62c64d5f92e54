//! Where a worker's time goes: the parts of a round, and who may measure them.
//!
//! Nothing here reads a clock: the worker says where a part ends, and a [`StageClock`] that was lent to it takes the time.

/// A part of a worker's round. What of a burst costs what is told apart, so that a regression has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Queues that were looked at in vain, and everything between two bursts: commands, sleep, tables taken.
    Idle,
    /// A burst fetched from its queue.
    Receive,
    /// Outer headers checked and taken off, keys read, hashed.
    Keys,
    /// Tags of the flow cache compared.
    Candidates,
    /// The connections' halves asked for.
    Halves,
    /// Known flows: verdict, half, outer header, egress.
    Verdicts,
    /// Packets through the pipeline, and flows that are asked again.
    Misses,
    /// Bursts handed to their queues.
    Transmit,
}

impl Stage {
    /// All of them, in the order of a round.
    pub const ALL: [Stage; 8] = [
        Self::Idle,
        Self::Receive,
        Self::Keys,
        Self::Candidates,
        Self::Halves,
        Self::Verdicts,
        Self::Misses,
        Self::Transmit,
    ];

    /// Its place in [`Stage::ALL`].
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Receive => "receive",
            Self::Keys => "keys",
            Self::Candidates => "candidates",
            Self::Halves => "halves",
            Self::Verdicts => "verdicts",
            Self::Misses => "misses",
            Self::Transmit => "transmit",
        }
    }
}

/// Takes the time of stages.
pub trait StageClock {
    /// What has passed since the last call belongs to `stage`.
    fn lap(&mut self, stage: Stage);
}

/// Nobody wants to know: costs nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unmeasured;

impl StageClock for Unmeasured {
    #[inline(always)]
    fn lap(&mut self, _stage: Stage) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_where_they_say() {
        for (place, stage) in Stage::ALL.iter().enumerate() {
            assert_eq!(stage.index(), place);
        }
        let mut names: Vec<&str> = Stage::ALL.iter().map(|stage| stage.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Stage::ALL.len());
    }
}
