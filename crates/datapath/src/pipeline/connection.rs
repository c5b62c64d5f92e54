//! Connections as the firewall's stages use them: found, held against the rules, made.

use anet_packet::addr::Vni;
use anet_packet::parse::{Fragment, Kind};
use anet_packet::{Tuple, icmp, icmpv6, protocol};

use super::firewall_out::{ask_in, ask_out, describe};
use super::walk::{Destination, Effects, Verdict, Walk};
use crate::connections::{CreateError, Direction, Found, New, PortIdentity};
use crate::flow_cache::Half;
use crate::interface::InterfaceKind;
use crate::tables::{Port, Witness};
use crate::verdict::DropReason;

fn zone(walk: &Walk<'_, '_>) -> Option<Vni> {
    walk.network.map(|network| network.facts.vni)
}

/// Looks the packet's connection up.
pub(super) fn find(walk: &mut Walk<'_, '_>, tuple: &Tuple) {
    let Some(zone) = zone(walk) else { return };
    walk.connection = walk.environment.connections.find(zone, tuple);
    if let Some(found) = walk.connection {
        walk.record(|_| format!("a packet of a known connection ({:?} direction)", found.direction));
    }
}

/// An ICMP error goes the way of the connection it is about, and no other. `None` for other packets.
pub(super) fn related(walk: &mut Walk<'_, '_>) -> Option<Verdict> {
    let quote = quoted(walk)?;
    let zone = zone(walk)?;
    let found = Tuple::of_embedded(quote).ok().and_then(|t| walk.environment.connections.find(zone, &t));
    walk.cacheable = false;
    let Some(found) = found else {
        let secured = walk.source_port.is_none_or(|port| port.firewall.is_some());
        walk.record(|_| "an ICMP error about no known connection".to_string());
        return secured.then(|| DropReason::UnrelatedError.into());
    };
    // The quoted packet came from the error's receiver; whoever sends the error is on the other side, or on its way.
    let receiver = if found.direction == Direction::Original { found.originator } else { found.responder };
    walk.related = true;
    walk.record(|_| "an ICMP error about a known connection".to_string());
    walk.error_receiver = Some(receiver);
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

/// A found connection is held against the ports it is between and today's rules. True where it goes on; its half and
/// witnesses are then those of the flow. False where it is none (any more): it has been closed.
pub(super) fn resume(walk: &mut Walk<'_, '_>, tuple: &Tuple) -> bool {
    let Some(found) = walk.connection else { return false };
    let layout = walk.layout;
    let reopened = found.tcp_state.reopens(layout.tcp_flags) && layout.protocol == protocol::TCP;
    if reopened || !is_between_its_ports(walk, &found) {
        return close(walk, &found, "it is over, or between other ports");
    }
    let original = if found.direction == Direction::Original { *tuple } else { tuple.reversed() };
    let Some((originator, responder)) = still_allowed(walk, &found, &original) else {
        return close(walk, &found, "no rule allows it any more");
    };
    let (source, destination) = match found.direction {
        Direction::Original => (originator, responder),
        Direction::Reply => (responder, originator),
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

fn close(walk: &mut Walk<'_, '_>, found: &Found, why: &'static str) -> bool {
    walk.record(|_| format!("the known connection ends: {why}"));
    if walk.effects == Effects::Lasting {
        walk.environment.connections.close(found.id);
    }
    false
}

/// Source and destination of the packet are the sides that the connection was made between.
fn is_between_its_ports(walk: &Walk<'_, '_>, found: &Found) -> bool {
    let identity = |port: Option<&std::sync::Arc<Port>>| port.map_or(PortIdentity::REMOTE, |p| p.identity);
    let sides = (identity(walk.source_port), identity(walk.destination_port()));
    match found.direction {
        Direction::Original => sides == (found.originator, found.responder),
        Direction::Reply => sides == (found.responder, found.originator),
    }
}

/// The witnesses of originator and responder, asked again in the original direction where they are not fresh.
fn still_allowed(walk: &mut Walk<'_, '_>, found: &Found, original: &Tuple) -> Option<(Witness, Witness)> {
    let witnesses = walk.environment.tables.witnesses();
    if let Some((originator, responder)) = walk.environment.connections.witnesses(found.id)
        && witnesses.is_fresh(originator)
        && witnesses.is_fresh(responder)
    {
        return Some((originator, responder));
    }
    let (from, to) = match found.direction {
        Direction::Original => (walk.source_port, walk.destination_port()),
        Direction::Reply => (walk.destination_port(), walk.source_port),
    };
    let before = (walk.source_witness, walk.destination_witness);
    let originator = from.map_or(Ok(Witness::ALWAYS), |port| ask_out(walk, port, original));
    let responder = to.map_or(Ok(Witness::ALWAYS), |port| ask_in(walk, port, original));
    (walk.source_witness, walk.destination_witness) = before;
    let (originator, responder) = (originator.ok()?, responder.ok()?);
    if walk.effects == Effects::Lasting {
        walk.environment.connections.set_witnesses(found.id, originator, responder);
    }
    Some((originator, responder))
}

/// Notes the packet in its half. Flows of TCP are remembered once the connection is established: until then, and for
/// SYN, FIN and RST always, each packet comes this way, so that the state is followed.
fn observe(walk: &mut Walk<'_, '_>, found: &Found) {
    walk.half = Some(Half { connection: found.id, direction: found.direction });
    if walk.effects == Effects::None {
        return;
    }
    let connections = walk.environment.connections;
    let (flags, now) = (walk.layout.tcp_flags, walk.environment.now);
    connections.touch(found.id, found.direction, now, walk.layout.length, flags);
    if walk.layout.protocol == protocol::TCP {
        let state = connections.tcp_observe(found.id, found.direction, flags, now);
        walk.cacheable &= state.is_settled();
    }
}

/// Makes the connection.
pub(super) fn create(
    walk: &mut Walk<'_, '_>,
    tuple: &Tuple,
    originator: Witness,
    responder: Witness,
) -> Result<(), DropReason> {
    if walk.effects == Effects::None {
        walk.record(|_| format!("a new connection: {}", describe(tuple)));
        return Ok(());
    }
    spend_new_flow_budget(walk)?;
    let Some(zone) = zone(walk) else { return Err(DropReason::PortDown) };
    let identity = |port: Option<&std::sync::Arc<Port>>| port.map_or(PortIdentity::REMOTE, |p| p.identity);
    let payer = walk.source_port.or(walk.destination_port());
    let new = New {
        originator: identity(walk.source_port),
        responder: identity(walk.destination_port()),
        budget: payer.map_or(u32::MAX, |port| port.budgets.connections),
        tcp_flags: walk.layout.tcp_flags,
        picked_up: walk.environment.loose_pickup,
        now: walk.environment.now,
    };
    let connections = walk.environment.connections;
    let id = connections.create(zone, tuple, &new).map_err(|error| match error {
        CreateError::TableFull => DropReason::ConnectionTableFull,
        CreateError::PortBudget => DropReason::ConnectionBudget,
    })?;
    connections.set_witnesses(id, originator, responder);
    connections.touch(id, Direction::Original, walk.environment.now, walk.layout.length, walk.layout.tcp_flags);
    walk.environment.new_connections.note(tuple);
    walk.half = Some(Half { connection: id, direction: Direction::Original });
    walk.cacheable &= walk.layout.protocol != protocol::TCP || walk.environment.loose_pickup;
    Ok(())
}

fn spend_new_flow_budget(walk: &mut Walk<'_, '_>) -> Result<(), DropReason> {
    let (InterfaceKind::Port(index), Some(port)) = (walk.source.kind(), walk.source_port) else { return Ok(()) };
    let granted = walk.state.meters(index).new_flows.take(port.budgets.new_flows_pps, walk.environment.now);
    if granted { Ok(()) } else { Err(DropReason::NewFlowBudget) }
}

/// Where an error may go: only to the side that sent the quoted packet.
pub(super) fn reaches_its_receiver(walk: &Walk<'_, '_>) -> bool {
    let Some(receiver) = walk.error_receiver else { return true };
    match walk.destination {
        Some(Destination::Port(_)) => walk.destination_port().is_some_and(|port| port.identity == receiver),
        Some(Destination::Remote(_)) => receiver == PortIdentity::REMOTE,
        _ => false,
    }
}
