//! The Internet checksum: RFC 1071 sums, pseudo headers, RFC 1624 updates in place.
//!
//! A *sum* is a `u64` of big-endian 16-bit words, not yet folded. Each sum that this module returns is below
//! 2^33, so sums may be added with `+` millions of times before they are folded.
//!
//! `complement(sum(header) + sum(rest))` is the field to write; a packet is right where its [`fold`] with the field
//! included is `0xffff`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of one turn of the vectorised loop.
const BLOCK: usize = 64;

/// The unfolded sum of `bytes`; an odd last byte counts as the high half of a word.
#[inline]
pub fn sum(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let total = if blocks.is_empty() { 0 } else { sum_blocks(blocks) };
    let (words, rest) = rest.as_chunks::<4>();
    let total = words
        .iter()
        .fold(total, |t, w| t + u64::from(u32::from_ne_bytes(*w)));
    // Written out: a loop becomes a call and a load that waits for the bytes just stored.
    let last = match *rest {
        [a] => [a, 0, 0, 0],
        [a, b] => [a, b, 0, 0],
        [a, b, c] => [a, b, c, 0],
        _ => [0; 4],
    };
    // One's complement sums are the same in either byte order, once the result is swapped (RFC 1071, 2 (B)).
    u64::from(u16::from_be(fold(total + u64::from(u32::from_ne_bytes(last)))))
}

/// The 32-bit halves of native-endian words in separate 64-bit lanes: they cannot overflow below 2^32 blocks, and
/// have no carry chain, so the compiler makes vector code of it.
fn sum_blocks(blocks: &[[u8; BLOCK]]) -> u64 {
    let (mut low, mut high) = ([0u64; BLOCK / 8], [0u64; BLOCK / 8]);
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for ((low, high), word) in low.iter_mut().zip(&mut high).zip(words) {
            let word = u64::from_ne_bytes(*word);
            *low += word & 0xffff_ffff;
            *high += word >> 32;
        }
    }
    low.iter()
        .chain(&high)
        .fold(0, |total, lane| total + (lane & 0xffff_ffff) + (lane >> 32))
}

/// The 16-bit one's complement sum: carries are added back in. Zero only for a sum of zero.
#[inline]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The value of a checksum field: the complement of the folded sum.
#[inline]
pub const fn complement(sum: u64) -> u16 {
    !fold(sum)
}

/// As [`complement`], for UDP: zero means "none", so a computed zero is sent as `0xffff` (RFC 768).
#[inline]
pub const fn complement_udp(sum: u64) -> u16 {
    match complement(sum) {
        0 => 0xffff,
        field => field,
    }
}

/// The checksum field of `bytes`, in which the field itself is zero.
#[inline]
pub fn of(bytes: &[u8]) -> u16 {
    complement(sum(bytes))
}

/// True where `bytes`, checksum field included, sum up to all ones.
#[inline]
pub fn is_valid(bytes: &[u8]) -> bool {
    fold(sum(bytes)) == 0xffff
}

/// The sum of two neighbouring pieces, of which the first is `first_len` bytes long: behind an odd length the
/// second's bytes have changed places.
#[inline]
pub const fn combine(first: u64, first_len: usize, second: u64) -> u64 {
    let second = fold(second);
    first
        + if first_len % 2 == 1 {
            second.swap_bytes()
        } else {
            second
        } as u64
}

/// The sum of the IPv4 pseudo header (RFC 9293, 3.1). `length` is that of the transport header and its payload.
#[inline]
pub const fn pseudo_header_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u32) -> u64 {
    source.to_bits() as u64 + destination.to_bits() as u64 + protocol as u64 + length as u64
}

/// The sum of the IPv6 pseudo header (RFC 8200, 8.1). `length` is that of the transport header and its payload.
#[inline]
pub const fn pseudo_header_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: u32) -> u64 {
    let folded = fold(words_of_u128(source.to_bits()) + words_of_u128(destination.to_bits()));
    folded as u64 + protocol as u64 + length as u64
}

/// The pseudo header's sum of either family; `None` where the families differ.
pub const fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: u32) -> Option<u64> {
    match (source, destination) {
        (IpAddr::V4(s), IpAddr::V4(d)) => Some(pseudo_header_v4(s, d, protocol, length)),
        (IpAddr::V6(s), IpAddr::V6(d)) => Some(pseudo_header_v6(s, d, protocol, length)),
        _ => None,
    }
}

/// The checksum field after a 16-bit word that it covers has changed (RFC 1624, equation 3).
#[inline]
pub const fn update_u16(field: u16, old: u16, new: u16) -> u16 {
    update(field, !old as u64, new as u64)
}

