//! DHCPv6 messages that get no answer, and why: RFC 8415, 16.

use super::dhcp_v6::{CLIENT, Client, INFORMATION, REBIND, RENEW, REQUEST, SOLICIT, conversations, option};
use super::*;
use crate::respond::{Refusal, Silence};

fn anonymous(kind: u8) -> Client {
    Client {
        message: vec![kind, 1, 2, 3],
        ..Client::says(kind)
    }
}

#[test]
fn wrong_identifiers_and_options() {
    for (name, client) in [
        ("solicit without a client", anonymous(SOLICIT).wanting(&[])),
        ("solicit with a server", Client::says(SOLICIT).with_server()),
        ("request without a server", Client::says(REQUEST).wanting(&[])),
        (
            "rebind with a server",
            Client::says(REBIND).with_server().wanting(&[]),
        ),
        ("two clients", Client::says(SOLICIT).with(option(1, &CLIENT))),
        (
            "an identifier too long",
            anonymous(SOLICIT).with(option(1, &[1; 131])),
        ),
        (
            "information about addresses",
            Client::says(INFORMATION).wanting(&[]),
        ),
        (
            "an option past the end",
            Client::says(SOLICIT).with(vec![0, 3, 0, 200, 1]),
        ),
        (
            "half an association",
            Client::says(SOLICIT).with(option(3, &[0; 8])),
        ),
    ] {
        let (outcome, _) = Fixture::default().answer(&client.frame());
        assert_eq!(outcome, Outcome::Refused(Refusal::BadOption), "{name}");
    }
}

#[test]
fn wrong_messages_and_addresses() {
    use Outcome::{NotForUs, Refused, Silent};
    let renew_elsewhere = Client::says(RENEW).with(option(2, &CLIENT));
    let from_nobody = Client {
        source: Ipv6Addr::UNSPECIFIED,
        ..Client::says(SOLICIT)
    };
    let alone = Client {
        destination: SERVICE_MAC.link_local(),
        ..Client::says(SOLICIT)
    };
    let elsewhere = Client {
        destination: OTHER_V6,
        ..Client::says(SOLICIT)
    };
    for (name, client, expected) in [
        ("another server", renew_elsewhere, Silent(Silence::OtherServer)),
        ("relayed", Client::says(12), Refused(Refusal::Relayed)),
        (
            "an advertise",
            Client::says(2),
            Refused(Refusal::UnexpectedMessage),
        ),
        (
            "a type unheard of",
            Client::says(200),
            Refused(Refusal::UnexpectedMessage),
        ),
        ("from nobody", from_nobody, Refused(Refusal::BadAddress)),
        ("solicit to the server alone", alone, Refused(Refusal::BadAddress)),
        ("to another server's address", elsewhere, NotForUs),
    ] {
        assert_eq!(Fixture::default().answer(&client.frame()).0, expected, "{name}");
    }
}

#[test]
fn no_dhcp_and_no_checksum() {
    let mut unserved = Fixture::default();
    unserved.v6.dhcp = false;
    let mut frame = conversations()[0].clone();
    assert_eq!(unserved.answer(&frame).0, Outcome::NotForUs);
    frame[60..62].fill(0);
    assert_eq!(
        Fixture::default().answer(&frame).0,
        Outcome::Refused(Refusal::BadChecksum)
    );
}
