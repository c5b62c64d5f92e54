//! Random rules and packets, against a walk through the rules in order; and the semantics that are easy to get wrong.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anet_model::host_plan::{Direction, Family, Protocol, Remote, Rule};
use anet_packet::addr::IpPrefix;
use proptest::prelude::*;

use super::super::{AddressSets, Policy, Query};
use super::{address, ingress, ports, prefix, set_id, set_index, tcp};

/// Sets that random rules name; the last is never filled.
const SETS: u32 = 5;

fn naive(rules: &[Rule], members: &[(u32, IpPrefix)], query: &Query) -> Option<u32> {
    let matches = |rule: &&Rule| {
        rule.direction == query.direction
            && rule.family == Family::of(query.remote)
            && naive_protocol(rule, query)
            && match &rule.remote {
                Remote::Any => true,
                Remote::Prefix(p) => p.contains(query.remote),
                Remote::Set(id) => members
                    .iter()
                    .any(|(set, p)| Some(*set) == set_index(id) && p.contains(query.remote)),
            }
    };
    rules.iter().position(|rule| matches(&rule)).map(slot)
}

fn naive_protocol(rule: &Rule, query: &Query) -> bool {
    let icmp = if rule.family == Family::Ipv4 { 1 } else { 58 };
    match rule.protocol {
        Protocol::Any => true,
        Protocol::Tcp(range) => {
            query.protocol == 6 && query.destination_port.is_some_and(|p| range.contains(p))
        }
        Protocol::Udp(range) => {
            query.protocol == 17 && query.destination_port.is_some_and(|p| range.contains(p))
        }
        Protocol::Icmp { kind, code } => {
            let fits = |(k, c)| kind.is_none_or(|kind| kind == k) && code.is_none_or(|code| code == c);
            query.protocol == icmp && query.icmp.is_some_and(fits) && (kind.is_some() || code.is_none())
        }
        Protocol::Number(number) => query.protocol == number,
    }
}

/// Slots are not positions.
fn slot(position: usize) -> u32 {
    7 + 3 * position as u32
}

fn compiled(rules: &[Rule]) -> Policy {
    Policy::compile(rules.iter().enumerate().map(|(i, r)| (slot(i), r)), |id| {
        set_index(id).filter(|s| *s < 64)
    })
    .unwrap()
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    // Few bits vary, at both ends and in the middle, so that prefixes meet.
    let low = prop_oneof![Just(0_u8), Just(1), Just(128), Just(255)];
    (any::<bool>(), low.clone(), low.clone(), low).prop_map(|(ipv4, a, b, c)| {
        if ipv4 {
            Ipv4Addr::new(a, b, 0, c).into()
        } else {
            Ipv6Addr::from_octets([a, 0, 0, 0, 0, 0, 0, b, 0, 0, 0, 0, 0, 0, 0, c]).into()
        }
    })
}

fn any_prefix() -> impl Strategy<Value = IpPrefix> {
    (any_address(), prop_oneof![3 => 0..=128_u8, 1 => Just(128)]).prop_map(|(address, length)| {
        let length = if address.is_ipv4() { length / 4 } else { length };
        IpPrefix::containing(address, length).unwrap()
    })
}

fn any_port() -> impl Strategy<Value = u16> {
    prop_oneof![
        Just(0),
        Just(1),
        78..=81_u16,
        254..=257_u16,
        Just(65_534),
        Just(65_535),
        any::<u16>()
    ]
}

fn any_protocol() -> impl Strategy<Value = Protocol> {
    let byte = || prop_oneof![Just(0_u8), Just(3), Just(8), Just(255)];
    let range = || (any_port(), any_port()).prop_map(|(first, last)| ports(first, last));
    prop_oneof![
        1 => Just(Protocol::Any),
        4 => range().prop_map(Protocol::Tcp),
        2 => range().prop_map(Protocol::Udp),
        3 => (proptest::option::of(byte()), proptest::option::of(byte())).prop_map(|(kind, code)| Protocol::Icmp { kind, code }),
        2 => prop_oneof![Just(1_u8), Just(6), Just(17), Just(58), Just(0), Just(255)].prop_map(Protocol::Number),
    ]
}

