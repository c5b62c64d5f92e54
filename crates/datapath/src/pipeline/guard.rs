//! `guard`: a guest speaks for itself only, and does not play the network's part.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anet_packet::Tuple;
use anet_packet::addr::Mac;
use anet_packet::parse::{Fragment, Kind};

use super::walk::{Effects, Verdict, Walk};
use crate::interface::InterfaceKind;
use crate::respond::SERVICE_MAC;
use crate::respond::classify::{self, Service};
use crate::tables::{Port, Station};
use crate::verdict::DropReason;

const ICMPV6: u8 = 58;
/// ICMPv6 types (RFC 4861, RFC 2710, RFC 3810).
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

/// The stage.
pub(super) fn stage(walk: &mut Walk<'_, '_>) -> Verdict {
    let result = match walk.source.kind() {
        InterfaceKind::Port(index) => from_port(walk, index),
        InterfaceKind::Membership(index) => from_tunnel(walk, index),
        InterfaceKind::Uplink => Err(DropReason::NotVxlan),
    };
    match result {
        Ok(()) => {
            walk.tuple = Tuple::of(walk.frame.head(), &walk.layout);
            walk.cacheable = walk.is_ip() && walk.layout.fragment == Fragment::None && !is_group(walk);
            walk.record(|w| match w.source_port {
                Some(port) => format!("port {} sends as itself", port.id),
                None => "from the overlay".to_string(),
            });
            Verdict::Next
        }
        Err(reason) => {
            walk.record(|_| reason.explanation().to_string());
            reason.into()
        }
    }
}

fn from_port(walk: &mut Walk<'_, '_>, index: u32) -> Result<(), DropReason> {
    let tables = walk.environment.tables;
    let port = tables
        .port(index)
        .filter(|p| p.admin_up)
        .ok_or(DropReason::PortDown)?;
    walk.source_port = Some(port);
    walk.network = Some(tables.network(port.network).ok_or(DropReason::PortDown)?);
    walk.source_witness = walk.witness(port.slot_of_port());
    let source = is_forwarded_at_all(walk)?;
    if port.firewall.is_some() {
        speaks_for_itself(walk, port, source)?;
    }
    spend_control_budget(walk, index, port)
}

fn from_tunnel(walk: &mut Walk<'_, '_>, index: u32) -> Result<(), DropReason> {
    let tables = walk.environment.tables;
    let membership = tables.membership(index).ok_or(DropReason::UnknownEndpoint)?;
    let network = tables.network(membership.network).ok_or(DropReason::UnknownVni)?;
    walk.network = Some(network);
    let source = is_forwarded_at_all(walk)?;
    let slot = match network.station(source) {
        Some(Station::Local(_)) => return Err(DropReason::SourceIsLocal),
        // Known stations speak from where they are. A station that has moved is heard once the plan says so.
        Some(Station::Remote(index)) => tables
            .adjacency(index)
            .filter(|adjacency| adjacency.endpoint == membership.endpoint)
            .map(|adjacency| adjacency.source_witness)
            .ok_or(DropReason::SourceIsElsewhere)?,
        None => network.facts.strangers,
    };
    walk.source_witness = walk.witness(slot);
    Ok(())
}

/// What no port and no tunnel may send: the source MAC of frames that may go on. A tag in front of an IP packet would hide it from
/// the rules, and a guest takes a priority tag (VLAN 0) for none.
fn is_forwarded_at_all(walk: &Walk<'_, '_>) -> Result<Mac, DropReason> {
    let (destination, source) = macs(walk);
    if !source.is_station() {
        return Err(DropReason::SourceMacInvalid);
    }
    if destination.to_u64() & !0xf == 0x0180_c200_0000 {
        return Err(DropReason::ReservedMulticast);
    }
    if matches!(walk.layout.ethertype, 0x8100 | 0x88a8) {
        return Err(DropReason::VlanTagged);
    }
    Ok(source)
}

/// Anti-spoofing, and no DHCP server or router.
fn speaks_for_itself(walk: &Walk<'_, '_>, port: &Port, source: Mac) -> Result<(), DropReason> {
    if !port.owns_mac(source) {
        return Err(DropReason::SpoofedMac);
    }
    let head = walk.frame.head();
    match walk.layout.kind {
        Kind::Arp => arp_is_own(head, port, source),
        Kind::Ipv4 => ipv4_is_own(walk, port, source),
        Kind::Ipv6 => ipv6_is_own(walk, port, source),
        Kind::Other => Err(DropReason::EtherTypeForbidden),
    }
}

fn arp_is_own(head: &[u8], port: &Port, source: Mac) -> Result<(), DropReason> {
    let body = head.get(14..42).ok_or(DropReason::Malformed)?;
    let sender_mac: [u8; 6] = body[8..14].try_into().map_err(|_| DropReason::Malformed)?;
    let sender: [u8; 4] = body[14..18].try_into().map_err(|_| DropReason::Malformed)?;
    let sender = Ipv4Addr::from(sender);
    let own = Mac(sender_mac) == source && (sender.is_unspecified() || port.owns(source, sender.into()));
    if own { Ok(()) } else { Err(DropReason::SpoofedArp) }
}

