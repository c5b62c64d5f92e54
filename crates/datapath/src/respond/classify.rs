//! Which frames are a service's business: for the pipeline, which asks the responders, and for the guard, which keeps
//! guests from playing DHCP server or router.
//!
//! Extension headers are walked, so that none hides a message; of fragments only the first can be named, which is
//! why a guard that must stop router advertisements for certain also drops [`is_hidden`] ones (RFC 7113).

use super::echo::{ECHO_REQUEST_V4, ECHO_REQUEST_V6};
use super::frame::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ethernet, Ipv4, Ipv6, PROTOCOL_ICMP, PROTOCOL_ICMPV6,
    PROTOCOL_UDP, u16_at,
};
use super::neighbor::{
    NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION, ROUTER_ADVERTISEMENT, ROUTER_SOLICITATION,
};

/// UDP port of a DHCPv4 server (RFC 2131).
pub const DHCP_V4_SERVER_PORT: u16 = 67;
/// UDP port of a DHCPv4 client (RFC 2131).
pub const DHCP_V4_CLIENT_PORT: u16 = 68;
/// UDP port of a DHCPv6 client (RFC 8415, 7.2).
pub const DHCP_V6_CLIENT_PORT: u16 = 546;
/// UDP port of a DHCPv6 server (RFC 8415, 7.2).
pub const DHCP_V6_SERVER_PORT: u16 = 547;

/// A responder's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// ARP, of any operation.
    Arp,
    /// Router solicitation, neighbor solicitation or advertisement. Never a router advertisement.
    NeighborDiscovery,
    /// To a DHCPv4 server.
    DhcpV4,
    /// To a DHCPv6 server.
    DhcpV6,
    /// Echo request.
    Echo,
}

enum Header {
    Udp { source: u16, destination: u16, v6: bool },
    Icmp(u8),
    IcmpV6(u8),
    Arp,
    Other,
}

/// The header that names the message. The frame's end may be missing: a large segment is told by its head.
fn header(bytes: &[u8]) -> Option<Header> {
    let ethernet = Ethernet::parse(bytes).ok()?;
    let (protocol, payload, v6) = match ethernet.ethertype {
        ETHERTYPE_ARP => return Some(Header::Arp),
        ETHERTYPE_IPV4 => {
            let packet = Ipv4::parse_head(ethernet.payload).ok()?;
            (
                packet.protocol,
                if packet.first { packet.payload } else { &[] },
                false,
            )
        }
        ETHERTYPE_IPV6 => {
            let packet = Ipv6::parse_head(ethernet.payload).ok()?;
            (
                packet.protocol,
                if packet.first { packet.payload } else { &[] },
                true,
            )
        }
        _ => return Some(Header::Other),
    };
    Some(match (protocol, payload) {
        (PROTOCOL_UDP, payload) => Header::Udp {
            source: u16_at(payload, 0)?,
            destination: u16_at(payload, 2)?,
            v6,
        },
        (PROTOCOL_ICMP, [kind, ..]) if !v6 => Header::Icmp(*kind),
        (PROTOCOL_ICMPV6, [kind, ..]) if v6 => Header::IcmpV6(*kind),
        _ => Header::Other,
    })
}

/// Whose protocol a guest's frame is, or `None` where no responder is asked.
pub fn service(bytes: &[u8]) -> Option<Service> {
    match header(bytes)? {
        Header::Arp => Some(Service::Arp),
        Header::Udp {
            destination: DHCP_V4_SERVER_PORT,
            v6: false,
            ..
        } => Some(Service::DhcpV4),
        Header::Udp {
            destination: DHCP_V6_SERVER_PORT,
            v6: true,
            ..
        } => Some(Service::DhcpV6),
        Header::IcmpV6(ROUTER_SOLICITATION | NEIGHBOR_SOLICITATION | NEIGHBOR_ADVERTISEMENT) => {
            Some(Service::NeighborDiscovery)
        }
        Header::Icmp(ECHO_REQUEST_V4) | Header::IcmpV6(ECHO_REQUEST_V6) => Some(Service::Echo),
        _ => None,
    }
}

/// True for a datagram from a DHCPv4 client's port to a server's.
pub fn is_dhcp_client_v4(bytes: &[u8]) -> bool {
    const CLIENT: u16 = DHCP_V4_CLIENT_PORT;
    const SERVER: u16 = DHCP_V4_SERVER_PORT;
    matches!(
        header(bytes),
        Some(Header::Udp {
            source: CLIENT,
            destination: SERVER,
            v6: false
        })
    )
}

/// True for a datagram from a DHCPv6 client to a server's port. Clients may send from any port.
pub fn is_dhcp_client_v6(bytes: &[u8]) -> bool {
    matches!(
        header(bytes),
        Some(Header::Udp {
            destination: DHCP_V6_SERVER_PORT,
            v6: true,
            ..
        })
    )
}

/// True for what only a DHCP server or relay of either version sends: a datagram from a server's port, or to a
/// client's. A relay's way to a server (67 to 67) counts, since no guest relays for others.
pub fn is_dhcp_server_message(bytes: &[u8]) -> bool {
    match header(bytes) {
        Some(Header::Udp {
            source,
            destination,
            v6: false,
        }) => source == DHCP_V4_SERVER_PORT || destination == DHCP_V4_CLIENT_PORT,
        Some(Header::Udp {
            source,
            destination,
            v6: true,
        }) => source == DHCP_V6_SERVER_PORT || destination == DHCP_V6_CLIENT_PORT,
        _ => false,
    }
}

/// True for a router advertisement, whatever extension headers stand in front of it.
pub fn is_router_advertisement(bytes: &[u8]) -> bool {
    matches!(header(bytes), Some(Header::IcmpV6(ROUTER_ADVERTISEMENT)))
}

/// True for an ICMPv6 redirect, which only a router sends.
pub fn is_redirect(bytes: &[u8]) -> bool {
    matches!(header(bytes), Some(Header::IcmpV6(137)))
}

/// True for an IPv6 packet whose message cannot be named: too many extension headers, ones that run past the end, or a
/// first fragment too short to hold the ICMPv6 type (RFC 7112, RFC 7113).
pub fn is_hidden(bytes: &[u8]) -> bool {
    let Ok(ethernet) = Ethernet::parse(bytes) else {
        return false;
    };
    if ethernet.ethertype != ETHERTYPE_IPV6 {
        return false;
    }
    match Ipv6::parse_head(ethernet.payload) {
        Ok(packet) => packet.fragment && packet.first && packet.payload.len() < 4,
        Err(_) => true,
    }
}
