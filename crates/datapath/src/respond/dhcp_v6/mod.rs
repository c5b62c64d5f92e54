//! DHCPv6 server (RFC 8415) of one port: it gives the port's fixed IPv6 addresses and nothing else.
//!
//! As with DHCPv4 there is no pool and no state: the port's addresses in subnets with DHCPv6 are its binding, for as
//! long as the port has them. Temporary addresses and prefixes are not given. The server is known by a DUID made of the
//! service's MAC, the same on every host, so that a guest that moves renews with the server it knows.
//!
//! [`message`] reads, [`reply`] writes; here is what is decided.

mod message;
mod reply;

use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};

use anet_packet::addr::Mac;
use anet_packet::build::{self, Stations};

use self::message::{Association, Message};
use self::reply::{Answer, Binding};
use super::classify::{self, DHCP_V6_CLIENT_PORT, DHCP_V6_SERVER_PORT};
use super::{Outcome, PortView, Refusal, Reply, Request, Silence, frame};

/// All_DHCP_Relay_Agents_and_Servers (RFC 8415, 7.1).
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// Message types (RFC 8415, 7.3).
mod kind {
    pub(super) const SOLICIT: u8 = 1;
    pub(super) const ADVERTISE: u8 = 2;
    pub(super) const REQUEST: u8 = 3;
    pub(super) const CONFIRM: u8 = 4;
    pub(super) const RENEW: u8 = 5;
    pub(super) const REBIND: u8 = 6;
    pub(super) const REPLY: u8 = 7;
    pub(super) const RELEASE: u8 = 8;
    pub(super) const DECLINE: u8 = 9;
    pub(super) const INFORMATION_REQUEST: u8 = 11;
    pub(super) const RELAY_FORWARD: u8 = 12;
}

/// Status codes (RFC 8415, 21.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Success = 0,
    NoAddressesAvailable = 2,
    NoBinding = 3,
    NotOnLink = 4,
    UseMulticast = 5,
    NoPrefixAvailable = 6,
}

/// The server's identifier: DUID-LL (RFC 8415, 11.4) of the service's MAC.
fn server_identifier(mac: Mac) -> [u8; 10] {
    let [a, b, c, d, e, f] = mac.0;
    [0, 3, 0, 1, a, b, c, d, e, f]
}

/// Answers a DHCPv6 request from `port`. Not for us where no subnet of the network is served, or where the datagram
/// goes to another server's address.
pub fn respond(request: Request<'_>, port: &PortView<'_>, out: &mut Vec<u8>) -> Outcome {
    out.clear();
    decide(request, port, out).unwrap_or_else(Outcome::Refused)
}

fn decide(request: Request<'_>, port: &PortView<'_>, out: &mut Vec<u8>) -> Result<Outcome, Refusal> {
    if !classify::is_dhcp_request_v6(request.layout) || port.dhcp_v6_subnets().next().is_none() {
        return Ok(Outcome::NotForUs);
    }
    let packet = request.ipv6()?;
    let server = port.service_mac.link_local();
    let multicast = packet.destination() == ALL_SERVERS;
    if !multicast && packet.destination() != server {
        return Ok(Outcome::NotForUs);
    }
    if packet.source().is_unspecified() {
        return Err(Refusal::BadAddress);
    }
    let message = Message::parse(request.datagram()?)?;
    if is_for_another_server(&message, port)? {
        return Ok(Outcome::Silent(Silence::OtherServer));
    }
    let served = if multicast {
        serve(&message, port)?
    } else {
        Some(refuse_unicast(&message)?)
    };
    let Some(answer) = served else {
        return Ok(Outcome::Silent(Silence::NothingToConfirm));
    };
    let reply = reply::message(&answer, &message, port)?;
    let stations = Stations {
        destination: request.ethernet()?.source(),
        source: port.service_mac,
    };
    let source = SocketAddrV6::new(server, DHCP_V6_SERVER_PORT, 0, 0);
    let destination = SocketAddrV6::new(packet.source(), DHCP_V6_CLIENT_PORT, 0, 0);
    frame::write(out, |frame| {
        build::udp_v6(frame, stations, source, destination, &reply)
    })?;
    Ok(Outcome::Reply(match (message.kind, answer.kind) {
        (_, kind::ADVERTISE) => Reply::DhcpV6Advertise,
        (kind::DECLINE, _) => Reply::DhcpV6Declined,
        _ => Reply::DhcpV6Reply,
    }))
}

/// What a message is told, or `None` for a Confirm without an address, which is told nothing.
fn serve<'a>(message: &Message<'a>, port: &PortView<'_>) -> Result<Option<Answer<'a>>, Refusal> {
    let own: Vec<Ipv6Addr> = port.leases_v6().map(|(address, _)| address).collect();
    Ok(Some(match message.kind {
        kind::SOLICIT if message.rapid_commit => Answer::rapid(bindings(message, &own, give)),
        kind::SOLICIT => Answer::advertise(bindings(message, &own, give)),
        kind::REQUEST => Answer::reply(bindings(message, &own, give_what_is_on_link)),
        kind::RENEW | kind::REBIND => Answer::reply(bindings(message, &own, give_and_withdraw)),
        kind::CONFIRM => return Ok(confirm(message, &own).map(Answer::status)),
        kind::RELEASE | kind::DECLINE => Answer::released(unknown_bindings(message, &own)),
        kind::INFORMATION_REQUEST if message.associations.is_empty() => Answer::reply(Vec::new()),
        kind::INFORMATION_REQUEST => return Err(Refusal::BadOption),
        _ => return Err(Refusal::UnexpectedMessage),
    }))
}

