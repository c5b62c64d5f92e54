//! RFC 8415; replies are decoded by dhcproto.

use std::net::Ipv6Addr;

use anet_packet::build::{self, Stations};
use dhcproto::v6::{self, Decodable, DhcpOption, DhcpOptions, OptionCode, Status};

use super::*;
use crate::respond::{Reply, Silence};

pub(super) const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
pub(super) const STRANGER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x77);
pub(super) const CLIENT: [u8; 10] = [0, 3, 0, 1, 2, 0, 0, 0, 0, 0x0a];
pub(super) const SERVER: [u8; 10] = [0, 3, 0, 1, 0x0a, 0x6e, 0x65, 0x74, 0, 1];
pub(super) const IDENTITY: u32 = 0x0102_0304;
pub(super) const SOLICIT: u8 = 1;
pub(super) const REQUEST: u8 = 3;
pub(super) const CONFIRM: u8 = 4;
pub(super) const RENEW: u8 = 5;
pub(super) const REBIND: u8 = 6;
pub(super) const RELEASE: u8 = 8;
pub(super) const DECLINE: u8 = 9;
pub(super) const INFORMATION: u8 = 11;

#[derive(Clone)]
pub(super) struct Client {
    pub message: Vec<u8>,
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
}

pub(super) fn option(code: u16, body: &[u8]) -> Vec<u8> {
    let mut option = code.to_be_bytes().to_vec();
    option.extend((body.len() as u16).to_be_bytes());
    option.extend(body);
    option
}

/// An identity association with addresses in it.
fn association(code: u16, number: u32, addresses: &[Ipv6Addr]) -> Vec<u8> {
    let mut body = number.to_be_bytes().to_vec();
    if code != 4 {
        body.extend([0; 8]);
    }
    for address in addresses {
        let mut lease = address.octets().to_vec();
        lease.extend([0; 8]);
        body.extend(option(5, &lease));
    }
    option(code, &body)
}

impl Client {
    pub(super) fn says(kind: u8) -> Self {
        let mut message = vec![kind, 0xaa, 0xbb, 0xcc];
        message.extend(option(1, &CLIENT));
        Self {
            message,
            source: GUEST.link_local(),
            destination: ALL_SERVERS,
        }
    }

    pub(super) fn with(mut self, option: Vec<u8>) -> Self {
        self.message.extend(option);
        self
    }

    pub(super) fn with_server(self) -> Self {
        self.with(option(2, &SERVER))
    }

    pub(super) fn wanting(self, addresses: &[Ipv6Addr]) -> Self {
        self.with(association(3, IDENTITY, addresses))
    }

    pub(super) fn frame(&self) -> Vec<u8> {
        let mut bytes = vec![0; 4_000];
        let stations = Stations {
            destination: Mac([0x33, 0x33, 0, 1, 0, 2]),
            source: GUEST,
        };
        let (source, destination) = ((self.source, 546).into(), (self.destination, 547).into());
        let length = build::udp(&mut bytes, stations, source, destination, &self.message).unwrap();
        bytes.truncate(length);
        bytes
    }
}

/// One good frame of each message.
pub(super) fn conversations() -> Vec<Vec<u8>> {
    let wants_dns = option(6, &[0, 23]);
    vec![
        Client::says(SOLICIT).wanting(&[]).with(wants_dns.clone()).frame(),
        Client::says(SOLICIT)
            .with(option(14, &[]))
            .wanting(&[GUEST_V6])
            .frame(),
        Client::says(REQUEST)
            .with_server()
            .wanting(&[GUEST_V6])
            .with(wants_dns.clone())
            .frame(),
        Client::says(CONFIRM).wanting(&[GUEST_V6]).frame(),
        Client::says(RENEW)
            .with_server()
            .wanting(&[GUEST_V6, STRANGER])
            .frame(),
        Client::says(REBIND).wanting(&[GUEST_V6]).frame(),
        Client::says(RELEASE).with_server().wanting(&[GUEST_V6]).frame(),
        Client::says(DECLINE).with_server().wanting(&[GUEST_V6]).frame(),
        Client::says(INFORMATION).with(wants_dns).frame(),
        Client::says(SOLICIT)
            .with(association(25, 1, &[]))
            .with(association(4, 2, &[]))
            .frame(),
    ]
}

fn answered(fixture: &Fixture, client: &Client) -> (Reply, v6::Message) {
    let (outcome, out) = fixture.answer(&client.frame());
    let Outcome::Reply(reply) = outcome else {
        panic!("{outcome:?}")
    };
    let read = read(&out);
    assert_eq!(read.ports, Some((547, 546)));
    assert_eq!(
        (read.source, read.destination),
        (SERVICE_MAC.link_local().into(), client.source.into())
    );
    assert_eq!((read.source_mac, read.destination_mac), (SERVICE_MAC, GUEST));
    let message = v6::Message::from_bytes(&read.message).unwrap();
    assert_eq!(message.xid(), [0xaa, 0xbb, 0xcc]);
    assert_eq!(
        message.opts().get(OptionCode::ServerId),
        Some(&DhcpOption::ServerId(SERVER.to_vec()))
    );
    assert_eq!(
        message.opts().get(OptionCode::ClientId),
        Some(&DhcpOption::ClientId(CLIENT.to_vec()))
    );
    (reply, message)
}

