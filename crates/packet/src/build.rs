//! Whole frames that the switch sends by itself, written into a caller's slice, with all lengths and checksums.
//!
//! Each function returns the bytes that it wrote. Nothing here decides whether to answer, but
//! [`may_cause_error`], which keeps the rules for ICMP errors.

use crate::addr::Mac;
use crate::arp::Arp;
use crate::checksum;
use crate::ethernet::{self, Ethernet, ethertype};
use crate::ipv4::{self, Ipv4};
use crate::ipv6::{self, Ipv6};
use crate::ndp::{NeighborAdvertisement, RouterAdvertisement};
use crate::parse::{Fragment, Kind, Layout};
use crate::{icmp, icmpv6, protocol, udp};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// The slice is too short for the frame, or the frame longer than IP can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom {
    /// Bytes that the frame needs.
    pub needed: usize,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no room for a frame of {} bytes", self.needed)
    }
}

impl std::error::Error for NoRoom {}

/// The MACs of a frame to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stations {
    /// Who is to get it.
    pub destination: Mac,
    /// Who sends it.
    pub source: Mac,
}

impl Stations {
    fn header(self, ethertype: u16) -> [u8; ethernet::HEADER_LEN] {
        ethernet::Header {
            destination: self.destination,
            source: self.source,
            ethertype,
        }
        .to_bytes()
    }
}

const TIME_TO_LIVE: u8 = 64;
/// Neighbor discovery must not have passed a router (RFC 4861).
const HOP_LIMIT_NDP: u8 = 255;
const MESSAGE_V6: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN + icmpv6::HEADER_LEN;
/// An ICMP error has at most 576 bytes of IP (RFC 1812, 4.3.2.3).
const QUOTE_V4_MAX: usize = 576 - ipv4::HEADER_LEN - icmp::HEADER_LEN;
/// An ICMPv6 error fits the least MTU of IPv6 (RFC 4443, 2.4).
const QUOTE_V6_MAX: usize = 1280 - ipv6::HEADER_LEN - icmpv6::HEADER_LEN;

/// An ARP packet.
pub fn arp(out: &mut [u8], stations: Stations, arp: &Arp) -> Result<usize, NoRoom> {
    join(out, &[&stations.header(ethertype::ARP), &arp.to_bytes()])
}

/// A UDP datagram. An IPv4 `source` with an IPv6 `destination`, or the reverse, is refused as one without room for it.
pub fn udp(
    out: &mut [u8],
    stations: Stations,
    source: SocketAddr,
    destination: SocketAddr,
    payload: &[u8],
) -> Result<usize, NoRoom> {
    match (source, destination) {
        (SocketAddr::V4(source), SocketAddr::V4(destination)) => {
            udp_v4(out, stations, source, destination, payload)
        }
        (SocketAddr::V6(source), SocketAddr::V6(destination)) => {
            udp_v6(out, stations, source, destination, payload)
        }
        _ => Err(NoRoom { needed: usize::MAX }),
    }
}

/// A UDP datagram over IPv4.
pub fn udp_v4(
    out: &mut [u8],
    stations: Stations,
    source: SocketAddrV4,
    destination: SocketAddrV4,
    payload: &[u8],
) -> Result<usize, NoRoom> {
    let length = length_u16(udp::HEADER_LEN + payload.len(), ipv4::HEADER_LEN)?;
    let ip = ipv4_header(protocol::UDP, *source.ip(), *destination.ip(), length);
    let pseudo =
        checksum::pseudo_header_v4(*source.ip(), *destination.ip(), protocol::UDP, u32::from(length));
    let udp = udp_header(source.port(), destination.port(), length).with_checksum(pseudo, payload);
    join(
        out,
        &[&stations.header(ethertype::IPV4), &ip, &udp.to_bytes(), payload],
    )
}

