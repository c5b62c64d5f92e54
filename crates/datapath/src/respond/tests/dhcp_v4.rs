//! RFC 2131, 2132, 3396, 3442, 6842; replies are decoded by dhcproto.

use std::collections::BTreeMap;

use anet_packet::build::{self, Stations};
use dhcproto::v4::{self, Decodable, DhcpOption, OptionCode};

use super::*;
use crate::respond::{Reply, Silence};

const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
/// Subnet mask, broadcast address, router, name servers, host name, MTU, classless routes: as Debian's dhclient asks.
pub(super) const WANTED: [u8; 9] = [55, 7, 1, 28, 3, 6, 12, 26, 121];

/// A client's message.
#[derive(Clone)]
pub(super) struct Client {
    pub flags: u16,
    pub address: Ipv4Addr,
    pub relay: Ipv4Addr,
    pub mac: Mac,
    pub options: Vec<u8>,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
}

impl Client {
    pub(super) fn says(kind: u8) -> Self {
        Self {
            flags: 0,
            address: NOBODY,
            relay: NOBODY,
            mac: GUEST,
            options: vec![53, 1, kind],
            source: NOBODY,
            destination: Ipv4Addr::BROADCAST,
        }
    }

    pub(super) fn with(mut self, option: &[u8]) -> Self {
        self.options.extend(option);
        self
    }

    pub(super) fn naming(self, code: u8, address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        self.with(&[code, 4, a, b, c, d])
    }

    /// Unicast from the address it has, as in a renewal.
    pub(super) fn having(self, address: Ipv4Addr) -> Self {
        Self {
            address,
            source: address,
            destination: GATEWAY_V4,
            ..self
        }
    }

    pub(super) fn message(&self) -> Vec<u8> {
        let mut message = vec![1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef, 0, 0];
        message.extend(self.flags.to_be_bytes());
        message.extend(self.address.octets());
        message.extend([0; 8]);
        message.extend(self.relay.octets());
        message.extend(self.mac.0);
        message.extend([0; 202]);
        message.extend([99, 130, 83, 99]);
        message.extend(&self.options);
        message.push(255);
        message
    }

    pub(super) fn frame(&self) -> Vec<u8> {
        self.frame_of(&self.message())
    }

    pub(super) fn frame_of(&self, message: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 4_000];
        let stations = Stations {
            destination: Mac::BROADCAST,
            source: GUEST,
        };
        let (source, destination) = ((self.source, 68).into(), (self.destination, 67).into());
        let length = build::udp(&mut bytes, stations, source, destination, message).unwrap();
        bytes.truncate(length);
        bytes
    }
}

pub(super) fn discover() -> Client {
    Client::says(1).with(&WANTED).with(&[61, 3, 0xff, 1, 2])
}

pub(super) fn select() -> Client {
    Client::says(3)
        .with(&WANTED)
        .naming(54, GATEWAY_V4)
        .naming(50, GUEST_V4)
}

fn decode(frame: &[u8]) -> (Read, v4::Message) {
    let read = read(frame);
    assert_eq!(read.ports, Some((67, 68)));
    assert_eq!(read.source_mac, SERVICE_MAC);
    let message = v4::Message::from_bytes(&read.message).unwrap();
    assert_eq!(
        (message.opcode(), message.xid()),
        (v4::Opcode::BootReply, 0xdead_beef)
    );
    assert_eq!(message.chaddr(), GUEST.0);
    (read, message)
}

pub(super) fn answered(fixture: &Fixture, client: &Client) -> (Reply, Read, v4::Message) {
    let (outcome, out) = fixture.answer(&client.frame());
    let Outcome::Reply(reply) = outcome else {
        panic!("{outcome:?}")
    };
    let (read, message) = decode(&out);
    (reply, read, message)
}

pub(super) fn option(message: &v4::Message, code: OptionCode) -> Option<DhcpOption> {
    message.opts().get(code).cloned()
}

