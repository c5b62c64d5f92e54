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

use std::ptr::NonNull;

use crate::pool::PoolCore;
pub use crate::pool::{Pool, PoolSettings, PoolStatistics, Slab};

/// Bytes of head that are there where the packet is at least that long.
pub const HEAD_MIN: usize = 256;
/// Bytes free in front of a received packet: an outer Ethernet, IPv6, UDP and VXLAN header, and a vnet header.
pub const HEADROOM: usize = 128;

/// What is known of a transport checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// Nothing: it is in the packet and may be wrong.
    #[default]
    Unknown,
    /// It was verified, or it never crossed a wire.
    Valid,
    /// It holds the pseudo-header sum only (virtio's NEEDS_CSUM): whoever sends the packet to a wire sums from
    /// `start` (bytes from the beginning of the packet; moves with prepend and trim) and writes at `start + offset`.
    Partial {
        /// Where the sum starts.
        start: u16,
        /// Where it is written, counted from `start`.
        offset: u16,
    },
}

/// What kind of large segment a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SegmentKind {
    /// An ordinary packet.
    #[default]
    None,
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP (either family), cut into datagrams.
    Udp,
}

/// A large segment's cut: many packets that travel as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segmentation {
    /// Kind; `None` for an ordinary packet.
    pub kind: SegmentKind,
    /// Payload bytes of each packet once cut.
    pub size: u16,
    /// True where ECN's CWR is to be set on the first packet only (virtio's ECN bit).
    pub ecn: bool,
}

/// What travels beside the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meta {
    /// Which interface it came in by: the vswitch's own number (see `datapath::Interface`).
    pub ingress: u32,
    /// The innermost transport checksum.
    pub checksum: Checksum,
    /// Set on large segments. It is about the innermost transport header; outer length fields of such a packet
    /// say nothing, whoever cuts it writes them.
    pub segmentation: Segmentation,
}

/// There is no room in front of, or in, the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

/// How buffers that are not from a [`Pool`] of this crate are kept: the table of an [`Origin`].
#[derive(Debug)]
pub struct Foreign {
    /// Takes a whole packet back: the origin, the start of its head slot, and its chain.
    pub release: unsafe fn(NonNull<Origin>, NonNull<u8>, Option<NonNull<u8>>),
    /// Takes a chain back alone.
    pub release_chain: unsafe fn(NonNull<Origin>, NonNull<u8>),
    /// The bytes of a chain's first segment, and the rest of the chain.
    pub segment: unsafe fn(NonNull<Origin>, NonNull<u8>) -> Segment,
}

/// One piece of a foreign chain.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    /// First byte.
    pub data: NonNull<u8>,
    /// Bytes.
    pub len: usize,
    /// What follows.
    pub next: Option<NonNull<u8>>,
}

/// The way back of a buffer: where it goes when it is dropped. First field of whatever keeps the memory.
#[derive(Debug)]
#[repr(C)]
pub struct Origin {
    /// `None` for this crate's own [`Pool`], whose return is inlined; else who to call.
    pub(crate) foreign: Option<&'static Foreign>,
}

impl Origin {
    /// The origin of buffers that a back end lends.
    pub const fn foreign(table: &'static Foreign) -> Self {
        Self { foreign: Some(table) }
    }
}

/// The parts of a buffer, for a back end that lends memory of its own: see [`Buffer::from_parts`].
#[derive(Debug)]
pub struct Parts {
    /// First byte of the head slot (not of the packet).
    pub slot: NonNull<u8>,
    /// Bytes of the head slot.
    pub capacity: u16,
    /// Bytes in front of the packet.
    pub start: u16,
    /// Bytes of the packet in the head.
    pub head_len: u16,
    /// The rest of the packet, opaque, and its bytes (not zero).
    pub chain: Option<(NonNull<u8>, u32)>,
    /// Who gets the memory back.
    pub origin: NonNull<Origin>,
    /// What travels beside the bytes.
    pub meta: Meta,
}

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
mod tests {
    use super::*;
    use crate::pool::{HEAD_BYTES, SLAB_BYTES};

