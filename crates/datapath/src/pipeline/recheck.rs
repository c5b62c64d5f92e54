//! A flow that only a change of rules has made stale: the rules are asked about it, and nothing else of the pipeline.
//!
//! What a walk decides rests on ports, stations and memberships, which are as they were
//! ([`only_rules_changed`](crate::tables::Witnesses::only_rules_changed)); on the connection, which lives; and on rules. So
//! the answer is the walk's own, at a fraction of its cost. Where that cannot be said, there is none, and the packet walks. It
//! must not make or end a connection, nor decide anything that the stages do not: they and this ask by the same function.

use anet_model::host_plan::Direction as Way;
use anet_packet::flow_key::FlowKey;

use super::firewall_out::rule_witness;
use super::walk::Environment;
use crate::connections::{ConnectionId, Direction};
use crate::firewall::Query;
use crate::flow_cache::{Action, Flow, Half};
use crate::tables::{Port, Witness};
use crate::verdict::DropReason;

/// What the rules of today say of a flow.
pub(crate) enum Recheck {
    /// It goes on, and rests on this: its source side, its destination side.
    Allowed([Witness; 2]),
    /// It is dropped.
    Denied(Denial),
}

/// A flow that is dropped from now on.
pub(crate) struct Denial {
    pub(crate) reason: DropReason,
    pub(crate) witnesses: [Witness; 2],
    pub(crate) mark: (u32, u32),
    /// The connection that no rule allows any more: it is to be ended.
    pub(crate) ended: Option<ConnectionId>,
}

impl Recheck {
    /// Writes the answer into the flow.
    #[inline]
    pub(crate) fn renew(&self, flow: &mut Flow) {
        match self {
            Recheck::Allowed(witnesses) => [flow.source, flow.destination] = *witnesses,
            Recheck::Denied(denial) => {
                flow.action = Action::Drop(denial.reason);
                flow.half = None;
                [flow.source, flow.destination] = denial.witnesses;
                flow.mark = denial.mark;
            }
        }
    }
}

/// What the rules of today say of a flow that a plain TCP or UDP packet has found in the cache; `None` where the packet has to
/// walk.
pub(crate) fn recheck(environment: &Environment<'_>, key: &FlowKey, flow: &Flow) -> Option<Recheck> {
    let witnesses = environment.tables.witnesses();
    if !witnesses.only_rules_changed(flow.source) || !witnesses.only_rules_changed(flow.destination) {
        return None;
    }
    let asked = Asked {
        environment,
        key,
        flow,
    };
    match (flow.half, flow.action) {
        (Some(half), _) if environment.connections.is_valid(half.connection, half.direction) => {
            asked.of_connection(half)
        }
        // Of no connection (any more), as long as none was made since.
        (Some(_), _) | (None, Action::Drop(DropReason::FirewallEgress))
            if environment.new_connections.is_fresh(flow.mark) =>
        {
            asked.denied(None)
        }
        _ => None,
    }
}

/// A side of the packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
}

/// A flow that is asked about.
struct Asked<'a> {
    environment: &'a Environment<'a>,
    key: &'a FlowKey,
    flow: &'a Flow,
}

impl Asked<'_> {
    /// A connection is asked about in its original direction. Where it ends, what becomes of the packet is another question.
    fn of_connection(&self, half: Half) -> Option<Recheck> {
        let ended = Some(half.connection);
        let source = self.allowed(Side::Source, self.flow.source, half.direction)?;
        if let (Direction::Original, Err(deny)) = (half.direction, source) {
            return self.egress_denial(deny, ended);
        }
        let destination = self.allowed(Side::Destination, self.flow.destination, half.direction)?;
        match (half.direction, source, destination) {
            (_, Ok(source), Ok(destination)) => Some(Recheck::Allowed([source, destination])),
            (Direction::Original, Ok(source), Err(deny)) => self.ingress_denial(source, deny, ended),
            _ => self.denied(ended),
        }
    }

    /// A side whose witness is fresh need not be asked. `None` where there is no port to ask.
    #[inline]
    fn allowed(&self, side: Side, known: Witness, direction: Direction) -> Option<Result<Witness, Witness>> {
        if self.environment.tables.witnesses().is_fresh(known) {
            return Some(Ok(known));
        }
        self.port(side).map(|port| self.ask(side, port, direction))
    }

    /// The port of a side; `None` for one behind a tunnel.
    #[inline]
    fn port(&self, side: Side) -> Option<&Port> {
        let index = match (side, self.flow.action) {
            (Side::Source, _) => self.key.interface(),
            (Side::Destination, Action::Deliver(index)) => index,
            (Side::Destination, _) => return None,
        };
        self.environment.tables.port(index).map(|port| &**port)
    }

    /// May the connection that a packet in this direction belongs to be opened? The witness of the rule that allows it, or of there
    /// being none.
    #[inline]
    fn ask(&self, side: Side, port: &Port, direction: Direction) -> Result<Witness, Witness> {
        let (source_port, destination_port) = self.key.ports();
        let way = if (side == Side::Source) == (direction == Direction::Original) {
            Way::Egress
        } else {
            Way::Ingress
        };
        let query = Query {
            direction: way,
            remote: match side {
                Side::Source => self.key.destination(),
                Side::Destination => self.key.source(),
            },
            protocol: self.key.protocol(),
            destination_port: Some(match direction {
                Direction::Original => destination_port,
                Direction::Reply => source_port,
            }),
            icmp: None,
        };
        rule_witness(self.environment.tables, port, &query)
    }

    /// The drop of a packet that is of no connection (any more). `None` where the rules would let it open one.
    fn denied(&self, ended: Option<ConnectionId>) -> Option<Recheck> {
        let ask = |side| {
            self.port(side)
                .map(|port| self.ask(side, port, Direction::Original))
        };
        let source = match ask(Side::Source) {
            Some(Err(deny)) => return self.egress_denial(deny, ended),
            Some(Ok(rule)) => rule,
            None => self.flow.source,
        };
        let deny = ask(Side::Destination)?.err()?;
        self.ingress_denial(source, deny, ended)
    }

    fn egress_denial(&self, deny: Witness, ended: Option<ConnectionId>) -> Option<Recheck> {
        // Where it goes, as far as no rule has a say.
        let destination = self.port(Side::Destination).map(Port::slot_of_port);
        let witnesses = self.environment.tables.witnesses();
        let destination = destination.map_or(self.flow.destination, |slot| witnesses.witness(slot));
        self.denial(DropReason::FirewallEgress, [deny, destination], ended)
    }

    fn ingress_denial(&self, source: Witness, deny: Witness, ended: Option<ConnectionId>) -> Option<Recheck> {
        self.denial(DropReason::FirewallIngress, [source, deny], ended)
    }

    fn denial(
        &self,
        reason: DropReason,
        witnesses: [Witness; 2],
        ended: Option<ConnectionId>,
    ) -> Option<Recheck> {
        // Taken before the connection ends: one made in its place shows as a newer mark.
        let mark = self.environment.new_connections.mark_again(self.flow.mark);
        Some(Recheck::Denied(Denial {
            reason,
            witnesses,
            mark,
            ended,
        }))
    }
}
