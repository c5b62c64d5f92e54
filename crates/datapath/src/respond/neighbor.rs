//! Neighbor discovery (RFC 4861) for every known address of the network; router solicitations are handed to
//! [`super::router_advertisement`].
//!
//! As with ARP, a guest is never told about its own address; duplicate address detection (RFC 4862, 5.4) hears of
//! another's. Link-local addresses of other guests are answered where `resolve` knows them.

use std::net::{IpAddr, Ipv6Addr};

use anet_packet::Kind;
use anet_packet::addr::Mac;
use anet_packet::build::{self, Stations};
use anet_packet::ndp::{Ndp, NeighborAdvertisement};

use super::owner::{self, Owner};
use super::{Outcome, PortView, Refusal, Reply, Request, Silence, classify, frame, router_advertisement};

/// Where advertisements for everybody go.
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Answers a neighbor or router solicitation from `port`. Advertisements between guests are not for us; unsolicited
/// ones are reported as announcements.
pub fn respond(
    request: Request<'_>,
    port: &PortView<'_>,
    resolve: impl Fn(IpAddr) -> Option<Mac>,
    out: &mut Vec<u8>,
) -> Outcome {
    out.clear();
    decide(request, port, resolve, out).unwrap_or_else(Outcome::Refused)
}

/// Who asks: the addresses of the packet and of its frame.
struct Asker {
    address: Ipv6Addr,
    mac: Mac,
}

impl Asker {
    /// True for duplicate address detection: nobody has the address yet.
    fn is_probe(&self) -> bool {
        self.address.is_unspecified()
    }

    /// Where an answer goes: a prober cannot be reached but with everybody.
    fn answer_to(&self) -> (Ipv6Addr, Mac) {
        if self.is_probe() {
            (ALL_NODES, frame::multicast_mac(ALL_NODES))
        } else {
            (self.address, self.mac)
        }
    }
}

fn decide(
    request: Request<'_>,
    port: &PortView<'_>,
    resolve: impl Fn(IpAddr) -> Option<Mac>,
    out: &mut Vec<u8>,
) -> Result<Outcome, Refusal> {
    if request.layout.kind != Kind::Ipv6
        || classify::service(request.layout) != Some(classify::Service::NeighborDiscovery)
    {
        return Ok(Outcome::NotForUs);
    }
    let message = request.neighbor_discovery()?;
    let packet = request.ipv6()?;
    let asker = Asker {
        address: packet.source(),
        mac: request.ethernet()?.source(),
    };
    match Ndp::parse(&packet, message)? {
        Some(Ndp::NeighborSolicitation { target, .. }) => solicited(&asker, target, port, resolve, out),
        Some(Ndp::NeighborAdvertisement {
            target,
            is_solicited: false,
            ..
        }) => Ok(Outcome::Announcement(IpAddr::V6(target))),
        Some(Ndp::RouterSolicitation { .. }) => {
            let (destination, mac) = asker.answer_to();
            router_advertisement::solicited(port, destination, mac, out)
        }
        _ => Ok(Outcome::NotForUs),
    }
}

fn solicited(
    asker: &Asker,
    target: Ipv6Addr,
    port: &PortView<'_>,
    resolve: impl Fn(IpAddr) -> Option<Mac>,
    out: &mut Vec<u8>,
) -> Result<Outcome, Refusal> {
    if target.is_unspecified() || target.is_loopback() {
        return Err(Refusal::BadAddress);
    }
    let mac = match owner::of(IpAddr::V6(target), asker.mac, port, resolve) {
        Some(Owner::Asker) => return Ok(Outcome::Silent(Silence::OwnAddress)),
        // Whoever takes over a shared address probes for it first, and must not hear of the one that has it now.
        Some(Owner::Station(_)) if asker.is_probe() && port.shares(IpAddr::V6(target)) => {
            return Ok(Outcome::Silent(Silence::OwnAddress));
        }
        Some(Owner::Station(mac)) => mac,
        Some(Owner::Service) => port.service_mac,
        None => return Ok(Outcome::Unknown(IpAddr::V6(target))),
    };
    let advertisement = NeighborAdvertisement {
        target,
        mac,
        is_router: is_router(target, port),
        is_solicited: !asker.is_probe(),
        is_override: true,
    };
    let (destination, destination_mac) = asker.answer_to();
    let stations = Stations {
        destination: destination_mac,
        source: mac,
    };
    frame::write(out, |frame| {
        build::neighbor_advertisement(frame, stations, target, destination, &advertisement)
    })?;
    Ok(Outcome::Reply(Reply::NeighborAdvertisement))
}

/// The router flag must agree with what our router advertisements say of the same address: a guest that hears it go
/// away takes the router off its list (RFC 4861, 7.2.5).
fn is_router(target: Ipv6Addr, port: &PortView<'_>) -> bool {
    let advertised = target == port.service_mac.link_local() && router_advertisement::is_default_router(port);
    advertised || port.is_gateway(IpAddr::V6(target))
}
