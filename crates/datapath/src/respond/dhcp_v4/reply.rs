//! The server's side of a DHCPv4 conversation, written: fixed part, options, and where the datagram goes.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use anet_packet::addr::Mac;
use anet_packet::build::{self, Stations};

use super::super::classify::{DHCP_V4_CLIENT_PORT, DHCP_V4_SERVER_PORT};
use super::super::{PortView, Refusal, SubnetView, frame};
use super::message::{MAGIC_COOKIE, Message, OPERATION_REPLY, code};
use super::{Lease, kind};

/// IPv4 and UDP header in front of a message.
const HEADERS_LENGTH: usize = 28;
/// Bytes of the shortest message that old BOOTP clients take (RFC 1542, 2.1).
const MESSAGE_MIN: usize = 300;
/// Bytes of the longest IP packet we answer with.
const PACKET_MAX: usize = 1_500;
/// Bytes of the longest part of an option (RFC 3396).
const PART_MAX: usize = 255;
/// Name servers of a subnet announced; resolvers use no more than three.
const NAME_SERVERS_MAX: usize = 8;
/// A lease for ever (RFC 2132, 9.2 and RFC 2131, 3.3).
const FOREVER: u32 = u32::MAX;
/// What a client that sends no parameter request list is given.
const WANTED_BY_DEFAULT: [u8; 4] = [
    code::ROUTER,
    code::NAME_SERVERS,
    code::HOST_NAME,
    code::INTERFACE_MTU,
];

/// The answers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// DHCPOFFER.
    Offer,
    /// DHCPACK to a request.
    Acknowledge,
    /// DHCPACK to an inform: options, no lease.
    Information,
    /// DHCPNAK.
    Refuse,
}

/// Writes the whole frame.
pub(super) fn write(
    answer: Answer,
    request: &Message<'_>,
    source: Ipv4Addr,
    lease: Lease<'_>,
    port: &PortView<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let room = request
        .maximum_size()?
        .min(PACKET_MAX)
        .min(usize::from(port.mtu.get()))
        - HEADERS_LENGTH;
    let mut options = Options::new(fixed_part(answer, request, lease), room);
    match answer {
        Answer::Refuse => refusal_options(&mut options, request, lease)?,
        _ => lease_options(&mut options, answer, request, lease, port)?,
    }
    let message = options.finish();
    let (destination, destination_mac) = destination(answer, request, source, lease);
    let stations = Stations {
        destination: destination_mac,
        source: port.service_mac,
    };
    let source = SocketAddrV4::new(lease.subnet.server_v4(), DHCP_V4_SERVER_PORT);
    let destination = SocketAddrV4::new(destination, DHCP_V4_CLIENT_PORT);
    frame::write(out, |frame| {
        build::udp_v4(frame, stations, source, destination, &message)
    })
}

/// RFC 2131, 4.1: to `ciaddr` where the client has an address; else broadcast where it asks for that or is told no; else
/// to the address it is about to have.
fn destination(answer: Answer, request: &Message<'_>, source: Ipv4Addr, lease: Lease<'_>) -> (Ipv4Addr, Mac) {
    let broadcast = (Ipv4Addr::BROADCAST, Mac::BROADCAST);
    let unicast = |address: Ipv4Addr| (address, request.client_mac);
    let usable = |address: Ipv4Addr| {
        !address.is_unspecified()
            && !address.is_broadcast()
            && !address.is_multicast()
            && !address.is_loopback()
    };
    match answer {
        Answer::Refuse => broadcast,
        _ if usable(request.client_address) => unicast(request.client_address),
        Answer::Information if usable(source) => unicast(source),
        Answer::Information => broadcast,
        _ if request.wants_broadcast() => broadcast,
        _ => unicast(lease.address),
    }
}

