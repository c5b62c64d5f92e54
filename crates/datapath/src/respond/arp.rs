//! ARP (RFC 826) for every known address of the network, with the address conflict rules of RFC 5227.
//!
//! A guest's question never leaves its host. It is never told about its own address: an answer to its probe or
//! announcement would look like a second user; where another station has the address, the answer *is* the conflict.

use std::net::IpAddr;

use anet_packet::addr::Mac;
use anet_packet::arp::{Arp, REPLY, REQUEST};
use anet_packet::build::{self, Stations};
use anet_packet::ethernet::ethertype;
use anet_packet::ipv4::is_forbidden_source;

use super::owner::{self, Owner};
use super::{Outcome, PortView, Refusal, Reply, Request, Silence, frame};

/// Answers an ARP request from `port`. Replies between guests are not for us; announcements are reported.
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
    if ethernet.ethertype() != ethertype::ARP {
        return Ok(Outcome::NotForUs);
    }
    let message = Arp::parse(ethernet.payload())?;
    if !matches!(message.operation, REQUEST | REPLY) {
        return Err(Refusal::UnexpectedMessage);
    }
    if !message.sender_mac.is_station() || is_forbidden_source(message.sender) {
        return Err(Refusal::BadAddress);
    }
    let target = IpAddr::V4(message.target);
    let owner = owner::of(target, message.sender_mac, port, resolve);
    if is_announcement(&message, ethernet.destination()) {
        return announced(&message, owner, port, out);
    }
    if message.operation == REPLY {
        return Ok(Outcome::NotForUs);
    }
    match owner {
        // Whoever takes over a shared address may probe for it first, and must not hear of the one that has it now.
        Some(Owner::Station(_)) if message.is_probe() && port.shares(target) => {
            Ok(Outcome::Silent(Silence::OwnAddress))
        }
        Some(Owner::Asker) => Ok(Outcome::Silent(Silence::OwnAddress)),
        Some(Owner::Station(mac)) => reply(&message, mac, out),
        Some(Owner::Service) => reply(&message, port.service_mac, out),
        None => Ok(Outcome::Unknown(target)),
    }
}

/// A gratuitous request or reply, or a reply to everybody.
fn is_announcement(message: &Arp, destination: Mac) -> bool {
    let to_everybody = message.operation == REPLY && destination.is_multicast();
    (message.is_gratuitous() || to_everybody) && !message.sender.is_unspecified()
}

/// An announcement of what is another's alone is a conflict that the guest is told about (RFC 5227, 2.4); what the
/// port has or shares goes out to the network.
fn announced(
    message: &Arp,
    owner: Option<Owner>,
    port: &PortView<'_>,
    out: &mut Vec<u8>,
) -> Result<Outcome, Refusal> {
    let sender = IpAddr::V4(message.sender);
    match owner {
        _ if !message.is_gratuitous() || port.shares(sender) => Ok(Outcome::Announcement(sender)),
        Some(Owner::Station(mac)) => reply(message, mac, out),
        Some(Owner::Service) => reply(message, port.service_mac, out),
        Some(Owner::Asker) | None => Ok(Outcome::Announcement(sender)),
    }
}

fn reply(message: &Arp, mac: Mac, out: &mut Vec<u8>) -> Result<Outcome, Refusal> {
    let stations = Stations {
        destination: message.sender_mac,
        source: mac,
    };
    frame::write(out, |frame| build::arp(frame, stations, &message.reply(mac)))?;
    Ok(Outcome::Reply(Reply::Arp))
}
