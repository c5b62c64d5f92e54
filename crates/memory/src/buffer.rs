//! How a packet is held: a linear head with headroom, and an opaque chain behind it.
//!
//! Every header that anybody reads lies in the head (at least [`HEAD_MIN`] bytes where the packet is that long). The
//! chain is payload: it is moved, never looked at, except by a back end that has to copy or cut it.
//! A buffer belongs to one thread; it goes back to its pool when it is dropped.

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

/// A packet. See the module's page.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    chain: Vec<u8>,
    /// What travels beside the bytes.
    pub meta: Meta,
}

impl Buffer {
    /// The head: from the first byte of the packet.
    #[inline]
    pub fn head(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The head, to be changed in place.
    #[inline]
    pub fn head_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// Bytes of the whole packet, chain included.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start + self.chain.len()
    }

    /// True for a packet without a byte.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes behind the head.
    #[inline]
    pub fn chain_len(&self) -> usize {
        self.chain.len()
    }

    /// Makes `n` bytes of headroom part of the packet and returns them (their content is whatever was there).
    /// Partial-checksum positions move along.
    #[inline]
    pub fn prepend(&mut self, n: usize) -> Result<&mut [u8], NoRoom> {
        self.start = self.start.checked_sub(n).ok_or(NoRoom)?;
        if let Checksum::Partial { start, .. } = &mut self.meta.checksum {
            *start += n as u16;
        }
        Ok(&mut self.bytes[self.start..self.start + n])
    }

    /// Takes `n` bytes off the front of the head. Partial-checksum positions move along; one that would lie in
    /// front of the packet becomes [`Checksum::Unknown`].
    #[inline]
    pub fn trim_front(&mut self, n: usize) -> Result<(), NoRoom> {
        if n > self.bytes.len() - self.start {
            return Err(NoRoom);
        }
        self.start += n;
        if let Checksum::Partial { start, offset } = self.meta.checksum {
            self.meta.checksum = match start.checked_sub(n as u16) {
                Some(start) => Checksum::Partial { start, offset },
                None => Checksum::Unknown,
            };
        }
        Ok(())
    }

    /// Cuts the packet to `len` bytes (Ethernet padding, mostly); no effect where it is shorter.
    pub fn truncate(&mut self, len: usize) {
        let head = self.bytes.len() - self.start;
        self.chain.truncate(len.saturating_sub(head));
        self.bytes.truncate(self.start + len.min(head));
    }
}

/// Where buffers come from and go back to. One per thread.
#[derive(Debug, Clone, Default)]
pub struct Pool {}

impl Pool {
    /// A buffer that holds `frame` behind [`HEADROOM`] (its first 2 KiB or so as head, the rest as chain), or `None`
    /// where the pool is empty.
    pub fn copy_from(&self, frame: &[u8]) -> Option<Buffer> {
        let mut bytes = vec![0; HEADROOM];
        bytes.extend_from_slice(frame);
        Some(Buffer { bytes, start: HEADROOM, chain: Vec::new(), meta: Meta::default() })
    }

    /// A copy of a buffer, chain and meta included, or `None` where the pool is empty.
    pub fn duplicate(&self, buffer: &Buffer) -> Option<Buffer> {
        let mut copy = self.copy_from(buffer.head())?;
        copy.chain = buffer.chain.clone();
        copy.meta = buffer.meta;
        Some(copy)
    }
}
