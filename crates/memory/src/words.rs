//! Words: memory that many threads, or two processes one after the other, read and write as atomics.
//!
//! One type for both homes, so that whoever keeps state in words (the connection table) is written once: anonymous
//! pages for tests and a pure datapath, a [shared file](crate::shared_file) for state that outlives the process.

use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use crate::region::{Placement, Region, RegionError};
use crate::shared_file::Mapping;

/// A slice of 64-bit atomics, 64-byte aligned, zero where nobody wrote; dereferences to `[AtomicU64]`.
#[derive(Debug)]
pub struct Words {
    base: NonNull<AtomicU64>,
    len: usize,
    home: Home,
}

#[derive(Debug)]
enum Home {
    Anonymous(Region),
    File(Mapping),
}

// SAFETY: the memory is owned by `home` (which is Send) and reached as atomics only.
unsafe impl Send for Words {}
// SAFETY: as above: shared access is to atomics only.
unsafe impl Sync for Words {}

impl Words {
    /// `count` zero words of this process alone, backed by memory only where they are touched.
    pub fn anonymous(count: usize) -> Result<Self, RegionError> {
        Self::anonymous_at(count, Placement::default())
    }

    /// As [`Words::anonymous`], placed as wished.
    pub fn anonymous_at(count: usize, placement: Placement) -> Result<Self, RegionError> {
        let region = Region::new(count.saturating_mul(8), placement)?;
        Ok(Self {
            base: region.base().cast(),
            len: count,
            home: Home::Anonymous(region),
        })
    }

    /// The words of a mapping from byte `offset` (a multiple of 64) on.
    pub(crate) fn of_file(mapping: Mapping, offset: usize, len: usize) -> Self {
        assert!(
            offset.is_multiple_of(64) && len.checked_mul(8).and_then(|b| b.checked_add(offset)).is_some()
        );
        assert!(
            offset + len * 8 <= mapping.bytes(),
            "words lie inside their mapping"
        );
        // SAFETY: offset lies inside the mapping (checked above).
        let base = unsafe { mapping.base().add(offset) };
        Self {
            base: base.cast(),
            len,
            home: Home::File(mapping),
        }
    }

    /// Which wishes the kernel granted; none for a file's words, which lie where their file's pages are.
    pub fn placement(&self) -> Placement {
        match &self.home {
            Home::Anonymous(region) => region.placement(),
            Home::File(_) => Placement::default(),
        }
    }

    /// True where the words are a shared file's and part of it was taken away behind our back (truncated by somebody
    /// else): the lost part reads as zero and is no longer kept on disk.
    pub fn lost(&self) -> bool {
        match &self.home {
            Home::Anonymous(_) => false,
            Home::File(mapping) => mapping.lost(),
        }
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: base is valid for len words for as long as `home` lives, 64-byte aligned, and initialised (zero or
        // whatever the file holds: every bit pattern is a legal word).
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn anonymous_words_are_zero_aligned_and_shared_by_threads() {
        let words = Words::anonymous(1000).unwrap();
        assert_eq!(
            (words.len(), words.as_ptr() as usize % 64, words.lost()),
            (1000, 0, false)
        );
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let words = &words;
                scope.spawn(move || words.iter().for_each(|w| _ = w.fetch_add(thread + 1, Relaxed)));
            }
        });
        assert!(words.iter().all(|w| w.load(Relaxed) == 3));
        assert!(Words::anonymous(usize::MAX).is_err());
    }
}
