//! `deliver`: the end of the way. Copies are made by the burst.

use anet_model::host_plan::Direction;

use super::firewall_out::{query, refusal};
use super::walk::{Destination, Outcome, Verdict, Walk};
use crate::interface::Interface;
use crate::tables::{FloodMember, Port};
use crate::trace::Fate;
use crate::verdict::DropReason;

/// The stage. It always decides.
pub(super) fn stage(walk: &mut Walk<'_, '_>) -> Verdict {
    let fate = match walk.destination {
        Some(Destination::Port(index)) => to_port(walk, index),
        Some(Destination::Remote(adjacency)) => to_remote(walk, adjacency),
        Some(Destination::Flood) => None,
        None => return DropReason::UnknownDestination.into(),
    };
    if let Some(trace) = walk.trace.as_mut() {
        trace.fate = fate;
    }
    Verdict::Done(Outcome::Forward)
}

fn to_port(walk: &Walk<'_, '_>, index: u32) -> Option<Fate> {
    let port = walk.environment.tables.port(index)?;
    walk.trace.is_some().then(|| Fate::Deliver {
        port: port.id.to_string(),
    })
}

fn to_remote(walk: &Walk<'_, '_>, index: u32) -> Option<Fate> {
    let tables = walk.environment.tables;
    let adjacency = tables.adjacency(index)?;
    let header = tables.endpoint(adjacency.endpoint)?;
    let vni = walk.zone();
    walk.trace.is_some().then(|| Fate::Encapsulate {
        endpoint: header.remote(),
        vni,
    })
}

/// May a member have a copy of a broadcast or multicast packet? `None` for the source itself, and for endpoints where the
/// packet came by a tunnel (split horizon). No connection is made for copies.
pub(crate) fn permits(walk: &Walk<'_, '_>, member: FloodMember) -> Option<Result<(), DropReason>> {
    let tables = walk.environment.tables;
    match member {
        FloodMember::Port(port) if Interface::port(port) == walk.source => None,
        FloodMember::Port(port) => Some(match tables.port(port).filter(|port| port.admin_up) {
            Some(port) => may_come_in(walk, port),
            None => Err(DropReason::PortDown),
        }),
        FloodMember::Endpoint(_) if walk.is_from_tunnel() => None,
        FloodMember::Endpoint(endpoint) => {
            Some(tables.endpoint(endpoint).map(|_| ()).ok_or(DropReason::NoTunnel))
        }
    }
}

fn may_come_in(walk: &Walk<'_, '_>, port: &Port) -> Result<(), DropReason> {
    let (Some(firewall), false) = (&port.firewall, walk.control) else {
        return Ok(());
    };
    let tuple = walk.tuple.as_ref().ok_or(DropReason::EtherTypeForbidden)?;
    let query = query(Direction::Ingress, tuple, walk);
    let rule = firewall.policy.lookup(&query, walk.environment.tables.sets());
    rule.map(|_| ())
        .ok_or_else(|| refusal(walk, DropReason::FirewallIngress))
}
