//! Several small numbers compared at once.

/// A bit for each of eight numbers that equals `wanted`, the first one's lowest.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn equal(numbers: &[u16; 8], wanted: u16) -> u32 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi16, _mm_loadu_si128, _mm_movemask_epi8, _mm_packs_epi16, _mm_set1_epi16,
        _mm_setzero_si128,
    };
    // SAFETY: every x86-64 processor has SSE2; the load is of 16 bytes, which the array has, at any alignment.
    unsafe {
        let all = _mm_loadu_si128(numbers.as_ptr().cast::<__m128i>());
        let lanes = _mm_cmpeq_epi16(all, _mm_set1_epi16(wanted.cast_signed()));
        _mm_movemask_epi8(_mm_packs_epi16(lanes, _mm_setzero_si128())) as u32
    }
}

/// A bit for each of eight numbers that equals `wanted`, the first one's lowest.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub fn equal(numbers: &[u16; 8], wanted: u16) -> u32 {
    one_by_one(numbers, wanted)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn one_by_one(numbers: &[u16; 8], wanted: u16) -> u32 {
    let bits = numbers.iter().enumerate();
    bits.fold(0, |bits, (way, number)| {
        bits | u32::from(*number == wanted) << way
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compared_at_once_is_what_is_compared_one_by_one() {
        let mut seed = 7_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Few values, so that several are equal; and the extremes, which saturate.
            [0, 1, 0x7fff, 0x8000, 0xff, 0xff00, 0xffff, 0x100][(seed >> 61) as usize]
        };
        let mut found = 0;
        for _ in 0..10_000 {
            let numbers: [u16; 8] = std::array::from_fn(|_| next());
            let wanted = next();
            let bits = equal(&numbers, wanted);
            assert_eq!(bits, one_by_one(&numbers, wanted), "{numbers:x?} {wanted:x}");
            found += bits.count_ones();
        }
        assert!(found > 5_000);
    }
}
