//! The Internet checksum's sum over payload, where that is most of the work: with AVX2 where the processor has it.
//!
//! Same results as [`checksum::sum`], which is the definition, and what everything else uses.

use anet_packet::checksum;

/// Bytes of one turn of the vector loop; shorter slices are left to the plain sum.
const BLOCK: usize = 64;

/// The sum of `bytes`, see [`checksum::sum`].
#[inline]
pub(super) fn sum(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= BLOCK && std::arch::is_x86_feature_detected!("avx2") {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        // SAFETY: the processor has AVX2, as just asked.
        return unsafe { avx2::sum(blocks) } + checksum::sum(rest);
    }
    checksum::sum(bytes)
}

/// Copies `from` to the front of `to` and sums it on the way; where `to` is shorter, it is only summed.
#[inline]
pub(super) fn copy_and_sum(from: &[u8], to: &mut [u8]) -> u64 {
    let Some(to) = to.get_mut(..from.len()) else {
        return sum(from);
    };
    #[cfg(target_arch = "x86_64")]
    if from.len() >= BLOCK && std::arch::is_x86_feature_detected!("avx2") {
        let (blocks, rest) = from.as_chunks::<BLOCK>();
        let (to_blocks, to_rest) = to.as_chunks_mut::<BLOCK>();
        to_rest.copy_from_slice(rest);
        // SAFETY: the processor has AVX2, as just asked.
        return unsafe { avx2::copy_and_sum(blocks, to_blocks) } + checksum::sum(rest);
    }
    to.copy_from_slice(from);
    checksum::sum(from)
}

/// The 32-bit halves of 64-bit words are added up in lanes of their own, which cannot overflow below 2^32 blocks.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::BLOCK;
    use anet_packet::checksum;
    use std::arch::x86_64::*;

    #[derive(Clone, Copy)]
    struct Lanes {
        low: __m256i,
        high: __m256i,
    }

    impl Lanes {
        #[target_feature(enable = "avx2")]
        #[inline]
        fn zero() -> Self {
            Self {
                low: _mm256_setzero_si256(),
                high: _mm256_setzero_si256(),
            }
        }

        #[target_feature(enable = "avx2")]
        #[inline]
        fn add(&mut self, words: __m256i) {
            let low = _mm256_and_si256(words, _mm256_set1_epi64x(0xffff_ffff));
            self.low = _mm256_add_epi64(self.low, low);
            self.high = _mm256_add_epi64(self.high, _mm256_srli_epi64::<32>(words));
        }

        /// The lanes' sum as one of big-endian words (RFC 1071, 2 (B)).
        #[target_feature(enable = "avx2")]
        #[inline]
        fn total(self, other: Self) -> u64 {
            let sum = _mm256_add_epi64(self.low, self.high);
            let sum = _mm256_add_epi64(sum, _mm256_add_epi64(other.low, other.high));
            let parts = [
                _mm256_extract_epi64::<0>(sum),
                _mm256_extract_epi64::<1>(sum),
                _mm256_extract_epi64::<2>(sum),
                _mm256_extract_epi64::<3>(sum),
            ];
            let total = parts.iter().fold(0_u64, |total, part| total + *part as u64);
            u64::from(u16::from_be(checksum::fold(total)))
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn load(block: &[u8; BLOCK]) -> (__m256i, __m256i) {
        let from = block.as_ptr().cast::<__m256i>();
        // SAFETY: both halves of the 64 bytes; the load needs no alignment.
        unsafe { (_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1))) }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn sum(blocks: &[[u8; BLOCK]]) -> u64 {
        let (mut even, mut odd) = (Lanes::zero(), Lanes::zero());
        for block in blocks {
            let (first, second) = load(block);
            even.add(first);
            odd.add(second);
        }
        even.total(odd)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn copy_and_sum(blocks: &[[u8; BLOCK]], to: &mut [[u8; BLOCK]]) -> u64 {
        let (mut even, mut odd) = (Lanes::zero(), Lanes::zero());
        for (block, to) in blocks.iter().zip(to) {
            let (first, second) = load(block);
            let to = to.as_mut_ptr().cast::<__m256i>();
            // SAFETY: both halves of the 64 bytes; the store needs no alignment.
            unsafe {
                _mm256_storeu_si256(to, first);
                _mm256_storeu_si256(to.add(1), second);
            }
            even.add(first);
            odd.add(second);
        }
        even.total(odd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_lost_in_the_longest_payload() {
        let bytes = vec![0xff; 65_535];
        assert_eq!(checksum::fold(sum(&bytes)), checksum::fold(checksum::sum(&bytes)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn agrees_with_the_plain_sum(bytes in proptest::collection::vec(any::<u8>(), 0..3_000), room in 0usize..3_000) {
            let expected = checksum::fold(checksum::sum(&bytes));
            prop_assert_eq!(checksum::fold(sum(&bytes)), expected);
            let mut copy = vec![0; bytes.len() + 7];
            prop_assert_eq!(checksum::fold(copy_and_sum(&bytes, &mut copy)), expected);
            prop_assert_eq!(&copy[..bytes.len()], &bytes[..]);
            prop_assert_eq!(&copy[bytes.len()..], &[0; 7]);
            let short = room.min(bytes.len());
            prop_assert_eq!(checksum::fold(copy_and_sum(&bytes, &mut vec![0; short])), expected);
        }
    }
}
