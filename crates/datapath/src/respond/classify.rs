//! Which frames are a service's business: for the pipeline, which asks the responders, and for the guard, which keeps
//! guests from playing DHCP server or router.
//!
//! All from the [`Layout`], which has walked extension headers, so that none hides a message (RFC 7113), and has
//! refused fragments too small to hold what names it. Later fragments are nothing here.

use anet_packet::icmpv6::kind;
use anet_packet::{Fragment, Kind, Layout, icmp, protocol};

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

/// Whose protocol a guest's frame is, or `None` where no responder is asked.
pub fn service(layout: &Layout) -> Option<Service> {
    if layout.kind == Kind::Arp {
        return Some(Service::Arp);
    }
    if is_dhcp_request_v4(layout) {
        return Some(Service::DhcpV4);
    }
    if is_dhcp_request_v6(layout) {
        return Some(Service::DhcpV6);
    }
    let (message, _) = layout.icmp()?;
    match (layout.kind, message) {
        (Kind::Ipv4, icmp::kind::ECHO_REQUEST) | (Kind::Ipv6, kind::ECHO_REQUEST) => Some(Service::Echo),
        (
            Kind::Ipv6,
            kind::ROUTER_SOLICITATION | kind::NEIGHBOR_SOLICITATION | kind::NEIGHBOR_ADVERTISEMENT,
        ) => Some(Service::NeighborDiscovery),
        _ => None,
    }
}

fn udp_ports(layout: &Layout, family: Kind) -> Option<(u16, u16)> {
    let is_udp = layout.kind == family && layout.protocol == protocol::UDP;
    (is_udp && layout.fragment != Fragment::Later).then_some(layout.ports)
}

fn icmpv6_kind(layout: &Layout) -> Option<u8> {
    layout
        .icmp()
        .filter(|_| layout.kind == Kind::Ipv6)
        .map(|(kind, _)| kind)
}

/// True for a datagram to a DHCPv4 server's port. Some clients send from another port than theirs.
pub fn is_dhcp_request_v4(layout: &Layout) -> bool {
    udp_ports(layout, Kind::Ipv4).is_some_and(|(_, to)| to == DHCP_V4_SERVER_PORT)
}

/// True for a datagram from a DHCPv4 client's port to a server's: what a guest may send from 0.0.0.0.
pub fn is_dhcp_client_v4(layout: &Layout) -> bool {
    udp_ports(layout, Kind::Ipv4) == Some((DHCP_V4_CLIENT_PORT, DHCP_V4_SERVER_PORT))
}

/// True for a datagram to a DHCPv6 server's port. Clients may send from any port.
pub fn is_dhcp_request_v6(layout: &Layout) -> bool {
    udp_ports(layout, Kind::Ipv6).is_some_and(|(_, to)| to == DHCP_V6_SERVER_PORT)
}

/// True for what only a DHCP server or relay of either version sends to a client: any datagram to a client's port.
/// Clients take answers from whatever port they come from, so the source port does not matter.
pub fn is_dhcp_server_message(layout: &Layout) -> bool {
    udp_ports(layout, Kind::Ipv4).is_some_and(|(_, to)| to == DHCP_V4_CLIENT_PORT)
        || udp_ports(layout, Kind::Ipv6).is_some_and(|(_, to)| to == DHCP_V6_CLIENT_PORT)
}

/// True for a router advertisement, whatever extension headers stand in front of it.
pub fn is_router_advertisement(layout: &Layout) -> bool {
    icmpv6_kind(layout) == Some(kind::ROUTER_ADVERTISEMENT)
}

/// True for an ICMPv6 redirect, which only a router sends.
pub fn is_redirect(layout: &Layout) -> bool {
    icmpv6_kind(layout) == Some(kind::REDIRECT)
}

/// True for neighbor solicitations and advertisements, which pass between guests without a rule.
pub fn is_neighbor_message(layout: &Layout) -> bool {
    matches!(
        icmpv6_kind(layout),
        Some(kind::NEIGHBOR_SOLICITATION | kind::NEIGHBOR_ADVERTISEMENT)
    )
}
