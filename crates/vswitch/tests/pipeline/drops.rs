//! Every reason of the closed list is provoked by a real frame; its counter rises, and the trace says the same.

use std::collections::BTreeSet;

use anet_datapath::verdict::DropReason;
use anet_model::host_plan::Budgets;
use anet_packet::addr::{Mac, Vlan};
use anet_packet::tcp::flag::{ACK, SYN};
use anet_packet::testing::{FrameBuilder, dhcp_request, multicast_mac};

use crate::fabric::*;
use crate::host::{FROM_P, From, Host, outer_builder};

/// Where it comes in, the frame, what it is dropped for, and what the trace must name.
type Case = (From<'static>, Vec<u8>, DropReason, &'static str);

fn check(host: &mut Host, (from, frame, reason, named): Case) -> DropReason {
    let seen = host.send(from, &frame);
    assert_eq!(seen.reason(), Some(reason), "{seen:?}");
    let said = seen.steps().contains(named) || !host.trace_agrees;
    assert!(said, "the trace does not name {named}: {:?}", seen.trace);
    reason
}

/// Only the shell that opens ports and reads them raises these.
const BY_THE_SHELL: [DropReason; 2] = [DropReason::Quarantined, DropReason::ReceiveQueueFull];

#[test]
fn every_reason_is_provoked_by_a_frame() {
    let mut provoked: BTreeSet<DropReason> = BY_THE_SHELL.into();
    let mut host = Host::new();
    let cases = from_the_underlay()
        .into_iter()
        .chain(by_the_guard())
        .chain(by_the_rest());
    for case in cases {
        provoked.insert(check(&mut host, case));
    }
    provoked.extend([
        a_spent_control_budget(),
        a_spent_new_flow_budget(),
        a_full_connection_table(),
        a_spent_connection_budget(),
        an_empty_pool(),
        a_host_without_a_tunnel(),
    ]);
    let missing: Vec<DropReason> = DropReason::ALL
        .into_iter()
        .filter(|r| !provoked.contains(r))
        .collect();
    assert_eq!(missing, [], "no test provokes these");
}

fn from_the_underlay() -> Vec<Case> {
    let inner = ping("p", "a", 1).build();
    let congested = outer_builder(HOST2, BLUE, &inner).traffic_class(3).build();
    let mut without_vni = outer_builder(HOST2, BLUE, &inner).build();
    without_vni[42] = 0;
    vec![
        (
            From::Underlay,
            udp("p", "a", (1, 2)).build(),
            DropReason::NotVxlan,
            "not VXLAN",
        ),
        (From::Underlay, without_vni, DropReason::NotVxlan, "not VXLAN"),
        (
            From::Underlay,
            congested,
            DropReason::CongestionNotCapable,
            "not ECN-capable",
        ),
        (
            From::Tunnel(HOST2, 999),
            inner.clone(),
            DropReason::UnknownVni,
            "VNI",
        ),
        (
            From::Tunnel(STRANGER, BLUE),
            inner.clone(),
            DropReason::UnknownEndpoint,
            "not an endpoint",
        ),
        // host3 is a member of blue, not of green.
        (
            From::Tunnel(HOST3, GREEN),
            inner.clone(),
            DropReason::UnknownEndpoint,
            "not an endpoint",
        ),
        (FROM_P, inner[..20].to_vec(), DropReason::Malformed, ""),
        (
            FROM_P,
            udp("b", "a", (1, 2)).build(),
            DropReason::SourceIsLocal,
            "port of this host",
        ),
        (
            From::Tunnel(HOST3, BLUE),
            udp("p", "a", (1, 2)).build(),
            DropReason::SourceIsElsewhere,
            "behind another endpoint",
        ),
        (
            FROM_P,
            FrameBuilder::arp_request(mac("p"), v4("p"), "10.0.0.99".parse().unwrap()).build(),
            DropReason::UnknownTarget,
            "",
        ),
        (
            FROM_P,
            udp("p", "q", (1, 2)).build(),
            DropReason::UnknownDestination,
            "nobody",
        ),
    ]
}

