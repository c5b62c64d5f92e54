//! How a packet is held: a linear head with headroom, and an opaque chain behind it.
//!
//! Every header that anybody reads lies in the head (at least [`HEAD_MIN`] bytes where the packet is that long). The
//! chain is payload: it is moved, never looked at, except by a back end that has to copy or cut it.
//! A buffer belongs to one thread; it goes back to its pool when it is dropped.
//!
//! ```text
//!   head slot (capacity)                                   chain (opaque)
//!  +-----------+---------------------------+-----------+  +---------------------------+
//!  | headroom  | head: the packet's front  | tailroom  |  | the rest, one slab of     |
//!  +-----------+---------------------------+-----------+  | ours or a foreign list    |
//!              ^ start                     ^ start + len  +---------------------------+
//! ```
//! The shape is that of a DPDK mbuf as well: a [`Foreign`] origin lends heads and chains of its own, so a back end
//! hands its packets over without a copy.

mod hand_over;
mod meta;
mod origin;

use std::ptr::NonNull;

use crate::pool::PoolCore;
pub use crate::pool::{Pool, PoolSettings, PoolStatistics, Slab};
pub use hand_over::hand_over;
pub use meta::{Checksum, Meta, SegmentKind, Segmentation};
pub use origin::{Foreign, Origin, Parts, Segment};

/// Bytes of head that are there where the packet is at least that long.
pub const HEAD_MIN: usize = 256;
/// Bytes free in front of a received packet: an outer Ethernet, IPv6, UDP and VXLAN header, and a vnet header.
pub const HEADROOM: usize = 128;

/// There is no room in front of, or in, the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

/// A packet. See the module's page.
pub struct Buffer {
    slot: NonNull<u8>,
    origin: NonNull<Origin>,
    chain: Option<NonNull<u8>>,
    chain_len: u32,
    start: u16,
    head_len: u16,
    capacity: u16,
    /// What travels beside the bytes.
    pub meta: Meta,
}

// A burst is moved about as an array of these: one cache line each at most.
const _: () = assert!(size_of::<Buffer>() <= 64);

impl Buffer {
    /// A buffer over memory that somebody lends.
    ///
    /// # Safety
    /// Until the origin gets them back: `slot` is valid, initialised, and exclusive for `capacity` bytes,
    /// `start + head_len <= capacity`, the chain's segments hold at least as many initialised bytes as it says, its
    /// length is not zero, and `origin` lives and is used on this thread only. For an origin of [`Pool`] the parts must
    /// come from [`Buffer::into_parts`].
    #[inline]
    pub unsafe fn from_parts(parts: Parts) -> Self {
        let Parts {
            slot,
            capacity,
            start,
            head_len,
            chain,
            origin,
            meta,
        } = parts;
        let (chain, chain_len) = chain.map_or((None, 0), |(chain, len)| (Some(chain), len));
        Self {
            slot,
            origin,
            chain,
            chain_len,
            start,
            head_len,
            capacity,
            meta,
        }
    }

    /// The parts of a buffer, which is not given back: that is now the caller's business.
    #[inline]
    pub fn into_parts(self) -> Parts {
        let this = std::mem::ManuallyDrop::new(self);
        Parts {
            slot: this.slot,
            capacity: this.capacity,
            start: this.start,
            head_len: this.head_len,
            chain: this.chain.map(|chain| (chain, this.chain_len)),
            origin: this.origin,
            meta: this.meta,
        }
    }

    /// Who gets this buffer back. A back end that gets a buffer of its own again can take the memory as it is.
    #[inline]
    pub fn origin(&self) -> NonNull<Origin> {
        self.origin
    }

    /// The head: from the first byte of the packet.
    #[inline]
    pub fn head(&self) -> &[u8] {
        // SAFETY: start + head_len <= capacity, and the slot is initialised and ours (constructor's contract).
        unsafe {
            let first = self.slot.as_ptr().add(usize::from(self.start));
            std::slice::from_raw_parts(first, usize::from(self.head_len))
        }
    }