/// Addresses with preferred and valid lifetime, and status, of an association's options.
fn held(options: &DhcpOptions) -> (Vec<(Ipv6Addr, u32, u32)>, Option<Status>) {
    let mut addresses = Vec::new();
    let mut status = None;
    for option in options.iter() {
        match option {
            DhcpOption::IAAddr(a) => addresses.push((a.addr, a.preferred_life, a.valid_life)),
            DhcpOption::StatusCode(code) => status = Some(code.status),
            other => panic!("{other:?}"),
        }
    }
    (addresses, status)
}

/// Number, addresses and status.
type Held = (u32, Vec<(Ipv6Addr, u32, u32)>, Option<Status>);

fn associations(message: &v6::Message) -> Vec<Held> {
    let mut found = Vec::new();
    for option in message.opts().iter() {
        let (number, options) = match option {
            DhcpOption::IANA(a) => (a.id, &a.opts),
            DhcpOption::IATA(a) => (a.id, &a.opts),
            DhcpOption::IAPD(a) => (a.id, &a.opts),
            _ => continue,
        };
        let (addresses, status) = held(options);
        found.push((number, addresses, status));
    }
    found
}

fn status(message: &v6::Message) -> Option<Status> {
    match message.opts().get(OptionCode::StatusCode) {
        Some(DhcpOption::StatusCode(code)) => Some(code.status),
        _ => None,
    }
}

#[test]
fn a_lease_is_advertised_and_given() {
    let fixture = Fixture::default();
    let solicit = Client::says(SOLICIT).wanting(&[]).with(option(6, &[0, 23]));
    let (reply, advertise) = answered(&fixture, &solicit);
    assert_eq!(
        (reply, advertise.msg_type()),
        (Reply::DhcpV6Advertise, v6::MessageType::Advertise)
    );
    assert_eq!(
        advertise.opts().get(OptionCode::Preference),
        Some(&DhcpOption::Preference(255))
    );
    let request = Client::says(REQUEST)
        .with_server()
        .wanting(&[GUEST_V6])
        .with(option(6, &[0, 23]));
    let (reply, given) = answered(&fixture, &request);
    assert_eq!(
        (reply, given.msg_type()),
        (Reply::DhcpV6Reply, v6::MessageType::Reply)
    );
    for message in [advertise, given] {
        assert_eq!(
            associations(&message),
            [(IDENTITY, vec![(GUEST_V6, 3_600, 3_600)], None)]
        );
        let Some(DhcpOption::IANA(association)) = message.opts().get(OptionCode::IANA) else {
            panic!()
        };
        assert_eq!((association.t1, association.t2), (1_800, 2_880));
        let servers = vec!["2620:fe::fe".parse().unwrap()];
        assert_eq!(
            message.opts().get(OptionCode::DomainNameServers),
            Some(&DhcpOption::DomainNameServers(servers))
        );
    }
}

#[test]
fn an_advertise_is_byte_exact() {
    let (_, out) = Fixture::default().answer(&conversations()[0]);
    #[rustfmt::skip]
    let expected = [
        2, 0xaa, 0xbb, 0xcc,
        0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 0x0a,
        0, 2, 0, 10, 0, 3, 0, 1, 0x0a, 0x6e, 0x65, 0x74, 0, 1,
        0, 7, 0, 1, 255,
        0, 3, 0, 40, 1, 2, 3, 4, 0, 0, 7, 8, 0, 0, 0x0b, 0x40,
        0, 5, 0, 24, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10,
        0, 23, 0, 16, 0x26, 0x20, 0, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe,
    ];
    assert_eq!(read(&out).message, expected);
}

#[test]
fn rapid_commit_is_committed() {
    let client = Client::says(SOLICIT).with(option(14, &[])).wanting(&[]);
    let (reply, message) = answered(&Fixture::default(), &client);
    assert_eq!(
        (reply, message.msg_type()),
        (Reply::DhcpV6Reply, v6::MessageType::Reply)
    );
    assert!(message.opts().get(OptionCode::RapidCommit).is_some());
    assert_eq!(associations(&message)[0].1, [(GUEST_V6, 3_600, 3_600)]);
}

#[test]
fn renewals_give_what_is_the_ports_and_withdraw_the_rest() {
    for client in [Client::says(RENEW).with_server(), Client::says(REBIND)] {
        let (_, message) = answered(&Fixture::default(), &client.wanting(&[STRANGER, GUEST_V6]));
        let expected = vec![(GUEST_V6, 3_600, 3_600), (STRANGER, 0, 0)];
        assert_eq!(associations(&message), [(IDENTITY, expected, None)]);
    }
}