// A table.
#[allow(clippy::too_many_lines)]
fn by_the_guard() -> Vec<Case> {
    let a = From::Port("a");
    let other = mac("b");
    let neighbor =
        |target| FrameBuilder::neighbor_advertisement(mac("a"), other, v6("a"), v6("b"), target).build();
    let advertisement = FrameBuilder::icmp6(
        mac("a"),
        multicast_mac("ff02::1".parse().unwrap()),
        mac("a").link_local(),
        "ff02::1".parse().unwrap(),
        (134, 0),
        [0; 4],
    );
    let offer = FrameBuilder::udp(mac("a"), other, ipv4("a"), ipv4("b"), (67, 68)).payload(240);
    let vlan = Vlan::new(5).unwrap();
    vec![
        (a, vec![1, 2, 3], DropReason::Malformed, ""),
        (
            From::Port("down"),
            udp("down", "a", (1, 2)).build(),
            DropReason::PortDown,
            "down",
        ),
        (a, udp("a", "down", (1, 2)).build(), DropReason::PortDown, "down"),
        (
            a,
            with_source(Mac([3, 0, 0, 0, 0, 1])),
            DropReason::SourceMacInvalid,
            "",
        ),
        (a, with_source(Mac::ZERO), DropReason::SourceMacInvalid, ""),
        (
            a,
            udp("b", "a", (1, 2)).build(),
            DropReason::SpoofedMac,
            "source MAC",
        ),
        (
            a,
            spoofed(ipv4("b"), ipv4("c")),
            DropReason::SpoofedIpv4,
            "IPv4 source",
        ),
        (
            a,
            spoofed(ipv6("b"), ipv6("c")),
            DropReason::SpoofedIpv6,
            "IPv6 source",
        ),
        (
            a,
            FrameBuilder::arp_request(mac("a"), v4("b"), v4("c")).build(),
            DropReason::SpoofedArp,
            "ARP",
        ),
        (a, neighbor(v6("b")), DropReason::SpoofedNd, "speaks for"),
        (a, offer.build(), DropReason::DhcpServerFromGuest, "DHCP servers"),
        (
            a,
            advertisement.payload(8).build(),
            DropReason::RouterAdvertisementFromGuest,
            "router",
        ),
        (
            a,
            FrameBuilder::raw(mac("a"), other, 0x88cc).payload(50).build(),
            DropReason::EtherTypeForbidden,
            "ARP only",
        ),
        (
            a,
            udp("a", "b", (1, 2)).vlan(vlan).build(),
            DropReason::VlanTagged,
            "tagged",
        ),
        (
            From::Port("u"),
            FrameBuilder::raw(mac("u"), Mac([1, 0x80, 0xc2, 0, 0, 0xe]), 0x88cc)
                .payload(50)
                .build(),
            DropReason::ReservedMulticast,
            "link-local group",
        ),
    ]
}

// A table.
#[allow(clippy::too_many_lines)]
fn by_the_rest() -> Vec<Case> {
    let a = From::Port("a");
    let nobody = "10.0.0.99".parse().unwrap();
    let elsewhere = dhcp_request(mac("b"), 1, v4("b"), nobody);
    let request = FrameBuilder::udp(
        mac("a"),
        Mac::BROADCAST,
        ipv4("a"),
        "255.255.255.255".parse().unwrap(),
        (68, 67),
    );
    let stranger = FrameBuilder::udp(
        mac("a"),
        Mac([2, 0, 0, 0, 0, 99]),
        ipv4("a"),
        nobody.into(),
        (1, 2),
    );
    let all = FrameBuilder::udp(
        mac("l"),
        Mac::BROADCAST,
        ipv4("l"),
        "10.0.0.255".parse().unwrap(),
        (1, 2),
    );
    let mut later = udp("a", "b", (1, 53)).dont_fragment(false).fragments(16);
    let quoted = udp("a", "b", (7, 7)).build();
    let error = FrameBuilder::icmp4(mac("a"), mac("b"), v4("a"), v4("b"), (3, 3), [0; 4])
        .payload_bytes(&quoted[14..]);
    vec![
        (
            a,
            FrameBuilder::arp_request(mac("a"), v4("a"), nobody).build(),
            DropReason::UnknownTarget,
            "",
        ),
        (
            a,
            request.payload_bytes(&elsewhere).build(),
            DropReason::DhcpUnanswered,
            "",
        ),
        (a, stranger.build(), DropReason::UnknownDestination, "nobody"),
        (
            From::Port("u"),
            udp("u", "u", (1, 2)).build(),
            DropReason::Hairpin,
            "came from",
        ),
        (
            From::Port("c"),
            udp("c", "b", (1, 53)).build(),
            DropReason::FirewallEgress,
            "no rule of port c",
        ),
        (
            a,
            udp("a", "b", (1, 54)).build(),
            DropReason::FirewallIngress,
            "no rule of port b",
        ),
        (
            a,
            later.swap_remove(1),
            DropReason::FragmentWithoutFirst,
            "first one is not known",
        ),
        (
            a,
            tcp("a", "b", (1, 80), ACK).build(),
            DropReason::NotAConnection,
            "no known connection",
        ),
        (
            a,
            tcp("a", "b", (1, 80), SYN | ACK).build(),
            DropReason::NotAConnection,
            "no known connection",
        ),
        (
            a,
            pong("a", "b", 5).build(),
            DropReason::NotAConnection,
            "no known connection",
        ),
        (
            a,
            error.build(),
            DropReason::UnrelatedError,
            "no known connection",
        ),
        (
            a,
            udp("a", "b", (1, 53)).payload(1423).build(),
            DropReason::TooBig,
            "MTU",
        ),
        (From::Port("l"), all.build(), DropReason::NoMembers, ""),
    ]
}

