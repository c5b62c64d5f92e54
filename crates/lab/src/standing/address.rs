//! The two addresses between this machine and a lab's controller: link-local ones (RFC 3927) that nobody else has here.

use std::net::Ipv4Addr;
use std::process::Command;

use super::place::Place;
use super::state::State;
use crate::{LabError, output_of};

/// Third bytes that are used: not the first and last 256 addresses, which are reserved, and not what clouds use for their
/// metadata.
const THIRD_BYTES: std::ops::Range<u8> = 1..169;
/// Pairs that there are.
const PAIRS: u64 = (THIRD_BYTES.end - THIRD_BYTES.start) as u64 * 128;

/// A lab's first choice and what follows it: the near (even) address of each pair.
fn candidates(number: u64) -> impl Iterator<Item = Ipv4Addr> {
    (0..PAIRS).map(move |step| {
        let pair = (number % PAIRS + step) % PAIRS;
        let third = THIRD_BYTES.start + u8::try_from(pair / 128).unwrap_or_default();
        let fourth = u8::try_from(pair % 128 * 2).unwrap_or_default();
        Ipv4Addr::new(169, 254, third, fourth)
    })
}

/// Chooses the near address for a lab: neither of its pair is of this machine or of another lab.
pub fn choose(place: &Place) -> Result<Ipv4Addr, LabError> {
    let own = output_of(Command::new("ip").args(["-4", "-o", "address", "show"]))?;
    let mut taken = addresses_in(&own);
    let others = Place::all().into_iter().filter(|other| other != place);
    taken.extend(others.filter_map(|other| Some(State::read(&other).ok()?.near_address)));
    first_free(place.number(), &taken).ok_or_else(|| {
        LabError::Refused("every pair of addresses under 169.254.0.0/16 is in use on this machine".to_owned())
    })
}

fn first_free(number: u64, taken: &[Ipv4Addr]) -> Option<Ipv4Addr> {
    let pair_of = |address: &Ipv4Addr| address.to_bits() >> 1;
    candidates(number).find(|near| taken.iter().all(|address| pair_of(address) != pair_of(near)))
}

fn addresses_in(text: &str) -> Vec<Ipv4Addr> {
    let words = text.split_whitespace();
    words
        .filter_map(|word| word.split('/').next()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pairs_are_tried_and_taken_ones_left_out() {
        let all: Vec<Ipv4Addr> = candidates(u64::MAX).collect();
        assert_eq!(all.len() as u64, PAIRS);
        assert!(all.iter().all(|near| near.octets()[3] % 2 == 0));
        assert!(all.iter().all(|near| !matches!(near.octets()[2], 0 | 169 | 255)));
        let first = first_free(7, &[]).unwrap();
        let far = Ipv4Addr::from_bits(first.to_bits() + 1);
        let second = first_free(7, &[far]).unwrap();
        assert_ne!(first, second, "the far address is as good as the near one");
        assert_eq!(first_free(7, &all), None);
    }

    #[test]
    fn addresses_are_read_out_of_what_ip_says() {
        let text = "2: eth0    inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0\\ valid_lft forever\n3: lab-1 inet 169.254.1.2 peer 169.254.1.3/32 scope global lab-1\n";
        let found = addresses_in(text);
        for address in ["192.0.2.7", "169.254.1.2", "169.254.1.3"] {
            assert!(found.contains(&address.parse().unwrap()), "{address}");
        }
    }
}
