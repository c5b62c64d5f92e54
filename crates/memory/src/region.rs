//! Anonymous pages: page-aligned, zero, backed by physical memory only where they are touched.
//!
//! [`Region`] is the raw material of pools, tables and words. NUMA binding and huge pages are wishes: a kernel that
//! refuses them still gives the memory, and [`Region::placement`] says what came of it.

use std::io;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// Bytes of a cache line on every processor this runs on (x86-64, and AArch64 servers).
pub const CACHE_LINE: usize = 64;

/// How a region should lie in memory. The default asks for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Placement {
    /// NUMA node to take the pages from (0 to 63). A preference: with that node full, pages come from another.
    pub node: Option<u8>,
    /// Advice to use transparent huge pages. Costs resident memory (2 MiB at the first touch); spares TLB misses.
    pub huge_pages: bool,
}

/// The kernel gave no address space.
#[derive(Debug)]
pub struct RegionError {
    bytes: usize,
    source: io::Error,
}

impl std::fmt::Display for RegionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { bytes, source } = self;
        write!(
            f,
            "no {bytes} bytes of memory: {source}; lower the sizes asked for, or raise the limit (ulimit -v, cgroup)"
        )
    }
}

impl std::error::Error for RegionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Private anonymous pages, unmapped when dropped.
#[derive(Debug)]
pub struct Region {
    base: NonNull<u8>,
    bytes: usize,
    placement: Placement,
}

// SAFETY: a region is plain memory that it alone owns; nothing in it is tied to a thread.
unsafe impl Send for Region {}
// SAFETY: shared access through `&Region` is only to atomics (`words`); `base` hands out a pointer, not a reference.
unsafe impl Sync for Region {}

