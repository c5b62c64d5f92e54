//! Connections as the firewall's stages use them: found, held against the rules, made.

use std::sync::Arc;

use anet_packet::addr::Vni;
use anet_packet::parse::{Fragment, Kind};
use anet_packet::{Tuple, icmp, icmpv6, protocol};

use super::firewall_out::{ask_in, ask_out, describe};
use super::walk::{Destination, Effects, Related, Verdict, Walk};
use crate::connections::{
    CloseReason, ConnectionId, Connections, CreateError, Direction, Found, New, PortIdentity, TcpState,
};
use crate::flow_cache::Half;
use crate::interface::InterfaceKind;
use crate::tables::{Port, Witness};
use crate::verdict::DropReason;

fn zone(walk: &Walk<'_, '_>) -> Option<Vni> {
    walk.network.map(|network| network.facts.vni)
}

fn identity(port: Option<&Arc<Port>>) -> PortIdentity {
    port.map_or(PortIdentity::REMOTE, |port| port.identity)
}

/// Looks the packet's connection up.
pub(super) fn find(walk: &mut Walk<'_, '_>, tuple: &Tuple) {
    let Some(zone) = zone(walk) else { return };
    walk.connection = walk.environment.connections.find(zone, tuple);
    if let Some(found) = walk.connection {
        walk.record(|_| {
            let direction = match found.direction {
                Direction::Original => "in its opener's direction",
                Direction::Reply => "in the direction of its answers",
            };
            format!("a packet of a known connection, {direction}")
        });
    }
}

/// An ICMP error goes the way of the connection it is about, and no other. `None` for other packets.
pub(super) fn related(walk: &mut Walk<'_, '_>) -> Option<Verdict> {
    let quote = quoted(walk)?;
    let zone = zone(walk)?;
    let against = Tuple::of_embedded(quote).ok().map(Tuple::reversed);
    let found = against.and_then(|t| Some((walk.environment.connections.find(zone, &t)?, t)));
    walk.cacheable = false;
    let Some((found, tuple)) = found else {
        walk.record(|_| "an ICMP error about no known connection".to_string());
        walk.related = Related::ToNothing;
        let secured = walk.source_port.is_some_and(|port| port.firewall.is_some());
        return Some(if secured {
            DropReason::UnrelatedError.into()
        } else {
            Verdict::Next
        });
    };
    walk.related = Related::To(found, tuple);
    walk.record(|_| "an ICMP error about a known connection".to_string());
    Some(Verdict::Next)
}

/// The packet that an ICMP error quotes.
fn quoted<'f>(walk: &'f Walk<'_, '_>) -> Option<&'f [u8]> {
    let layout = &walk.layout;
    let (kind, _) = layout.icmp()?;
    let is_error = match layout.kind {
        Kind::Ipv4 => icmp::is_error(kind),
        _ => icmpv6::is_error(kind),
    };
    let whole = layout.fragment == Fragment::None;
    (is_error && whole).then(|| walk.frame.head().get(usize::from(layout.l4) + 8..))?
}

/// May an ICMP error go where it is going? Only between the two sides of its connection, from the one to the other (a router
/// on the way to a remote side is on that side), and only while the connection itself may go on. No error is about a
/// packet to a group.
pub(super) fn reaches_its_receiver(walk: &mut Walk<'_, '_>) -> bool {
    let to_group = walk.destination == Some(Destination::Flood);
    match walk.related {
        Related::No => true,
        _ if to_group => false,
        Related::ToNothing => walk.destination_port().is_none_or(|port| port.firewall.is_none()),
        Related::To(found, tuple) => {
            is_between_its_ports(walk, &found) && still_allowed(walk, &found, &tuple).is_some()
        }
    }
}

/// A found connection is held against the ports it is between and today's rules. True where it goes on; its half and
/// witnesses are then those of the flow. False where it is none (any more): it has been closed, unless it is one
/// between other ports, which only a new connection in its place ends ([`create`]). Else whoever sends a packet with
/// somebody else's addresses could end connections that it has no part in.
pub(super) fn resume(walk: &mut Walk<'_, '_>, tuple: &Tuple) -> bool {
    let Some(found) = walk.connection else {
        return false;
    };
    if found.tcp_state.reopens(walk.layout.tcp_flags) {
        return close(walk, &found, CloseReason::Reopened);
    }
    if !is_between_its_ports(walk, &found) {
        walk.record(|_| "the known connection is between other ports".to_string());
        return false;
    }
    let Some([source, destination]) = still_allowed(walk, &found, tuple) else {
        return close(walk, &found, CloseReason::Withdrawn);
    };
    if walk.source_port.is_some() {
        walk.source_witness = source;
    }
    if walk.destination_port().is_some() {
        walk.destination_witness = destination;
    }
    observe(walk, &found);
    true
}

fn close(walk: &mut Walk<'_, '_>, found: &Found, why: CloseReason) -> bool {
    walk.record(|_| format!("the known connection ends: {why:?}"));
    if walk.effects == Effects::Lasting {
        walk.environment.connections.close(found.id, why);
    }
    false
}

