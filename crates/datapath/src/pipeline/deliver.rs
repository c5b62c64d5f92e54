//! `deliver`: the last checks, and what the flow's destination side rests on. Copies are made by the burst.

use anet_memory::buffer::SegmentKind;
use anet_model::host_plan::Direction;

use super::firewall_out::query;
use super::walk::{Destination, Outcome, Verdict, Walk};
use crate::tables::Port;
use crate::trace::Fate;
use crate::verdict::DropReason;

/// The stage. It always decides.
pub(super) fn stage(walk: &mut Walk<'_, '_>) -> Verdict {
    let result = match walk.destination {
        Some(Destination::Port(index)) => to_port(walk, index),
        Some(Destination::Remote(adjacency)) => to_remote(walk, adjacency),
        Some(Destination::Flood) => Ok(None),
        None => Err(DropReason::UnknownDestination),
    };
    match result.and_then(|fate| fits(walk).map(|()| fate)) {
        Ok(fate) => {
            if let (Some(fate), Some(trace)) = (fate, walk.trace.as_mut()) {
                trace.fate = Some(fate);
            }
            Verdict::Done(Outcome::Forward)
        }
        Err(reason) => {
            walk.record(|_| reason.explanation().to_string());
            reason.into()
        }
    }
}

fn to_port(walk: &mut Walk<'_, '_>, index: u32) -> Result<Option<Fate>, DropReason> {
    let port = walk
        .environment
        .tables
        .port(index)
        .filter(|p| p.admin_up)
        .ok_or(DropReason::PortDown)?;
    Ok(walk.trace.is_some().then(|| Fate::Deliver {
        port: port.id.to_string(),
    }))
}

fn to_remote(walk: &mut Walk<'_, '_>, index: u32) -> Result<Option<Fate>, DropReason> {
    let tables = walk.environment.tables;
    let adjacency = tables.adjacency(index).ok_or(DropReason::NoTunnel)?;
    let header = tables.endpoint(adjacency.endpoint).ok_or(DropReason::NoTunnel)?;
    walk.destination_witness = walk.witness(adjacency.witness);
    let vni = walk.zone();
    Ok(walk.trace.is_some().then(|| Fate::Encapsulate {
        endpoint: header.remote(),
        vni,
    }))
}

/// Large segments are cut to the guest's own segment size, which its MTU bounds.
fn fits(walk: &mut Walk<'_, '_>) -> Result<(), DropReason> {
    let mtu = walk.network.map_or(0, |n| usize::from(n.facts.mtu.get()));
    let whole = walk.frame.meta.segmentation.kind == SegmentKind::None;
    let packet = walk.layout.l3_length() as usize;
    if whole && walk.is_ip() && packet > mtu {
        // One packet of a flow says nothing about the next.
        walk.cacheable = false;
        return Err(DropReason::TooBig);
    }
    Ok(())
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