    fn bytes(n: usize) -> Vec<u8> {
        (0..n).map(|i| (i % 251) as u8).collect()
    }

    #[test]
    fn a_frame_of_any_length_comes_out_as_it_went_in() {
        let pool = Pool::default();
        let head = HEAD_BYTES - HEADROOM;
        for len in [
            0,
            1,
            60,
            head - 1,
            head,
            head + 1,
            9000,
            65_549,
            head + SLAB_BYTES,
        ] {
            let frame = bytes(len);
            let buffer = pool.copy_from(&frame).unwrap();
            assert_eq!((buffer.len(), buffer.head().len()), (len, len.min(head)));
            assert_eq!(buffer.to_vec(), frame);
            assert_eq!(pool.duplicate(&buffer).unwrap().to_vec(), frame);
        }
    }

    #[test]
    fn prepend_and_trim_move_the_checksum_positions() {
        let pool = Pool::default();
        let mut buffer = pool.copy_from(&bytes(100)).unwrap();
        buffer.meta.checksum = Checksum::Partial {
            start: 34,
            offset: 16,
        };
        buffer.prepend(50).unwrap().fill(0xee);
        assert_eq!(
            buffer.meta.checksum,
            Checksum::Partial {
                start: 84,
                offset: 16
            }
        );
        assert_eq!(
            (buffer.len(), buffer.head()[0], buffer.headroom()),
            (150, 0xee, HEADROOM - 50)
        );
        buffer.trim_front(50).unwrap();
        assert_eq!(
            buffer.meta.checksum,
            Checksum::Partial {
                start: 34,
                offset: 16
            }
        );
        buffer.trim_front(40).unwrap();
        assert_eq!(buffer.meta.checksum, Checksum::Unknown);
        assert_eq!(buffer.head(), &bytes(100)[40..]);
    }

    #[test]
    fn no_room_is_an_error_and_changes_nothing() {
        let pool = Pool::default();
        let mut buffer = pool.copy_from(&bytes(100)).unwrap();
        assert_eq!(buffer.prepend(HEADROOM + 1).err(), Some(NoRoom));
        assert_eq!(buffer.prepend(1 << 20).err(), Some(NoRoom));
        assert_eq!(buffer.trim_front(101), Err(NoRoom));
        assert_eq!(buffer.set_head_len(HEAD_BYTES - HEADROOM + 1), Err(NoRoom));
        assert_eq!(buffer.reserve(0), Err(NoRoom));
        assert_eq!(buffer.copy_range(99, &mut [0; 2]), Err(NoRoom));
        assert_eq!(buffer.copy_range(usize::MAX, &mut [0; 2]), Err(NoRoom));
        assert_eq!(buffer.to_vec(), bytes(100));
        buffer.prepend(4).unwrap();
        buffer.meta.checksum = Checksum::Partial {
            start: u16::MAX,
            offset: 0,
        };
        assert_eq!(buffer.prepend(1).err(), Some(NoRoom));
        assert_eq!(buffer.len(), 104);
    }

    #[test]
    fn truncation_reaches_into_chain_and_head() {
        let pool = Pool::default();
        let frame = bytes(9000);
        let mut buffer = pool.copy_from(&frame).unwrap();
        buffer.truncate(10_000);
        assert_eq!(buffer.len(), 9000);
        for len in [8999, 2000, 1984, 1983, 1, 0] {
            buffer.truncate(len);
            assert_eq!(buffer.to_vec(), &frame[..len], "{len}");
        }
        assert_eq!(
            pool.statistics().slabs_free,
            PoolSettings::default().slabs as usize
        );
    }