#[test]
fn a_request_for_anothers_address_is_not_on_link() {
    let client = Client::says(REQUEST).with_server().wanting(&[STRANGER]);
    let (_, message) = answered(&Fixture::default(), &client);
    assert_eq!(
        associations(&message),
        [(IDENTITY, vec![], Some(Status::NotOnLink))]
    );
}

#[test]
fn confirm_says_whether_the_addresses_are_still_right() {
    let fixture = Fixture::default();
    let confirmed =
        |addresses: &[Ipv6Addr]| status(&answered(&fixture, &Client::says(CONFIRM).wanting(addresses)).1);
    assert_eq!(confirmed(&[GUEST_V6]), Some(Status::Success));
    assert_eq!(confirmed(&[GUEST_V6, STRANGER]), Some(Status::NotOnLink));
    let nothing = Client::says(CONFIRM).wanting(&[]);
    assert_eq!(
        fixture.answer(&nothing.frame()).0,
        Outcome::Silent(Silence::NothingToConfirm)
    );
}

#[test]
fn release_and_decline_are_confirmed() {
    let own = Client::says(RELEASE).with_server().wanting(&[GUEST_V6]);
    let (reply, message) = answered(&Fixture::default(), &own);
    assert_eq!(
        (reply, status(&message)),
        (Reply::DhcpV6Reply, Some(Status::Success))
    );
    assert!(associations(&message).is_empty());
    let foreign = Client::says(RELEASE).with_server().wanting(&[STRANGER]);
    let (_, message) = answered(&Fixture::default(), &foreign);
    assert_eq!(
        associations(&message),
        [(IDENTITY, vec![], Some(Status::NoBinding))]
    );
    let decline = Client::says(DECLINE).with_server().wanting(&[GUEST_V6]);
    assert_eq!(answered(&Fixture::default(), &decline).0, Reply::DhcpV6Declined);
}

#[test]
fn information_alone() {
    let client = Client::says(INFORMATION).with(option(6, &[0, 23, 0, 32]));
    let (reply, message) = answered(&Fixture::default(), &client);
    assert_eq!(reply, Reply::DhcpV6Reply);
    assert!(message.opts().get(OptionCode::DomainNameServers).is_some());
    assert!(message.opts().get(OptionCode::InformationRefreshTime).is_some());
    assert!(associations(&message).is_empty());
}

#[test]
fn one_association_has_the_addresses_and_the_others_are_told_so() {
    let client = Client::says(SOLICIT)
        .with(association(25, 7, &[]))
        .with(association(4, 8, &[]))
        .with(association(3, 9, &[]))
        .with(association(3, 10, &[GUEST_V6]));
    let (_, message) = answered(&Fixture::default(), &client);
    let mut found = associations(&message);
    found.sort_by_key(|(number, ..)| *number);
    let expected = [
        (7, vec![], Some(Status::NoPrefixAvail)),
        (8, vec![], Some(Status::NoAddrsAvail)),
        (9, vec![], Some(Status::NoAddrsAvail)),
        (10, vec![(GUEST_V6, 3_600, 3_600)], None),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_port_without_an_address_is_told_so() {
    let fixture = Fixture {
        addresses: vec![GUEST_V4.into()],
        ..Fixture::default()
    };
    let (_, message) = answered(&fixture, &Client::says(SOLICIT).wanting(&[]));
    assert_eq!(
        associations(&message),
        [(IDENTITY, vec![], Some(Status::NoAddrsAvail))]
    );
}

#[test]
fn a_renewal_to_the_server_alone_is_sent_back_to_the_group() {
    let client = Client::says(RENEW).with_server().wanting(&[GUEST_V6]);
    let client = Client {
        destination: SERVICE_MAC.link_local(),
        ..client
    };
    let (_, message) = answered(&Fixture::default(), &client);
    assert_eq!(status(&message), Some(Status::UseMulticast));
    assert!(associations(&message).is_empty());
}

#[test]
fn many_associations_are_bounded() {
    let mut client = Client::says(SOLICIT);
    for number in 0..80 {
        client = client.with(association(3, number, &[]));
    }
    let (_, message) = answered(&Fixture::default(), &client);
    assert_eq!(associations(&message).len(), 8);
}

#[test]
fn a_lease_for_ever() {
    let mut fixture = Fixture::default();
    fixture.v6.lease_s = u32::MAX;
    let (_, message) = answered(&fixture, &Client::says(SOLICIT).wanting(&[]));
    let Some(DhcpOption::IANA(association)) = message.opts().get(OptionCode::IANA) else {
        panic!()
    };
    assert_eq!((association.t1, association.t2), (u32::MAX, u32::MAX));
    assert_eq!(associations(&message)[0].1, [(GUEST_V6, u32::MAX, u32::MAX)]);
}
