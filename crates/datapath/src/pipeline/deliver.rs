//! `deliver`: the end of the way. Copies are made by the burst.

use anet_model::host_plan::Direction;

use super::firewall_out::query;
use super::walk::{Destination, Outcome, Verdict, Walk};
use crate::tables::Port;
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

/// May a copy of a broadcast or multicast packet go into this port? No connection is made for copies.
pub(crate) fn permits(walk: &Walk<'_, '_>, port: &Port) -> bool {
    if !port.admin_up {
        return false;
    }
    let (Some(firewall), false) = (&port.firewall, walk.control) else {
        return true;
    };
    let Some(tuple) = &walk.tuple else { return true };
    let query = query(Direction::Ingress, tuple, walk);
    firewall
        .policy
        .lookup(&query, walk.environment.tables.sets())
        .is_some()
}