/// Option codes in the order of the wire, and their values with the parts joined.
pub(super) fn raw_options(message: &[u8]) -> (Vec<u8>, BTreeMap<u8, Vec<u8>>) {
    let (mut codes, mut values) = (Vec::new(), BTreeMap::<u8, Vec<u8>>::new());
    let mut rest = &message[240..];
    while rest[0] != 255 {
        let end = 2 + usize::from(rest[1]);
        codes.push(rest[0]);
        values.entry(rest[0]).or_default().extend(&rest[2..end]);
        rest = &rest[end..];
    }
    (codes, values)
}

#[test]
fn a_lease_is_offered_and_acknowledged() {
    let fixture = Fixture::default();
    let (reply, read, offer) = answered(&fixture, &discover());
    assert_eq!(reply, Reply::DhcpOffer);
    assert_eq!(
        (read.source, read.destination),
        (GATEWAY_V4.into(), GUEST_V4.into())
    );
    assert_eq!(read.destination_mac, GUEST);
    assert_eq!(
        option(&offer, OptionCode::MessageType),
        Some(DhcpOption::MessageType(v4::MessageType::Offer))
    );
    for (reply, message) in [(Reply::DhcpOffer, offer), {
        let (reply, _, ack) = answered(&fixture, &select());
        assert_eq!(
            option(&ack, OptionCode::MessageType),
            Some(DhcpOption::MessageType(v4::MessageType::Ack))
        );
        (reply, ack)
    }] {
        assert!(matches!(reply, Reply::DhcpOffer | Reply::DhcpAck));
        assert_eq!(
            (message.yiaddr(), message.ciaddr(), message.giaddr()),
            (GUEST_V4, NOBODY, NOBODY)
        );
        let expected = [
            DhcpOption::ServerIdentifier(GATEWAY_V4),
            DhcpOption::AddressLeaseTime(3_600),
            DhcpOption::Renewal(1_800),
            DhcpOption::Rebinding(3_150),
            DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)),
            DhcpOption::BroadcastAddr(Ipv4Addr::new(10, 0, 0, 255)),
            DhcpOption::Router(vec![GATEWAY_V4]),
            DhcpOption::DomainNameServer(vec![Ipv4Addr::new(9, 9, 9, 9)]),
            DhcpOption::Hostname("guest-a".to_string()),
            DhcpOption::InterfaceMtu(1_450),
        ];
        for wanted in expected {
            assert_eq!(option(&message, OptionCode::from(&wanted)), Some(wanted));
        }
    }
}

#[test]
fn an_offer_is_byte_exact() {
    let client = Client::says(1).with(&[55, 2, 3, 26]);
    let (_, out) = Fixture::default().answer(&client.frame());
    let mut expected = Vec::new();
    // Ethernet; IPv4 of 328 bytes, not to be fragmented, 64 hops; UDP of 308.
    expected.extend([0x02, 0, 0, 0, 0, 0x0a, 0x0a, 0x6e, 0x65, 0x74, 0, 1, 8, 0]);
    expected.extend([
        0x45, 0, 1, 0x48, 0, 0, 0x40, 0, 64, 17, 0x25, 0x9b, 10, 0, 0, 1, 10, 0, 0, 10,
    ]);
    let udp_at = expected.len();
    expected.extend([0, 67, 0, 68, 1, 0x34, 0, 0]);
    expected.extend([
        2, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 10,
    ]);
    expected.extend([0; 8]);
    expected.extend([0x02, 0, 0, 0, 0, 0x0a]);
    expected.extend([0; 202]);
    expected.extend([
        99, 130, 83, 99, 53, 1, 2, 54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 0x0e, 0x10,
    ]);
    expected.extend([58, 4, 0, 0, 7, 8, 59, 4, 0, 0, 0x0c, 0x4e, 1, 4, 255, 255, 255, 0]);
    expected.extend([3, 4, 10, 0, 0, 1, 26, 2, 0x05, 0xaa, 255]);
    expected.resize(42 + 300, 0);
    // The UDP checksum is held against another implementation by `read`.
    expected[udp_at + 6..udp_at + 8].copy_from_slice(&out[udp_at + 6..udp_at + 8]);
    assert_eq!(out, expected);
    read(&out);
}