fn ipv4_is_own(walk: &Walk<'_, '_>, port: &Port, mac: Mac) -> Result<(), DropReason> {
    let (source, _) = addresses(walk).ok_or(DropReason::Malformed)?;
    if classify::is_dhcp_server_message(&walk.layout) {
        return Err(DropReason::DhcpServerFromGuest);
    }
    let unspecified = source == IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let asks_for_address = unspecified && classify::is_dhcp_client_v4(&walk.layout);
    if asks_for_address || port.owns(mac, source) {
        Ok(())
    } else {
        Err(DropReason::SpoofedIpv4)
    }
}

fn ipv6_is_own(walk: &Walk<'_, '_>, port: &Port, mac: Mac) -> Result<(), DropReason> {
    let (source, destination) = addresses(walk).ok_or(DropReason::Malformed)?;
    if classify::is_dhcp_server_message(&walk.layout) {
        return Err(DropReason::DhcpServerFromGuest);
    }
    let owned = |address: IpAddr| address == IpAddr::V6(mac.link_local()) || port.owns(mac, address);
    let kind = icmpv6_type(walk);
    match kind {
        Some(ROUTER_ADVERTISEMENT | REDIRECT) => return Err(DropReason::RouterAdvertisementFromGuest),
        Some(NEIGHBOR_ADVERTISEMENT) if !owned(nd_target(walk)?) => return Err(DropReason::SpoofedNd),
        Some(NEIGHBOR_SOLICITATION | NEIGHBOR_ADVERTISEMENT) => link_layer_option_is_own(walk, mac)?,
        _ => {}
    }
    // Duplicate address detection, multicast listener reports and router solicitations come from `::`.
    let unspecified = source == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        && kind.is_some()
        && matches!(destination, IpAddr::V6(group) if group.is_multicast());
    if unspecified || owned(source) {
        Ok(())
    } else {
        Err(DropReason::SpoofedIpv6)
    }
}

fn nd_target(walk: &Walk<'_, '_>) -> Result<IpAddr, DropReason> {
    let at = usize::from(walk.layout.l4) + 8;
    let target: [u8; 16] = walk
        .frame
        .head()
        .get(at..at + 16)
        .and_then(|b| b.try_into().ok())
        .ok_or(DropReason::Malformed)?;
    Ok(IpAddr::from(target))
}

/// The source or target link-layer address option, where there is one, names the sender's own MAC.
fn link_layer_option_is_own(walk: &Walk<'_, '_>, mac: Mac) -> Result<(), DropReason> {
    let end = walk.layout.length as usize;
    let head = walk.frame.head();
    if end > head.len() {
        // An option behind the head would not be seen.
        return Err(DropReason::Malformed);
    }
    let mut rest = head
        .get(usize::from(walk.layout.l4) + 24..end)
        .unwrap_or_default();
    while let [kind, length, ..] = *rest {
        let bytes = usize::from(length) * 8;
        let option = rest
            .get(..bytes)
            .filter(|_| bytes > 0)
            .ok_or(DropReason::Malformed)?;
        if matches!(kind, 1 | 2) && option.get(2..8) != Some(&mac.0[..]) {
            return Err(DropReason::SpoofedNd);
        }
        rest = &rest[bytes..];
    }
    Ok(())
}

/// ARP, ND, DHCP, echo to the service, broadcast and multicast have a budget of their own: they never are a cached flow.
fn spend_control_budget(walk: &mut Walk<'_, '_>, index: u32, port: &Port) -> Result<(), DropReason> {
    let served = match classify::service(&walk.layout) {
        Some(Service::Echo) => macs(walk).0 == SERVICE_MAC,
        service => service.is_some(),
    };
    let control = served || is_group(walk) || icmpv6_type(walk).is_some();
    if !control || walk.effects == Effects::None {
        return Ok(());
    }
    let now = walk.environment.now;
    let granted = walk
        .state
        .meters(index)
        .control
        .take(port.budgets.control_pps, now);
    if granted {
        Ok(())
    } else {
        Err(DropReason::ControlBudget)
    }
}

/// The type of an ICMPv6 message other than echo and errors.
fn icmpv6_type(walk: &Walk<'_, '_>) -> Option<u8> {
    let layout = &walk.layout;
    if layout.kind != Kind::Ipv6 || layout.protocol != ICMPV6 || layout.fragment == Fragment::Later {
        return None;
    }
    walk.frame
        .head()
        .get(usize::from(layout.l4))
        .copied()
        .filter(|kind| (130..=143).contains(kind))
}

pub(super) fn addresses(walk: &Walk<'_, '_>) -> Option<(IpAddr, IpAddr)> {
    let tuple = Tuple::of(walk.frame.head(), &walk.layout)?;
    Some((tuple.source_address(), tuple.destination_address()))
}

fn is_group(walk: &Walk<'_, '_>) -> bool {
    macs(walk).0.is_multicast()
}

/// Destination and source MAC; the layout has seen to it that they are there.
pub(super) fn macs(walk: &Walk<'_, '_>) -> (Mac, Mac) {
    match walk.frame.head().first_chunk::<12>() {
        Some(&[a, b, c, d, e, f, g, h, i, j, k, l]) => (Mac([a, b, c, d, e, f]), Mac([g, h, i, j, k, l])),
        None => (Mac::ZERO, Mac::ZERO),
    }
}
