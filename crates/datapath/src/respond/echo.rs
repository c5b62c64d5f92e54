//! Echo replies (RFC 792; RFC 4443, 4.2) of the addresses that the service itself has.
//!
//! The smallest check a guest's owner makes: is my gateway there? Answered only where the frame was sent to the
//! service's MAC and the service owns the address; a station with the gateway's address answers for itself.

use std::net::IpAddr;

use anet_memory::buffer::Checksum;
use anet_packet::addr::Mac;

use super::frame::{
    self, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ethernet, Ipv4, Ipv6, PROTOCOL_ICMP, PROTOCOL_ICMPV6, Route,
};
use super::owner::{self, Owner};
use super::{Outcome, PortView, REQUEST_MAX, Refusal, Reply, Request};

pub(super) const ECHO_REQUEST_V4: u8 = 8;
pub(super) const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V4: u8 = 0;
const ECHO_REPLY_V6: u8 = 129;
/// Identifier and sequence number are there.
const ECHO_LENGTH: usize = 8;

/// Answers an echo request to an address of the service. Requests longer than [`REQUEST_MAX`] or in fragments are
/// refused.
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
    if ethernet.destination != port.service_mac {
        return Ok(Outcome::NotForUs);
    }
    let ours = |address| owner::of(address, ethernet.source, port, &resolve) == Some(Owner::Service);
    match ethernet.ethertype {
        ETHERTYPE_IPV4 => echo_v4(request, &ethernet, port.service_mac, ours, out),
        ETHERTYPE_IPV6 => echo_v6(request, &ethernet, port.service_mac, ours, out),
        _ => Ok(Outcome::NotForUs),
    }
}

fn echo_v4(
    request: Request<'_>,
    ethernet: &Ethernet<'_>,
    service_mac: Mac,
    ours: impl Fn(IpAddr) -> bool,
    out: &mut Vec<u8>,
) -> Result<Outcome, Refusal> {
    let packet = Ipv4::parse(ethernet.payload)?;
    let is_echo = packet.protocol == PROTOCOL_ICMP && packet.payload.first() == Some(&ECHO_REQUEST_V4);
    if packet.fragment || !is_echo || !ours(IpAddr::V4(packet.destination)) {
        return Ok(Outcome::NotForUs);
    }
    check(request, packet.payload, || {
        frame::fold(frame::sum(0, packet.payload)) == 0xffff
    })?;
    if !packet.header_is_sound() {
        return Err(Refusal::BadChecksum);
    }
    if packet.source.is_unspecified() || packet.source.is_multicast() || packet.source.is_broadcast() {
        return Err(Refusal::BadAddress);
    }
    let mut message = packet.payload.to_vec();
    message[..4].copy_from_slice(&[ECHO_REPLY_V4, 0, 0, 0]);
    let checksum = !frame::fold(frame::sum(0, &message));
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    let route = Route {
        source_mac: service_mac,
        destination_mac: ethernet.source,
        source: packet.destination,
        destination: packet.source,
    };
    frame::write_ipv4(out, route, PROTOCOL_ICMP, &message);
    Ok(Outcome::Reply(Reply::Echo))
}

fn echo_v6(
    request: Request<'_>,
    ethernet: &Ethernet<'_>,
    service_mac: Mac,
    ours: impl Fn(IpAddr) -> bool,
    out: &mut Vec<u8>,
) -> Result<Outcome, Refusal> {
    let packet = Ipv6::parse(ethernet.payload)?;
    let is_echo = packet.protocol == PROTOCOL_ICMPV6 && packet.payload.first() == Some(&ECHO_REQUEST_V6);
    if packet.fragment || !is_echo || !ours(IpAddr::V6(packet.destination)) {
        return Ok(Outcome::NotForUs);
    }
    check(request, packet.payload, || packet.checksum_is_sound())?;
    if packet.source.is_unspecified() || packet.source.is_multicast() {
        return Err(Refusal::BadAddress);
    }
    let mut message = packet.payload.to_vec();
    message[..4].copy_from_slice(&[ECHO_REPLY_V6, 0, 0, 0]);
    let route = Route {
        source_mac: service_mac,
        destination_mac: ethernet.source,
        source: packet.destination,
        destination: packet.source,
    };
    frame::write_icmp_v6(out, route, 64, &mut message);
    Ok(Outcome::Reply(Reply::Echo))
}

fn check(request: Request<'_>, message: &[u8], sound: impl Fn() -> bool) -> Result<(), Refusal> {
    if message.len() < ECHO_LENGTH {
        return Err(Refusal::Truncated);
    }
    if message.len() > REQUEST_MAX {
        return Err(Refusal::TooLong);
    }
    if message.get(1) != Some(&0) {
        return Err(Refusal::BadHeader);
    }
    if request.checksum == Checksum::Unknown && !sound() {
        return Err(Refusal::BadChecksum);
    }
    Ok(())
}