fn with_source(source: Mac) -> Vec<u8> {
    FrameBuilder::udp(source, mac("b"), ipv4("a"), ipv4("b"), (1, 53)).build()
}

fn spoofed(source: std::net::IpAddr, destination: std::net::IpAddr) -> Vec<u8> {
    FrameBuilder::udp(mac("a"), mac("b"), source, destination, (1, 53)).build()
}

/// A host whose port a has these budgets. A trace spends none, and so cannot know.
fn host_with(budgets: Budgets, connections: u32) -> Host {
    let mut plan = plan();
    plan.ports.get_mut(&id("a")).unwrap().budgets = budgets;
    let mut host = Host::with(plan, connections);
    host.trace_agrees = false;
    host
}

fn a_spent_control_budget() -> DropReason {
    let budgets = Budgets {
        control_pps: 1,
        ..Budgets::default()
    };
    let mut host = host_with(budgets, 64);
    let ask = |station: &str| FrameBuilder::arp_request(mac(station), v4(station), v4("c")).build();
    for _ in 0..32 {
        assert_eq!(host.send(From::Port("a"), &ask("a")).replies, 1);
    }
    let reason = check(
        &mut host,
        (From::Port("a"), ask("a"), DropReason::ControlBudget, ""),
    );
    assert_eq!(
        host.send(From::Port("b"), &ask("b")).replies,
        1,
        "others have their own budget"
    );
    let flow = host.send(From::Port("a"), &udp("a", "b", (1, 53)).build());
    assert!(flow.reached("b"), "what is no control traffic goes on");
    reason
}

fn a_spent_new_flow_budget() -> DropReason {
    let budgets = Budgets {
        new_flows_pps: 1,
        ..Budgets::default()
    };
    let mut host = host_with(budgets, 64);
    for port in 0..32 {
        assert!(
            host.send(From::Port("a"), &udp("a", "b", (port, 53)).build())
                .reached("b")
        );
    }
    let reason = check(
        &mut host,
        (
            From::Port("a"),
            udp("a", "b", (99, 53)).build(),
            DropReason::NewFlowBudget,
            "",
        ),
    );
    assert!(
        host.send(From::Port("a"), &udp("a", "b", (3, 53)).build())
            .reached("b"),
        "a known flow costs none"
    );
    reason
}

fn a_full_connection_table() -> DropReason {
    let mut host = host_with(Budgets::default(), 4);
    let full = fill(&mut host);
    check(
        &mut host,
        (From::Port("a"), full, DropReason::ConnectionTableFull, ""),
    )
}

fn a_spent_connection_budget() -> DropReason {
    let budgets = Budgets {
        connections: 2,
        ..Budgets::default()
    };
    let mut host = host_with(budgets, 1024);
    let full = fill(&mut host);
    let reason = check(
        &mut host,
        (From::Port("a"), full, DropReason::ConnectionBudget, ""),
    );
    assert!(
        host.send(From::Port("b"), &ping("b", "a", 9).build())
            .reached("a"),
        "others have their own budget"
    );
    reason
}

/// Establishes connections from a to b, which nothing may end, until one more is refused: that one's SYN.
fn fill(host: &mut Host) -> Vec<u8> {
    for port in 1..=1024 {
        let syn = tcp("a", "b", (port, 80), SYN).build();
        if !host.send(From::Port("a"), &syn).reached("b") {
            return syn;
        }
        assert!(
            host.send(From::Port("b"), &tcp("b", "a", (80, port), SYN | ACK).build())
                .reached("a")
        );
        assert!(
            host.send(From::Port("a"), &tcp("a", "b", (port, 80), ACK).build())
                .reached("b")
        );
    }
    panic!("never full")
}

fn an_empty_pool() -> DropReason {
    let mut host = host_with(Budgets::default(), 64);
    let mut held: Vec<_> = std::iter::from_fn(|| host.pool.take()).collect();
    // One for the question itself; none is left for the answer.
    drop(held.pop());
    let question = FrameBuilder::arp_request(mac("a"), v4("a"), v4("b")).build();
    check(&mut host, (From::Port("a"), question, DropReason::NoBuffer, ""))
}

fn a_host_without_a_tunnel() -> DropReason {
    let mut host = Host::new();
    host.change(|plan| {
        plan.tunnel = None;
        plan.peers.clear();
        plan.endpoints.clear();
        plan.networks
            .values_mut()
            .for_each(|network| network.endpoints.clear());
    });
    check(
        &mut host,
        (FROM_P, ping("p", "a", 1).build(), DropReason::NoTunnel, ""),
    )
}
