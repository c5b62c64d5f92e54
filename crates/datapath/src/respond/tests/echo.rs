//! Echo to the service's addresses, and the classifiers.

use std::net::Ipv6Addr;

use anet_packet::build::{self, Stations};
use anet_packet::icmp;

use super::neighbor::icmpv6_frame;
use super::*;
use crate::respond::{Reply, classify};

pub(super) fn echo_v4(destination: Ipv4Addr, destination_mac: Mac) -> Vec<u8> {
    let mut bytes = [0; 128];
    let header = icmp::Header {
        kind: 8,
        code: 0,
        rest: [1, 2, 3, 4],
    };
    let stations = Stations {
        destination: destination_mac,
        source: GUEST,
    };
    let length = build::icmp(&mut bytes, stations, GUEST_V4, destination, &header, b"ping!").unwrap();
    bytes[..length].to_vec()
}

pub(super) fn echo_v6(destination: Ipv6Addr) -> Vec<u8> {
    icmpv6_frame(GUEST_V6, destination, 64, b"\x80\0\0\0\x01\x02\x03\x04ping!")
}

#[test]
fn the_service_answers_for_itself() {
    let (outcome, out) = Fixture::default().answer(&echo_v4(GATEWAY_V4, SERVICE_MAC));
    assert_eq!(outcome, Outcome::Reply(Reply::Echo));
    let reply = read(&out);
    assert_eq!(
        (reply.source, reply.destination),
        (GATEWAY_V4.into(), GUEST_V4.into())
    );
    assert_eq!((reply.source_mac, reply.destination_mac), (SERVICE_MAC, GUEST));
    assert_eq!(
        (reply.message[0], &reply.message[4..]),
        (0, &b"\x01\x02\x03\x04ping!"[..])
    );
    for target in [GATEWAY_V6, SERVICE_MAC.link_local()] {
        let (outcome, out) = Fixture::default().answer(&echo_v6(target));
        assert_eq!(outcome, Outcome::Reply(Reply::Echo));
        let reply = read(&out);
        assert_eq!(
            (reply.source, reply.destination),
            (target.into(), GUEST_V6.into())
        );
        assert_eq!(
            (reply.message[0], &reply.message[4..]),
            (129, &b"\x01\x02\x03\x04ping!"[..])
        );
    }
}

#[test]
fn it_answers_for_nobody_else() {
    let fixture = Fixture::default();
    assert_eq!(fixture.answer(&echo_v4(OTHER_V4, OTHER)).0, Outcome::NotForUs);
    assert_eq!(
        fixture.answer(&echo_v4(OTHER_V4, SERVICE_MAC)).0,
        Outcome::NotForUs
    );
    assert_eq!(fixture.answer(&echo_v4(GATEWAY_V4, OTHER)).0, Outcome::NotForUs);
    let routed = Fixture {
        gateway_station: Some(OTHER),
        ..Fixture::default()
    };
    assert_eq!(
        routed.answer(&echo_v4(GATEWAY_V4, SERVICE_MAC)).0,
        Outcome::NotForUs
    );
}

#[test]
fn servers_and_routers_are_told_apart_from_clients() {
    let classes = |frame: &[u8]| {
        let layout = anet_packet::layout(frame, frame.len()).unwrap();
        (
            classify::is_dhcp_client_v4(&layout),
            classify::is_dhcp_server_message(&layout),
            classify::is_router_advertisement(&layout),
        )
    };
    let datagram = |source: u16, destination: u16| {
        let mut bytes = [0; 128];
        let stations = Stations {
            destination: Mac::BROADCAST,
            source: GUEST,
        };
        let (from, to) = ((GUEST_V4, source).into(), (OTHER_V4, destination).into());
        let length = build::udp(&mut bytes, stations, from, to, b"x").unwrap();
        bytes[..length].to_vec()
    };
    assert_eq!(classes(&datagram(68, 67)), (true, false, false));
    assert_eq!(classes(&datagram(67, 68)), (false, true, false));
    assert_eq!(
        classes(&datagram(5_000, 68)),
        (false, true, false),
        "from any port"
    );
    assert_eq!(classes(&datagram(53, 53)), (false, false, false));
    let mut advertisement = vec![134, 0, 0, 0];
    advertisement.extend([0; 12]);
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let plain = icmpv6_frame(GUEST.link_local(), all_nodes, 255, &advertisement);
    assert_eq!(classes(&plain), (false, false, true));
    let mut hidden = plain[..54].to_vec();
    hidden.extend([58, 0, 1, 4, 0, 0, 0, 0]);
    hidden.extend(&plain[54..]);
    hidden[18..20].copy_from_slice(&24u16.to_be_bytes());
    hidden[20] = 60;
    assert_eq!(
        classes(&hidden),
        (false, false, true),
        "behind destination options"
    );
}