/// A UDP datagram over IPv6.
pub fn udp_v6(
    out: &mut [u8],
    stations: Stations,
    source: SocketAddrV6,
    destination: SocketAddrV6,
    payload: &[u8],
) -> Result<usize, NoRoom> {
    let length = length_u16(udp::HEADER_LEN + payload.len(), 0)?;
    let ip = ipv6_header(
        protocol::UDP,
        *source.ip(),
        *destination.ip(),
        length,
        TIME_TO_LIVE,
    );
    let pseudo =
        checksum::pseudo_header_v6(*source.ip(), *destination.ip(), protocol::UDP, u32::from(length));
    let udp = udp_header(source.port(), destination.port(), length).with_checksum(pseudo, payload);
    join(
        out,
        &[&stations.header(ethertype::IPV6), &ip, &udp.to_bytes(), payload],
    )
}

/// An ICMP message: an echo reply, say.
pub fn icmp(
    out: &mut [u8],
    stations: Stations,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    header: &icmp::Header,
    payload: &[u8],
) -> Result<usize, NoRoom> {
    let length = length_u16(icmp::HEADER_LEN + payload.len(), ipv4::HEADER_LEN)?;
    let ip = ipv4_header(protocol::ICMP, source, destination, length);
    join(
        out,
        &[
            &stations.header(ethertype::IPV4),
            &ip,
            &header.to_bytes(payload),
            payload,
        ],
    )
}

/// An ICMPv6 message: an echo reply, say. Its hop limit is 64.
pub fn icmpv6(
    out: &mut [u8],
    stations: Stations,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    header: &icmpv6::Header,
    payload: &[u8],
) -> Result<usize, NoRoom> {
    let length = length_u16(icmpv6::HEADER_LEN + payload.len(), 0)?;
    let ip = ipv6_header(protocol::ICMPV6, source, destination, length, TIME_TO_LIVE);
    let message = header.to_bytes(source, destination, payload);
    join(out, &[&stations.header(ethertype::IPV6), &ip, &message, payload])
}

/// An ICMP error about `packet` (from its IPv4 header on, padding trimmed), which it quotes up to 576 bytes of IP in all.
pub fn icmp_error(
    out: &mut [u8],
    stations: Stations,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    header: &icmp::Header,
    packet: &[u8],
) -> Result<usize, NoRoom> {
    let quote = packet.get(..QUOTE_V4_MAX).unwrap_or(packet);
    icmp(out, stations, source, destination, header, quote)
}

/// An ICMPv6 error about `packet` (from its IPv6 header on, padding trimmed), which it quotes up to 1,280 bytes of IP in
/// all.
pub fn icmpv6_error(
    out: &mut [u8],
    stations: Stations,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    header: &icmpv6::Header,
    packet: &[u8],
) -> Result<usize, NoRoom> {
    let quote = packet.get(..QUOTE_V6_MAX).unwrap_or(packet);
    icmpv6(out, stations, source, destination, header, quote)
}

/// A neighbor advertisement.
pub fn neighbor_advertisement(
    out: &mut [u8],
    stations: Stations,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    advertisement: &NeighborAdvertisement,
) -> Result<usize, NoRoom> {
    let (rest, body) = advertisement.to_parts();
    let header = icmpv6::Header {
        kind: icmpv6::kind::NEIGHBOR_ADVERTISEMENT,
        code: 0,
        rest,
    };
    let length = (icmpv6::HEADER_LEN + body.len()) as u16;
    let ip = ipv6_header(protocol::ICMPV6, source, destination, length, HOP_LIMIT_NDP);
    let message = header.to_bytes(source, destination, &body);
    join(out, &[&stations.header(ethertype::IPV6), &ip, &message, &body])
}

