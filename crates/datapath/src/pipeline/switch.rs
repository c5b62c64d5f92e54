//! `switch`: whose MAC is it.

use anet_memory::buffer::SegmentKind;

use super::guard::macs;
use super::walk::{Destination, Verdict, Walk};
use crate::interface::Interface;
use crate::tables::{Station, Witness};
use crate::verdict::DropReason;

/// The stage. Known stations only: there is no unknown-unicast flooding. What cannot arrive ends here, before a connection
/// is made for it.
pub(super) fn stage(walk: &mut Walk<'_, '_>) -> Verdict {
    let destination = match walk.destination.map_or_else(|| find(walk), Ok) {
        Ok(destination) => destination,
        Err(reason) => {
            // The source side's witness does not cover a station that appears later.
            walk.cacheable = false;
            walk.record(|_| reason.explanation().to_string());
            return reason.into();
        }
    };
    walk.destination = Some(destination);
    match arrives(walk, destination).and_then(|slot| fits(walk).map(|()| slot)) {
        // Whatever is decided from here on, drops as well, rests on where the station is.
        Ok(slot) => walk.destination_witness = walk.witness(slot),
        Err(reason) => {
            walk.cacheable = false;
            walk.record(|_| reason.explanation().to_string());
            return reason.into();
        }
    }
    walk.record(|w| format!("{} is {}", macs(w).0, place_of(w, destination)));
    Verdict::Next
}

fn find(walk: &Walk<'_, '_>) -> Result<Destination, DropReason> {
    let network = walk.network.ok_or(DropReason::PortDown)?;
    let (mac, _) = macs(walk);
    match network.station(mac) {
        _ if mac.is_multicast() => Ok(Destination::Flood),
        Some(Station::Local(port)) => Ok(Destination::Port(port)),
        // Split horizon: what came by a tunnel never leaves by one.
        Some(Station::Remote(adjacency)) if !walk.is_from_tunnel() => Ok(Destination::Remote(adjacency)),
        _ => Err(DropReason::UnknownDestination),
    }
}

/// The witness slot of where it goes.
fn arrives(walk: &Walk<'_, '_>, destination: Destination) -> Result<u32, DropReason> {
    let tables = walk.environment.tables;
    match destination {
        Destination::Port(to) if Interface::port(to) == walk.source => Err(DropReason::Hairpin),
        Destination::Port(to) => tables
            .port(to)
            .filter(|p| p.admin_up)
            .map(|p| p.slot_of_port())
            .ok_or(DropReason::PortDown),
        Destination::Remote(adjacency) => {
            let adjacency = tables.adjacency(adjacency).ok_or(DropReason::NoTunnel)?;
            tables
                .endpoint(adjacency.endpoint)
                .map(|_| adjacency.witness)
                .ok_or(DropReason::NoTunnel)
        }
        Destination::Flood => Ok(Witness::ALWAYS.slot),
    }
}

/// Where that is, in words that a reader of the plan knows.
fn place_of(walk: &Walk<'_, '_>, destination: Destination) -> String {
    let tables = walk.environment.tables;
    match destination {
        Destination::Port(index) => match tables.port(index) {
            Some(port) => format!("port {} of this host", port.id),
            None => "a port that is gone".to_string(),
        },
        Destination::Remote(index) => {
            let adjacency = tables.adjacency(index);
            match adjacency.and_then(|adjacency| tables.endpoint(adjacency.endpoint)) {
                Some(endpoint) => format!("behind endpoint {}", endpoint.remote()),
                None => "behind an endpoint that is gone".to_string(),
            }
        }
        Destination::Flood => "for every member of the network".to_string(),
    }
}

/// Large segments are cut to the guest's own segment size, which its MTU bounds.
fn fits(walk: &Walk<'_, '_>) -> Result<(), DropReason> {
    let whole = walk.frame.meta.segmentation.kind == SegmentKind::None;
    let too_big = whole && walk.is_ip() && walk.layout.length > longest(walk);
    if too_big { Err(DropReason::TooBig) } else { Ok(()) }
}

/// Bytes of the longest frame that carries an IP packet of the network's MTU.
pub(crate) fn longest(walk: &Walk<'_, '_>) -> u32 {
    let mtu = walk.network.map_or(0, |n| u32::from(n.facts.mtu.get()));
    mtu + u32::from(walk.layout.l3)
}
