//! What DHCPv4 replies carry, and how much of it: RFC 2132, 3396, 3442, 6842.

use dhcproto::v4::OptionCode;

use super::dhcp_v4::{Client, WANTED, answered, discover, option, raw_options};
use super::*;
use crate::respond::{Refusal, Reply, SERVICE_ADDRESS_V4};

#[test]
fn options_come_in_the_order_asked_for() {
    let client = Client::says(1).with(&[55, 6, 121, 26, 6, 3, 6, 12]);
    let (_, read, _) = answered(&Fixture::default(), &client);
    assert_eq!(
        raw_options(&read.message).0,
        [53, 54, 51, 58, 59, 1, 121, 26, 6, 3, 12]
    );
    let (_, read, _) = answered(&Fixture::default(), &Client::says(1));
    assert_eq!(
        raw_options(&read.message).0,
        [53, 54, 51, 58, 59, 1, 3, 6, 12, 26],
        "without a list"
    );
}

#[test]
fn the_client_identifier_is_echoed() {
    for client in [
        discover(),
        Client::says(3).naming(50, OTHER_V4).with(&[61, 3, 0xff, 1, 2]),
    ] {
        let (_, read, _) = answered(&Fixture::default(), &client);
        assert_eq!(raw_options(&read.message).1[&61], [0xff, 1, 2]);
    }
}

#[test]
fn classless_routes_hold_the_default_route() {
    let mut fixture = Fixture::default();
    let destination: IpPrefix = "172.16.0.0/12".parse().unwrap();
    fixture.v4.host_routes = vec![(destination, OTHER_V4)];
    let (_, read, _) = answered(&fixture, &discover());
    let (codes, values) = raw_options(&read.message);
    assert_eq!(values[&121], [12, 172, 16, 10, 0, 0, 11, 0, 10, 0, 0, 1]);
    assert!(codes.contains(&3));
    // Not asked for, not sent.
    let (_, read, _) = answered(&fixture, &Client::says(1).with(&[55, 1, 3]));
    assert!(!raw_options(&read.message).1.contains_key(&121));
}

#[test]
fn without_a_gateway_the_service_has_an_address_and_a_route_to_it() {
    let mut fixture = Fixture::default();
    fixture.v4.gateway = false;
    let (_, read, _) = answered(&fixture, &discover());
    assert_eq!(read.source, IpAddr::V4(SERVICE_ADDRESS_V4));
    let (codes, values) = raw_options(&read.message);
    assert!(!codes.contains(&3));
    assert_eq!(values[&54], SERVICE_ADDRESS_V4.octets());
    assert_eq!(values[&121], [32, 169, 254, 169, 254, 0, 0, 0, 0]);
    let renewal = Client {
        destination: SERVICE_ADDRESS_V4,
        ..Client::says(3).having(GUEST_V4)
    };
    assert_eq!(answered(&fixture, &renewal).0, Reply::DhcpAck);
}

#[test]
fn long_options_are_split_and_what_does_not_fit_is_left_out() {
    let mut fixture = Fixture::default();
    fixture.v4.host_routes = (0..40)
        .map(|i| (IpPrefix::host(Ipv4Addr::new(172, 16, 0, i).into()), OTHER_V4))
        .collect();
    // 40 routes of 9 bytes and a default route of 5.
    let patient = discover().with(&[57, 2, 0x05, 0xdc]);
    let (_, read, message) = answered(&fixture, &patient);
    let (codes, values) = raw_options(&read.message);
    assert_eq!(codes.iter().filter(|code| **code == 121).count(), 2);
    assert_eq!(values[&121].len(), 365);
    assert!(option(&message, OptionCode::ClasslessStaticRoute).is_some());
    let (_, read, _) = answered(&fixture, &discover());
    assert!(
        !raw_options(&read.message).1.contains_key(&121),
        "not in 576 bytes"
    );
    assert!(read.message.len() <= 548);
    // 257 bytes of client identifier are echoed first, and the rest gives way.
    let mut identified = Client::says(1).with(&WANTED).with(&[61, 255]);
    identified.options.extend([7; 255]);
    let (_, read, _) = answered(&fixture, &identified);
    assert_eq!(raw_options(&read.message).1[&61].len(), 255);
    assert!(read.message.len() <= 548);
    identified.options.extend([61, 100]);
    identified.options.extend([8; 100]);
    assert_eq!(
        fixture.answer(&identified.frame()).0,
        Outcome::Refused(Refusal::ReplyTooLong)
    );
}

#[test]
fn split_and_overloaded_options_are_joined() {
    // Parts of one option (RFC 3396).
    let split = Client::says(3).with(&[50, 2, 10, 0, 50, 2, 0, 10]);
    assert_eq!(answered(&Fixture::default(), &split).0, Reply::DhcpAck);
    // The requested address in `file` (RFC 2132, 9.3).
    let overloaded = Client::says(3).with(&[52, 1, 1]);
    let mut message = overloaded.message();
    message[108..115].copy_from_slice(&[50, 4, 10, 0, 0, 10, 255]);
    let (outcome, _) = Fixture::default().answer(&overloaded.frame_of(&message));
    assert_eq!(outcome, Outcome::Reply(Reply::DhcpAck));
}

#[test]
fn a_lease_for_ever_has_no_renewal() {
    let mut fixture = Fixture::default();
    fixture.v4.lease_s = u32::MAX;
    let (_, read, _) = answered(&fixture, &discover());
    let (codes, values) = raw_options(&read.message);
    assert_eq!(values[&51], [255; 4]);
    assert!(!codes.contains(&58) && !codes.contains(&59));
}

#[test]
fn what_the_options_field_does_not_hold_goes_into_file() {
    let mut fixture = Fixture::default();
    let route = |i: u8| {
        (
            IpPrefix::new(Ipv4Addr::new(172, 16, i, 0).into(), 24).unwrap(),
            OTHER_V4,
        )
    };
    fixture.v4.host_routes = (0..28).map(route).collect();
    fixture.v4.dns_servers = (1..=8).map(|i| Ipv4Addr::new(9, 9, 9, i).into()).collect();
    let (_, read, _) = answered(&fixture, &discover());
    assert!(read.message.len() <= 548);
    let (_, values) = raw_options(&read.message);
    assert_eq!(
        (values[&121].len(), values[&52].as_slice()),
        (28 * 8 + 5, &[1][..])
    );
    assert!(!values.contains_key(&6));
    let mut file = read.message[..240].to_vec();
    file.extend(&read.message[108..236]);
    let (_, values) = raw_options(&file);
    assert_eq!(values.keys().copied().collect::<Vec<_>>(), [6]);
    assert_eq!(values[&6].len(), 32);
}
