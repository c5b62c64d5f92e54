//! A run: trouble, quiet, and what must hold after it, a few times; all of it out of one seed.

use anet_model::host_plan::{Direction, PortId};

use crate::data_plane::Sent;
use crate::defect::Defect;
use crate::network::Trouble;
use crate::traffic;
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
    /// The store's revision in the end: how much was written.
    pub revision: u64,
    /// Packets that arrived, and packets that were sent.
    pub packets: (u64, u64),
}

/// Runs a seed to its end, or to the first violation.
pub fn run(seed: u64, size: Size, defect: Defect) -> Result<Outcome, Violation> {
    let mut run = Run {
        world: World::new(seed, size.controllers, size.hosts, defect)?,
        packets: (0, 0),
        source_port: 30_000,
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
        packets: run.packets,
    })
}

struct Run {
    world: World,
    packets: (u64, u64),
    source_port: u16,
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
            if self.world.chance.per_thousand(700) {
                self.world.any_wish();
            }
            if self.world.chance.per_thousand(150) {
                self.world.read();
            }
            if self.world.chance.per_thousand(120) {
                self.fault();
            }
            if self.world.chance.per_thousand(100) {
                self.any_packet()?;
            }
            let pause = 1 + self.world.chance.below(60) as u64;
            self.world.run_for(pause)?;
        }
        Ok(())
    }

    /// Something goes wrong, or is mended.
    fn fault(&mut self) {
        let world = &mut self.world;
        let host = world.chance.below(world.hosts.len());
        let seat = world.chance.below(world.seats.len());
        match world.chance.below(12) {
            0 => world.kill_controller(seat),
            1..=3 => {
                if world.seats[seat].controller.is_none() {
                    world.start_controller(seat);
                }
            }
            4 => world.kill_agent(host),
            5 | 6 => {
                if world.hosts[host].agent.is_none() {
                    world.hosts[host].start_agent();
                }
            }
            7 => {
                world.hosts[host].kill_plane();
                world.hosts[host].start_plane();
            }
            8 => world.cut(host, seat),
            9 => {
                let trouble = world.network.trouble;
                world.network.heal();
                world.network.trouble = trouble;
                (0..world.seats.len()).for_each(|seat| world.cut_store(seat, false));
            }
            10 => world.cut_store(seat, true),
            _ => {
                let pick = world.chance.below(8);
                world.hosts[host].tamper(pick);
            }
        }
    }

    /// Nothing goes wrong any more, until all is as intended.
    fn quiet(&mut self) -> Result<(), Violation> {
        let world = &mut self.world;
        world.network.heal();
        for seat in 0..world.seats.len() {
            world.cut_store(seat, false);
            if world.seats[seat].controller.is_none() {
                world.start_controller(seat);
            }
        }
        world.trouble_store(false);
        for host in &mut world.hosts {
            if host.agent.is_none() {
                host.start_agent();
            }
        }
        let until = world.now_ms() + QUIET_MS;
        // Requests that were under way still come to something.
        world.run_for(6_000)?;
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
            let fabric = seat.controller.as_ref()?.shared.fabric.borrow();
            if fabric.mirror().intent() != world.truth.intent() {
                return Some(format!("controller {number} does not see what the store holds"));
            }
        }
        for host in &world.hosts {
            if host.plane_digest() != world.truth.digest(&host.id) {
                return Some(format!("the data plane of {} is not as intended", host.id));
            }
            let agent = host.agent.as_ref()?;
            if !agent.is_idle() {
                return Some(format!("the agent of {} has not come to rest", host.id));
            }
        }
        None
    }

    /// All guests reach those that the rules let them reach, and no others.
    fn hold_quiet(&mut self) -> Result<(), Violation> {
        self.world.truth.hold_against_oracle()?;
        self.all_packets()
    }

    /// The same with everything dead but the data planes.
    fn hold_headless(&mut self) -> Result<(), Violation> {
        (0..self.world.seats.len()).for_each(|seat| self.world.kill_controller(seat));
        (0..self.world.hosts.len()).for_each(|host| self.world.kill_agent(host));
        self.world.run_for(2_000)?;
        self.all_packets()?;
        (0..self.world.seats.len()).for_each(|seat| self.world.start_controller(seat));
        self.world
            .hosts
            .iter_mut()
            .for_each(crate::host::Host::start_agent);
        Ok(())
    }

    fn all_packets(&mut self) -> Result<(), Violation> {
        for from in self.guests() {
            for to in self.guests() {
                let arrived = self.packet(&from, &to)?;
                if let Some((arrived, allowed)) = arrived
                    && arrived != allowed
                {
                    let what = match allowed {
                        true => "does not reach",
                        false => "reaches",
                    };
                    return Err(violation(format!("{} {what} {} against the rules", from.1, to.1)));
                }
            }
        }
        Ok(())
    }

    /// One packet between any two guests: where it arrives, the rules of both hosts allow it.
    fn any_packet(&mut self) -> Result<(), Violation> {
        let guests = self.guests();
        let from = self.world.chance.pick(&guests).cloned();
        let to = self.world.chance.pick(&guests).cloned();
        let (Some(from), Some(to)) = (from, to) else {
            return Ok(());
        };
        match self.packet(&from, &to)? {
            Some((true, false)) => Err(violation(format!("{} reaches {} without a rule", from.1, to.1))),
            _ => Ok(()),
        }
    }

    /// Every port in a data plane, with its host's number.
    fn guests(&self) -> Vec<(usize, PortId)> {
        let hosts = self.world.hosts.iter().enumerate();
        let ports = hosts.filter_map(|(number, host)| Some((number, host.plane.as_ref()?.control().plan())));
        ports
            .flat_map(|(number, plan)| plan.ports.keys().map(move |port| (number, port.clone())))
            .collect()
    }

    /// Whether a SYN arrives, and whether the rules that the two data planes have let it; `None` where the two are no
    /// pair that could speak.
    fn packet(
        &mut self,
        from: &(usize, PortId),
        to: &(usize, PortId),
    ) -> Result<Option<(bool, bool)>, Violation> {
        self.source_port = 30_000 + (self.source_port + 1 - 30_000) % 30_000;
        let plan = |host: usize| {
            self.world.hosts[host]
                .plane
                .as_ref()
                .map(|plane| plane.control().plan())
        };
        let (Some(near), Some(far)) = (plan(from.0), plan(to.0)) else {
            return Ok(None);
        };
        let (Some(sender), Some(receiver)) = (near.ports.get(&from.1), far.ports.get(&to.1)) else {
            return Ok(None);
        };
        if from.1 == to.1 || sender.network != receiver.network {
            return Ok(None);
        }
        let Some(frame) = traffic::syn(sender, receiver, self.source_port) else {
            return Ok(None);
        };
        let allowed = traffic::allows(near, &from.1, Direction::Egress, receiver)
            && traffic::allows(far, &to.1, Direction::Ingress, sender);
        let ends = near.tunnel.as_ref().zip(far.tunnel.as_ref());
        let Some(ends) = ends.map(|(near, far)| (near.address, far.address)) else {
            return Ok(None);
        };
        let mut arrived = false;
        let sent = self.send(from, &frame);
        for sent in sent {
            match sent {
                Sent::Port(port, _) => arrived |= port == to.1,
                Sent::Tunnel(endpoint, vni, inner) if endpoint == ends.1 => {
                    let plane = self.world.hosts[to.0].plane.as_mut();
                    let there = plane
                        .map(|plane| plane.from_tunnel(ends, vni, &inner))
                        .unwrap_or_default();
                    arrived |= there.contains(&Sent::Port(to.1.clone(), inner));
                }
                Sent::Tunnel(..) => {}
            }
        }
        self.packets.0 += u64::from(arrived);
        self.packets.1 += 1;
        Ok(Some((arrived, allowed)))
    }

    fn send(&mut self, from: &(usize, PortId), frame: &[u8]) -> Vec<Sent> {
        let plane = self.world.hosts[from.0].plane.as_mut();
        plane
            .and_then(|plane| plane.from_guest(&from.1, frame))
            .unwrap_or_default()
    }
}
