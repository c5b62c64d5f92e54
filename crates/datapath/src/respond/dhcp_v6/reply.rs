//! The server's side of a DHCPv6 conversation, written: Advertise and Reply.

use std::net::Ipv6Addr;

use super::super::{PortView, Refusal};
use super::message::{Association, Message, code};
use super::{Status, kind, lease_s, server_identifier};

/// Bytes of the longest message: what every IPv6 link carries (RFC 8200, 5), less the IPv6 and UDP headers.
const MESSAGE_MAX: usize = 1_232;
/// Name servers announced; resolvers use no more than three.
const NAME_SERVERS_MAX: usize = 8;
/// The client need not wait for another server's Advertise (RFC 8415, 21.8).
const PREFERENCE_MAX: u8 = 255;
/// A lifetime without end (RFC 8415, 7.7).
const FOREVER: u32 = u32::MAX;
/// The shortest Information Refresh Time (RFC 8415, 7.6).
const REFRESH_TIME_MIN_S: u32 = 600;

/// What an association holds from now on.
#[derive(Debug)]
pub(super) struct Binding {
    /// Addresses with the lifetimes of their subnets.
    pub given: Vec<Ipv6Addr>,
    /// Addresses with lifetimes of zero.
    pub withdrawn: Vec<Ipv6Addr>,
}

/// An association and what it is told.
#[derive(Debug)]
pub(super) struct Answered<'a> {
    pub association: Association<'a>,
    pub binding: Result<Binding, Status>,
}

/// The answer to a message.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    /// Advertise or Reply.
    pub kind: u8,
    status: Option<Status>,
    rapid_commit: bool,
    /// True for answers that carry configuration, not only a status.
    configures: bool,
    associations: Vec<Answered<'a>>,
}

impl<'a> Answer<'a> {
    pub(super) fn reply(associations: Vec<Answered<'a>>) -> Self {
        Self {
            kind: kind::REPLY,
            status: None,
            rapid_commit: false,
            configures: true,
            associations,
        }
    }

    pub(super) fn advertise(associations: Vec<Answered<'a>>) -> Self {
        Self {
            kind: kind::ADVERTISE,
            ..Self::reply(associations)
        }
    }

    /// A Reply to a Solicit (RFC 8415, 18.3.1).
    pub(super) fn rapid(associations: Vec<Answered<'a>>) -> Self {
        Self {
            rapid_commit: true,
            ..Self::reply(associations)
        }
    }

    pub(super) fn status(status: Status) -> Self {
        Self {
            status: Some(status),
            configures: false,
            ..Self::reply(Vec::new())
        }
    }

    /// The answer to a Release or Decline, with the associations that are none of ours.
    pub(super) fn released(unknown: Vec<Answered<'a>>) -> Self {
        Self {
            status: Some(Status::Success),
            configures: false,
            ..Self::reply(unknown)
        }
    }
}

/// The message's bytes.
pub(super) fn message(
    answer: &Answer<'_>,
    request: &Message<'_>,
    port: &PortView<'_>,
) -> Result<Vec<u8>, Refusal> {
    let mut bytes = vec![answer.kind];
    bytes.extend_from_slice(&request.transaction);
    if let Some(client) = request.client {
        option(&mut bytes, code::CLIENT_IDENTIFIER, client);
    }
    option(
        &mut bytes,
        code::SERVER_IDENTIFIER,
        &server_identifier(port.service_mac),
    );
    if let Some(status) = answer.status {
        option(&mut bytes, code::STATUS, &(status as u16).to_be_bytes());
    }
    if answer.kind == kind::ADVERTISE {
        option(&mut bytes, code::PREFERENCE, &[PREFERENCE_MAX]);
    }
    if answer.rapid_commit {
        option(&mut bytes, code::RAPID_COMMIT, &[]);
    }
    for answered in &answer.associations {
        let body = association(answered, port);
        option(&mut bytes, answered.association.code, &body);
    }
    if answer.configures {
        configuration(&mut bytes, request, port);
    }
    if bytes.len() > MESSAGE_MAX {
        Err(Refusal::ReplyTooLong)
    } else {
        Ok(bytes)
    }
}

fn option(bytes: &mut Vec<u8>, code: u16, body: &[u8]) {
    bytes.extend_from_slice(&code.to_be_bytes());
    bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
    bytes.extend_from_slice(body);
}

fn association(answered: &Answered<'_>, port: &PortView<'_>) -> Vec<u8> {
    let mut body = answered.association.number.to_be_bytes().to_vec();
    let given = answered
        .binding
        .as_ref()
        .map_or(&[][..], |binding| &binding.given);
    if answered.association.code != code::TEMPORARY_ADDRESSES {
        let shortest_s = given
            .iter()
            .map(|address| lease_s(*address, port))
            .min()
            .unwrap_or(0);
        let (renew_s, rebind_s) = times(shortest_s);
        body.extend_from_slice(&renew_s.to_be_bytes());
        body.extend_from_slice(&rebind_s.to_be_bytes());
    }
    match &answered.binding {
        Ok(binding) => {
            binding
                .given
                .iter()
                .for_each(|address| lease(&mut body, *address, lease_s(*address, port)));
            binding
                .withdrawn
                .iter()
                .for_each(|address| lease(&mut body, *address, 0));
        }
        Err(status) => option(&mut body, code::STATUS, &(*status as u16).to_be_bytes()),
    }
    body
}

/// T1 and T2: 0.5 and 0.8 of the shortest preferred lifetime (RFC 8415, 21.4).
fn times(lease_s: u32) -> (u32, u32) {
    match lease_s {
        FOREVER => (FOREVER, FOREVER),
        _ => (lease_s / 2, (u64::from(lease_s) * 4 / 5) as u32),
    }
}

fn lease(body: &mut Vec<u8>, address: Ipv6Addr, lease_s: u32) {
    let mut value = address.octets().to_vec();
    // Preferred, then valid: a fixed address is not deprecated before it ends.
    value.extend_from_slice(&lease_s.to_be_bytes());
    value.extend_from_slice(&lease_s.to_be_bytes());
    option(body, code::ADDRESS, &value);
}

fn configuration(bytes: &mut Vec<u8>, request: &Message<'_>, port: &PortView<'_>) {
    let servers: Vec<u8> = port
        .dhcp_v6_subnets()
        .flat_map(|subnet| subnet.dns_v6())
        .take(NAME_SERVERS_MAX)
        .flat_map(|server| server.octets())
        .collect();
    if !servers.is_empty() && request.wants(code::NAME_SERVERS) {
        option(bytes, code::NAME_SERVERS, &servers);
    }
    if request.kind == kind::INFORMATION_REQUEST && request.wants(code::INFORMATION_REFRESH_TIME) {
        let shortest_s = port
            .dhcp_v6_subnets()
            .map(|subnet| subnet.lease_s)
            .min()
            .unwrap_or(0);
        let refresh_s = shortest_s.max(REFRESH_TIME_MIN_S);
        option(bytes, code::INFORMATION_REFRESH_TIME, &refresh_s.to_be_bytes());
    }
}
