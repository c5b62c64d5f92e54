//! Echo replies (RFC 792; RFC 4443, 4.2) of the addresses that the service itself has.
//!
//! The smallest check a guest's owner makes: is my gateway there? Answered only where the frame was sent to the
//! service's MAC and the service owns the address; a station with the gateway's address answers for itself.

use std::net::IpAddr;

use anet_packet::addr::Mac;
use anet_packet::build::{self, Stations};
use anet_packet::{Fragment, Kind, icmp, icmpv6};

use super::owner::{self, Owner};
use super::{Outcome, PortView, Refusal, Reply, Request, classify, frame};

/// Answers an echo request to an address of the service. Requests longer than [`super::REQUEST_MAX`] are refused;
/// fragments are not for us.
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
    let ethernet = request.ethernet()?;
    let is_echo = classify::service(request.layout) == Some(classify::Service::Echo);
    let whole = request.layout.fragment == Fragment::None;
    if !is_echo || !whole || ethernet.destination() != port.service_mac {
        return Ok(Outcome::NotForUs);
    }
    let ours = |address| owner::of(address, ethernet.source(), port, &resolve) == Some(Owner::Service);
    let stations = Stations {
        destination: ethernet.source(),
        source: port.service_mac,
    };
    match request.layout.kind {
        Kind::Ipv4 => echo_v4(request, stations, ours, out),
        _ => echo_v6(request, stations, ours, out),
    }
}

fn echo_v4(
    request: Request<'_>,
    stations: Stations,
    ours: impl Fn(IpAddr) -> bool,
    out: &mut Vec<u8>,
) -> Result<Outcome, Refusal> {
    let packet = request.ipv4()?;
    if !ours(IpAddr::V4(packet.destination())) {
        return Ok(Outcome::NotForUs);
    }
    let message = request.icmp()?;
    if message.code() != 0 || packet.source().is_unspecified() {
        return Err(Refusal::BadHeader);
    }
    let rest = identity(message.identifier(), message.sequence());
    let header = icmp::Header {
        kind: icmp::kind::ECHO_REPLY,
        code: 0,
        rest,
    };
    let (source, destination) = (packet.destination(), packet.source());
    frame::write(out, |frame| {
        build::icmp(frame, stations, source, destination, &header, message.payload())
    })?;
    Ok(Outcome::Reply(Reply::Echo))
}

fn echo_v6(
    request: Request<'_>,
    stations: Stations,
    ours: impl Fn(IpAddr) -> bool,
    out: &mut Vec<u8>,
) -> Result<Outcome, Refusal> {
    let packet = request.ipv6()?;
    if !ours(IpAddr::V6(packet.destination())) {
        return Ok(Outcome::NotForUs);
    }
    let message = request.icmpv6()?;
    if message.code() != 0 || packet.source().is_unspecified() {
        return Err(Refusal::BadHeader);
    }
    let rest = identity(message.identifier(), message.sequence());
    let header = icmpv6::Header {
        kind: icmpv6::kind::ECHO_REPLY,
        code: 0,
        rest,
    };
    let (source, destination) = (packet.destination(), packet.source());
    frame::write(out, |frame| {
        build::icmpv6(frame, stations, source, destination, &header, message.payload())
    })?;
    Ok(Outcome::Reply(Reply::Echo))
}

fn identity(identifier: u16, sequence: u16) -> [u8; 4] {
    let ([i0, i1], [s0, s1]) = (identifier.to_be_bytes(), sequence.to_be_bytes());
    [i0, i1, s0, s1]
}
