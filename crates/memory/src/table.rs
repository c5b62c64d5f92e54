//! Tables of plain data for one owner: zero, cache-line aligned, backed by memory only where touched.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize};

use crate::region::{Placement, Region, RegionError};

/// Types for which all-zero bytes are a legal value, and that need no drop.
///
/// # Safety
/// A value whose bytes are all zero must be valid, the alignment at most a page, and dropping it must do nothing.
pub unsafe trait Zeroable {}

// SAFETY: integers: every bit pattern is legal, and there is nothing to drop.
unsafe impl Zeroable for u8 {}
// SAFETY: as above.
unsafe impl Zeroable for u16 {}
// SAFETY: as above.
unsafe impl Zeroable for u32 {}
// SAFETY: as above.
unsafe impl Zeroable for u64 {}
// SAFETY: as above.
unsafe impl Zeroable for u128 {}
// SAFETY: as above.
unsafe impl Zeroable for usize {}
// SAFETY: atomics have the bit patterns of their integers.
unsafe impl Zeroable for AtomicU8 {}
// SAFETY: as above.
unsafe impl Zeroable for AtomicU16 {}
// SAFETY: as above.
unsafe impl Zeroable for AtomicU32 {}
// SAFETY: as above.
unsafe impl Zeroable for AtomicU64 {}
// SAFETY: as above.
unsafe impl Zeroable for AtomicUsize {}
// SAFETY: an array of zeroable values is one.
unsafe impl<T: Zeroable, const N: usize> Zeroable for [T; N] {}

/// `len` values, the first on a page boundary: an entry of 64 or 128 bytes never straddles a cache line more than it
/// must. Dereferences to `[T]`.
#[derive(Debug)]
pub struct AlignedTable<T: Zeroable> {
    region: Region,
    len: usize,
    entries: PhantomData<T>,
}

impl<T: Zeroable> AlignedTable<T> {
    /// `len` zero values.
    pub fn new(len: usize) -> Result<Self, RegionError> {
        Self::placed(len, Placement::default())
    }

    /// As [`AlignedTable::new`], placed as wished.
    pub fn placed(len: usize, placement: Placement) -> Result<Self, RegionError> {
        let region = Region::new(len.saturating_mul(size_of::<T>()), placement)?;
        Ok(Self {
            region,
            len,
            entries: PhantomData,
        })
    }

    /// Which wishes the kernel granted.
    pub fn placement(&self) -> Placement {
        self.region.placement()
    }
}

impl<T: Zeroable> Deref for AlignedTable<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the region holds at least `len` values, page-aligned, zero or written through `deref_mut`, and zero
        // is legal for T.
        unsafe { std::slice::from_raw_parts(self.region.base().as_ptr().cast(), self.len) }
    }
}

impl<T: Zeroable> DerefMut for AlignedTable<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `&mut self` makes the borrow exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.region.base().as_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_zero_aligned_and_keep_what_is_written() {
        let mut table = AlignedTable::<[u64; 16]>::new(1000).unwrap();
        assert_eq!((table.len(), table.as_ptr() as usize % 64), (1000, 0));
        assert!(table.iter().all(|entry| *entry == [0; 16]));
        table[999][15] = 5;
        assert_eq!(table[999][15], 5);
        assert!(AlignedTable::<u8>::new(0).unwrap().is_empty());
        assert!(AlignedTable::<[u64; 16]>::new(usize::MAX).is_err());
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri backs every page")]
    fn a_large_table_costs_memory_only_where_it_is_touched() {
        let mut table = AlignedTable::<u64>::new(1 << 34).unwrap();
        table[1 << 33] = 1;
        assert_eq!(table[(1 << 33) + 1], 0);
    }
}
