//! Guests that speak while everything changes: where each packet arrives, and whether it may.
//!
//! A packet is judged three times. In each data plane on its way, against what a slow reference says under the plan that was applied
//! there. Where it arrives, against what users asked for, at some place in history that is not older than what the data planes
//! of its two ends have. And after quiet, against what they ask for now: it arrives if and only if it may.

use std::fmt;

use anet_datapath::testing::reference::Packet;
use anet_model::host_plan::{Port, PortId};
use anet_model::intent::Intent;

use crate::chance::Chance;
use crate::conversation::{Conversation, Layer4};
use crate::data_plane::Sent;
use crate::oracle::{lets_in, lets_out, may_speak, share_a_network};
use crate::violation::{Violation, violation};
use crate::world::World;

/// Conversations that go on at a time.
const CONVERSATIONS: usize = 24;
/// The most pairs that are looked at for one that may speak.
const ATTEMPTS: usize = 12;
/// Ports that servers listen on: some rules name the first.
const SERVICES: [u16; 3] = [80, 80, 443];
/// Clients' ports, each used once.
const CLIENTS: std::ops::Range<u16> = 20_000..60_000;

/// What came of it all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Packets that guests sent, each by a data plane that has their port.
    pub sent: u64,
    /// How often a data plane had one of them, and was held against the reference.
    pub judged: u64,
    /// Packets that arrived where they should.
    pub arrived: u64,
    /// Conversations that flowed, and then did not any more.
    pub stopped: u64,
}

impl Count {
    /// Adds another one.
    pub const fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.judged += other.judged;
        self.arrived += other.arrived;
        self.stopped += other.stopped;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count {
            sent,
            judged,
            arrived,
            stopped,
        } = self;
        write!(
            f,
            "{sent} packets, judged in {judged} data planes, {arrived} arrived; {stopped} flows stopped"
        )
    }
}

/// See the module's page.
#[derive(Debug)]
pub struct Traffic {
    conversations: Vec<Conversation>,
    client_port: u16,
    /// What came of it so far.
    pub count: Count,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            conversations: Vec::new(),
            client_port: CLIENTS.start,
            count: Count::default(),
        }
    }
}

impl Traffic {
    /// Somebody says something: in a new conversation, or in one that goes on.
    pub fn speak(&mut self, world: &mut World) -> Result<(), Violation> {
        if self.conversations.is_empty() || world.chance.per_thousand(250) {
            self.begin(world)
        } else {
            let pick = world.chance.below(self.conversations.len());
            let from_client = !self.conversations[pick].heard || world.chance.per_thousand(500);
            self.go_on(world, pick, from_client)
        }
    }

    /// A conversation that flows, if there is one.
    pub fn flowing(&self, chance: &mut Chance) -> Option<&Conversation> {
        let flowing: Vec<&Conversation> = self.conversations.iter().filter(|one| one.flows).collect();
        chance.pick(&flowing).copied()
    }

    fn begin(&mut self, world: &mut World) -> Result<(), Violation> {
        let guests = guests(world);
        // Some of them may not, but most that begin may speak.
        let attempts = 1 + world.chance.below(ATTEMPTS);
        let mut begun = None;
        for _ in 0..attempts {
            begun = self.draw(&mut world.chance, &guests).or(begun);
            if begun
                .as_ref()
                .is_some_and(|of| may_speak(world.truth.intent(), of))
            {
                break;
            }
        }
        let Some(begun) = begun else {
            return Ok(());
        };
        if self.conversations.len() == CONVERSATIONS {
            let oldest = world.chance.below(CONVERSATIONS);
            self.conversations.remove(oldest);
        }
        self.conversations.push(begun);
        self.go_on(world, self.conversations.len() - 1, true)
    }

    /// Between any two, mostly of one network.
    fn draw(&mut self, chance: &mut Chance, guests: &[(PortId, Port)]) -> Option<Conversation> {
        let (client, port) = chance.pick(guests)?;
        let near = chance.per_thousand(850);
        let others = guests
            .iter()
            .filter(|(id, other)| id != client && (!near || other.network == port.network));
        let others: Vec<_> = others.collect();
        let (server, other) = chance.pick(&others)?;
        self.between(chance, (client, port), (server, other))
    }

    fn between(
        &mut self,
        chance: &mut Chance,
        client: (&PortId, &Port),
        server: (&PortId, &Port),
    ) -> Option<Conversation> {
        self.client_port = match self.client_port + 1 {
            port if port < CLIENTS.end => port,
            _ => CLIENTS.start,
        };
        let layer4 = match chance.per_thousand(750) {
            true => Layer4::Tcp,
            false => Layer4::Udp,
        };
        let ports = (self.client_port, SERVICES[chance.below(SERVICES.len())]);
        let ipv4 = chance.per_thousand(850);
        Conversation::between(client, server, ipv4, layer4, ports)
    }

    fn go_on(&mut self, world: &mut World, pick: usize, from_client: bool) -> Result<(), Violation> {
        let mut of = self.conversations[pick].clone();
        self.say(world, &mut of, from_client)?;
        self.conversations[pick] = of;
        Ok(())
    }