fn fixed_part(answer: Answer, request: &Message<'_>, lease: Lease<'_>) -> Vec<u8> {
    let keeps_address = matches!(answer, Answer::Acknowledge | Answer::Information);
    let client = if keeps_address {
        request.client_address
    } else {
        Ipv4Addr::UNSPECIFIED
    };
    let given = match answer {
        Answer::Offer | Answer::Acknowledge => lease.address,
        Answer::Information | Answer::Refuse => Ipv4Addr::UNSPECIFIED,
    };
    let mut message = vec![OPERATION_REPLY, 1, 6, 0];
    message.extend_from_slice(&request.transaction.to_be_bytes());
    message.extend_from_slice(&[0, 0]);
    message.extend_from_slice(&request.flags.to_be_bytes());
    message.extend_from_slice(&client.octets());
    message.extend_from_slice(&given.octets());
    // `siaddr` (there is no next server to boot from) and `giaddr` (no relay).
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&request.client_mac.0);
    // The rest of `chaddr`, `sname`, `file`.
    message.extend_from_slice(&[0; 10 + 64 + 128]);
    message.extend_from_slice(&MAGIC_COOKIE);
    message
}

fn refusal_options(options: &mut Options, request: &Message<'_>, lease: Lease<'_>) -> Result<(), Refusal> {
    options.need(code::MESSAGE_TYPE, &[kind::NAK])?;
    options.need(code::SERVER_IDENTIFIER, &lease.subnet.server_v4().octets())?;
    if let Some(client) = request.option(code::CLIENT_IDENTIFIER)? {
        options.need(code::CLIENT_IDENTIFIER, &client)?;
    }
    options.add(code::MESSAGE, b"the address asked for is not this port's");
    Ok(())
}

fn lease_options(
    options: &mut Options,
    answer: Answer,
    request: &Message<'_>,
    lease: Lease<'_>,
    port: &PortView<'_>,
) -> Result<(), Refusal> {
    let kind = if answer == Answer::Offer {
        kind::OFFER
    } else {
        kind::ACK
    };
    options.need(code::MESSAGE_TYPE, &[kind])?;
    options.need(code::SERVER_IDENTIFIER, &lease.subnet.server_v4().octets())?;
    if answer != Answer::Information {
        lease_times(options, lease.subnet.lease_s)?;
    }
    // The mask goes in front of the router whatever the client's order (RFC 2132, 3.3).
    options.need(code::SUBNET_MASK, &mask(lease.subnet).octets())?;
    if let Some(client) = request.option(code::CLIENT_IDENTIFIER)? {
        options.need(code::CLIENT_IDENTIFIER, &client)?;
    }
    let listed = request.option(code::PARAMETER_REQUEST_LIST)?;
    let mut wanted = listed.unwrap_or_else(|| WANTED_BY_DEFAULT.to_vec());
    // The client's order, but routes first (RFC 3442 wants them in front of the router): they are what may be long.
    wanted.sort_by_key(|code| *code != code::CLASSLESS_ROUTES);
    let mut given = [false; 256];
    for code in wanted {
        if !std::mem::replace(&mut given[usize::from(code)], true)
            && let Some(value) = parameter(code, lease.subnet, port)
        {
            options.add(code, &value);
        }
    }
    Ok(())
}

fn lease_times(options: &mut Options, lease_s: u32) -> Result<(), Refusal> {
    options.need(code::LEASE_TIME, &lease_s.to_be_bytes())?;
    if lease_s != FOREVER {
        let rebinding_s = (u64::from(lease_s) * 7 / 8) as u32;
        options.need(code::RENEWAL_TIME, &(lease_s / 2).to_be_bytes())?;
        options.need(code::REBINDING_TIME, &rebinding_s.to_be_bytes())?;
    }
    Ok(())
}

