//! `respond`: what the host answers in the network's name: ARP, ND, DHCP, router solicitations.

use std::net::IpAddr;

use anet_packet::parse::{Fragment, Kind};

use super::walk::{Destination, Outcome, Verdict, Walk};
use crate::respond::classify::Service;
use crate::respond::{self, PortView, Request, SERVICE_MAC, SubnetView};
use crate::tables::{Network, Port, Station};
use crate::verdict::DropReason;

/// The stage. Only frames of the control kind stay here; the others pass untouched.
pub(super) fn stage(walk: &mut Walk<'_, '_>) -> Verdict {
    let Some(network) = walk.network else {
        return DropReason::PortDown.into();
    };
    match walk.source_port {
        Some(port) => from_port(walk, network, port),
        None => from_tunnel(walk, network),
    }
}

/// What the responders are told of a port.
pub(crate) fn with_view<R>(network: &Network, port: &Port, use_it: impl FnOnce(&PortView<'_>) -> R) -> R {
    let subnets: Vec<SubnetView<'_>> = network.facts.subnets.iter().map(|(_, s)| s.into()).collect();
    use_it(&PortView {
        mac: port.mac,
        addresses: &port.addresses,
        allowed_address_pairs: &port.pairs,
        hostname: port.hostname.as_deref(),
        mtu: network.facts.mtu,
        subnets: &subnets,
        service_mac: SERVICE_MAC,
    })
}

fn from_port(walk: &mut Walk<'_, '_>, network: &Network, port: &Port) -> Verdict {
    if is_listener_report(walk) {
        walk.record(|_| "multicast listener messages end at the host".to_string());
        return Verdict::Done(Outcome::Consumed);
    }
    // Most new flows are nobody's business here, and shall not pay for the view.
    let Some(service) = respond::classify::service(&walk.layout) else {
        return Verdict::Next;
    };
    let mut reply = std::mem::take(&mut walk.state.reply);
    let request = Request {
        bytes: walk.frame.head(),
        layout: &walk.layout,
        checksum: walk.frame.meta.checksum,
    };
    let resolve = |address| network.resolve(address);
    let outcome = with_view(network, port, |view| {
        respond::answer(request, view, resolve, &mut reply)
    });
    walk.state.reply = reply;
    // What is asked is in the message, not in the flow's key: a verdict about one request is none about the next.
    walk.cacheable &= service == Service::Echo && outcome == respond::Outcome::NotForUs;
    conclude(walk, outcome)
}

fn conclude(walk: &mut Walk<'_, '_>, outcome: respond::Outcome) -> Verdict {
    if outcome != respond::Outcome::NotForUs {
        walk.record(|_| format!("{outcome:?}"));
    }
    match outcome {
        respond::Outcome::NotForUs => {
            // What is left of ARP and ND is unicast between stations: it passes without the firewall.
            walk.control = walk.layout.kind == Kind::Arp || is_neighbor_discovery(walk);
            Verdict::Next
        }
        respond::Outcome::Reply(_) => Verdict::Done(Outcome::Reply),
        respond::Outcome::Silent(_) => Verdict::Done(Outcome::Consumed),
        respond::Outcome::Announcement(_) => {
            walk.control = true;
            Verdict::Next
        }
        respond::Outcome::Unknown(_) => DropReason::UnknownTarget.into(),
        respond::Outcome::Refused(_) if is_dhcp(walk) => DropReason::DhcpUnanswered.into(),
        respond::Outcome::Refused(_) => DropReason::Malformed.into(),
    }
}

/// A foreign station asks for one of ours: the question goes to the one port it is about, not to all.
fn from_tunnel(walk: &mut Walk<'_, '_>, network: &Network) -> Verdict {
    if is_dhcp(walk) {
        return DropReason::DhcpUnanswered.into();
    }
    let discovery = is_neighbor_discovery(walk);
    walk.control = walk.layout.kind == Kind::Arp || discovery;
    let target = match walk.layout.kind {
        Kind::Arp => arp_target(walk),
        _ if discovery => solicited(walk),
        _ => None,
    };
    let Some(target) = target else {
        return Verdict::Next;
    };
    match network.resolve(target).and_then(|mac| network.station(mac)) {
        Some(Station::Local(port)) => {
            walk.destination = Some(Destination::Port(port));
            walk.record(|_| format!("a question about {target}, which is here"));
            Verdict::Next
        }
        _ => DropReason::UnknownTarget.into(),
    }
}

/// The address that an ARP request asks for.
fn arp_target(walk: &Walk<'_, '_>) -> Option<IpAddr> {
    let body = walk.frame.head().get(14..42)?;
    let is_request = body[6..8] == [0, 1];
    let target: [u8; 4] = body[24..28].try_into().ok()?;
    is_request.then(|| IpAddr::from(target))
}

/// The address that a neighbor solicitation asks for.
fn solicited(walk: &Walk<'_, '_>) -> Option<IpAddr> {
    let message = walk.frame.head().get(usize::from(walk.layout.l4)..)?;
    let target: [u8; 16] = message.get(8..24)?.try_into().ok()?;
    (message.first() == Some(&135)).then(|| IpAddr::from(target))
}

fn icmpv6(walk: &Walk<'_, '_>) -> Option<u8> {
    let layout = &walk.layout;
    let whole = layout.kind == Kind::Ipv6 && layout.protocol == 58 && layout.fragment != Fragment::Later;
    whole.then(|| walk.frame.head().get(usize::from(layout.l4)).copied())?
}

/// Neighbor solicitation and advertisement (RFC 4861).
fn is_neighbor_discovery(walk: &Walk<'_, '_>) -> bool {
    matches!(icmpv6(walk), Some(135 | 136))
}

/// Multicast listener discovery (RFC 2710, RFC 3810).
fn is_listener_report(walk: &Walk<'_, '_>) -> bool {
    matches!(icmpv6(walk), Some(130..=132 | 143))
}

fn is_dhcp(walk: &Walk<'_, '_>) -> bool {
    let layout = &walk.layout;
    layout.protocol == 17 && layout.fragment != Fragment::Later && matches!(layout.ports.1, 67 | 547)
}
