//! RFC 826 and RFC 5227.

use std::net::Ipv4Addr;

use anet_packet::addr::Mac;
use anet_packet::arp::{Arp, REPLY, REQUEST};
use anet_packet::build::{self, Stations};

use super::*;
use crate::respond::{Refusal, Reply, SERVICE_ADDRESS_V4, Silence};

const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 200);

pub(super) fn frame(destination: Mac, operation: u16, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let arp = Arp {
        operation,
        sender_mac: GUEST,
        sender,
        target_mac: Mac::ZERO,
        target,
    };
    let mut bytes = [0; 64];
    let length = build::arp(
        &mut bytes,
        Stations {
            destination,
            source: GUEST,
        },
        &arp,
    )
    .unwrap();
    bytes[..length].to_vec()
}

pub(super) fn request(sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    frame(Mac::BROADCAST, REQUEST, sender, target)
}

#[test]
fn a_reply_is_byte_exact() {
    let (outcome, out) = Fixture::default().answer(&request(GUEST_V4, OTHER_V4));
    assert_eq!(outcome, Outcome::Reply(Reply::Arp));
    #[rustfmt::skip]
    let expected = [
        0x02, 0, 0, 0, 0, 0x0a, 0x02, 0, 0, 0, 0, 0x0b, 0x08, 0x06,
        0, 1, 8, 0, 6, 4, 0, 2,
        0x02, 0, 0, 0, 0, 0x0b, 10, 0, 0, 11,
        0x02, 0, 0, 0, 0, 0x0a, 10, 0, 0, 10,
    ];
    assert_eq!(out, expected);
}

#[test]
fn who_is_told_what() {
    use Outcome::{Announcement, Silent, Unknown};
    let told = |mac| Err(mac);
    let unspecified = Ipv4Addr::UNSPECIFIED;
    #[rustfmt::skip]
    let rows: [(&str, Ipv4Addr, Ipv4Addr, Result<Outcome, Mac>); 13] = [
        ("another guest", GUEST_V4, OTHER_V4, told(OTHER)),
        ("the gateway", GUEST_V4, GATEWAY_V4, told(SERVICE_MAC)),
        ("the service's address", GUEST_V4, SERVICE_ADDRESS_V4, told(SERVICE_MAC)),
        ("nobody's address", GUEST_V4, NOBODY, Ok(Unknown(NOBODY.into()))),
        ("its own address", SHARED_V4, GUEST_V4, Ok(Silent(Silence::OwnAddress))),
        ("probe for its own", unspecified, GUEST_V4, Ok(Silent(Silence::OwnAddress))),
        ("probe for another's", unspecified, OTHER_V4, told(OTHER)),
        ("probe for the gateway's", unspecified, GATEWAY_V4, told(SERVICE_MAC)),
        ("probe for a shared one", unspecified, SHARED_V4, Ok(Silent(Silence::OwnAddress))),
        ("announcement of its own", GUEST_V4, GUEST_V4, Ok(Announcement(GUEST_V4.into()))),
        ("announcement of a shared one", SHARED_V4, SHARED_V4, Ok(Announcement(SHARED_V4.into()))),
        ("announcement of another's", OTHER_V4, OTHER_V4, told(OTHER)),
        ("announcement of the gateway's", GATEWAY_V4, GATEWAY_V4, told(SERVICE_MAC)),
    ];
    for (name, sender, target, expected) in rows {
        let (outcome, out) = Fixture::default().answer(&request(sender, target));
        match expected {
            Ok(expected) => assert_eq!(outcome, expected, "{name}"),
            Err(mac) => {
                assert_eq!(outcome, Outcome::Reply(Reply::Arp), "{name}");
                let reply = Arp::parse(&out[14..]).unwrap();
                assert_eq!(
                    (reply.sender_mac, reply.sender, reply.target),
                    (mac, target, sender),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn a_station_that_routes_comes_before_the_service() {
    let fixture = Fixture {
        gateway_station: Some(OTHER),
        ..Fixture::default()
    };
    let (_, out) = fixture.answer(&request(GUEST_V4, GATEWAY_V4));
    assert_eq!(Arp::parse(&out[14..]).unwrap().sender_mac, OTHER);
}

#[test]
fn replies_pass_and_gratuitous_ones_are_announcements() {
    let fixture = Fixture::default();
    let reply = frame(OTHER, REPLY, GUEST_V4, OTHER_V4);
    assert_eq!(fixture.answer(&reply).0, Outcome::NotForUs);
    let gratuitous = frame(Mac::BROADCAST, REPLY, SHARED_V4, SHARED_V4);
    assert_eq!(
        fixture.answer(&gratuitous).0,
        Outcome::Announcement(SHARED_V4.into())
    );
    let to_everybody = frame(Mac::BROADCAST, REPLY, SHARED_V4, OTHER_V4);
    assert_eq!(
        fixture.answer(&to_everybody).0,
        Outcome::Announcement(SHARED_V4.into())
    );
}

#[test]
fn what_is_refused() {
    let fixture = Fixture::default();
    let reverse = frame(Mac::BROADCAST, 3, GUEST_V4, OTHER_V4);
    assert_eq!(
        fixture.answer(&reverse).0,
        Outcome::Refused(Refusal::UnexpectedMessage)
    );
    let group = request(Ipv4Addr::new(224, 0, 0, 1), OTHER_V4);
    assert_eq!(fixture.answer(&group).0, Outcome::Refused(Refusal::BadAddress));
    let mut sender_mac = request(GUEST_V4, OTHER_V4);
    sender_mac[22] = 0x03;
    assert_eq!(
        fixture.answer(&sender_mac).0,
        Outcome::Refused(Refusal::BadAddress)
    );
}