/// Holds a message against which identifiers it must, may and must not have (RFC 8415, 16).
fn is_for_another_server(message: &Message<'_>, port: &PortView<'_>) -> Result<bool, Refusal> {
    let (needs_client, needs_server) = match message.kind {
        kind::SOLICIT | kind::CONFIRM | kind::REBIND => (true, Some(false)),
        kind::REQUEST | kind::RENEW | kind::RELEASE | kind::DECLINE => (true, Some(true)),
        kind::INFORMATION_REQUEST => (false, None),
        _ => return Err(Refusal::UnexpectedMessage),
    };
    let server_wrong = needs_server.is_some_and(|needed| needed != message.server.is_some());
    if (needs_client && message.client.is_none()) || server_wrong {
        return Err(Refusal::BadOption);
    }
    Ok(message
        .server
        .is_some_and(|server| server != server_identifier(port.service_mac)))
}

/// A client may send to the server's own address only if it was told so, and it never is (RFC 8415, 18.4).
fn refuse_unicast<'a>(message: &Message<'a>) -> Result<Answer<'a>, Refusal> {
    match message.kind {
        kind::REQUEST | kind::RENEW | kind::RELEASE | kind::DECLINE => {
            Ok(Answer::status(Status::UseMulticast))
        }
        _ => Err(Refusal::BadAddress),
    }
}

/// What an association is given out of the port's own addresses.
type Give = fn(&Association<'_>, &[Ipv6Addr]) -> Result<Binding, Status>;

/// The answer to each association. The port's addresses go to one: that which names one of them, else the first.
fn bindings<'a>(message: &Message<'a>, own: &[Ipv6Addr], give: Give) -> Vec<reply::Answered<'a>> {
    let addressed = |association: &&Association<'_>| association.is_for_addresses();
    let names_own = |association: &&Association<'_>| {
        addressed(association) && association.addresses().any(|address| own.contains(&address))
    };
    let candidates = || message.associations.iter();
    let chosen = candidates()
        .find(names_own)
        .or_else(|| candidates().find(addressed))
        .map(|a| a.identity());
    let answered = |association: &Association<'a>| {
        let binding = match chosen {
            _ if association.is_for_prefixes() => Err(Status::NoPrefixAvailable),
            Some(identity) if identity == association.identity() && !own.is_empty() => give(association, own),
            _ => Err(Status::NoAddressesAvailable),
        };
        reply::Answered {
            association: association.clone(),
            binding,
        }
    };
    message.associations.iter().map(answered).collect()
}

fn give(_: &Association<'_>, own: &[Ipv6Addr]) -> Result<Binding, Status> {
    Ok(Binding {
        given: own.to_vec(),
        withdrawn: Vec::new(),
    })
}

/// RFC 8415, 18.3.2: an address asked for that is not the port's is answered with a status and no address.
fn give_what_is_on_link(association: &Association<'_>, own: &[Ipv6Addr]) -> Result<Binding, Status> {
    if association.addresses().all(|address| own.contains(&address)) {
        give(association, own)
    } else {
        Err(Status::NotOnLink)
    }
}

/// RFC 8415, 18.3.4 and 18.3.5: addresses that are the port's no longer are returned with lifetimes of zero.
fn give_and_withdraw(association: &Association<'_>, own: &[Ipv6Addr]) -> Result<Binding, Status> {
    let withdrawn = association
        .addresses()
        .filter(|address| !own.contains(address))
        .collect();
    Ok(Binding {
        given: own.to_vec(),
        withdrawn,
    })
}

/// RFC 8415, 18.3.3. Stricter than "on the link": an address that is not the port's would not pass the guard, so the
/// client is sent to solicit again.
fn confirm(message: &Message<'_>, own: &[Ipv6Addr]) -> Option<Status> {
    let mut addresses = message
        .associations
        .iter()
        .flat_map(|association| association.addresses())
        .peekable();
    addresses.peek()?;
    let all_own = addresses.all(|address| own.contains(&address));
    Some(if all_own {
        Status::Success
    } else {
        Status::NotOnLink
    })
}

/// Associations that a Release or Decline names and that hold nothing of ours (RFC 8415, 18.3.7 and 18.3.8).
fn unknown_bindings<'a>(message: &Message<'a>, own: &[Ipv6Addr]) -> Vec<reply::Answered<'a>> {
    let unknown = |association: &&Association<'_>| {
        !association.is_for_addresses() || !association.addresses().any(|address| own.contains(&address))
    };
    let answered = |association: &Association<'a>| reply::Answered {
        association: association.clone(),
        binding: Err(Status::NoBinding),
    };
    message
        .associations
        .iter()
        .filter(unknown)
        .map(answered)
        .collect()
}

/// Seconds for which `address` is given, as its subnet says.
fn lease_s(address: Ipv6Addr, port: &PortView<'_>) -> u32 {
    let subnet = port
        .dhcp_v6_subnets()
        .find(|subnet| subnet.prefix.contains(IpAddr::V6(address)));
    subnet.map_or(0, |subnet| subnet.lease_s)
}
