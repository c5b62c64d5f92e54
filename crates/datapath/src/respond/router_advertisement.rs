//! Router advertisements (RFC 4861, 4.2; RFC 8106) for subnets with DHCPv6.
//!
//! DHCPv6 gives an address without a prefix: it is the advertisement that says which prefix is on the link, which MTU
//! the network has, and who is the default router. Addresses are not autoconfigured from it (A is clear).

use std::net::Ipv6Addr;

use anet_packet::addr::{IpPrefix, Mac};

use super::frame::{self, Route};
use super::neighbor::{ALL_NODES, HOP_LIMIT, ROUTER_ADVERTISEMENT};
use super::{Outcome, PortView, Reply, Silence, SubnetView};

/// Seconds between unsolicited advertisements to a port, at most (RFC 4861's default MaxRtrAdvInterval).
pub const INTERVAL_S: u64 = 600;

/// Seconds that a default router and a name server are good for: three intervals.
const ROUTER_LIFETIME_S: u16 = 1_800;
/// Seconds that a prefix counts as on-link (RFC 4861, 6.2.1).
const PREFIX_VALID_S: u32 = 2_592_000;
const PREFIX_PREFERRED_S: u32 = 604_800;
const CURRENT_HOP_LIMIT: u8 = 64;
const FLAG_MANAGED: u8 = 0x80;
const FLAG_OTHER: u8 = 0x40;
const FLAG_ON_LINK: u8 = 0x80;
/// Bytes of the longest message: what every IPv6 link carries (RFC 8200, 5), less the IPv6 header.
const MESSAGE_MAX: usize = 1_240;

/// Writes the advertisement that is sent to a port without being asked: when it comes up, when its subnets change, and
/// every [`INTERVAL_S`].
pub fn unsolicited(port: &PortView<'_>, out: &mut Vec<u8>) -> Outcome {
    solicited(port, ALL_NODES, frame::multicast_mac(ALL_NODES), out)
}

/// Writes the advertisement for one address.
pub(super) fn solicited(
    port: &PortView<'_>,
    destination: Ipv6Addr,
    destination_mac: Mac,
    out: &mut Vec<u8>,
) -> Outcome {
    out.clear();
    if port.dhcp_v6_subnets().next().is_none() {
        return Outcome::Silent(Silence::NothingToAdvertise);
    }
    let mut message = message(port);
    let source = port.service_mac.link_local();
    let route = Route {
        source_mac: port.service_mac,
        destination_mac,
        source,
        destination,
    };
    frame::write_icmp_v6(out, route, HOP_LIMIT, &mut message);
    Outcome::Reply(Reply::RouterAdvertisement)
}

/// True where the advertisement offers a default router.
pub(super) fn is_default_router(port: &PortView<'_>) -> bool {
    port.dhcp_v6_subnets().any(|subnet| subnet.gateway.is_some())
}

fn message(port: &PortView<'_>) -> Vec<u8> {
    let lifetime = if is_default_router(port) {
        ROUTER_LIFETIME_S
    } else {
        0
    };
    let mut message = vec![
        ROUTER_ADVERTISEMENT,
        0,
        0,
        0,
        CURRENT_HOP_LIMIT,
        FLAG_MANAGED | FLAG_OTHER,
    ];
    message.extend_from_slice(&lifetime.to_be_bytes());
    // Reachable time and retransmission timer: unspecified.
    message.extend_from_slice(&[0; 8]);
    push(&mut message, &source_link_layer(port.service_mac));
    push(&mut message, &mtu(port));
    for subnet in port.dhcp_v6_subnets() {
        push(&mut message, &prefix_information(subnet.prefix));
    }
    for subnet in port.dhcp_v6_subnets() {
        push(&mut message, &name_servers(subnet));
    }
    message
}

/// Appends an option where it still fits.
fn push(message: &mut Vec<u8>, option: &[u8]) {
    if message.len() + option.len() <= MESSAGE_MAX {
        message.extend_from_slice(option);
    }
}

fn source_link_layer(mac: Mac) -> [u8; 8] {
    let [a, b, c, d, e, f] = mac.0;
    [1, 1, a, b, c, d, e, f]
}

fn mtu(port: &PortView<'_>) -> [u8; 8] {
    let [high, low] = port.mtu.get().to_be_bytes();
    [5, 1, 0, 0, 0, 0, high, low]
}

fn prefix_information(prefix: IpPrefix) -> Vec<u8> {
    let std::net::IpAddr::V6(address) = prefix.address() else {
        return Vec::new();
    };
    let mut option = vec![3, 4, prefix.length(), FLAG_ON_LINK];
    option.extend_from_slice(&PREFIX_VALID_S.to_be_bytes());
    option.extend_from_slice(&PREFIX_PREFERRED_S.to_be_bytes());
    option.extend_from_slice(&[0; 4]);
    option.extend_from_slice(&address.octets());
    option
}

/// Recursive DNS server option (RFC 8106, 5.1), or nothing where the subnet has none.
fn name_servers(subnet: &SubnetView<'_>) -> Vec<u8> {
    /// Name servers announced per subnet; resolvers use no more than three.
    const SERVERS_MAX: usize = 8;
    let servers: Vec<Ipv6Addr> = subnet.dns_v6().take(SERVERS_MAX).collect();
    if servers.is_empty() {
        return Vec::new();
    }
    let mut option = vec![25, 1 + 2 * servers.len() as u8, 0, 0];
    option.extend_from_slice(&u32::from(ROUTER_LIFETIME_S).to_be_bytes());
    for server in servers {
        option.extend_from_slice(&server.octets());
    }
    option
}
