//! DHCPv4 server (RFC 2131, 2132, 3396, 3442, 6842) of one port: it gives the port's fixed address and nothing else.
//!
//! One port has one lease, known before the guest asks; so there is no pool, no state, and nothing to lose. A guest
//! that asks for another address is told no. Requests are answered from the gateway's address, which is the server
//! identifier, or from [`super::SERVICE_ADDRESS_V4`] in subnets without a gateway.
//!
//! [`message`] reads, [`reply`] writes; here is what is decided.

mod message;
mod reply;

use std::net::{IpAddr, Ipv4Addr};

use self::message::Message;
use self::reply::Answer;
use super::{Outcome, PortView, Refusal, Reply, Request, Silence, SubnetView, classify};

/// Message types (RFC 2132, 9.6).
mod kind {
    pub(super) const DISCOVER: u8 = 1;
    pub(super) const OFFER: u8 = 2;
    pub(super) const REQUEST: u8 = 3;
    pub(super) const DECLINE: u8 = 4;
    pub(super) const ACK: u8 = 5;
    pub(super) const NAK: u8 = 6;
    pub(super) const RELEASE: u8 = 7;
    pub(super) const INFORM: u8 = 8;
}

/// What the port is given.
#[derive(Clone, Copy)]
struct Lease<'a> {
    address: Ipv4Addr,
    subnet: &'a SubnetView<'a>,
}

/// Answers a DHCPv4 request from `port`. Not for us where no subnet of the network is served, or where the datagram
/// goes to another server's address.
pub fn respond(request: Request<'_>, port: &PortView<'_>, out: &mut Vec<u8>) -> Outcome {
    out.clear();
    decide(request, port, out).unwrap_or_else(Outcome::Refused)
}

fn decide(request: Request<'_>, port: &PortView<'_>, out: &mut Vec<u8>) -> Result<Outcome, Refusal> {
    if !classify::is_dhcp_request_v4(request.layout) {
        return Ok(Outcome::NotForUs);
    }
    let packet = request.ipv4()?;
    if !is_for_us(packet.destination(), port) {
        return Ok(Outcome::NotForUs);
    }
    let message = Message::parse(request.datagram()?)?;
    if message.client_mac != port.mac {
        return Err(Refusal::ForeignClient);
    }
    let (address, subnet) = port.lease_v4().ok_or(Refusal::NoAddress)?;
    serve(&message, packet.source(), Lease { address, subnet }, port, out)
}

/// Broadcasts, and unicasts to a server identifier of ours (renewals).
fn is_for_us(destination: Ipv4Addr, port: &PortView<'_>) -> bool {
    port.dhcp_v4_subnets().any(|subnet| {
        destination.is_broadcast()
            || destination == subnet.server_v4()
            || IpAddr::V4(destination) == subnet.prefix.last()
    })
}

fn serve(
    message: &Message<'_>,
    source: Ipv4Addr,
    lease: Lease<'_>,
    port: &PortView<'_>,
    out: &mut Vec<u8>,
) -> Result<Outcome, Refusal> {
    let answer = match message.kind {
        kind::DISCOVER => Answer::Offer,
        kind::REQUEST => match requested(message, lease)? {
            Some(answer) => answer,
            None => return Ok(Outcome::Silent(Silence::OtherServer)),
        },
        kind::INFORM => Answer::Information,
        kind::RELEASE => return Ok(Outcome::Silent(Silence::Released)),
        kind::DECLINE => return Ok(Outcome::Silent(Silence::Declined)),
        _ => return Err(Refusal::UnexpectedMessage),
    };
    reply::write(answer, message, source, lease, port, out)?;
    Ok(Outcome::Reply(match answer {
        Answer::Offer => Reply::DhcpOffer,
        Answer::Acknowledge | Answer::Information => Reply::DhcpAck,
        Answer::Refuse => Reply::DhcpNak,
    }))
}

/// What a DHCPREQUEST is told (RFC 2131, 4.3.2), or `None` where the client chose another server.
fn requested(message: &Message<'_>, lease: Lease<'_>) -> Result<Option<Answer>, Refusal> {
    let server = message.server()?;
    if server.is_some_and(|server| server != lease.subnet.server_v4()) {
        return Ok(None);
    }
    // SELECTING and INIT-REBOOT name the address in option 50, RENEWING and REBINDING in `ciaddr`.
    let wanted = match message.requested_address()? {
        Some(address) => address,
        None if !message.client_address.is_unspecified() => message.client_address,
        None => return Err(Refusal::BadOption),
    };
    Ok(Some(if wanted == lease.address {
        Answer::Acknowledge
    } else {
        Answer::Refuse
    }))
}