/// A router advertisement. `source` is the router's link-local address.
pub fn router_advertisement(
    out: &mut [u8],
    stations: Stations,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    advertisement: &RouterAdvertisement<'_>,
) -> Result<usize, NoRoom> {
    let fixed = advertisement.fixed_body();
    let body = fixed.len() + advertisement.prefix_options().count() * 32;
    let length = length_u16(icmpv6::HEADER_LEN + body, 0)?;
    let needed = MESSAGE_V6 + body;
    let (front, behind) = out
        .get_mut(..needed)
        .and_then(|frame| frame.split_at_mut_checked(MESSAGE_V6))
        .ok_or(NoRoom { needed })?;
    // The prefixes are of any number, so the body is put together in place.
    let (first, prefixes) = behind.split_at_mut(fixed.len());
    first.copy_from_slice(&fixed);
    for (to, from) in prefixes.chunks_exact_mut(32).zip(advertisement.prefix_options()) {
        to.copy_from_slice(&from);
    }
    let header = icmpv6::Header {
        kind: icmpv6::kind::ROUTER_ADVERTISEMENT,
        code: 0,
        rest: advertisement.word(),
    };
    let ip = ipv6_header(protocol::ICMPV6, source, destination, length, HOP_LIMIT_NDP);
    let message = header.to_bytes(source, destination, behind);
    join(front, &[&stations.header(ethertype::IPV6), &ip, &message])?;
    Ok(needed)
}

/// True where an ICMP or ICMPv6 error may be sent about a frame: never about an error or a redirect, a group or
/// broadcast destination, a later fragment, or a source that is no single host (RFC 1122, 3.2.2; RFC 4443, 2.4 (e)).
/// IPv6's exception for "packet too big" about a multicast is not made.
pub fn may_cause_error(head: &[u8], layout: &Layout) -> bool {
    let Ok(ethernet) = Ethernet::parse(head) else {
        return false;
    };
    if ethernet.destination().is_multicast() || layout.fragment == Fragment::Later {
        return false;
    }
    let icmp_kind = layout.icmp().map(|(kind, _)| kind);
    match layout.kind {
        Kind::Ipv4 => Ipv4::parse(ethernet.payload()).is_ok_and(|ip| {
            let destination = ip.destination();
            !ip.source().is_unspecified()
                && !destination.is_multicast()
                && !destination.is_broadcast()
                && !icmp_kind.is_some_and(icmp::is_error)
        }),
        Kind::Ipv6 => Ipv6::parse(ethernet.payload()).is_ok_and(|ip| {
            let is_error = icmp_kind.is_some_and(|k| icmpv6::is_error(k) || k == icmpv6::kind::REDIRECT);
            !ip.source().is_unspecified() && !ip.destination().is_multicast() && !is_error
        }),
        Kind::Arp | Kind::Other => false,
    }
}

fn ipv4_header(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, length: u16) -> [u8; ipv4::HEADER_LEN] {
    let header = ipv4::Header {
        traffic_class: 0,
        identification: 0,
        dont_fragment: true,
        time_to_live: TIME_TO_LIVE,
        protocol,
        source,
        destination,
        payload_length: length,
    };
    header.to_bytes()
}

fn ipv6_header(
    next_header: u8,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    payload_length: u16,
    hop_limit: u8,
) -> [u8; ipv6::HEADER_LEN] {
    ipv6::Header {
        traffic_class: 0,
        flow_label: 0,
        payload_length,
        next_header,
        hop_limit,
        source,
        destination,
    }
    .to_bytes()
}

fn udp_header(source_port: u16, destination_port: u16, length: u16) -> udp::Header {
    udp::Header {
        source_port,
        destination_port,
        length,
        checksum: 0,
    }
}

/// `length` as a field that must also hold `header` more bytes.
fn length_u16(length: usize, header: usize) -> Result<u16, NoRoom> {
    let too_long = NoRoom { needed: length };
    let fits = length + header <= usize::from(u16::MAX);
    u16::try_from(length).ok().filter(|_| fits).ok_or(too_long)
}

/// Writes the parts one behind the other.
fn join(out: &mut [u8], parts: &[&[u8]]) -> Result<usize, NoRoom> {
    let needed = parts.iter().map(|p| p.len()).sum();
    let mut rest = out.get_mut(..needed).ok_or(NoRoom { needed })?;
    for part in parts {
        let (to, behind) = rest.split_at_mut_checked(part.len()).ok_or(NoRoom { needed })?;
        to.copy_from_slice(part);
        rest = behind;
    }
    Ok(needed)
}

#[cfg(test)]
mod tests;