impl Region {
    /// At least `bytes` zero bytes (0 is legal and maps one page).
    pub fn new(bytes: usize, wish: Placement) -> Result<Self, RegionError> {
        let page = page_bytes();
        let refused = |source| RegionError { bytes, source };
        let rounded = bytes
            .max(1)
            .checked_next_multiple_of(page)
            .filter(|b| *b <= isize::MAX as usize);
        let length = rounded.ok_or_else(|| refused(io::ErrorKind::OutOfMemory.into()))?;
        // SAFETY: a new private anonymous mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            // Miri knows the first two flags only; the third merely spares the accounting of pages never touched.
            let lazy = if cfg!(miri) { 0 } else { libc::MAP_NORESERVE };
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | lazy;
            libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(refused(io::Error::last_os_error()));
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| refused(io::ErrorKind::OutOfMemory.into()))?;
        let mut region = Self {
            base,
            bytes: length,
            placement: Placement::default(),
        };
        region.place(wish);
        Ok(region)
    }

    fn place(&mut self, wish: Placement) {
        if let Some(node) = wish.node.filter(|node| *node < 64) {
            let mask: u64 = 1 << node;
            // SAFETY: the range is this region's own mapping; the mask is 64 bits, as `maxnode` (65, one more than the
            // highest bit, the kernel's convention) says. A kernel without NUMA answers ENOSYS or EINVAL.
            let bound = unsafe {
                let base = self.base.as_ptr();
                libc::syscall(
                    libc::SYS_mbind,
                    base,
                    self.bytes,
                    libc::MPOL_PREFERRED,
                    &raw const mask,
                    65_u64,
                    0,
                )
            };
            self.placement.node = (bound == 0).then_some(node);
        }
        if wish.huge_pages {
            // SAFETY: advice on this region's own mapping; it changes no content.
            let advised =
                unsafe { libc::madvise(self.base.as_ptr().cast(), self.bytes, libc::MADV_HUGEPAGE) };
            self.placement.huge_pages = advised == 0;
        }
    }

    /// Which wishes the kernel granted.
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// Bytes of the mapping: what was asked for, rounded up to pages.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// First byte. Valid for [`Region::bytes`] bytes while the region lives.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// The whole region as words.
    ///
    /// Whoever writes through [`Region::base`] as well must do so with atomics only.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, initialised (zero), `bytes` long, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().cast(), self.bytes / 8) }
    }

    /// Gives the physical memory of `range` (bytes) back; it reads as zero afterwards.
    /// Only whole pages inside the range are given back.
    ///
    /// # Safety
    /// Nobody may hold a reference into the range, or rely on its content.
    pub(crate) unsafe fn discard(&self, range: std::ops::Range<usize>) {
        let page = page_bytes();
        let (from, to) = (
            range.start.next_multiple_of(page),
            range.end.min(self.bytes) / page * page,
        );
        if from < to {
            // SAFETY: whole pages of this region's own mapping; the caller vouches that nobody needs them.
            unsafe {
                libc::madvise(
                    self.base.as_ptr().add(from).cast(),
                    to - from,
                    libc::MADV_DONTNEED,
                )
            };
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`; its owner is going, so nobody has a reference into it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// Bytes of a page of this system.
pub fn page_bytes() -> usize {
    // SAFETY: sysconf reads a constant of the system.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes)
        .ok()
        .filter(|b| b.is_power_of_two())
        .unwrap_or(4096)
}

/// Advises the kernel to back memory that nobody has touched yet (a vector's spare room) with huge pages: a lookup at
/// random in many megabytes then misses the TLB far less. True where the kernel took the advice; in less than two huge pages
/// there is nothing to gain, and none is given.
pub fn advise_huge_pages<T>(untouched: &mut [MaybeUninit<T>]) -> bool {
    const HUGE: usize = 2 << 20;
    let page = page_bytes();
    let start = (untouched.as_ptr() as usize).next_multiple_of(page);
    let end = (untouched.as_ptr() as usize + size_of_val(untouched)) & !(page - 1);
    if end < start + 2 * HUGE {
        return false;
    }
    // SAFETY: the range is whole pages inside the slice, which is borrowed exclusively. The advice changes no content
    // and no right, only the size of pages to come.
    unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn pages_are_zero_aligned_and_writable_to_the_end() {
        let region = Region::new(10_000, Placement::default()).unwrap();
        assert_eq!(region.base().as_ptr() as usize % page_bytes(), 0);
        assert!(region.bytes() >= 10_000 && region.bytes().is_multiple_of(page_bytes()));
        let words = region.words();
        assert!(words.iter().all(|w| w.load(Relaxed) == 0));
        words[words.len() - 1].store(7, Relaxed);
        assert_eq!(words[words.len() - 1].load(Relaxed), 7);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no madvise and mbind")]
    fn wishes_that_cannot_be_granted_do_not_cost_the_memory() {
        let wish = Placement {
            node: Some(63),
            huge_pages: true,
        };
        let region = Region::new(1 << 22, wish).unwrap();
        region.words()[0].store(1, Relaxed);
        assert_eq!(region.words()[0].load(Relaxed), 1);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri backs every page")]
    fn an_impossible_size_is_an_error_that_says_so() {
        let error = Region::new(usize::MAX, Placement::default()).unwrap_err();
        assert!(error.to_string().contains("bytes of memory"), "{error}");
        assert!(Region::new(usize::MAX / 4, Placement::default()).is_err());
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no madvise and mbind")]
    fn discarded_pages_read_as_zero() {
        let region = Region::new(3 * page_bytes(), Placement::default()).unwrap();
        region.words().iter().for_each(|w| w.store(9, Relaxed));
        // SAFETY: no reference into the region is alive, and the content was written for this test only.
        unsafe { region.discard(1..2 * page_bytes() + 5) };
        let word = |byte: usize| region.words()[byte / 8].load(Relaxed);
        assert_eq!((word(0), word(page_bytes()), word(2 * page_bytes())), (9, 0, 9));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no madvise")]
    fn advice_about_huge_pages_changes_nothing_else() {
        for megabytes in [0_usize, 1, 9] {
            let mut vector: Vec<u64> = Vec::with_capacity(megabytes << 17);
            let advised = advise_huge_pages(vector.spare_capacity_mut());
            assert!(!advised || megabytes == 9);
            vector.resize(megabytes << 17, 7);
            assert!(vector.iter().all(|word| *word == 7));
        }
    }
}
