//! Buffers over mbufs: packets stay where the device put them.

use std::ffi::c_void;
use std::ptr::NonNull;

use anet_memory::buffer::{Buffer, Checksum, Foreign, Meta, Origin, Parts, Segment};

use super::port::Role;
use super::shim::{CHECKSUM_GOOD, Packet, Shim};

/// Where buffers over mbufs go back to: to the pool that each mbuf names, whatever thread they are on.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Lender {
    origin: Origin,
    shim: &'static Shim,
}

static TABLE: Foreign = Foreign {
    release,
    release_chain,
    segment,
};

impl Lender {
    pub fn new(shim: &'static Shim) -> Self {
        Self {
            origin: Origin::foreign(&TABLE),
            shim,
        }
    }

    pub fn origin(&'static self) -> NonNull<Origin> {
        NonNull::from(self).cast()
    }

    /// The shim of the lender that a buffer's origin is the first field of.
    ///
    /// # Safety
    /// `origin` is that of a lender.
    unsafe fn shim_of(origin: NonNull<Origin>) -> &'static Shim {
        // SAFETY: by contract; a lender is never freed.
        unsafe { origin.cast::<Lender>().as_ref() }.shim
    }

    /// The buffer over a packet that came across the face.
    ///
    /// # Safety
    /// The shim has just handed the packet out, and nobody else makes a buffer of it.
    #[inline]
    pub unsafe fn buffer(&'static self, packet: &Packet, role: Role) -> Buffer {
        // Of a tunnelled frame a device has verified the outer checksum.
        let verified = role == Role::Guest && packet.flags & CHECKSUM_GOOD != 0;
        let checksum = match verified {
            false => Checksum::Unknown,
            true => Checksum::Valid,
        };
        let parts = Parts {
            // SAFETY: a packet that was handed out has memory.
            slot: unsafe { NonNull::new_unchecked(packet.slot) }.cast(),
            capacity: packet.capacity,
            start: packet.start,
            head_len: packet.head_len,
            chain: NonNull::new(packet.chain).map(|chain| (chain.cast(), packet.chain_len)),
            origin: self.origin(),
            meta: Meta {
                checksum,
                ..Meta::default()
            },
        };
        // SAFETY: an mbuf's memory is `capacity` bytes (of huge pages, so initialised), ours until released; its
        // fields hold start + head_len <= capacity; the chain is the mbuf's own; the lender lives for ever, and the
        // shim's functions may be called on any thread.
        unsafe { Buffer::from_parts(parts) }
    }
}

/// The packet of a buffer of a lender's, which is not given back.
#[inline]
pub(super) fn packet_of(buffer: Buffer) -> Packet {
    let parts = buffer.into_parts();
    let (chain, chain_len) = parts.chain.map_or((std::ptr::null_mut(), 0), |(chain, len)| {
        (chain.as_ptr().cast(), len)
    });
    Packet {
        slot: parts.slot.as_ptr().cast(),
        chain,
        chain_len,
        capacity: parts.capacity,
        start: parts.start,
        head_len: parts.head_len,
        flags: 0,
    }
}

unsafe fn release(origin: NonNull<Origin>, slot: NonNull<u8>, chain: Option<NonNull<u8>>) {
    let chain = chain.map_or(std::ptr::null_mut::<c_void>(), |chain| chain.as_ptr().cast());
    // SAFETY: called for a buffer of a lender, whose slot and chain the shim handed out; they end their use here.
    unsafe { (Lender::shim_of(origin).release)(slot.as_ptr().cast(), chain) }
}

unsafe fn release_chain(origin: NonNull<Origin>, chain: NonNull<u8>) {
    // SAFETY: as above, for the chain alone.
    unsafe { (Lender::shim_of(origin).release_chain)(chain.as_ptr().cast()) }
}

unsafe fn segment(origin: NonNull<Origin>, chain: NonNull<u8>) -> Segment {
    let (mut data, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY: as above; the shim reads the chain's first mbuf and writes the two results.
    let next = unsafe { (Lender::shim_of(origin).piece)(chain.as_ptr().cast(), &raw mut data, &raw mut len) };
    Segment {
        data: NonNull::new(data).map_or(NonNull::dangling(), NonNull::cast),
        len: len as usize,
        next: NonNull::new(next).map(NonNull::cast),
    }
}
