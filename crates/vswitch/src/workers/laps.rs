//! A worker's stage clock: the processor's time stamp, where the user wants to know what costs what.

use std::sync::atomic::{AtomicU64, Ordering};

use anet_datapath::burst::{Stage, StageClock, Unmeasured};
use anet_memory::cpu::time_stamp;

const STAGES: usize = Stage::ALL.len();

/// Cycles by stage since the worker started, for others to read.
#[derive(Debug, Default)]
pub struct StageCycles([AtomicU64; STAGES]);

impl StageCycles {
    /// Each stage's.
    pub fn get(&self) -> [u64; STAGES] {
        std::array::from_fn(|stage| self.0[stage].load(Ordering::Relaxed))
    }
}

/// The owner's side. Measured, a burst costs some hundred cycles more.
#[derive(Debug)]
pub(super) struct Laps {
    measured: bool,
    at: u64,
    cycles: [u64; STAGES],
}

impl Laps {
    pub fn new(measured: bool) -> Self {
        Self {
            measured,
            at: time_stamp(),
            cycles: [0; STAGES],
        }
    }

    /// Ends a stage outside of the burst.
    #[inline]
    pub fn end(&mut self, stage: Stage) {
        if self.measured {
            self.lap(stage);
        }
    }

    /// A clock for a burst, where it is to be measured.
    #[inline]
    pub fn clock(&mut self) -> Result<&mut Self, Unmeasured> {
        match self.measured {
            true => Ok(self),
            false => Err(Unmeasured),
        }
    }

    /// Lets others see.
    #[inline]
    pub fn publish(&self, to: &StageCycles) {
        if self.measured {
            for (own, shared) in self.cycles.iter().zip(&to.0) {
                shared.store(*own, Ordering::Relaxed);
            }
        }
    }
}

impl StageClock for Laps {
    #[inline]
    fn lap(&mut self, stage: Stage) {
        let now = time_stamp();
        self.cycles[stage.index()] += now.wrapping_sub(self.at);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_told_by_stage() {
        let (mut laps, seen) = (Laps::new(true), StageCycles::default());
        for _ in 0..1_000 {
            laps.end(Stage::Receive);
            laps.clock().unwrap().lap(Stage::Keys);
        }
        laps.publish(&seen);
        let cycles = seen.get();
        let has_clock = time_stamp() != 0;
        assert_eq!(
            has_clock,
            cycles[Stage::Receive.index()] > 0 && cycles[Stage::Keys.index()] > 0
        );
        assert_eq!(cycles[Stage::Misses.index()], 0);
    }

    #[test]
    fn what_nobody_wants_to_know_is_not_measured() {
        let (mut laps, seen) = (Laps::new(false), StageCycles::default());
        laps.end(Stage::Receive);
        assert!(laps.clock().is_err());
        laps.publish(&seen);
        assert_eq!(seen.get(), [0; STAGES]);
    }
}