/// The value of a parameter that a client asked for, where there is one.
fn parameter(code: u8, subnet: &SubnetView<'_>, port: &PortView<'_>) -> Option<Vec<u8>> {
    match code {
        code::ROUTER => Some(subnet.gateway_v4()?.octets().to_vec()),
        code::NAME_SERVERS => {
            let servers: Vec<u8> = subnet
                .dns_v4()
                .take(NAME_SERVERS_MAX)
                .flat_map(|server| server.octets())
                .collect();
            (!servers.is_empty()).then_some(servers)
        }
        code::HOST_NAME => port
            .hostname
            .filter(|name| !name.is_empty())
            .map(|name| name.as_bytes().to_vec()),
        code::INTERFACE_MTU => Some(port.mtu.get().to_be_bytes().to_vec()),
        code::BROADCAST_ADDRESS if subnet.prefix.length() < 31 => match subnet.prefix.last() {
            IpAddr::V4(last) => Some(last.octets().to_vec()),
            IpAddr::V6(_) => None,
        },
        code::CLASSLESS_ROUTES => Some(classless_routes(subnet)),
        _ => None,
    }
}

/// Option 121 (RFC 3442). A client that takes it ignores the router option, so the default route is in it too. Without
/// a gateway the server's own address gets a route on the link, or renewals could not reach it.
fn classless_routes(subnet: &SubnetView<'_>) -> Vec<u8> {
    let mut value = Vec::new();
    for (destination, next_hop) in subnet.host_routes {
        if let IpAddr::V4(address) = destination.address() {
            let significant = usize::from(destination.length()).div_ceil(8);
            value.push(destination.length());
            value.extend(address.octets().iter().take(significant));
            value.extend_from_slice(&next_hop.octets());
        }
    }
    match subnet.gateway_v4() {
        Some(gateway)
            if !subnet
                .host_routes
                .iter()
                .any(|(destination, _)| destination.length() == 0) =>
        {
            value.push(0);
            value.extend_from_slice(&gateway.octets());
        }
        Some(_) => {}
        None => {
            value.push(32);
            value.extend_from_slice(&subnet.server_v4().octets());
            value.extend_from_slice(&Ipv4Addr::UNSPECIFIED.octets());
        }
    }
    value
}

fn mask(subnet: &SubnetView<'_>) -> Ipv4Addr {
    let host_bits = 32 - u32::from(subnet.prefix.length().min(32));
    Ipv4Addr::from_bits(u32::MAX.checked_shl(host_bits).unwrap_or(0))
}

/// Where `file` lies, and its length: room for options beside the options field (RFC 2132, 9.3).
const FILE: std::ops::Range<usize> = 108..236;
/// The option that says that there are options in `file`.
const OVERLOADED: [u8; 3] = [code::OVERLOAD, 1, 1];

/// A message with room for its options up to what the client accepts, then in `file`.
struct Options {
    bytes: Vec<u8>,
    file: Vec<u8>,
    room: usize,
}

impl Options {
    fn new(fixed_part: Vec<u8>, room: usize) -> Self {
        Self {
            bytes: fixed_part,
            file: Vec::new(),
            room,
        }
    }

    /// Adds an option, in parts where it is long (RFC 3396); leaves it out whole where it does not fit.
    fn add(&mut self, code: u8, value: &[u8]) -> bool {
        let mut option = Vec::with_capacity(value.len() + 4);
        if value.is_empty() {
            option.extend_from_slice(&[code, 0]);
        }
        for part in value.chunks(PART_MAX) {
            option.extend_from_slice(&[code, part.len() as u8]);
            option.extend_from_slice(part);
        }
        // Behind each stands an end, in front of the first one perhaps the word of the other.
        if self.bytes.len() + option.len() + OVERLOADED.len() < self.room {
            self.bytes.extend(option);
            return true;
        }
        let fits = self.file.len() + option.len() < FILE.len();
        if fits {
            self.file.extend(option);
        }
        fits
    }

    /// Adds an option without which the answer means nothing.
    fn need(&mut self, code: u8, value: &[u8]) -> Result<(), Refusal> {
        if self.add(code, value) {
            Ok(())
        } else {
            Err(Refusal::ReplyTooLong)
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if !self.file.is_empty() {
            self.bytes.extend_from_slice(&OVERLOADED);
            self.file.push(code::END);
            for (to, from) in self.bytes[FILE].iter_mut().zip(&self.file) {
                *to = *from;
            }
        }
        self.bytes.push(code::END);
        self.bytes.resize(self.bytes.len().max(MESSAGE_MIN), code::PAD);
        self.bytes
    }
}