fn any_direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Ingress), Just(Direction::Egress)]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let remote = prop_oneof![
        1 => Just(Remote::Any),
        6 => any_prefix().prop_map(Remote::Prefix),
        3 => (0..SETS).prop_map(|set| Remote::Set(set_id(set))),
        // A set that there is not.
        1 => Just(Remote::Set(set_id(1000))),
    ];
    let family = prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)];
    (any_direction(), family, any_protocol(), remote).prop_map(|(direction, family, protocol, remote)| {
        // Mostly of the prefix's family, but now and then not.
        let family = match &remote {
            Remote::Prefix(p) if p.length() % 8 != 3 => Family::of(p.address()),
            _ => family,
        };
        Rule {
            direction,
            family,
            protocol,
            remote,
        }
    })
}

fn any_query() -> impl Strategy<Value = Query> {
    let protocol = prop_oneof![
        Just(6_u8),
        Just(6),
        Just(17),
        Just(1),
        Just(58),
        Just(0),
        any::<u8>()
    ];
    let icmp = (
        prop_oneof![Just(0_u8), Just(3), Just(8), any::<u8>()],
        prop_oneof![Just(0_u8), Just(3), Just(255)],
    );
    let layer4 = (
        protocol,
        proptest::option::weighted(0.8, any_port()),
        proptest::option::weighted(0.8, icmp),
    );
    (any_direction(), any_prefix(), any::<bool>(), layer4).prop_map(
        |(direction, near, last, (protocol, destination_port, icmp))| {
            let remote = if last { near.last() } else { near.address() };
            Query {
                direction,
                remote,
                protocol,
                destination_port,
                icmp,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_policy_finds_the_rule_that_a_linear_walk_finds(
        rules in proptest::collection::vec(any_rule(), 0..150),
        members in proptest::collection::vec((0..SETS - 1, any_prefix()), 0..12),
        queries in proptest::collection::vec(any_query(), 150),
    ) {
        let policy = compiled(&rules);
        let mut sets = AddressSets::new(1);
        for (set, member) in &members {
            sets.insert(*set, *member).unwrap();
        }
        for query in &queries {
            prop_assert_eq!(policy.lookup(query, &sets), naive(&rules, &members, query), "{:?}", query);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_policy_of_many_narrow_rules_finds_what_a_linear_walk_finds(
        ranges in proptest::collection::vec((any::<u16>(), 0..300_u16, any::<u16>(), 20..=32_u8), 5_000..6_000),
        queries in proptest::collection::vec((any::<u16>(), any::<u16>()), 60),
    ) {
        let remote = |low: u16, length| IpPrefix::containing(Ipv4Addr::from_bits(0x0a00_0000 + u32::from(low)).into(), length);
        let rules: Vec<Rule> = ranges.iter().map(|(first, width, low, length)| {
            let protocol = Protocol::Tcp(ports(*first, first.saturating_add(*width)));
            ingress(protocol, Remote::Prefix(remote(*low, *length).unwrap()))
        }).collect();
        let (policy, sets) = (compiled(&rules), AddressSets::new(1));
        for (low, port) in queries {
            let query = tcp(&Ipv4Addr::from_bits(0x0a00_0000 + u32::from(low)).to_string(), port);
            prop_assert_eq!(policy.lookup(&query, &sets), naive(&rules, &[], &query), "{:?}", query);
        }
    }
}

#[test]
fn no_rule_allows_nothing() {
    assert_eq!(
        compiled(&[]).lookup(&tcp("10.0.0.1", 80), &AddressSets::new(1)),
        None
    );
    assert_eq!(
        Policy::default().lookup(&tcp("::1", 80), &AddressSets::new(1)),
        None
    );
}

#[test]
fn the_first_of_several_rules_is_named_whatever_its_remote() {
    let sets = {
        let mut sets = AddressSets::new(1);
        sets.insert(2, prefix("10.0.0.1/32")).unwrap();
        sets
    };
    let remotes = [
        Remote::Set(set_id(2)),
        Remote::Prefix(prefix("10.0.0.0/8")),
        Remote::Any,
        Remote::Prefix(prefix("10.0.0.1/32")),
    ];
    for turn in 0..remotes.len() {
        let mut rules: Vec<Rule> = remotes
            .iter()
            .map(|r| ingress(Protocol::Tcp(ports(80, 80)), r.clone()))
            .collect();
        rules.rotate_left(turn);
        assert_eq!(
            compiled(&rules).lookup(&tcp("10.0.0.1", 80), &sets),
            Some(slot(0))
        );
        assert_eq!(compiled(&rules).lookup(&tcp("10.0.0.1", 81), &sets), None);
    }
}

#[test]
fn a_later_fragment_is_matched_by_number_and_any_only() {
    let fragment = Query {
        destination_port: None,
        ..tcp("10.0.0.1", 0)
    };
    let sets = AddressSets::new(1);
    let all_ports = ingress(Protocol::Tcp(ports(0, 65_535)), Remote::Any);
    let rules = [all_ports.clone(), ingress(Protocol::Number(6), Remote::Any)];
    assert_eq!(compiled(&rules).lookup(&fragment, &sets), Some(slot(1)));
    assert_eq!(compiled(&rules[..1]).lookup(&fragment, &sets), None);
    assert_eq!(
        compiled(&[all_ports, ingress(Protocol::Any, Remote::Any)]).lookup(&fragment, &sets),
        Some(slot(1))
    );
}

#[test]
fn icmp_rules_are_of_their_family() {
    let icmp = |kind, code| ingress(Protocol::Icmp { kind, code }, Remote::Any);
    let ask = |remote: &str, protocol, icmp| Query {
        protocol,
        icmp,
        destination_port: None,
        ..tcp(remote, 0)
    };
    let sets = AddressSets::new(1);
    let ipv4 = compiled(&[icmp(Some(8), Some(0)), icmp(Some(3), None)]);
    assert_eq!(
        ipv4.lookup(&ask("10.0.0.1", 1, Some((8, 0))), &sets),
        Some(slot(0))
    );
    assert_eq!(ipv4.lookup(&ask("10.0.0.1", 1, Some((8, 1))), &sets), None);
    assert_eq!(
        ipv4.lookup(&ask("10.0.0.1", 1, Some((3, 255))), &sets),
        Some(slot(1))
    );
    assert_eq!(ipv4.lookup(&ask("10.0.0.1", 1, Some((4, 0))), &sets), None);
    assert_eq!(ipv4.lookup(&ask("10.0.0.1", 58, Some((8, 0))), &sets), None);
    let ipv6 = compiled(&[Rule {
        family: Family::Ipv6,
        ..icmp(Some(128), None)
    }]);
    assert_eq!(
        ipv6.lookup(&ask("fd00::1", 58, Some((128, 0))), &sets),
        Some(slot(0))
    );
    assert_eq!(ipv6.lookup(&ask("fd00::1", 1, Some((128, 0))), &sets), None);
}

#[test]
fn a_set_that_changes_changes_the_answer_without_compiling() {
    let policy = compiled(&[ingress(Protocol::Any, Remote::Set(set_id(0)))]);
    let mut sets = AddressSets::new(1);
    assert_eq!(policy.lookup(&tcp("10.0.0.1", 1), &sets), None);
    sets.insert(0, prefix("10.0.0.0/24")).unwrap();
    assert_eq!(policy.lookup(&tcp("10.0.0.1", 1), &sets), Some(slot(0)));
    assert_eq!(
        policy.lookup(
            &Query {
                remote: address("10.0.1.0"),
                ..tcp("10.0.0.1", 1)
            },
            &sets
        ),
        None
    );
}

#[test]
fn a_host_at_the_edge_of_a_network_is_still_in_it() {
    let sets = AddressSets::new(1);
    for edge in ["10.0.0.0", "10.0.0.255"] {
        let host = Remote::Prefix(IpPrefix::host(address(edge)));
        let network = ingress(
            Protocol::Tcp(ports(80, 80)),
            Remote::Prefix(prefix("10.0.0.0/24")),
        );
        let policy = compiled(&[ingress(Protocol::Udp(ports(80, 80)), host), network]);
        assert_eq!(policy.lookup(&tcp(edge, 80), &sets), Some(slot(1)));
        let udp = Query {
            protocol: 17,
            ..tcp(edge, 80)
        };
        assert_eq!(policy.lookup(&udp, &sets), Some(slot(0)));
    }
}
