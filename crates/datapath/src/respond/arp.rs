//! ARP (RFC 826) for every known address of the network, with the address conflict rules of RFC 5227.
//!
//! A guest's question never leaves its host. It is never told about its own address: an answer to its probe or
//! announcement would look like a second user; where another station has the address, the answer *is* the conflict.

use std::net::{IpAddr, Ipv4Addr};

use anet_packet::addr::Mac;

use super::frame::{self, ETHERTYPE_ARP, Ethernet};
use super::owner::{self, Owner};
use super::{Outcome, PortView, Refusal, Reply, Request, Silence};

/// Ethernet, IPv4, address lengths 6 and 4: the only combination there is on our wires.
const HARDWARE_AND_PROTOCOL: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
const OPERATION_REQUEST: u16 = 1;
const OPERATION_REPLY: u16 = 2;

struct Message {
    operation: u16,
    sender_mac: Mac,
    sender: Ipv4Addr,
    target: Ipv4Addr,
}

impl Message {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.get(..6).ok_or(Refusal::Truncated)? != HARDWARE_AND_PROTOCOL {
            return Err(Refusal::BadHeader);
        }
        Ok(Self {
            operation: frame::u16_at(bytes, 6).ok_or(Refusal::Truncated)?,
            sender_mac: frame::mac_at(bytes, 8).ok_or(Refusal::Truncated)?,
            sender: frame::ipv4_at(bytes, 14).ok_or(Refusal::Truncated)?,
            target: frame::ipv4_at(bytes, 24).ok_or(Refusal::Truncated)?,
        })
    }

    fn is_announcement(&self, broadcast: bool) -> bool {
        let gratuitous = self.sender == self.target || (self.operation == OPERATION_REPLY && broadcast);
        gratuitous && !self.sender.is_unspecified()
    }
}

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
    let ethernet = Ethernet::parse(request.bytes)?;
    if ethernet.ethertype != ETHERTYPE_ARP {
        return Ok(Outcome::NotForUs);
    }
    let message = Message::parse(ethernet.payload)?;
    if !matches!(message.operation, OPERATION_REQUEST | OPERATION_REPLY) {
        return Err(Refusal::UnexpectedMessage);
    }
    if !message.sender_mac.is_station() || message.sender.is_multicast() || message.sender.is_broadcast() {
        return Err(Refusal::BadAddress);
    }
    let target = IpAddr::V4(message.target);
    let owner = owner::of(target, message.sender_mac, port, resolve);
    if message.is_announcement(ethernet.destination.is_multicast()) {
        return Ok(announced(&message, owner, port, out));
    }
    if message.operation == OPERATION_REPLY {
        return Ok(Outcome::NotForUs);
    }
    // Whoever takes over a shared address may probe for it first, and must not hear of the one that has it now.
    let takes_over = message.sender.is_unspecified() && port.shares(target);
    Ok(match owner {
        Some(Owner::Station(_)) if takes_over => Outcome::Silent(Silence::OwnAddress),
        Some(Owner::Asker) => Outcome::Silent(Silence::OwnAddress),
        Some(Owner::Station(mac)) => reply(&message, mac, out),
        Some(Owner::Service) => reply(&message, port.service_mac, out),
        None => Outcome::Unknown(target),
    })
}

/// An announcement of what is another's alone is a conflict that the guest is told about (RFC 5227, 2.4); what the
/// port has or shares goes out to the network.
fn announced(message: &Message, owner: Option<Owner>, port: &PortView<'_>, out: &mut Vec<u8>) -> Outcome {
    let sender = IpAddr::V4(message.sender);
    match owner {
        _ if message.sender != message.target || port.shares(sender) => Outcome::Announcement(sender),
        Some(Owner::Station(mac)) => reply(message, mac, out),
        Some(Owner::Service) => reply(message, port.service_mac, out),
        Some(Owner::Asker) | None => Outcome::Announcement(sender),
    }
}

fn reply(message: &Message, mac: Mac, out: &mut Vec<u8>) -> Outcome {
    frame::write_ethernet(out, message.sender_mac, mac, ETHERTYPE_ARP);
    out.extend_from_slice(&HARDWARE_AND_PROTOCOL);
    out.extend_from_slice(&OPERATION_REPLY.to_be_bytes());
    out.extend_from_slice(&mac.0);
    out.extend_from_slice(&message.target.octets());
    out.extend_from_slice(&message.sender_mac.0);
    out.extend_from_slice(&message.sender.octets());
    Outcome::Reply(Reply::Arp)
}
