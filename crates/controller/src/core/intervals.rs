//! A set of numbers as disjoint intervals that do not touch: the lowest free number of a range is found in one step, however
//! many are taken. For addresses of a subnet and for segments.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A set of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Intervals(BTreeMap<u128, u128>);

impl Intervals {
    /// Takes a number in; false where it was in.
    pub fn insert(&mut self, number: u128) -> bool {
        if self.contains(number) {
            return false;
        }
        let below = self.0.range(..number).next_back().map(|(s, e)| (*s, *e));
        let joins_below = below.filter(|(_, end)| end.checked_add(1) == Some(number));
        let joins_above = number
            .checked_add(1)
            .and_then(|next| Some((next, self.0.remove(&next)?)));
        let start = joins_below.map_or(number, |(start, _)| start);
        let end = joins_above.map_or(number, |(_, end)| end);
        self.0.insert(start, end);
        true
    }

    /// Takes a number out; false where it was not in.
    pub fn remove(&mut self, number: u128) -> bool {
        let Some((start, end)) = self.around(number) else {
            return false;
        };
        self.0.remove(&start);
        if start < number {
            self.0.insert(start, number - 1);
        }
        if number < end {
            self.0.insert(number + 1, end);
        }
        true
    }

    /// True for a number that is in.
    pub fn contains(&self, number: u128) -> bool {
        self.around(number).is_some()
    }

    /// The lowest number from `first` to `last` that is not in.
    pub fn lowest_free(&self, first: u128, last: u128) -> Option<u128> {
        let candidate = match self.around(first) {
            Some((_, end)) => end.checked_add(1)?,
            None => first,
        };
        (candidate <= last).then_some(candidate)
    }

    fn around(&self, number: u128) -> Option<(u128, u128)> {
        let (start, end) = self.0.range(..=number).next_back()?;
        (*end >= number).then_some((*start, *end))
    }
}

/// An address as a number within its family.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The address that a number is in the family of `like`; a number too large for it wraps.
pub const fn address(number: u128, like: IpAddr) -> IpAddr {
    match like {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "numbers of IPv4 addresses have 32 bits"
        )]
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(number as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_ends_of_the_numbers_are_numbers_too() {
        let mut set = Intervals::default();
        assert!(set.insert(u128::MAX) && set.insert(0) && set.insert(u128::MAX - 1));
        assert_eq!(set.lowest_free(u128::MAX - 1, u128::MAX), None);
        assert_eq!(set.lowest_free(0, u128::MAX), Some(1));
        assert!(set.remove(u128::MAX) && !set.remove(u128::MAX));
        assert_eq!(set.lowest_free(u128::MAX - 1, u128::MAX), Some(u128::MAX));
    }

    #[test]
    fn addresses_and_numbers_are_the_same_thing() {
        for text in ["10.0.0.255", "0.0.0.0", "255.255.255.255", "::", "2001:db8::ffff"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(address(number(ip), ip), ip);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn it_is_a_set(steps in prop::collection::vec((any::<bool>(), 0..24_u128), 0..80), first in 0..24_u128, last in 0..24_u128) {
            let (mut set, mut plain) = (Intervals::default(), BTreeSet::new());
            for (insert, number) in steps {
                let changed = match insert {
                    true => (set.insert(number), plain.insert(number)),
                    false => (set.remove(number), plain.remove(&number)),
                };
                prop_assert_eq!(changed.0, changed.1);
                prop_assert_eq!(set.contains(number), plain.contains(&number));
            }
            prop_assert_eq!(set.lowest_free(first, last), (first..=last).find(|n| !plain.contains(n)));
            let touching = set.0.iter().zip(set.0.iter().skip(1)).any(|((_, end), (start, _))| end + 1 >= *start);
            prop_assert!(!touching, "{:?}", set);
        }
    }
}