    /// Something is said, out of each data plane that has who says it; true where it arrived.
    fn say(
        &mut self,
        world: &mut World,
        of: &mut Conversation,
        from_client: bool,
    ) -> Result<bool, Violation> {
        let (packet, frame) = of.next(from_client);
        let (from, to) = of.sides(from_client);
        let (mut arrived, judged) = (false, self.count.judged);
        for near in 0..world.hosts.len() {
            let Some((far, at)) = self.carry(world, near, &from.id, &packet, &frame)? else {
                continue;
            };
            hold(world, of, from_client, (near, far), &at)?;
            arrived |= at == to.id;
        }
        self.count.sent += u64::from(self.count.judged > judged);
        self.count.arrived += u64::from(arrived);
        self.count.stopped += u64::from(of.flows && !arrived);
        of.note(from_client, arrived);
        Ok(arrived)
    }

    /// Where a packet out of a host's port arrives: the host, and the port there.
    fn carry(
        &mut self,
        world: &mut World,
        near: usize,
        from: &PortId,
        packet: &Packet,
        frame: &[u8],
    ) -> Result<Option<(usize, PortId)>, Violation> {
        let named =
            |host: usize, error: Violation| violation(format!("in the data plane of host{host}: {error}"));
        let Some(plane) = &mut world.hosts[near].plane else {
            return Ok(None);
        };
        let plan = plane.control().plan();
        let local = plan.tunnel.as_ref().map(|tunnel| tunnel.address);
        if !plan.ports.contains_key(from) {
            return Ok(None);
        }
        self.count.judged += 1;
        let sent = plane.from_guest(from, packet, frame);
        let (endpoint, vni) = match sent.map_err(|error| named(near, error))? {
            None => return Ok(None),
            Some(Sent::Port(to, _)) => return Ok(Some((near, to))),
            Some(Sent::Tunnel(endpoint, vni, _)) => (endpoint, vni),
        };
        let (Some(local), Some(far)) = (local, world.host_at(endpoint)) else {
            return Ok(None);
        };
        let Some(plane) = &mut world.hosts[far].plane else {
            return Ok(None);
        };
        self.count.judged += 1;
        let sent = plane.from_tunnel((local, endpoint), vni, packet, frame);
        Ok(match sent.map_err(|error| named(far, error))? {
            Some(Sent::Port(to, _)) => Some((far, to)),
            _ => None,
        })
    }

    /// After quiet: each guest reaches those that it may speak with, and no others; and what began is answered.
    pub fn all(&mut self, world: &mut World) -> Result<(), Violation> {
        let guests = guests(world);
        for (client, port) in &guests {
            for (server, other) in guests.iter().filter(|(server, _)| server != client) {
                let ends = ((client, port), (server, other));
                let Some(mut of) = self.between(&mut world.chance, ends.0, ends.1) else {
                    continue;
                };
                let arrived = self.say(world, &mut of, true)?;
                let what = match (arrived, may_speak(world.truth.intent(), &of)) {
                    (true, true) if !self.say(world, &mut of, false)? => "is not answered by",
                    (true, true) | (false, false) => continue,
                    (true, false) => "reaches",
                    (false, true) => "does not reach",
                };
                return Err(violation(format!(
                    "{client} {what} {server} against the rules: {of:?}"
                )));
            }
        }
        for pick in 0..self.conversations.len() {
            for from_client in [true, false] {
                self.go_on(world, pick, from_client)?;
            }
        }
        Ok(())
    }
}

/// Every port in a data plane, once.
fn guests(world: &World) -> Vec<(PortId, Port)> {
    let planes = world.hosts.iter().filter_map(|host| host.plane.as_ref());
    let ports = planes.flat_map(|plane| &plane.control().plan().ports);
    let guests: std::collections::BTreeMap<_, _> = ports.collect();
    let owned = |(id, port): (&PortId, &Port)| (id.clone(), port.clone());
    guests.into_iter().map(owned).collect()
}

/// What arrives has not left its network, and the rules of both ends let it, as they were when the data planes there got them, or later.
fn hold(
    world: &World,
    of: &Conversation,
    from_client: bool,
    (near, far): (usize, usize),
    at: &PortId,
) -> Result<(), Violation> {
    let (from, to) = of.sides(from_client);
    let truth = &world.truth;
    if !truth.ever(|intent| share_a_network(intent, &from.id, at)) {
        return Err(violation(format!("{} reaches {at} in another network", from.id)));
    }
    if *at != to.id {
        return Ok(());
    }
    let (client, server) = match from_client {
        true => (near, far),
        false => (far, near),
    };
    let turned = of.turned();
    let client_lets = |intent: &Intent| {
        let answers = turned.as_ref().is_some_and(|turned| lets_in(intent, turned));
        lets_out(intent, of) || answers
    };
    let server_lets = |intent: &Intent| {
        let asks = turned.as_ref().is_some_and(|turned| lets_out(intent, turned));
        lets_in(intent, of) || asks
    };
    let since = |host: usize| world.hosts[host].ledger.since();
    let client_may = truth.held(since(client), client_lets);
    match client_may && truth.held(since(server), server_lets) {
        true => Ok(()),
        false => Err(violation(format!("{of:?}: it arrives, and no rule lets it"))),
    }
}