    #[test]
    fn a_back_end_fills_head_and_slab_by_itself() {
        let pool = Pool::default();
        let mut buffer = pool.take().unwrap();
        buffer.reserve(HEADROOM + 2).unwrap();
        let room = buffer.tail_mut().len();
        buffer.tail_mut().fill(1);
        buffer.set_head_len(room).unwrap();
        let mut slab = pool.take_slab().unwrap();
        slab.as_mut_slice()[..10].fill(2);
        buffer.attach_chain(slab, 10).unwrap();
        assert_eq!(
            (buffer.head().len(), buffer.chain_len(), buffer.headroom()),
            (room, 10, HEADROOM + 2)
        );
        let mut across = [0; 4];
        buffer.copy_range(room - 2, &mut across).unwrap();
        assert_eq!(across, [1, 1, 2, 2]);
        assert!(buffer.append(&[1]).is_err(), "behind a chain nothing can be put");
        let (slab, len) = buffer.detach_chain().unwrap();
        assert_eq!((slab.as_slice()[9], len, buffer.len()), (2, 10, room));
        let other = Pool::default();
        assert!(
            other.take().unwrap().attach_chain(slab, 10).is_err(),
            "a slab belongs to its pool's buffers"
        );
    }

    #[repr(C)]
    struct Lender {
        origin: Origin,
        returned: std::cell::Cell<(u32, u32)>,
    }

    unsafe fn returned(origin: NonNull<Origin>, packets: u32, chains: u32) {
        // SAFETY: the origin is the first field of the test's lender, which lives on its stack.
        let lender = unsafe { origin.cast::<Lender>().as_ref() };
        lender.returned.set((
            lender.returned.get().0 + packets,
            lender.returned.get().1 + chains,
        ));
    }

    /// A chain whose segments are nodes of two bytes, linked in memory that the test holds.
    #[repr(C)]
    struct Node {
        data: [u8; 2],
        next: Option<NonNull<Node>>,
    }

    static LENDER: Foreign = Foreign {
        // SAFETY: called with what the test lent.
        release: |origin, _, chain| unsafe { returned(origin, 1, u32::from(chain.is_some())) },
        // SAFETY: as above.
        release_chain: |origin, _| unsafe { returned(origin, 0, 1) },
        segment: |_, chain| {
            // SAFETY: chains of this origin are nodes of the test.
            let node = unsafe { chain.cast::<Node>().as_ref() };
            Segment {
                data: NonNull::from(&node.data).cast(),
                len: 2,
                next: node.next.map(NonNull::cast),
            }
        },
    };

    #[test]
    fn a_back_end_can_lend_memory_of_its_own() {
        let lender = Lender {
            origin: Origin::foreign(&LENDER),
            returned: Default::default(),
        };
        let mut slot = bytes(256);
        let last = Node {
            data: [3, 4],
            next: None,
        };
        let first = Node {
            data: [1, 2],
            next: Some(NonNull::from(&last)),
        };
        let lend = |slot: &mut [u8]| Parts {
            slot: NonNull::from(slot).cast(),
            capacity: 256,
            start: 128,
            head_len: 64,
            chain: Some((NonNull::from(&first).cast(), 3)),
            origin: NonNull::from(&lender).cast(),
            meta: Meta::default(),
        };
        // SAFETY: slot, nodes and lender outlive the buffer, and nobody else uses them meanwhile.
        let mut buffer = unsafe { Buffer::from_parts(lend(&mut slot)) };
        let mut expected = bytes(256)[128..192].to_vec();
        expected.extend([1, 2, 3]);
        assert_eq!(buffer.to_vec(), expected);
        assert_eq!(Pool::default().duplicate(&buffer).unwrap().to_vec(), expected);
        assert!(buffer.detach_chain().is_none());
        buffer.truncate(64);
        assert_eq!(lender.returned.get(), (0, 1));
        drop(buffer);
        assert_eq!(lender.returned.get(), (1, 1));
    }
}
