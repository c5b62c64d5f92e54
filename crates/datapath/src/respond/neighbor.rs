//! Neighbor discovery (RFC 4861) for every known address of the network; router solicitations are handed to
//! [`super::router_advertisement`].
//!
//! As with ARP, a guest is never told about its own address; duplicate address detection (RFC 4862, 5.4) hears of
//! another's. Link-local addresses of other guests are answered where `resolve` knows them.

use std::net::{IpAddr, Ipv6Addr};

use anet_packet::addr::Mac;

use super::frame::{self, ETHERTYPE_IPV6, Ethernet, Ipv6, PROTOCOL_ICMPV6, Route};
use super::owner::{self, Owner};
use super::{Outcome, PortView, Refusal, Reply, Request, Silence, router_advertisement};
use anet_memory::buffer::Checksum;

pub(super) const ROUTER_SOLICITATION: u8 = 133;
pub(super) const ROUTER_ADVERTISEMENT: u8 = 134;
pub(super) const NEIGHBOR_SOLICITATION: u8 = 135;
pub(super) const NEIGHBOR_ADVERTISEMENT: u8 = 136;
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const OPTION_SOURCE_LINK_LAYER: u8 = 1;
const OPTION_TARGET_LINK_LAYER: u8 = 2;
const FLAG_ROUTER: u8 = 0x80;
const FLAG_SOLICITED: u8 = 0x40;
const FLAG_OVERRIDE: u8 = 0x20;
/// Every ND message has the hop limit that no router leaves untouched (RFC 4861, 3.1).
pub(super) const HOP_LIMIT: u8 = 255;

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

fn decide(
    request: Request<'_>,
    port: &PortView<'_>,
    resolve: impl Fn(IpAddr) -> Option<Mac>,
    out: &mut Vec<u8>,
) -> Result<Outcome, Refusal> {
    let ethernet = Ethernet::parse(request.bytes)?;
    if ethernet.ethertype != ETHERTYPE_IPV6 {
        return Ok(Outcome::NotForUs);
    }
    let packet = Ipv6::parse(ethernet.payload)?;
    let kind = match (packet.protocol, packet.payload) {
        (PROTOCOL_ICMPV6, [kind, ..]) => *kind,
        _ => return Ok(Outcome::NotForUs),
    };
    if !matches!(
        kind,
        ROUTER_SOLICITATION | NEIGHBOR_SOLICITATION | NEIGHBOR_ADVERTISEMENT
    ) {
        return Ok(Outcome::NotForUs);
    }
    validate(&packet, request.checksum)?;
    match kind {
        NEIGHBOR_SOLICITATION => solicited(&ethernet, &packet, port, resolve, out),
        NEIGHBOR_ADVERTISEMENT => advertised(&packet),
        _ => router_solicited(&ethernet, &packet, port, out),
    }
}

/// What RFC 4861 (6.1 and 7.1) asks of every ND message, and RFC 6980: none is fragmented. Extension headers have no
/// use here but to hide the message from filters.
fn validate(packet: &Ipv6<'_>, checksum: Checksum) -> Result<(), Refusal> {
    if packet.extended {
        return Err(Refusal::Fragmented);
    }
    if packet.hop_limit != HOP_LIMIT {
        return Err(Refusal::BadHopLimit);
    }
    if packet.payload.get(1) != Some(&0) {
        return Err(Refusal::BadHeader);
    }
    if checksum == Checksum::Unknown && !packet.checksum_is_sound() {
        return Err(Refusal::BadChecksum);
    }
    if packet.source.is_multicast() || packet.source.is_loopback() {
        return Err(Refusal::BadAddress);
    }
    Ok(())
}

/// Walks the options to their end, all of which must have a length, and gives the link-layer address of `kind`.
fn link_layer_option(mut options: &[u8], kind: u8) -> Result<Option<Mac>, Refusal> {
    let mut found = None;
    while let [option, units, ..] = options {
        let length = usize::from(*units) * 8;
        if length == 0 {
            return Err(Refusal::BadOption);
        }
        let (body, rest) = options.split_at_checked(length).ok_or(Refusal::BadOption)?;
        if *option == kind && found.is_none() {
            found = frame::mac_at(body, 2);
        }
        options = rest;
    }
    if options.is_empty() {
        Ok(found)
    } else {
        Err(Refusal::BadOption)
    }
}

