//! Address sets against a list of members, large sets, and hostile indexes.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anet_packet::addr::IpPrefix;
use proptest::prelude::*;

use super::super::{AddressSetError, AddressSets, MAX_SET_INDEX};
use super::{address, prefix};

fn member(ipv4: bool, high: u8, low: u8, length: u8) -> IpPrefix {
    if ipv4 {
        IpPrefix::containing(Ipv4Addr::new(high, low, 0, low).into(), length % 33).unwrap()
    } else {
        let bits = u128::from(high) << 120 | u128::from(low) << 60 | u128::from(low);
        IpPrefix::containing(Ipv6Addr::from_bits(bits).into(), length % 129).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_set_holds_what_its_members_hold(
        changes in proptest::collection::vec((any::<bool>(), any::<bool>(), 0..4_u8, 0..3_u8, any::<u8>()), 1..120),
        asked in proptest::collection::vec((any::<bool>(), 0..4_u8, 0..3_u8, any::<u8>()), 40),
    ) {
        // Two copies with the same operations but other seeds agree.
        let (mut left, mut right) = (AddressSets::new(1), AddressSets::new(2));
        let mut members = BTreeSet::new();
        for (insert, ipv4, high, low, length) in changes {
            let changed = member(ipv4, high, low, length);
            if insert {
                let new = members.insert(changed);
                prop_assert_eq!(left.insert(3, changed), Ok(new));
                prop_assert_eq!(right.insert(3, changed), Ok(new));
            } else {
                let found = members.remove(&changed);
                prop_assert_eq!(left.remove(3, changed), found);
                prop_assert_eq!(right.remove(3, changed), found);
            }
            prop_assert_eq!(left.len(3), members.len());
        }
        for (ipv4, high, low, length) in asked {
            for asked in [member(ipv4, high, low, length).address(), member(ipv4, high, low, length).last()] {
                let expected = members.iter().any(|m| m.contains(asked));
                prop_assert_eq!(left.contains(3, asked), expected, "{}", asked);
                prop_assert_eq!(right.contains(3, asked), expected, "{}", asked);
                prop_assert!(!left.contains(2, asked) && !left.contains(4, asked));
            }
        }
        for last in members {
            prop_assert!(left.remove(3, last));
        }
        prop_assert!(left.is_empty(3) && !left.contains(3, address("::")) && !left.contains(3, address("0.0.0.0")));
    }
}

#[test]
fn ten_thousand_members_come_and_go() {
    let mut sets = AddressSets::new(7);
    let host = |n: u32| IpPrefix::host(Ipv4Addr::from_bits(0x0a00_0000 + 2 * n).into());
    let network = |n: u128| IpPrefix::new(Ipv6Addr::from_bits(0xfd00 << 112 | n << 65).into(), 64).unwrap();
    for n in 0..10_000 {
        assert_eq!(sets.insert(0, host(n)), Ok(true));
        assert_eq!(sets.insert(0, network(n.into())), Ok(true));
    }
    assert_eq!(sets.len(0), 20_000);
    let inside = |sets: &AddressSets, n: u32| {
        (
            sets.contains(0, host(n).address()),
            sets.contains(0, network(n.into()).last()),
        )
    };
    for n in 0..10_000 {
        assert_eq!(inside(&sets, n), (true, true));
        let beside: IpAddr = Ipv4Addr::from_bits(0x0a00_0001 + 2 * n).into();
        assert!(!sets.contains(0, beside));
    }
    for n in (0..10_000).step_by(2) {
        assert!(sets.remove(0, host(n)) && sets.remove(0, network(n.into())) && !sets.remove(0, host(n)));
    }
    for n in 0..10_000 {
        assert_eq!(inside(&sets, n), (n % 2 == 1, n % 2 == 1));
    }
    sets.clear(0);
    assert!(sets.is_empty(0) && !inside(&sets, 1).0);
}

#[test]
fn indexes_are_bounded() {
    let mut sets = AddressSets::new(7);
    let beyond = MAX_SET_INDEX + 1;
    let refused = sets.insert(beyond, prefix("10.0.0.0/8"));
    assert_eq!(refused, Err(AddressSetError::IndexTooHigh { found: beyond }));
    assert!(!sets.remove(u32::MAX, prefix("10.0.0.0/8")) && !sets.contains(u32::MAX, address("10.0.0.1")));
    sets.clear(u32::MAX);
}
