//! What the host answers in the network's name, through the whole pipeline.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anet_packet::addr::Mac;
use anet_packet::testing::{FrameBuilder, dhcp_discover, dhcp_request, multicast_mac};

use crate::fabric::*;
use crate::host::{FROM_P, From, Host};

const A: From<'static> = From::Port("a");
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);

#[test]
fn arp_for_the_known_is_answered_with_their_mac() {
    let mut host = Host::new();
    for target in ["b", "c", "u", "p", "q"] {
        let seen = host.send(
            A,
            &FrameBuilder::arp_request(mac("a"), v4("a"), v4(target)).build(),
        );
        let answer = seen.answer();
        assert_eq!(answer[..6], mac("a").0, "to the asker");
        assert_eq!(
            (&answer[20..22], &answer[22..28]),
            (&[0, 2][..], &mac(target).0[..])
        );
        assert_eq!(answer[28..32], v4(target).octets());
    }
}

#[test]
fn a_guest_that_asks_for_its_own_address_gets_no_answer_and_no_fault() {
    let mut host = Host::new();
    let probe = FrameBuilder::arp_request(mac("a"), Ipv4Addr::UNSPECIFIED, v4("a")).build();
    let detection = FrameBuilder::neighbor_solicitation(mac("a"), Ipv6Addr::UNSPECIFIED, v6("a")).build();
    for frame in [probe, detection] {
        let seen = host.send(A, &frame);
        assert_eq!(
            (seen.sent.len(), seen.dropped.len(), seen.consumed),
            (0, 0, 1),
            "{seen:?}"
        );
    }
}

#[test]
fn the_same_address_in_two_networks_is_two_stations() {
    let mut host = Host::new();
    let mut plan_mac = mac("gb");
    plan_mac.0[1] = 7;
    host.change(|plan| plan.ports.get_mut(&id("gb")).unwrap().mac = plan_mac);
    let blue = host.send(A, &FrameBuilder::arp_request(mac("a"), v4("a"), v4("b")).build());
    let green = host.send(
        From::Port("ga"),
        &FrameBuilder::arp_request(mac("ga"), v4("ga"), v4("gb")).build(),
    );
    assert_eq!(
        (&blue.answer()[22..28], &green.answer()[22..28]),
        (&mac("b").0[..], &plan_mac.0[..])
    );
}

#[test]
fn neighbor_discovery_is_answered_for_the_known() {
    let mut host = Host::new();
    for target in ["b", "p"] {
        let seen = host.send(
            A,
            &FrameBuilder::neighbor_solicitation(mac("a"), v6("a"), v6(target)).build(),
        );
        let answer = seen.answer();
        assert_eq!((answer[54], &answer[62..78]), (136, &v6(target).octets()[..]));
        assert_eq!(answer[80..86], mac(target).0, "the target's link-layer address");
    }
    let unknown = FrameBuilder::neighbor_solicitation(mac("a"), v6("a"), "fd00::77".parse().unwrap()).build();
    assert_eq!(host.send(A, &unknown).sent.len(), 0);
}

#[test]
fn a_guest_gets_its_address_by_dhcpv4() {
    let mut host = Host::new();
    let message = |payload: &[u8]| {
        let (nobody, all) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::BROADCAST));
        FrameBuilder::udp(mac("c"), Mac::BROADCAST, nobody, all, (68, 67))
            .payload_bytes(payload)
            .build()
    };
    // c has no group: addresses come all the same.
    let offer = host.send(From::Port("c"), &message(&dhcp_discover(mac("c"), 7)));
    let kind = |frame: &[u8]| {
        let options = &frame[42 + 240..];
        let at = options.windows(2).position(|w| w == [53, 1]).unwrap();
        (
            options[at + 2],
            Ipv4Addr::from(<[u8; 4]>::try_from(&frame[42 + 16..42 + 20]).unwrap()),
        )
    };
    assert_eq!(kind(offer.answer()), (2, v4("c")));
    let acknowledged = host.send(
        From::Port("c"),
        &message(&dhcp_request(mac("c"), 7, v4("c"), SERVER)),
    );
    assert_eq!(kind(acknowledged.answer()), (5, v4("c")));
    let refused = host.send(
        From::Port("c"),
        &message(&dhcp_request(mac("c"), 8, v4("b"), SERVER)),
    );
    assert_eq!(kind(refused.answer()).0, 6, "somebody else's address");
}

#[test]
fn a_guest_gets_its_address_by_dhcpv6_and_its_route_by_router_advertisement() {
    let mut host = Host::new();
    let link_local = mac("c").link_local();
    let advertisement = host.send(
        From::Port("c"),
        &FrameBuilder::router_solicitation(mac("c"), link_local).build(),
    );
    assert_eq!(advertisement.answer()[54], 134);
    let servers: Ipv6Addr = "ff02::1:2".parse().unwrap();
    // Solicit: client id (DUID-LL), elapsed time, IA_NA.
    let mut solicit = vec![1, 0, 0, 7, 0, 1, 0, 10, 0, 3, 0, 1];
    solicit.extend(mac("c").0);
    solicit.extend([0, 8, 0, 2, 0, 0, 0, 3, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let message = |payload: &[u8]| {
        FrameBuilder::udp(
            mac("c"),
            multicast_mac(servers),
            link_local.into(),
            servers.into(),
            (546, 547),
        )
        .payload_bytes(payload)
        .build()
    };
    let seen = host.send(From::Port("c"), &message(&solicit));
    let answer = seen.answer();
    assert_eq!(answer[62], 2, "advertise");
    let offers = answer.windows(16).any(|bytes| bytes == v6("c").octets());
    assert!(offers, "its address is in the advertisement");
}

#[test]
fn multicast_listener_reports_end_at_the_host() {
    let mut host = Host::new();
    let routers: Ipv6Addr = "ff02::16".parse().unwrap();
    let report = FrameBuilder::icmp6(
        mac("a"),
        multicast_mac(routers),
        mac("a").link_local(),
        routers,
        (143, 0),
        [0; 4],
    )
    .payload(20)
    .build();
    let seen = host.send(A, &report);
    assert_eq!((seen.consumed, seen.sent.len(), seen.dropped.len()), (1, 0, 0));
}

#[test]
fn a_question_through_the_tunnel_goes_to_the_one_port_it_is_about() {
    let mut host = Host::new();
    // c has no rule that lets anything in: ARP and neighbor discovery are no matter of rules.
    let seen = host.send(
        FROM_P,
        &FrameBuilder::arp_request(mac("p"), v4("p"), v4("c")).build(),
    );
    assert!(seen.reached("c"), "{seen:?}");
    let seen = host.send(
        FROM_P,
        &FrameBuilder::neighbor_solicitation(mac("p"), v6("p"), v6("c")).build(),
    );
    assert!(seen.reached("c"), "{seen:?}");
    let about_a_remote = FrameBuilder::arp_request(mac("p"), v4("p"), v4("q")).build();
    assert_eq!(host.send(FROM_P, &about_a_remote).sent.len(), 0);
}