/// Source and destination of the packet are the sides that the connection was made between.
fn is_between_its_ports(walk: &Walk<'_, '_>, found: &Found) -> bool {
    let sides = (identity(walk.source_port), identity(walk.destination_port()));
    match found.direction {
        Direction::Original => sides == (found.originator, found.responder),
        Direction::Reply => sides == (found.responder, found.originator),
    }
}

/// The witnesses of the packet's source and destination side, asked again in the original direction where they are not
/// fresh.
fn still_allowed(walk: &mut Walk<'_, '_>, found: &Found, tuple: &Tuple) -> Option<[Witness; 2]> {
    let witnesses = walk.environment.tables.witnesses();
    if let Some(known) = found.witnesses
        && known.into_iter().all(|witness| witnesses.is_fresh(witness))
    {
        return Some(known);
    }
    let (from, to) = (walk.source_port, walk.destination_port());
    let (original, from, to) = match found.direction {
        Direction::Original => (*tuple, from, to),
        Direction::Reply => (tuple.reversed(), to, from),
    };
    let before = (walk.source_witness, walk.destination_witness);
    let originator = from.map_or(Ok(Witness::ALWAYS), |port| ask_out(walk, port, &original));
    let responder = to.map_or(Ok(Witness::ALWAYS), |port| ask_in(walk, port, &original));
    (walk.source_witness, walk.destination_witness) = before;
    let sides = [originator.ok()?, responder.ok()?];
    if walk.effects == Effects::Lasting {
        vouch(walk.environment.connections, found.id, sides);
    }
    Some(match found.direction {
        Direction::Original => sides,
        Direction::Reply => [sides[1], sides[0]],
    })
}

/// Notes what the connection rests on: originator's side, responder's side.
fn vouch(connections: &Connections, id: ConnectionId, [originator, responder]: [Witness; 2]) {
    connections.set_witnesses(id, Direction::Original, [originator, responder]);
    connections.set_witnesses(id, Direction::Reply, [responder, originator]);
}

/// Notes the packet in its half. Flows of TCP are remembered once the connection is established: until then, and for
/// SYN, FIN and RST always, each packet comes this way, so that the state is followed.
fn observe(walk: &mut Walk<'_, '_>, found: &Found) {
    walk.half = Some(Half {
        connection: found.id,
        direction: found.direction,
    });
    if walk.effects == Effects::None {
        return;
    }
    let connections = walk.environment.connections;
    let flags = walk.layout.tcp_flags;
    if let Some(half) = connections.half(found.id, found.direction) {
        half.touch(walk.environment.now, walk.layout.length, flags);
    }
    if walk.layout.protocol == protocol::TCP {
        let state = connections.tcp_observe(found.id, found.direction, flags);
        walk.cacheable &= state.is_some_and(TcpState::is_settled);
    }
}

/// Makes the connection, in place of `displaced` where there is one. `sides` is what originator and responder rest on.
pub(super) fn create(
    walk: &mut Walk<'_, '_>,
    tuple: &Tuple,
    sides: [Witness; 2],
    picked_up: bool,
    displaced: Option<Found>,
) -> Result<(), DropReason> {
    if walk.effects == Effects::None {
        walk.record(|_| format!("a new connection: {}", describe(tuple)));
        return Ok(());
    }
    spend_new_flow_budget(walk)?;
    let Some(zone) = zone(walk) else {
        return Err(DropReason::PortDown);
    };
    let payer = walk.source_port.or(walk.destination_port());
    let new = New {
        originator: identity(walk.source_port),
        responder: identity(walk.destination_port()),
        limit: payer.map_or(u32::MAX, |port| port.budgets.connections),
        tcp_flags: walk.layout.tcp_flags,
        picked_up,
        now: walk.environment.now,
    };
    let connections = walk.environment.connections;
    if let Some(displaced) = displaced {
        connections.close(displaced.id, CloseReason::PortRemoved);
    }
    let created = connections
        .create(zone, tuple, new)
        .map_err(|error| match error {
            CreateError::TableFull { .. } => DropReason::ConnectionTableFull,
            CreateError::PortBudget { .. } => DropReason::ConnectionBudget,
        })?;
    if created.is_new {
        vouch(connections, created.id, sides);
        walk.environment.new_connections.note(tuple);
    }
    if let Some(half) = connections.half(created.id, created.direction) {
        half.touch(walk.environment.now, walk.layout.length, walk.layout.tcp_flags);
    }
    walk.half = Some(Half {
        connection: created.id,
        direction: created.direction,
    });
    // Where another worker made it from the other side, the next packet finds out what it rests on.
    walk.cacheable &= created.is_new && (walk.layout.protocol != protocol::TCP || picked_up);
    Ok(())
}

fn spend_new_flow_budget(walk: &mut Walk<'_, '_>) -> Result<(), DropReason> {
    let (InterfaceKind::Port(index), Some(port)) = (walk.source.kind(), walk.source_port) else {
        return Ok(());
    };
    let granted = walk
        .state
        .meters(index)
        .new_flows
        .take(port.budgets.new_flows_pps, walk.environment.now);
    if granted {
        Ok(())
    } else {
        Err(DropReason::NewFlowBudget)
    }
}
