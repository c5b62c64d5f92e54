//! When a worker looks for packets, and when it sleeps.
//!
//! Queues with a descriptor are waited for: the worker sleeps until there is something, and after a while gives memory back.
//! Queues without one (DPDK's) have to be polled. Then the worker goes round without a pause, and looks at descriptors and
//! commands only now and then. Where nothing has come for a while it sleeps for ever longer moments, unless it is told to
//! poll always.

use std::time::Duration;

use anet_datapath::respond::router_advertisement::INTERVAL_S;

/// How queues that have to be polled are polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Polling {
    /// Without a pause while there are packets; then ever more rarely, down to a thousand times a second.
    #[default]
    Adaptive,
    /// Without a pause, always: the worker has a processor of its own.
    Always,
}

/// How long a worker that waits for descriptors keeps the memory of large packets once nothing comes any more.
const IDLE: Duration = Duration::from_secs(2);
/// Rounds between two looks at descriptors and commands.
const ROUNDS: u32 = 32;
/// How long nothing has come before a polling worker sleeps, in nanoseconds.
const QUIET: u64 = 50_000;
/// Its longest sleep.
const LONGEST: u64 = 1_000_000;

/// See the module's page.
#[derive(Debug)]
pub(super) struct Rhythm {
    polling: Polling,
    /// Memory was given back.
    asleep: bool,
    rounds: u32,
    /// When the last packet came, by the clock of the rounds.
    busy_at: u64,
    now: u64,
}

/// What to do before the next round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// Go on at once.
    None,
    /// Wait for descriptors and commands, at most as long.
    Wait(Duration),
}

impl Rhythm {
    pub fn new(polling: Polling) -> Self {
        Self {
            polling,
            asleep: false,
            rounds: 0,
            busy_at: 0,
            now: 0,
        }
    }

    /// Before a round; `polls`: there are queues that have to be polled.
    pub fn pause(&mut self, polls: bool) -> Pause {
        if !polls {
            return Pause::Wait(match self.asleep {
                false => IDLE,
                // Until the next router advertisements.
                true => Duration::from_secs(INTERVAL_S),
            });
        }
        let quiet = self.now.saturating_sub(self.busy_at);
        if self.polling == Polling::Adaptive && quiet >= QUIET {
            // A tenth of the time that nothing came: a packet that comes then waits little longer than it is late anyhow.
            return Pause::Wait(Duration::from_nanos((quiet / 10).clamp(QUIET, LONGEST)));
        }
        self.rounds = self.rounds.wrapping_add(1);
        match self.rounds.is_multiple_of(ROUNDS) {
            true => Pause::Wait(Duration::ZERO),
            false => Pause::None,
        }
    }

    /// After a round at `now` with so many packets. True where it is time to give memory back: none came for a while.
    pub fn after_round(&mut self, packets: usize, now: u64) -> bool {
        self.now = now;
        if packets > 0 {
            self.busy_at = now;
            self.asleep = false;
            return false;
        }
        u128::from(now.saturating_sub(self.busy_at)) >= IDLE.as_nanos() && self.falls_asleep()
    }

    /// Nothing was ready for as long as was waited. True where it is time to give memory back.
    pub fn falls_asleep(&mut self) -> bool {
        !std::mem::replace(&mut self.asleep, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds and sleeps until `end`, without a packet; each round takes 200 nanoseconds.
    fn idle(rhythm: &mut Rhythm, from: u64, end: u64) -> (u32, u32) {
        let (mut now, mut rounds, mut sleeps) = (from, 0, 0);
        while now < end {
            match rhythm.pause(true) {
                Pause::Wait(time) if !time.is_zero() => {
                    sleeps += 1;
                    now += time.as_nanos() as u64;
                }
                _ => {}
            }
            now += 200;
            rounds += 1;
            rhythm.after_round(0, now);
        }
        (rounds, sleeps)
    }

    #[test]
    fn who_has_packets_to_poll_for_does_not_sleep() {
        for polling in [Polling::Adaptive, Polling::Always] {
            let mut rhythm = Rhythm::new(polling);
            let mut looks = 0;
            for round in 0..3_200_u64 {
                looks += u32::from(rhythm.pause(true) == Pause::Wait(Duration::ZERO));
                rhythm.after_round(1, round * 1_000);
            }
            assert_eq!(looks, 100);
        }
    }

    #[test]
    fn an_adaptive_worker_sleeps_longer_the_longer_nothing_comes() {
        let mut rhythm = Rhythm::new(Polling::Adaptive);
        rhythm.after_round(32, 1_000_000);
        let (_, sleeps) = idle(&mut rhythm, 1_000_000, 1_050_000);
        assert_eq!(sleeps, 0, "not for fifty microseconds");
        let (rounds, _) = idle(&mut rhythm, 1_050_000, 1_001_000_000);
        assert!((900..1_200).contains(&rounds), "{rounds} rounds in a second");
        rhythm.after_round(1, 1_001_000_000);
        assert_ne!(
            rhythm.pause(true),
            Pause::Wait(Duration::from_nanos(LONGEST)),
            "awake again"
        );
    }

    #[test]
    fn one_that_polls_always_never_sleeps() {
        let mut rhythm = Rhythm::new(Polling::Always);
        assert_eq!(idle(&mut rhythm, 0, 10_000_000), (50_000, 0));
    }

    #[test]
    fn who_polls_gives_memory_back_once_as_well() {
        let mut rhythm = Rhythm::new(Polling::Always);
        let end = IDLE.as_nanos() as u64;
        assert!(!rhythm.after_round(7, 0) && !rhythm.after_round(0, end - 1));
        assert!(rhythm.after_round(0, end) && !rhythm.after_round(0, end + 1));
        assert!(!rhythm.after_round(1, end + 2) && !rhythm.after_round(0, end + 3));
        assert!(rhythm.after_round(0, 2 * end + 2));
    }

    #[test]
    fn without_queues_to_poll_it_sleeps_and_gives_memory_back_once() {
        let mut rhythm = Rhythm::new(Polling::Always);
        rhythm.after_round(1, 5);
        assert_eq!(rhythm.pause(false), Pause::Wait(IDLE));
        assert!(rhythm.falls_asleep());
        assert!(!rhythm.falls_asleep(), "once");
        assert_eq!(rhythm.pause(false), Pause::Wait(Duration::from_secs(INTERVAL_S)));
        rhythm.after_round(1, 9);
        assert_eq!(rhythm.pause(false), Pause::Wait(IDLE));
    }
}
