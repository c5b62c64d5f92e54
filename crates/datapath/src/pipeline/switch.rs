//! `switch`: whose MAC is it.

use super::guard::macs;
use super::walk::{Destination, Verdict, Walk};
use crate::interface::InterfaceKind;
use crate::tables::Station;
use crate::verdict::DropReason;

/// The stage. Known stations only: there is no unknown-unicast flooding.
pub(super) fn stage(walk: &mut Walk<'_, '_>) -> Verdict {
    if walk.destination.is_some() {
        return Verdict::Next;
    }
    let Some(network) = walk.network else {
        return DropReason::PortDown.into();
    };
    let (mac, _) = macs(walk);
    let destination = match network.station(mac) {
        _ if mac.is_multicast() => Destination::Flood,
        Some(Station::Local(port)) => Destination::Port(port),
        // Split horizon: what came by a tunnel never leaves by one.
        Some(Station::Remote(_)) | None if walk.from_tunnel() => return unknown(walk),
        Some(Station::Remote(adjacency)) => Destination::Remote(adjacency),
        None => return unknown(walk),
    };
    if let (Destination::Port(to), InterfaceKind::Port(from)) = (destination, walk.source.kind())
        && to == from
    {
        return DropReason::Hairpin.into();
    }
    walk.destination = Some(destination);
    walk.record(|_| format!("{mac} is {destination:?}"));
    Verdict::Next
}

fn unknown(walk: &mut Walk<'_, '_>) -> Verdict {
    // The source side's witness does not cover a station that appears later.
    walk.cacheable = false;
    walk.record(|_| DropReason::UnknownDestination.explanation().to_string());
    DropReason::UnknownDestination.into()
}
