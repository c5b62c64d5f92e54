//! The written bounds: of rules, sets, memory, and of what a lookup takes; and that what is beyond them is refused.

use std::net::{Ipv4Addr, Ipv6Addr};

use anet_model::host_plan::{Direction, Family, Protocol, Remote, Rule};
use anet_packet::addr::IpPrefix;

use super::super::{AddressSets, Cost, MAX_POLICY_BYTES, MAX_RULES, MAX_SETS, Policy, PolicyTooLarge};
use super::{ingress, ports, set_id, set_index, tcp};

fn compile(rules: &[Rule]) -> Result<Policy, PolicyTooLarge> {
    Policy::compile((0..).zip(rules), set_index)
}

fn host(n: u32) -> IpPrefix {
    IpPrefix::host(Ipv4Addr::from_bits(0x0a00_0000 + n).into())
}

/// A rule for each of `count` hosts, with a port of its own.
fn host_rules(count: u32) -> Vec<Rule> {
    let rule = |n: u32| {
        ingress(
            Protocol::Tcp(ports(n as u16, n as u16)),
            Remote::Prefix(host(2 * n)),
        )
    };
    (0..count).map(rule).collect()
}

/// Port ranges of which each overlaps half of the others: the bitmaps that take the most memory.
fn sliding_ranges(direction: Direction, family: Family) -> impl Iterator<Item = Rule> {
    (0..MAX_RULES as u16).map(move |n| {
        let protocol = Protocol::Tcp(ports(2 * n, 2 * n + 32_767));
        Rule {
            direction,
            family,
            protocol,
            remote: Remote::Any,
        }
    })
}

#[test]
fn ten_thousand_rules_stay_small_and_each_is_found() {
    let rules = host_rules(10_000);
    let policy = compile(&rules).unwrap();
    assert_eq!(
        policy.cost(),
        Cost {
            address_probes: 0,
            interval_steps: 15,
            words: 5
        }
    );
    assert!(policy.bytes() < 2 << 20, "{}", policy.bytes());
    let sets = AddressSets::new(1);
    for n in (0..10_000).step_by(7) {
        let query = tcp(&host(2 * n).address().to_string(), n as u16);
        assert_eq!(policy.lookup(&query, &sets), Some(n));
        assert_eq!(
            policy.lookup(&tcp(&host(2 * n + 1).address().to_string(), n as u16), &sets),
            None
        );
    }
}

#[test]
fn the_most_rules_compile_and_one_more_is_refused() {
    let mut rules = host_rules(MAX_RULES + 1);
    let refused = compile(&rules).unwrap_err();
    let expected = PolicyTooLarge::Rules {
        direction: Direction::Ingress,
        family: Family::Ipv4,
        found: 16_385,
    };
    assert_eq!(refused, expected);
    assert!(
        refused
            .to_string()
            .contains("16385 Ingress Ipv4 rules, more than 16384: put addresses"),
        "{refused}"
    );
    rules.pop();
    let cost = compile(&rules).unwrap().cost();
    assert_eq!(
        cost,
        Cost {
            address_probes: 0,
            interval_steps: 16,
            words: 6
        }
    );
}

#[test]
fn the_most_sets_compile_and_one_more_is_refused() {
    let rules: Vec<Rule> = (0..=MAX_SETS)
        .map(|n| ingress(Protocol::Any, Remote::Set(set_id(n))))
        .collect();
    let refused = compile(&rules).unwrap_err();
    assert_eq!(
        refused,
        PolicyTooLarge::Sets {
            direction: Direction::Ingress,
            family: Family::Ipv4,
            found: 257
        }
    );
    let policy = compile(&rules[..256]).unwrap();
    assert_eq!(
        policy.cost(),
        Cost {
            address_probes: 256 * 5,
            interval_steps: 0,
            words: 256 * 3
        }
    );
    let mut sets = AddressSets::new(1);
    sets.insert(255, host(9)).unwrap();
    assert_eq!(policy.lookup(&tcp("10.0.0.9", 1), &sets), Some(255));
}

#[test]
fn the_deepest_nesting_costs_its_depth() {
    let address = Ipv6Addr::from_bits(u128::MAX).into();
    let rule = |length| Rule {
        direction: Direction::Egress,
        family: Family::Ipv6,
        protocol: Protocol::Udp(ports(53, 53)),
        remote: Remote::Prefix(IpPrefix::containing(address, length).unwrap()),
    };
    let rules: Vec<Rule> = (0..=128).rev().map(rule).collect();
    assert_eq!(
        compile(&rules).unwrap().cost(),
        Cost {
            address_probes: 0,
            interval_steps: 8,
            words: 129 * 3
        }
    );
}

#[test]
fn rules_for_one_prefix_share_it() {
    let rules: Vec<Rule> = (0..5_000).map(|_| ingress(Protocol::Any, Remote::Any)).collect();
    let policy = compile(&rules).unwrap();
    assert_eq!(
        policy.cost(),
        Cost {
            address_probes: 0,
            interval_steps: 1,
            words: 4
        }
    );
    assert_eq!(
        policy.lookup(&tcp("255.255.255.255", 0), &AddressSets::new(1)),
        Some(0)
    );
}

#[test]
fn memory_is_bounded() {
    let one: Vec<Rule> = sliding_ranges(Direction::Ingress, Family::Ipv4).collect();
    let policy = compile(&one).unwrap();
    assert!(
        policy.bytes() > MAX_POLICY_BYTES / 2 && policy.bytes() < MAX_POLICY_BYTES,
        "{}",
        policy.bytes()
    );
    let sets = AddressSets::new(1);
    assert_eq!(policy.lookup(&tcp("10.0.0.1", 32_768), &sets), Some(1));
    assert_eq!(policy.lookup(&tcp("10.0.0.1", 65_533), &sets), Some(16_383));
    assert_eq!(policy.lookup(&tcp("10.0.0.1", 65_534), &sets), None);
    drop(policy);

    let both: Vec<Rule> = one
        .into_iter()
        .chain(sliding_ranges(Direction::Egress, Family::Ipv6))
        .collect();
    let refused = compile(&both).unwrap_err();
    let PolicyTooLarge::Memory {
        direction: Direction::Egress,
        family: Family::Ipv6,
        found,
        ..
    } = refused
    else {
        panic!("{refused}")
    };
    assert!(
        found > MAX_POLICY_BYTES && found < MAX_POLICY_BYTES + (1 << 20),
        "{found}"
    );
}
