//! Router advertisements (RFC 4861, 4.2; RFC 8106) for subnets with DHCPv6.
//!
//! DHCPv6 gives an address without a prefix: it is the advertisement that says which prefix is on the link, which MTU
//! the network has, and who is the default router. Addresses are not autoconfigured from it (A is clear).

use std::net::Ipv6Addr;

use anet_packet::addr::Mac;
use anet_packet::ethernet::{self, ethertype};
use anet_packet::ndp::{AdvertisedPrefix, RouterAdvertisement};
use anet_packet::{icmpv6, ipv6, protocol};

use super::neighbor::ALL_NODES;
use super::{Outcome, PortView, Refusal, Reply, Silence, SubnetView, frame};

/// Seconds between unsolicited advertisements to a port, at most (RFC 4861's default MaxRtrAdvInterval).
pub const INTERVAL_S: u64 = 600;

/// Seconds that a default router and a name server are good for: three intervals.
const LIFETIME_S: u16 = 1_800;
/// Seconds that a prefix counts as on-link (RFC 4861, 6.2.1).
const PREFIX_VALID_S: u32 = 2_592_000;
const PREFIX_PREFERRED_S: u32 = 604_800;
/// The hop limit that hosts are told to use.
const CURRENT_HOP_LIMIT: u8 = 64;
/// What no router leaves untouched (RFC 4861, 3.1).
const HOP_LIMIT: u8 = 255;
/// Bytes of the longest message behind the ICMPv6 header: what every IPv6 link carries (RFC 8200, 5), less headers.
const BODY_MAX: usize = 1_280 - ipv6::HEADER_LEN - icmpv6::HEADER_LEN;
/// Prefixes announced; they leave room for name servers.
const PREFIXES_MAX: usize = 16;
/// Name servers announced per subnet; resolvers use no more than three.
const NAME_SERVERS_MAX: usize = 8;
/// Option type of name servers (RFC 8106, 5.1).
const OPTION_NAME_SERVERS: u8 = 25;

/// Writes the advertisement that is sent to a port without being asked: when it comes up, when its subnets change, and
/// every [`INTERVAL_S`].
pub fn unsolicited(port: &PortView<'_>, out: &mut Vec<u8>) -> Outcome {
    solicited(port, ALL_NODES, frame::multicast_mac(ALL_NODES), out).unwrap_or_else(Outcome::Refused)
}

/// Writes the advertisement for one address.
pub(super) fn solicited(
    port: &PortView<'_>,
    destination: Ipv6Addr,
    destination_mac: Mac,
    out: &mut Vec<u8>,
) -> Result<Outcome, Refusal> {
    out.clear();
    if port.dhcp_v6_subnets().next().is_none() {
        return Ok(Outcome::Silent(Silence::NothingToAdvertise));
    }
    let (word, body) = message(port);
    let source = port.service_mac.link_local();
    let header = icmpv6::Header {
        kind: icmpv6::kind::ROUTER_ADVERTISEMENT,
        code: 0,
        rest: word,
    };
    let packet = ipv6::Header {
        traffic_class: 0,
        flow_label: 0,
        payload_length: (icmpv6::HEADER_LEN + body.len()) as u16,
        next_header: protocol::ICMPV6,
        hop_limit: HOP_LIMIT,
        source,
        destination,
    };
    let frame = ethernet::Header {
        destination: destination_mac,
        source: port.service_mac,
        ethertype: ethertype::IPV6,
    };
    out.extend_from_slice(&frame.to_bytes());
    out.extend_from_slice(&packet.to_bytes());
    out.extend_from_slice(&header.to_bytes(source, destination, &body));
    out.extend_from_slice(&body);
    Ok(Outcome::Reply(Reply::RouterAdvertisement))
}

/// True where the advertisement offers a default router.
pub(super) fn is_default_router(port: &PortView<'_>) -> bool {
    port.dhcp_v6_subnets().any(|subnet| subnet.gateway.is_some())
}

/// The word behind the checksum, and what follows it.
fn message(port: &PortView<'_>) -> ([u8; 4], Vec<u8>) {
    let prefixes: Vec<AdvertisedPrefix> = port
        .dhcp_v6_subnets()
        .take(PREFIXES_MAX)
        .map(advertised)
        .collect();
    let advertisement = RouterAdvertisement {
        hop_limit: CURRENT_HOP_LIMIT,
        is_managed: true,
        is_other: true,
        lifetime_seconds: if is_default_router(port) { LIFETIME_S } else { 0 },
        mac: port.service_mac,
        mtu: port.mtu.get(),
        prefixes: &prefixes,
    };
    let mut body = advertisement.fixed_body().to_vec();
    body.extend(advertisement.prefix_options().flatten());
    for option in port.dhcp_v6_subnets().filter_map(name_servers) {
        if body.len() + option.len() <= BODY_MAX {
            body.extend(option);
        }
    }
    (advertisement.word(), body)
}

fn advertised(subnet: &SubnetView<'_>) -> AdvertisedPrefix {
    AdvertisedPrefix {
        prefix: subnet.prefix,
        is_on_link: true,
        is_autonomous: false,
        valid_seconds: PREFIX_VALID_S,
        preferred_seconds: PREFIX_PREFERRED_S,
    }
}

/// The option that names a subnet's name servers, where it has any.
fn name_servers(subnet: &SubnetView<'_>) -> Option<Vec<u8>> {
    let servers: Vec<Ipv6Addr> = subnet.dns_v6().take(NAME_SERVERS_MAX).collect();
    if servers.is_empty() {
        return None;
    }
    let mut option = vec![OPTION_NAME_SERVERS, 1 + 2 * servers.len() as u8, 0, 0];
    option.extend_from_slice(&u32::from(LIFETIME_S).to_be_bytes());
    option.extend(servers.iter().flat_map(|server| server.octets()));
    Some(option)
}
