//! What a message may hold at most: the largest that is legal is taken, the next larger one is not.

use std::net::IpAddr;

use anet_model::changeset::{Change, Changeset};
use anet_model::host_plan::{
    AddressSet, Direction, Family, PortRange, Protocol, Remote, Rule, SecurityGroup,
};
use anet_model::limits;
use anet_packet::addr::IpPrefix;
use anet_wire::codec::{
    CHANGE_BYTES_MAXIMUM, decode_changeset, decode_request, encode_changeset, encode_request,
};
use anet_wire::control::trace::{TracePacket, TraceRequest, TraceSource};
use anet_wire::control::{Hello, Request};

/// A length-delimited protobuf field of number 1 to 15.
fn bytes_field(number: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).expect("a short value");
    [&[number << 3 | 2, length], value].concat()
}

#[test]
fn a_request_is_one_thing_and_within_bounds() {
    assert!(decode_request(&[]).is_err(), "a request of a later version");
    let two = [bytes_field(2, &[]), bytes_field(3, &[])].concat();
    assert!(decode_request(&two).unwrap_err().to_string().contains("alone"));
    let long = Request::Hello(Hello {
        protocol: 1,
        software: "x".repeat(70_000),
    });
    assert!(
        decode_request(&encode_request(&long))
            .unwrap_err()
            .to_string()
            .contains("too long")
    );
    let name = Request::Hello(Hello {
        protocol: 1,
        software: "x".repeat(129),
    });
    assert!(
        decode_request(&encode_request(&name))
            .unwrap_err()
            .to_string()
            .starts_with("hello.software")
    );
    let frame = |length| {
        let port = "web1".parse().expect("a legal id");
        encode_request(&Request::Trace(TraceRequest {
            from: TraceSource::Port(port),
            packet: TracePacket::Frame(vec![0; length]),
        }))
    };
    assert!(decode_request(&frame(13)).is_err() && decode_request(&frame(14)).is_ok());
    assert!(decode_request(&frame(9_216)).is_ok() && decode_request(&frame(9_217)).is_err());
}

#[test]
fn one_entry_may_not_take_more_than_its_share() {
    let mut change = vec![5 << 3 | 2];
    let length = CHANGE_BYTES_MAXIMUM + 1;
    change.extend(
        [0, 7, 14, 21]
            .map(|shift| u8::try_from(length >> shift & 0x7f).unwrap() | if shift < 21 { 0x80 } else { 0 }),
    );
    change.resize(change.len() + length, 0);
    assert!(
        decode_changeset(&change)
            .unwrap_err()
            .to_string()
            .contains("too long for an entry")
    );
}

#[test]
fn the_largest_group_and_the_largest_set_fit() {
    let long = |prefix: &str, n: usize| format!("{prefix}{n:0>59}");
    let rule = Rule {
        direction: Direction::Egress,
        family: Family::Ipv6,
        protocol: Protocol::Tcp(PortRange {
            first: 65_534,
            last: 65_535,
        }),
        remote: Remote::Set(long("set", 0).parse().unwrap()),
    };
    let rules = (0..limits::RULES_PER_PORT)
        .map(|n| (long("rule", n).parse().unwrap(), rule.clone()))
        .collect();
    let member = |n: u32| {
        IpPrefix::host(IpAddr::from(
            [[0xff; 12].as_slice(), &n.to_be_bytes()]
                .concat()
                .try_into()
                .map(|bytes: [u8; 16]| bytes)
                .unwrap(),
        ))
    };
    let count = u32::try_from(limits::MEMBERS_PER_ADDRESS_SET).unwrap();
    let changes = vec![
        Change::SecurityGroup(long("group", 0).parse().unwrap(), Some(SecurityGroup { rules })),
        Change::AddressSet(
            long("set", 0).parse().unwrap(),
            Some(AddressSet {
                members: (0..count).map(member).collect(),
            }),
        ),
    ];
    let changeset = Changeset {
        to: 1,
        changes,
        ..Changeset::default()
    };
    assert_eq!(decode_changeset(&encode_changeset(&changeset)), Ok(changeset));
}
