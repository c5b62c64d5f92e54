//! Where a buffer goes when it is dropped, and what a back end must say to lend buffers of its own.

use std::ptr::NonNull;

use super::Meta;

/// How buffers that are not from a [`Pool`](crate::pool::Pool) of this crate are kept: the table of an [`Origin`].
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
    /// `None` for this crate's own [`Pool`](crate::pool::Pool), whose return is inlined; else who to call.
    pub(crate) foreign: Option<&'static Foreign>,
}

impl Origin {
    /// The origin of buffers that a back end lends.
    pub const fn foreign(table: &'static Foreign) -> Self {
        Self { foreign: Some(table) }
    }
}

/// The parts of a buffer, for a back end that lends memory of its own: see [`Buffer::from_parts`](super::Buffer::from_parts).
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