#[test]
fn requests_in_each_state_of_the_client() {
    let stranger = Ipv4Addr::new(10, 0, 0, 77);
    let request = || Client::says(3);
    let rows = [
        ("selecting", select(), Ok(Reply::DhcpAck)),
        (
            "selecting another address",
            request().naming(54, GATEWAY_V4).naming(50, stranger),
            Ok(Reply::DhcpNak),
        ),
        (
            "selecting another server",
            request().naming(54, stranger).naming(50, GUEST_V4),
            Err(()),
        ),
        ("reboot", request().naming(50, GUEST_V4), Ok(Reply::DhcpAck)),
        (
            "reboot with another address",
            request().naming(50, stranger),
            Ok(Reply::DhcpNak),
        ),
        ("renewing", request().having(GUEST_V4), Ok(Reply::DhcpAck)),
        (
            "renewing another address",
            request().having(stranger),
            Ok(Reply::DhcpNak),
        ),
        (
            "rebinding",
            Client {
                destination: Ipv4Addr::BROADCAST,
                ..request().having(GUEST_V4)
            },
            Ok(Reply::DhcpAck),
        ),
    ];
    for (name, client, expected) in rows {
        let (outcome, out) = Fixture::default().answer(&client.frame());
        match expected {
            Ok(reply) => assert_eq!(outcome, Outcome::Reply(reply), "{name}"),
            Err(()) => assert_eq!(outcome, Outcome::Silent(Silence::OtherServer), "{name}"),
        }
        if outcome == Outcome::Reply(Reply::DhcpNak) {
            let (read, nak) = decode(&out);
            assert_eq!(read.destination, IpAddr::V4(Ipv4Addr::BROADCAST), "{name}");
            assert_eq!(read.destination_mac, Mac::BROADCAST, "{name}");
            assert_eq!((nak.yiaddr(), nak.ciaddr()), (NOBODY, NOBODY), "{name}");
            assert_eq!(raw_options(&read.message).0, [53, 54, 56], "{name}");
        }
        if outcome == Outcome::Reply(Reply::DhcpAck) && !client.address.is_unspecified() {
            let (read, ack) = decode(&out);
            assert_eq!(
                (read.destination, ack.ciaddr()),
                (GUEST_V4.into(), GUEST_V4),
                "{name}"
            );
        }
    }
}

#[test]
fn where_the_answer_goes() {
    let broadcast = Client {
        flags: 0x8000,
        ..discover()
    };
    let (_, read, offer) = answered(&Fixture::default(), &broadcast);
    assert_eq!(read.destination, IpAddr::V4(Ipv4Addr::BROADCAST));
    assert_eq!(read.destination_mac, Mac::BROADCAST);
    assert!(offer.flags().broadcast());
    let hostile = Client {
        address: Ipv4Addr::new(224, 0, 0, 1),
        ..Client::says(8)
    };
    let (_, read, _) = answered(&Fixture::default(), &hostile);
    assert_eq!(
        read.destination,
        IpAddr::V4(Ipv4Addr::BROADCAST),
        "not to a group of the client's choice"
    );
}

#[test]
fn an_inform_gets_options_and_no_lease() {
    let client = Client::says(8).with(&WANTED).having(GUEST_V4);
    let (reply, read, ack) = answered(&Fixture::default(), &client);
    assert_eq!(reply, Reply::DhcpAck);
    assert_eq!(
        (ack.yiaddr(), ack.ciaddr(), read.destination),
        (NOBODY, GUEST_V4, GUEST_V4.into())
    );
    let (codes, _) = raw_options(&read.message);
    assert!(!codes.iter().any(|code| [51, 58, 59].contains(code)), "{codes:?}");
    assert!(codes.contains(&6));
}

#[test]
fn release_and_decline_are_swallowed() {
    let fixture = Fixture::default();
    assert_eq!(
        fixture.answer(&Client::says(7).having(GUEST_V4).frame()).0,
        Outcome::Silent(Silence::Released)
    );
    let decline = Client::says(4).naming(54, GATEWAY_V4).naming(50, GUEST_V4);
    assert_eq!(
        fixture.answer(&decline.frame()).0,
        Outcome::Silent(Silence::Declined)
    );
}
