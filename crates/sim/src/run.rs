//! A run: trouble, quiet, and what must hold after it, a few times; all of it out of one seed.

use std::fmt;

use crate::defect::Defect;
use crate::faults;
use crate::log::Log;
use crate::network::Trouble;
use crate::traffic::{Count, Traffic};
use crate::violation::{Violation, violation};
use crate::world::World;

/// How large a run is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Controllers.
    pub controllers: usize,
    /// Hosts.
    pub hosts: usize,
    /// Times of trouble, each followed by quiet.
    pub rounds: usize,
    /// Milliseconds that each lasts.
    pub trouble_ms: u64,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            controllers: 2,
            hosts: 3,
            rounds: 2,
            trouble_ms: 12_000,
        }
    }
}

/// The longest that it may take until all is as intended once nothing goes wrong any more.
const QUIET_MS: u64 = 90_000;

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The same for the same seed.
    pub fingerprint: u64,
    /// The store's revision in the end.
    pub revision: u64,
    /// How often the store was put back to a backup.
    pub restored: u64,
    /// Packets.
    pub packets: Count,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "revision {}, {} restores; {}; fingerprint {:016x}",
            self.revision, self.restored, self.packets, self.fingerprint
        )
    }
}

/// Runs a seed to its end, or to the first violation.
pub fn run(seed: u64, size: Size, defect: Defect) -> Result<Outcome, Violation> {
    run_with(seed, size, defect, &Log::default())
}

/// The same, with what happened in a log.
pub fn run_with(seed: u64, size: Size, defect: Defect, log: &Log) -> Result<Outcome, Violation> {
    let mut run = Run {
        world: World::new(seed, size.controllers, size.hosts, log, defect)?,
        traffic: Traffic::default(),
    };
    for _ in 0..size.rounds {
        run.trouble(size.trouble_ms)?;
        run.quiet()?;
        run.hold_quiet()?;
        run.hold_headless()?;
    }
    Ok(Outcome {
        fingerprint: run.world.fingerprint,
        revision: run.world.truth.revision(),
        restored: run.world.restored,
        packets: run.traffic.count,
    })
}

struct Run {
    world: World,
    traffic: Traffic,
}

impl Run {
    fn trouble(&mut self, ms: u64) -> Result<(), Violation> {
        self.world.trouble_store(true);
        self.world.network.trouble = Trouble {
            lost: 20,
            repeated: 60,
            late: 60,
            delay_ms: 2,
        };
        let until = self.world.now_ms() + ms;
        while self.world.now_ms() < until {
            self.happen()?;
            let pause = 1 + self.world.chance.below(60) as u64;
            self.world.run_for(pause)?;
        }
        Ok(())
    }

    /// Users ask, guests speak, things go wrong.
    fn happen(&mut self) -> Result<(), Violation> {
        let world = &mut self.world;
        if world.chance.per_thousand(600) {
            world.any_wish();
        }
        if world.chance.per_thousand(150)
            && let Some(of) = self.traffic.flowing(&mut world.chance)
        {
            world.wish_against(of);
        }
        if world.chance.per_thousand(150) {
            world.read();
        }
        if world.chance.per_thousand(80) {
            faults::attach(world);
        }
        if world.chance.per_thousand(150) {
            faults::any(world)?;
        }
        for _ in 0..world.chance.below(5) {
            self.traffic.speak(world)?;
        }
        Ok(())
    }

    /// Nothing goes wrong any more, until all is as intended.
    fn quiet(&mut self) -> Result<(), Violation> {
        faults::end(&mut self.world)?;
        let until = self.world.now_ms() + QUIET_MS;
        // Requests that were under way still come to something.
        self.world.run_for(6_000)?;
        loop {
            self.world.run_for(500)?;
            match self.unsettled() {
                None => return Ok(()),
                Some(what) if self.world.now_ms() >= until => {
                    return Err(violation(format!(
                        "after {} s of quiet: {what}",
                        QUIET_MS / 1_000
                    )));
                }
                Some(_) => {}
            }
        }
    }

    /// What is not as intended.
    fn unsettled(&self) -> Option<String> {
        let world = &self.world;
        for (number, seat) in world.seats.iter().enumerate() {
            let fabric = seat.controller.as_ref()?.driver.state();
            if fabric.mirror().intent() != world.truth.intent() {
                return Some(format!("controller {number} does not see what the store holds"));
            }
        }
        let unsettled = |host: &crate::host::Host| {
            let what = host.unsettled(&world.truth)?;
            Some(format!("{}: {what}", host.id))
        };
        world.hosts.iter().find_map(unsettled)
    }

    /// All guests reach those that the rules let them reach, and no others.
    fn hold_quiet(&mut self) -> Result<(), Violation> {
        self.world.truth.hold_against_oracle()?;
        self.traffic.all(&mut self.world)
    }

    /// The same with everything dead but the data planes.
    fn hold_headless(&mut self) -> Result<(), Violation> {
        let world = &mut self.world;
        (0..world.seats.len()).for_each(|seat| world.kill_controller(seat));
        (0..world.hosts.len()).for_each(|host| world.kill_agent(host));
        world.run_for(2_000)?;
        self.traffic.all(world)?;
        (0..world.seats.len()).for_each(|seat| world.start_controller(seat));
        world
            .hosts
            .iter_mut()
            .try_for_each(crate::host::Host::start_agent)
    }
}
