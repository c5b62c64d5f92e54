//! Asks the processor to fetch a cache line before it is needed.
//!
//! A prefetch never faults, whatever the address; so an index outside the slice is harmless, and nothing is checked.

/// Fetches the line of `slice[index]` for reading.
#[inline(always)]
pub fn read<T>(slice: &[T], index: usize) {
    line_read(slice.as_ptr().wrapping_add(index).cast());
}

/// Fetches the line of `slice[index]` for writing, where the processor makes that difference.
#[inline(always)]
pub fn write<T>(slice: &[T], index: usize) {
    line_write(slice.as_ptr().wrapping_add(index).cast());
}

/// Fetches every line of `slice[index]` for reading: for entries longer than a line.
#[inline(always)]
pub fn read_all<T>(slice: &[T], index: usize) {
    let base: *const u8 = slice.as_ptr().wrapping_add(index).cast();
    for line in 0..size_of::<T>().div_ceil(crate::region::CACHE_LINE) {
        line_read(base.wrapping_add(line * crate::region::CACHE_LINE).cast());
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn line_read(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch of any address is a hint: it reads nothing architecturally and does not fault.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn line_write(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
    // SAFETY: as in `line_read`; PREFETCHW is a no-op on processors that have it not.
    unsafe { _mm_prefetch::<_MM_HINT_ET0>(address) };
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn line_read(address: *const i8) {
    // SAFETY: PRFM is a hint: it changes no register or memory and does not fault.
    unsafe { std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags)) };
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn line_write(address: *const i8) {
    // SAFETY: as in `line_read`.
    unsafe { std::arch::asm!("prfm pstl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags)) };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn line_read(_address: *const i8) {}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn line_write(_address: *const i8) {}

#[cfg(test)]
mod tests {
    #[test]
    fn any_index_is_harmless() {
        let slice = [[1_u64; 16]; 4];
        for index in [0, 3, 4, 1 << 40, usize::MAX] {
            super::read(&slice, index);
            super::write(&slice, index);
            super::read_all(&slice, index);
        }
        assert_eq!(slice, [[1; 16]; 4]);
    }
}
