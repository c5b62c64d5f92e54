//! DHCPv4 requests that get no answer, and why.

use super::dhcp_v4::{Client, discover};
use super::*;
use crate::respond::{Refusal, Reply};

#[test]
fn relayed_foreign_and_misdirected_requests() {
    let relayed = Client {
        relay: OTHER_V4,
        ..discover()
    };
    let foreign = Client {
        mac: OTHER,
        ..discover()
    };
    let elsewhere = Client {
        destination: OTHER_V4,
        ..discover()
    };
    let homeless = Fixture {
        addresses: vec![GUEST_V6.into()],
        ..Fixture::default()
    };
    let mut unserved = Fixture::default();
    unserved.v4.dhcp = false;
    let served = Fixture::default();
    for (name, fixture, client, expected) in [
        ("relayed", &served, relayed, Outcome::Refused(Refusal::Relayed)),
        (
            "another MAC",
            &served,
            foreign,
            Outcome::Refused(Refusal::ForeignClient),
        ),
        ("to another server", &served, elsewhere, Outcome::NotForUs),
        (
            "a port without address",
            &homeless,
            discover(),
            Outcome::Refused(Refusal::NoAddress),
        ),
        ("a network without DHCP", &unserved, discover(), Outcome::NotForUs),
    ] {
        assert_eq!(fixture.answer(&client.frame()).0, expected, "{name}");
    }
}

#[test]
fn malformed_requests() {
    let mut cookie = discover().message();
    cookie[236] = 0;
    let mut reply = discover().message();
    reply[0] = 2;
    let mut options = Client::says(1).message();
    options.pop();
    options.extend([55, 200, 1]);
    let mut checksum = discover().frame();
    checksum[100] ^= 1;
    let bootp = Client {
        options: vec![1, 0],
        ..discover()
    };
    let half_an_address = Client::says(3).with(&[50, 2, 10, 0]);
    for (name, frame, expected) in [
        (
            "truncated",
            discover().frame_of(&discover().message()[..235]),
            Refusal::Truncated,
        ),
        (
            "no magic cookie",
            discover().frame_of(&cookie),
            Refusal::BadHeader,
        ),
        ("a reply", discover().frame_of(&reply), Refusal::BadHeader),
        (
            "an option past the end",
            discover().frame_of(&options),
            Refusal::BadOption,
        ),
        ("an offer", Client::says(2).frame(), Refusal::UnexpectedMessage),
        (
            "an unknown type",
            Client::says(99).frame(),
            Refusal::UnexpectedMessage,
        ),
        (
            "a request for nothing",
            Client::says(3).frame(),
            Refusal::BadOption,
        ),
        ("half an address", half_an_address.frame(), Refusal::BadOption),
        ("BOOTP", bootp.frame(), Refusal::BadOption),
        ("checksum", checksum, Refusal::BadChecksum),
        ("too long", discover().with(&[0; 1_400]).frame(), Refusal::TooLong),
    ] {
        assert_eq!(
            Fixture::default().answer(&frame).0,
            Outcome::Refused(expected),
            "{name}"
        );
    }
}

#[test]
fn a_checksum_that_the_guest_left_to_its_device_is_not_held_against_it() {
    let mut frame = discover().frame();
    frame[40..42].copy_from_slice(&[0x12, 0x34]);
    let layout = anet_packet::layout(&frame, frame.len()).unwrap();
    let fixture = Fixture::default();
    let ask = |checksum| {
        fixture.with_port(|port| {
            let request = Request {
                bytes: &frame,
                layout: &layout,
                checksum,
            };
            answer(request, port, |address| fixture.resolve(address), &mut Vec::new())
        })
    };
    assert_eq!(ask(Checksum::Unknown), Outcome::Refused(Refusal::BadChecksum));
    assert_eq!(
        ask(Checksum::Partial { start: 34, offset: 6 }),
        Outcome::Reply(Reply::DhcpOffer)
    );
}