    /// The head, to be changed in place.
    #[inline]
    pub fn head_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `head`; `&mut self` makes the borrow exclusive.
        unsafe {
            let first = self.slot.as_ptr().add(usize::from(self.start));
            std::slice::from_raw_parts_mut(first, usize::from(self.head_len))
        }
    }

    /// Bytes of the whole packet, chain included.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.head_len) + self.chain_len as usize
    }

    /// True for a packet without a byte.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes behind the head.
    #[inline]
    pub fn chain_len(&self) -> usize {
        self.chain_len as usize
    }

    /// Bytes free in front of the packet.
    #[inline]
    pub fn headroom(&self) -> usize {
        usize::from(self.start)
    }

    /// Bytes free behind the head, in its slot.
    #[inline]
    pub fn tailroom(&self) -> usize {
        usize::from(self.capacity) - usize::from(self.start) - usize::from(self.head_len)
    }

    /// Makes `n` bytes of headroom part of the packet and returns them (their content is whatever was there).
    /// Partial-checksum positions move along.
    #[inline]
    pub fn prepend(&mut self, n: usize) -> Result<&mut [u8], NoRoom> {
        let n = u16::try_from(n).map_err(|_| NoRoom)?;
        let start = self.start.checked_sub(n).ok_or(NoRoom)?;
        if let Checksum::Partial { start, .. } = &mut self.meta.checksum {
            *start = start.checked_add(n).ok_or(NoRoom)?;
        }
        self.start = start;
        self.head_len += n;
        Ok(&mut self.head_mut()[..usize::from(n)])
    }

    /// Takes `n` bytes off the front of the head. Partial-checksum positions move along; one that would lie in
    /// front of the packet becomes [`Checksum::Unknown`].
    #[inline]
    pub fn trim_front(&mut self, n: usize) -> Result<(), NoRoom> {
        let n = u16::try_from(n).map_err(|_| NoRoom)?;
        self.head_len = self.head_len.checked_sub(n).ok_or(NoRoom)?;
        self.start += n;
        if let Checksum::Partial { start, offset } = self.meta.checksum {
            self.meta.checksum = match start.checked_sub(n) {
                Some(start) => Checksum::Partial { start, offset },
                None => Checksum::Unknown,
            };
        }
        Ok(())
    }

    /// Cuts the packet to `len` bytes (Ethernet padding, mostly); no effect where it is shorter.
    pub fn truncate(&mut self, len: usize) {
        let head = usize::from(self.head_len);
        if len <= head {
            self.drop_chain();
            self.head_len = len as u16;
        } else {
            self.chain_len = self.chain_len.min(u32::try_from(len - head).unwrap_or(u32::MAX));
        }
    }

    /// Places an *empty* buffer's first byte so that `headroom` bytes are free in front of it. [`NoRoom`] where the
    /// buffer is not empty or its slot is shorter.
    #[inline]
    pub fn reserve(&mut self, headroom: usize) -> Result<(), NoRoom> {
        if !self.is_empty() || headroom > usize::from(self.capacity) {
            return Err(NoRoom);
        }
        self.start = headroom as u16;
        Ok(())
    }

    /// The bytes behind the head, for a back end to write into (their content is whatever was there). They become part
    /// of the packet by [`Buffer::set_head_len`].
    #[inline]
    pub fn tail_mut(&mut self) -> &mut [u8] {
        let tail = usize::from(self.start) + usize::from(self.head_len);
        // SAFETY: tail <= capacity, and all of the slot is initialised and ours; `&mut self` makes it exclusive.
        unsafe {
            std::slice::from_raw_parts_mut(self.slot.as_ptr().add(tail), usize::from(self.capacity) - tail)
        }
    }

    /// Says how many bytes of the slot, from the packet's first, are head. [`NoRoom`] where the slot is shorter.
    #[inline]
    pub fn set_head_len(&mut self, len: usize) -> Result<(), NoRoom> {
        if len > usize::from(self.capacity) - usize::from(self.start) {
            return Err(NoRoom);
        }
        self.head_len = len as u16;
        Ok(())
    }

    /// Puts `bytes` behind the head (which must be the packet's end: [`NoRoom`] where there is a chain or no room).
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        if self.chain.is_some() || bytes.len() > self.tailroom() {
            return Err(NoRoom);
        }
        self.tail_mut()[..bytes.len()].copy_from_slice(bytes);
        self.head_len += bytes.len() as u16;
        Ok(())
    }

    /// Makes the first `len` bytes of `slab` the packet's rest. The slab comes back where it cannot be: there is a
    /// chain already, `len` is longer than the slab, or the slab is of another pool. `len` 0 gives the slab to its pool.
    #[inline]
    pub fn attach_chain(&mut self, slab: Slab, len: usize) -> Result<(), Slab> {
        if self.chain.is_some() || len > slab.len() || slab.origin() != self.origin {
            return Err(slab);
        }
        if len > 0 {
            self.chain = Some(slab.into_raw());
            self.chain_len = len as u32;
        }
        Ok(())
    }

    /// Takes the chain off as a slab and its bytes; `None` where there is none or it is foreign.
    pub fn detach_chain(&mut self) -> Option<(Slab, usize)> {
        // SAFETY: the origin lives as long as a buffer of it does.
        if unsafe { self.origin.as_ref() }.foreign.is_some() {
            return None;
        }
        let chain = self.chain.take()?;
        let len = std::mem::take(&mut self.chain_len) as usize;
        // SAFETY: the chain of a buffer of our own pool came out of `Slab::into_raw` of the same pool.
        Some((unsafe { Slab::from_raw(self.origin.cast(), chain) }, len))
    }

    /// The chain's bytes in order, *for back ends only* (a copy, a cut, a gathering write): code that reads headers
    /// must never look past the head.
    #[inline]
    pub fn chain_slices(&self) -> ChainSlices<'_> {
        ChainSlices {
            buffer: self,
            next: self.chain,
            left: self.chain_len as usize,
        }
    }

    /// Copies `out.len()` bytes of the packet from `offset` on, head and chain alike, *for back ends only*.
    /// [`NoRoom`], and nothing written, where the packet ends before that.
    pub fn copy_range(&self, offset: usize, out: &mut [u8]) -> Result<(), NoRoom> {
        if offset.checked_add(out.len()).is_none_or(|end| end > self.len()) {
            return Err(NoRoom);
        }
        let (mut skip, mut filled) = (offset, 0);
        for slice in std::iter::once(self.head()).chain(self.chain_slices()) {
            let rest = slice.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(slice.len());
            let n = rest.len().min(out.len() - filled);
            out[filled..filled + n].copy_from_slice(&rest[..n]);
            filled += n;
        }
        Ok(())
    }

    /// The whole packet as one vector: for tests and captures, not for the packet path.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        bytes.extend_from_slice(self.head());
        self.chain_slices()
            .for_each(|slice| bytes.extend_from_slice(slice));
        bytes
    }

    fn drop_chain(&mut self) {
        self.chain_len = 0;
        if let Some(chain) = self.chain.take() {
            // SAFETY: the origin lives as long as a buffer of it; the chain was its, and nobody else has it now.
            unsafe {
                match self.origin.as_ref().foreign {
                    None => PoolCore::release_slab(self.origin.cast(), chain),
                    Some(table) => (table.release_chain)(self.origin, chain),
                }
            }
        }
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the origin lives as long as a buffer of it; slot and chain were its, and end their use here.
        unsafe {
            match self.origin.as_ref().foreign {
                None => PoolCore::release(self.origin.cast(), self.slot, self.chain),
                Some(table) => (table.release)(self.origin, self.slot, self.chain),
            }
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Buffer");
        out.field("head_len", &self.head_len)
            .field("chain_len", &self.chain_len)
            .field("headroom", &self.start);
        out.field("meta", &self.meta).finish_non_exhaustive()
    }
}

/// The pieces of a chain: see [`Buffer::chain_slices`].
#[derive(Debug, Clone)]
pub struct ChainSlices<'a> {
    buffer: &'a Buffer,
    next: Option<NonNull<u8>>,
    left: usize,
}

impl<'a> Iterator for ChainSlices<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let chain = self.next.take().filter(|_| self.left > 0)?;
        let origin = self.buffer.origin;
        // SAFETY: the origin lives while the buffer does; the chain is the buffer's, its segments hold at least
        // `chain_len` initialised bytes, and nobody writes them while the buffer is borrowed.
        unsafe {
            let segment = match origin.as_ref().foreign {
                None => Segment {
                    data: chain,
                    len: self.left,
                    next: None,
                },
                Some(table) => (table.segment)(origin, chain),
            };
            let len = segment.len.min(self.left);
            self.left -= len;
            self.next = segment.next;
            Some(std::slice::from_raw_parts(segment.data.as_ptr(), len))
        }
    }
}

#[cfg(test)]
mod tests;
