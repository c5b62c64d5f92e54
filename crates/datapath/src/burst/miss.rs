//! A packet without a fresh flow: through the pipeline, and what is remembered of it.

use anet_memory::buffer::Buffer;
use anet_packet::Tuple;
use anet_packet::flow_key::FlowKey;
use anet_packet::parse;
use anet_packet::vxlan::outer_source_port;

use super::forward::encapsulate;
use super::{Surroundings, Worker};
use crate::flow_cache::{Action, Flow};
use crate::interface::Interface;
use crate::pipeline::{self, Destination, Outcome, Walk};
use crate::verdict::DropReason;

/// What is left of a walk once the packet is free again.
struct Conclusion {
    outcome: Outcome,
    destination: Option<Destination>,
    /// The flow's key and what to remember of it.
    flow: Option<(FlowKey, Option<Flow>)>,
    vni: u32,
    entropy: u16,
}

impl Worker {
    /// Takes one packet through the pipeline. `interface` is where it came in (for counters), `source` the same or, for a
    /// frame from the underlay whose outer header is off already, its membership.
    pub(super) fn miss(
        &mut self,
        with: &mut Surroundings<'_>,
        interface: Interface,
        source: Interface,
        mut buffer: Buffer,
    ) {
        self.counters.misses.add(1);
        let layout = match parse::layout(buffer.head(), buffer.len()) {
            Ok(layout) => layout,
            Err(malformed) => {
                self.counters.malformed[malformed.index()].add(1);
                return self.count_drop(interface, malformed.into());
            }
        };
        let mut state = std::mem::take(&mut self.state);
        let mut walk = Walk::new(with.environment, &mut state, &mut buffer, layout, source);
        let outcome = pipeline::walk(&mut walk);
        let conclusion = self.conclude(&walk, outcome);
        self.claim(with, &conclusion);
        if let (Outcome::Forward, Some(Destination::Flood)) = (&conclusion.outcome, conclusion.destination) {
            self.copies(with, interface, &walk);
            self.state = state;
            return;
        }
        self.state = state;
        self.remember(conclusion.flow);
        let way = Way::of(&conclusion);
        self.carry_out(with, interface, source, conclusion.outcome, &way, buffer);
    }

    /// This worker receives the direction from now on.
    fn claim(&self, with: &Surroundings<'_>, conclusion: &Conclusion) {
        let half = conclusion.flow.and_then(|(_, flow)| flow?.half);
        if let Some(half) = half.and_then(|h| with.environment.connections.half(h.connection, h.direction)) {
            half.claim(self.number);
        }
    }

    fn conclude(&self, walk: &Walk<'_, '_>, outcome: Outcome) -> Conclusion {
        let vni = walk.zone();
        let key = (walk.layout.is_ip() && walk.layout.fragment == parse::Fragment::None)
            .then(|| FlowKey::of(walk.source.get(), walk.frame.head(), &walk.layout));
        let entropy =
            outer_source_port(key.map_or_else(|| entropy_without_key(walk), |key| self.cache.hash(&key)));
        let flow = key.map(|key| {
            (
                key,
                walk.cacheable
                    .then(|| flow_of(walk, &outcome, vni, entropy))
                    .flatten(),
            )
        });
        Conclusion {
            destination: walk.destination,
            outcome,
            flow,
            vni,
            entropy,
        }
    }

    /// The verdict about the flow replaces whatever was known; where there is none to remember, what was known goes.
    fn remember(&mut self, flow: Option<(FlowKey, Option<Flow>)>) {
        match flow {
            Some((key, Some(flow))) => self.cache.insert(self.cache.hash(&key), &key, flow),
            Some((key, None)) => self.cache.remove(self.cache.hash(&key), &key),
            None => {}
        }
    }

    fn carry_out(
        &mut self,
        with: &mut Surroundings<'_>,
        interface: Interface,
        source: Interface,
        outcome: Outcome,
        way: &Way,
        mut buffer: Buffer,
    ) {
        match (outcome, way) {
            (Outcome::Forward, Way::Port(port)) => with.egress.push(Interface::port(*port), buffer),
            (
                Outcome::Forward,
                Way::Tunnel {
                    adjacency,
                    vni,
                    entropy,
                },
            ) => {
                if encapsulate(with.environment.tables, &mut buffer, *adjacency, *vni, *entropy) {
                    with.egress.push(Interface::UPLINK, buffer);
                } else {
                    self.count_drop(interface, DropReason::NoTunnel);
                }
            }
            (Outcome::Forward, Way::None) => self.count_drop(interface, DropReason::UnknownDestination),
            (Outcome::Reply, _) => self.reply(with, interface, source),
            (Outcome::Consumed, _) => self.counters.consumed.add(1),
            (Outcome::Drop(reason), _) => self.count_drop(interface, reason),
        }
    }

    /// The pipeline's answer goes back where the question came from.
    fn reply(&mut self, with: &mut Surroundings<'_>, interface: Interface, source: Interface) {
        match with.pool.copy_from(&self.state.reply) {
            Some(reply) => {
                self.counters.replies.add(1);
                with.egress.push(source, reply);
            }
            None => self.count_drop(interface, DropReason::NoBuffer),
        }
    }
}

/// Where a single packet goes.
enum Way {
    Port(u32),
    Tunnel { adjacency: u32, vni: u32, entropy: u16 },
    None,
}

impl Way {
    fn of(conclusion: &Conclusion) -> Self {
        match conclusion.destination {
            Some(Destination::Port(port)) => Way::Port(port),
            Some(Destination::Remote(adjacency)) => Way::Tunnel {
                adjacency,
                vni: conclusion.vni,
                entropy: conclusion.entropy,
            },
            Some(Destination::Flood) | None => Way::None,
        }
    }
}

/// Of a packet that is no flow: all fragments of a packet, whether they have ports or not, take one path.
fn entropy_without_key(walk: &Walk<'_, '_>) -> u64 {
    let addresses = walk.tuple.map(|tuple| Tuple {
        source_port: 0,
        destination_port: 0,
        icmp_type: 0,
        ..tuple
    });
    addresses.map_or(u64::from(walk.zone()) << 32, |tuple| tuple.symmetric_hash(0))
}

/// What to remember of a walk.
fn flow_of(walk: &Walk<'_, '_>, outcome: &Outcome, vni: u32, entropy: u16) -> Option<Flow> {
    let action = match (outcome, walk.destination) {
        (Outcome::Drop(reason), _) => Action::Drop(*reason),
        (Outcome::Forward, Some(Destination::Port(port))) => Action::Deliver(port),
        (Outcome::Forward, Some(Destination::Remote(adjacency))) => Action::Encapsulate {
            adjacency,
            vni,
            source_port: entropy,
        },
        _ => return None,
    };
    Some(Flow {
        action,
        half: walk.half.filter(|_| matches!(outcome, Outcome::Forward)),
        source: walk.source_witness,
        destination: walk.destination_witness,
        mark: walk.mark,
        longest: pipeline::longest(walk),
    })
}