/// The checksum field after an aligned 32-bit word, an IPv4 address mostly, has changed (RFC 1624).
#[inline]
pub const fn update_u32(field: u16, old: u32, new: u32) -> u16 {
    update(field, !old as u64, new as u64)
}

/// The checksum field after 16 aligned bytes, an IPv6 address mostly, have changed (RFC 1624).
#[inline]
pub const fn update_u128(field: u16, old: [u8; 16], new: [u8; 16]) -> u16 {
    let (old, new) = (u128::from_be_bytes(old), u128::from_be_bytes(new));
    update(field, words_of_u128(!old), words_of_u128(new))
}

/// `HC' = ~(~HC + ~m + m')`: the form that never turns a sum of all ones into zero wrongly.
#[inline]
const fn update(field: u16, old_complement: u64, new: u64) -> u16 {
    complement(!field as u64 + old_complement + new)
}

#[inline]
const fn words_of_u128(value: u128) -> u64 {
    let (high, low) = ((value >> 64) as u64, value as u64);
    (high >> 32) + (high & 0xffff_ffff) + (low >> 32) + (low & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// RFC 1071 by the letter, a word at a time.
    fn naive(bytes: &[u8]) -> u16 {
        let mut total = 0u32;
        for pair in bytes.chunks(2) {
            total += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |b| u32::from(*b));
            total = (total & 0xffff) + (total >> 16);
        }
        total as u16
    }

    #[test]
    fn the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(sum(&bytes)), 0xddf2);
        assert_eq!(of(&bytes), 0x220d);
        assert_eq!((fold(sum(&[])), fold(sum(&[0xab]))), (0, 0xab00));
    }

    #[test]
    fn nothing_is_lost_in_the_largest_packet() {
        let bytes = vec![0xff; 65_535];
        assert_eq!(fold(sum(&bytes)), naive(&bytes));
        assert_eq!(fold(u64::MAX), 0xffff);
        assert_eq!(fold(0x1_ffff_ffff), 1);
    }

    #[test]
    fn udp_never_sends_zero() {
        assert_eq!((complement_udp(0xffff), complement_udp(0)), (0xffff, 0xffff));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn agrees_with_the_naive_sum(bytes in vec(any::<u8>(), 0..700)) {
            prop_assert_eq!(fold(sum(&bytes)), naive(&bytes));
        }

        #[test]
        fn pieces_combine(bytes in vec(any::<u8>(), 0..300), cut in 0usize..300) {
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(fold(combine(sum(a), a.len(), sum(b))), naive(&bytes));
        }

        #[test]
        fn an_update_is_the_same_as_summing_again(
            mut bytes in vec(any::<u8>(), 64..65), new in any::<[u8; 16]>(), word in 0usize..24,
        ) {
            let at = word * 2;
            let field = of(&bytes);
            let old: [u8; 16] = bytes[at..at + 16].try_into().unwrap();
            for size in [2, 4, 16] {
                let mut changed = bytes.clone();
                changed[at..at + size].copy_from_slice(&new[..size]);
                let half = |b: &[u8; 16]| u16::from_be_bytes([b[0], b[1]]);
                let full = |b: &[u8; 16]| u32::from_be_bytes([b[0], b[1], b[2], b[3]]);
                let updated = match size {
                    2 => update_u16(field, half(&old), half(&new)),
                    4 => update_u32(field, full(&old), full(&new)),
                    _ => update_u128(field, old, new),
                };
                prop_assert_eq!(updated, of(&changed), "{} bytes", size);
            }
            bytes.extend_from_slice(&field.to_be_bytes());
            prop_assert!(is_valid(&bytes));
        }

        #[test]
        fn pseudo_headers_are_their_bytes(s in any::<[u8; 16]>(), d in any::<[u8; 16]>(), p in any::<u8>(), l in any::<u16>()) {
            let mut six = [&s[..], &d[..]].concat();
            six.extend_from_slice(&u32::from(l).to_be_bytes());
            six.extend_from_slice(&[0, 0, 0, p]);
            prop_assert_eq!(fold(pseudo_header_v6(s.into(), d.into(), p, l.into())), naive(&six));
            let (s, d) = ([s[0], s[1], s[2], s[3]], [d[0], d[1], d[2], d[3]]);
            let mut four = [s, d].concat();
            four.extend_from_slice(&[0, p]);
            four.extend_from_slice(&l.to_be_bytes());
            prop_assert_eq!(fold(pseudo_header_v4(s.into(), d.into(), p, l.into())), naive(&four));
        }
    }
}