fn solicited(
    ethernet: &Ethernet<'_>,
    packet: &Ipv6<'_>,
    port: &PortView<'_>,
    resolve: impl Fn(IpAddr) -> Option<Mac>,
    out: &mut Vec<u8>,
) -> Result<Outcome, Refusal> {
    let target = frame::ipv6_at(packet.payload, 8).ok_or(Refusal::Truncated)?;
    let options = packet.payload.get(24..).ok_or(Refusal::Truncated)?;
    let source_mac = link_layer_option(options, OPTION_SOURCE_LINK_LAYER)?;
    if target.is_multicast() || target.is_unspecified() {
        return Err(Refusal::BadAddress);
    }
    let probe = packet.source.is_unspecified();
    if probe && source_mac.is_some() {
        return Err(Refusal::BadOption);
    }
    if probe && packet.destination != solicited_node(target) {
        return Err(Refusal::BadAddress);
    }
    let asker = source_mac
        .filter(|mac| mac.is_station())
        .unwrap_or(ethernet.source);
    let mac = match owner::of(IpAddr::V6(target), asker, port, resolve) {
        Some(Owner::Asker) => return Ok(Outcome::Silent(Silence::OwnAddress)),
        // Whoever takes over a shared address probes for it first, and must not hear of the one that has it now.
        Some(Owner::Station(_)) if probe && port.shares(IpAddr::V6(target)) => {
            return Ok(Outcome::Silent(Silence::OwnAddress));
        }
        Some(Owner::Station(mac)) => mac,
        Some(Owner::Service) => port.service_mac,
        None => return Ok(Outcome::Unknown(IpAddr::V6(target))),
    };
    let router = is_router(target, port);
    advertise(packet.source, asker, Advertisement { target, mac, router }, out);
    Ok(Outcome::Reply(Reply::NeighborAdvertisement))
}

/// The router flag must agree with what our router advertisements say of the same address: a guest that hears it go
/// away takes the router off its list (RFC 4861, 7.2.5).
fn is_router(target: Ipv6Addr, port: &PortView<'_>) -> bool {
    let advertised = target == port.service_mac.link_local() && router_advertisement::is_default_router(port);
    advertised || port.is_gateway(IpAddr::V6(target))
}

struct Advertisement {
    target: Ipv6Addr,
    mac: Mac,
    router: bool,
}

fn advertise(asker: Ipv6Addr, asker_mac: Mac, advertisement: Advertisement, out: &mut Vec<u8>) {
    let Advertisement { target, mac, router } = advertisement;
    let probe = asker.is_unspecified();
    let destination = if probe { ALL_NODES } else { asker };
    let destination_mac = if probe {
        frame::multicast_mac(ALL_NODES)
    } else {
        asker_mac
    };
    let flags = FLAG_OVERRIDE | if probe { 0 } else { FLAG_SOLICITED } | if router { FLAG_ROUTER } else { 0 };
    let mut message = Vec::with_capacity(32);
    message.extend_from_slice(&[NEIGHBOR_ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0]);
    message.extend_from_slice(&target.octets());
    message.extend_from_slice(&[OPTION_TARGET_LINK_LAYER, 1]);
    message.extend_from_slice(&mac.0);
    let route = Route {
        source_mac: mac,
        destination_mac,
        source: target,
        destination,
    };
    frame::write_icmp_v6(out, route, HOP_LIMIT, &mut message);
}

fn advertised(packet: &Ipv6<'_>) -> Result<Outcome, Refusal> {
    let flags = *packet.payload.get(4).ok_or(Refusal::Truncated)?;
    let target = frame::ipv6_at(packet.payload, 8).ok_or(Refusal::Truncated)?;
    link_layer_option(
        packet.payload.get(24..).ok_or(Refusal::Truncated)?,
        OPTION_TARGET_LINK_LAYER,
    )?;
    let solicited = flags & FLAG_SOLICITED != 0;
    if target.is_multicast() || (solicited && packet.destination.is_multicast()) {
        return Err(Refusal::BadAddress);
    }
    Ok(if solicited {
        Outcome::NotForUs
    } else {
        Outcome::Announcement(IpAddr::V6(target))
    })
}

fn router_solicited(
    ethernet: &Ethernet<'_>,
    packet: &Ipv6<'_>,
    port: &PortView<'_>,
    out: &mut Vec<u8>,
) -> Result<Outcome, Refusal> {
    let options = packet.payload.get(8..).ok_or(Refusal::Truncated)?;
    let source_mac = link_layer_option(options, OPTION_SOURCE_LINK_LAYER)?;
    if packet.source.is_unspecified() {
        if source_mac.is_some() {
            return Err(Refusal::BadOption);
        }
        return Ok(router_advertisement::solicited(
            port,
            ALL_NODES,
            frame::multicast_mac(ALL_NODES),
            out,
        ));
    }
    Ok(router_advertisement::solicited(
        port,
        packet.source,
        ethernet.source,
        out,
    ))
}

/// The solicited-node multicast address (RFC 4291, 2.7.1).
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    const PREFIX: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
    Ipv6Addr::from_bits(PREFIX | (address.to_bits() & 0xff_ffff))
}
