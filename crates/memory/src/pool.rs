//! Where a thread's buffers come from: slots for heads and slabs for chains, taken and returned without a lock.
//!
//! Both are carved out of two lazily backed regions and kept on last-in-first-out stacks, so the same few, cache-warm
//! slots go round, and memory that was never needed is never touched. Nothing is allocated after [`Pool::new`].

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::buffer::{Buffer, HEADROOM, Meta, Origin, Parts};
use crate::region::{CACHE_LINE, Placement, Region, RegionError};

/// Bytes of a head slot. An odd number of cache lines, so that the first header lines of a burst spread over all sets
/// of the first-level cache; with 2,048 they would all fall into two of its 64.
pub const HEAD_BYTES: usize = 33 * CACHE_LINE;
/// Bytes of a chain slab: with a head in front of it, more than the largest IP packet.
pub const SLAB_BYTES: usize = 64 * 1024;

/// How much a pool may hand out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// Packets under way at one time (1 to 2^24).
    pub buffers: u32,
    /// How many of them may be longer than a head (0 to 2^16): 64 KiB each once used.
    pub slabs: u32,
    /// Where the memory should lie.
    pub placement: Placement,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            buffers: 4096,
            slabs: 256,
            placement: Placement::default(),
        }
    }
}

/// What a pool has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolStatistics {
    /// Buffers that can still be taken.
    pub buffers_free: usize,
    /// Slabs that can still be taken.
    pub slabs_free: usize,
    /// Times a buffer or a slab was asked for and there was none.
    pub exhausted: u64,
}

/// Where buffers come from and go back to. One per thread; a clone is another handle on the same pool.
/// The memory lives until the last handle and the last buffer are gone.
pub struct Pool {
    core: NonNull<PoolCore>,
    /// Not `Send`, not `Sync`: the stacks are plain cells.
    thread: PhantomData<*mut ()>,
}

impl Pool {
    /// A pool, or an error where the kernel has no address space left.
    pub fn new(settings: PoolSettings) -> Result<Self, RegionError> {
        let buffers = settings.buffers.clamp(1, 1 << 24) as usize;
        let slabs = settings.slabs.min(1 << 16) as usize;
        let head_region = Region::new(buffers * HEAD_BYTES, settings.placement)?;
        let slab_region = Region::new(slabs * SLAB_BYTES, settings.placement)?;
        let core = PoolCore {
            origin: Origin { foreign: None },
            handles: Cell::new(1),
            exhausted: Cell::new(0),
            heads: Stack::over(&head_region, HEAD_BYTES, buffers),
            slabs: Stack::over(&slab_region, SLAB_BYTES, slabs),
            head_region,
            slab_region,
        };
        Ok(Self {
            core: NonNull::from(Box::leak(Box::new(core))),
            thread: PhantomData,
        })
    }

    #[inline]
    fn core(&self) -> &PoolCore {
        // SAFETY: a core is freed only when its last handle is gone, and this is one.
        unsafe { self.core.as_ref() }
    }

    /// An empty buffer with [`HEADROOM`] in front and all of its slot as tailroom; `None`, counted, where there is none.
    #[inline]
    pub fn take(&self) -> Option<Buffer> {
        let Some(slot) = self.core().heads.pop() else {
            return self.core().exhausted();
        };
        let parts = Parts {
            slot,
            capacity: HEAD_BYTES as u16,
            start: HEADROOM as u16,
            head_len: 0,
            chain: None,
            origin: self.core.cast(),
            meta: Meta::default(),
        };
        // SAFETY: the slot is HEAD_BYTES of the region (initialised: zero pages), and off the stack it is ours alone.
        Some(unsafe { Buffer::from_parts(parts) })
    }

    /// A slab to be filled and attached ([`Buffer::attach_chain`]); `None`, counted, where there is none.
    #[inline]
    pub fn take_slab(&self) -> Option<Slab> {
        let Some(base) = self.core().slabs.pop() else {
            return self.core().exhausted();
        };
        Some(Slab {
            base,
            core: self.core,
        })
    }

    /// A buffer that holds `frame` behind [`HEADROOM`] (its first [`HEAD_BYTES`] - [`HEADROOM`] bytes as head, the rest
    /// as chain), or `None` where the pool is empty or the frame longer than a head and a slab.
    #[inline]
    pub fn copy_from(&self, frame: &[u8]) -> Option<Buffer> {
        let mut buffer = self.take()?;
        let (head, rest) = frame.split_at(frame.len().min(buffer.tailroom()));
        buffer.append(head).ok()?;
        if !rest.is_empty() {
            let mut slab = self.take_slab()?;
            slab.as_mut_slice().get_mut(..rest.len())?.copy_from_slice(rest);
            buffer.attach_chain(slab, rest.len()).ok()?;
        }
        Some(buffer)
    }

    /// A copy of a buffer, chain and meta included, or `None` where the pool is empty. The copy has [`HEADROOM`] in
    /// front of it, or as much as a head longer than usual leaves.
    pub fn duplicate(&self, buffer: &Buffer) -> Option<Buffer> {
        let mut copy = self.take()?;
        let head = buffer.head();
        copy.reserve(HEADROOM.min(HEAD_BYTES.saturating_sub(head.len())))
            .ok()?;
        let (head, rest) = head.split_at(head.len().min(copy.tailroom()));
        copy.append(head).ok()?;
        copy.meta = buffer.meta;
        if !rest.is_empty() || buffer.chain_len() > 0 {
            let mut slab = self.take_slab()?;
            let mut filled = 0;
            for slice in std::iter::once(rest).chain(buffer.chain_slices()) {
                slab.as_mut_slice()
                    .get_mut(filled..filled + slice.len())?
                    .copy_from_slice(slice);
                filled += slice.len();
            }
            copy.attach_chain(slab, filled).ok()?;
        }
        Some(copy)
    }

    /// What is free, and how often nothing was.
    pub fn statistics(&self) -> PoolStatistics {
        let core = self.core();
        PoolStatistics {
            buffers_free: core.heads.len.get(),
            slabs_free: core.slabs.len.get(),
            exhausted: core.exhausted.get(),
        }
    }

    /// Gives the physical memory of slabs that nobody holds back to the system. A system call per free slab: for a
    /// worker that goes to sleep, not for the packet path.
    pub fn release_idle(&self) {
        let core = self.core();
        let base = core.slab_region.base().as_ptr() as usize;
        for slab in core.slabs.free() {
            let from = slab.as_ptr() as usize - base;
            // SAFETY: a slab on the stack has no holder, and whoever takes it next relies on no content.
            unsafe { core.slab_region.discard(from..from + SLAB_BYTES) };
        }
    }
}

impl Clone for Pool {
    fn clone(&self) -> Self {
        self.core().handles.set(self.core().handles.get() + 1);
        Self {
            core: self.core,
            thread: PhantomData,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.core().handles.set(self.core().handles.get() - 1);
        // SAFETY: the core lives (this handle was one); after this call it is not used through `self` again.
        unsafe { PoolCore::free_when_unused(self.core) };
    }
}

impl Default for Pool {
    /// A pool of the default size, or one of a single buffer where memory for that cannot be had.
    fn default() -> Self {
        let small = PoolSettings {
            buffers: 1,
            slabs: 0,
            ..PoolSettings::default()
        };
        Self::new(PoolSettings::default())
            .or_else(|_| Self::new(small))
            .expect("a process can map two pages")
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pool").field(&self.statistics()).finish()
    }
}

/// What the handles of a pool share. `origin` is the first field, so that a buffer's way back leads here.
#[repr(C)]
pub(crate) struct PoolCore {
    origin: Origin,
    handles: Cell<usize>,
    exhausted: Cell<u64>,
    heads: Stack,
    slabs: Stack,
    head_region: Region,
    slab_region: Region,
}

impl PoolCore {
    #[cold]
    fn exhausted<T>(&self) -> Option<T> {
        self.exhausted.set(self.exhausted.get() + 1);
        None
    }

    /// Takes a head, and its chain if any, back.
    ///
    /// # Safety
    /// `core` is alive, and both are its own and nobody's any more.
    #[inline]
    pub(crate) unsafe fn release(core: NonNull<Self>, slot: NonNull<u8>, chain: Option<NonNull<u8>>) {
        // SAFETY: alive by contract; the reference ends before the core can be freed below.
        let this = unsafe { core.as_ref() };
        this.heads.push(slot);
        if let Some(chain) = chain {
            this.slabs.push(chain);
        }
        if this.handles.get() == 0 {
            // SAFETY: alive by contract, and not used after this call.
            unsafe { Self::free_when_unused(core) };
        }
    }

    /// Takes a slab back.
    ///
    /// # Safety
    /// As [`PoolCore::release`].
    #[inline]
    pub(crate) unsafe fn release_slab(core: NonNull<Self>, slab: NonNull<u8>) {
        // SAFETY: alive by contract; the reference ends before the core can be freed below.
        let this = unsafe { core.as_ref() };
        this.slabs.push(slab);
        if this.handles.get() == 0 {
            // SAFETY: alive by contract, and not used after this call.
            unsafe { Self::free_when_unused(core) };
        }
    }

    /// Frees the core where no handle, buffer or slab is left.
    ///
    /// # Safety
    /// `core` is alive; the caller does not use it afterwards unless it holds a handle, a buffer or a slab.
    #[cold]
    unsafe fn free_when_unused(core: NonNull<Self>) {
        // SAFETY: alive by contract. With all stacks full and no handle nobody can reach the core again, and it was
        // made by `Box` in `Pool::new`.
        unsafe {
            let this = core.as_ref();
            if this.handles.get() == 0 && this.heads.is_full() && this.slabs.is_full() {
                drop(Box::from_raw(core.as_ptr()));
            }
        }
    }
}

/// Free places, last in, first out.
struct Stack {
    places: Box<[Cell<NonNull<u8>>]>,
    len: Cell<usize>,
}

impl Stack {
    /// `count` places of `bytes` each in `region`, the lowest on top.
    fn over(region: &Region, bytes: usize, count: usize) -> Self {
        debug_assert!(count * bytes <= region.bytes());
        // SAFETY: i * bytes < count * bytes, which is no more than the region's size.
        let place = |i: usize| Cell::new(unsafe { region.base().add(i * bytes) });
        Self {
            places: (0..count).rev().map(place).collect(),
            len: Cell::new(count),
        }
    }

    #[inline]
    fn pop(&self) -> Option<NonNull<u8>> {
        let top = self.len.get().checked_sub(1)?;
        self.len.set(top);
        self.places.get(top).map(Cell::get)
    }

    /// Never more places come back than were given out, so there is room; a place too many would be leaked, not written.
    #[inline]
    fn push(&self, place: NonNull<u8>) {
        let top = self.len.get();
        if let Some(cell) = self.places.get(top) {
            cell.set(place);
            self.len.set(top + 1);
        }
    }

    fn is_full(&self) -> bool {
        self.len.get() == self.places.len()
    }

    fn free(&self) -> impl Iterator<Item = NonNull<u8>> {
        self.places.iter().take(self.len.get()).map(Cell::get)
    }
}

/// A chain's memory: [`SLAB_BYTES`], page-aligned. Goes back to its pool when dropped. Its content is whatever was there.
#[derive(Debug)]
pub struct Slab {
    base: NonNull<u8>,
    core: NonNull<PoolCore>,
}

impl Slab {
    /// The bytes, to be written.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: off the stack a slab has one holder, and its SLAB_BYTES are initialised pages of the pool's region.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), SLAB_BYTES) }
    }

    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: as in `as_mut_slice`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), SLAB_BYTES) }
    }

    /// Bytes: always [`SLAB_BYTES`].
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(&self) -> usize {
        SLAB_BYTES
    }

    #[inline]
    pub(crate) fn origin(&self) -> NonNull<Origin> {
        self.core.cast()
    }

    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<u8> {
        std::mem::ManuallyDrop::new(self).base
    }

    /// # Safety
    /// `base` came out of [`Slab::into_raw`] of a slab of `core`, which is alive, and nobody else has it.
    #[inline]
    pub(crate) unsafe fn from_raw(core: NonNull<PoolCore>, base: NonNull<u8>) -> Self {
        Self { base, core }
    }
}

impl Drop for Slab {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: a core lives as long as a slab of it is out, and this one ends its use here.
        unsafe { PoolCore::release_slab(self.core, self.base) };
    }
}

#[cfg(test)]
mod tests;
