//! What a message becomes: one packet, or a row of datagrams handed out as large segments and single packets.
//!
//! A row is merged only where the datagrams are one TCP stream in one overlay segment, to the letter (see
//! [`anet_packet::segment::Merge`]); a wrong inner checksum is handed up as it came, alone.

use anet_memory::buffer::{Buffer, Checksum, HEAD_MIN, Pool, SegmentKind, Segmentation, Slab};
use anet_packet::segment::{Merge, Merged, Network};
use anet_packet::vxlan;

use super::outer::Outer;
use super::{sum, whole};

/// A message that was read and is not handed out yet, or not all of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    pub outer: Outer,
    /// Bytes in all.
    pub len: usize,
    /// Bytes of each datagram but the last.
    pub stride: usize,
    /// Bytes handed out.
    pub done: usize,
}

/// A datagram that travels alone: its first `in_head` bytes are in `head` already, `rest` are the others.
pub(super) fn single(
    message: &Message,
    mut head: Buffer,
    in_head: usize,
    rest: &[u8],
    pool: &Pool,
) -> Option<Buffer> {
    head.set_head_len(in_head).ok()?;
    if !rest.is_empty() {
        let mut slab = pool.take_slab()?;
        slab.as_mut_slice().get_mut(..rest.len())?.copy_from_slice(rest);
        head.attach_chain(slab, rest.len()).ok()?;
    }
    _ = whole::recognize(&mut head, &message.outer);
    finish(head, &message.outer)
}

/// The next packet of a row: as many datagrams as make one segment, or one. `head`, where it is given, holds the
/// row's first bytes already, and `message` begins there.
pub(super) fn next_of_row(
    row: &[u8],
    message: &mut Message,
    pool: &Pool,
    head: Option<Buffer>,
) -> Option<Buffer> {
    let mut datagrams = row
        .get(message.done..message.len)?
        .chunks(message.stride)
        .map(Datagram::of);
    let first = datagrams.next()?;
    message.done += first.bytes.len();
    let mut filler = Filler::start(pool, head, first.bytes)?;
    let merge = if datagrams.len() > 0 {
        Merge::start(first.inner, sum::sum)
    } else {
        None
    };
    let Some(mut merge) = merge else {
        return finish(filler.finish()?, &message.outer);
    };
    for next in datagrams {
        if next.tunnel != first.tunnel || !filler.merge(&mut merge, first.inner, next.inner) {
            break;
        }
        message.done += next.bytes.len();
    }
    let mut buffer = filler.finish()?;
    if merge.count() > 1 {
        let merged = merge.finish(buffer.head_mut().get_mut(vxlan::HEADER_LEN..)?);
        describe_segment(&mut buffer, &merged);
    } else {
        buffer.meta.checksum = Checksum::Valid;
    }
    finish(buffer, &message.outer)
}

/// A UDP payload: the VXLAN header and the inner frame.
#[derive(Debug, Clone, Copy)]
struct Datagram<'a> {
    bytes: &'a [u8],
    tunnel: &'a [u8],
    inner: &'a [u8],
}

impl<'a> Datagram<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let (tunnel, inner) = bytes.split_at(bytes.len().min(vxlan::HEADER_LEN));
        Self { bytes, tunnel, inner }
    }
}

fn describe_segment(buffer: &mut Buffer, merged: &Merged) {
    let kind = match merged.layout.network {
        Network::V4 => SegmentKind::TcpV4,
        Network::V6 => SegmentKind::TcpV6,
    };
    let start = (vxlan::HEADER_LEN + merged.layout.transport_at) as u16;
    let offset = merged.layout.checksum_offset() as u16;
    buffer.meta.segmentation = Segmentation {
        kind,
        size: merged.size,
        ecn: merged.ecn,
    };
    buffer.meta.checksum = Checksum::Partial { start, offset };
}

/// Puts the outer header in front.
fn finish(mut buffer: Buffer, outer: &Outer) -> Option<Buffer> {
    let payload_len = buffer.len();
    outer.write(payload_len, buffer.prepend(outer.len()).ok()?);
    Some(buffer)
}

/// A packet that is put together: first the head, then a slab.
struct Filler<'a> {
    pool: &'a Pool,
    buffer: Buffer,
    slab: Option<Slab>,
    in_slab: usize,
    head_is_full: bool,
}

impl<'a> Filler<'a> {
    /// Starts with the datagram `first`. `head` holds its first bytes already. A datagram of ordinary size is the
    /// whole head, so that payload behind it is copied once and in large pieces; after a small one the head is filled
    /// up, for headers may be looked for in its first [`HEAD_MIN`] bytes.
    fn start(pool: &'a Pool, head: Option<Buffer>, first: &[u8]) -> Option<Self> {
        let is_there = head.is_some();
        let mut buffer = head.or_else(|| pool.take())?;
        let in_head = first.len().min(buffer.tailroom());
        if is_there {
            buffer.set_head_len(in_head).ok()?;
        } else {
            buffer.append(&first[..in_head]).ok()?;
        }
        let head_is_full = in_head >= HEAD_MIN;
        let mut filler = Self {
            pool,
            buffer,
            slab: None,
            in_slab: 0,
            head_is_full,
        };
        filler.append(&first[in_head..])?;
        Some(filler)
    }

    /// Puts `bytes` behind what is there.
    fn append(&mut self, bytes: &[u8]) -> Option<()> {
        if !self.has_room(bytes.len()) {
            return None;
        }
        let in_head = if self.head_is_full {
            0
        } else {
            bytes.len().min(self.buffer.tailroom())
        };
        let (front, rest) = bytes.split_at(in_head);
        self.buffer.append(front).ok()?;
        self.head_is_full |= self.buffer.tailroom() == 0;
        if !rest.is_empty() {
            self.slab_room().get_mut(..rest.len())?.copy_from_slice(rest);
            self.in_slab += rest.len();
        }
        Some(())
    }

    /// Takes the payload of `next` in where it continues the segment; false where not, or where the pool has no slab.
    fn merge(&mut self, merge: &mut Merge, first: &[u8], next: &[u8]) -> bool {
        let payload = next.get(merge.header_len()..).unwrap_or_default();
        if !self.has_room(payload.len()) {
            return false;
        }
        if !self.head_is_full {
            return merge.accept(first, next, sum::sum) && self.append(payload).is_some();
        }
        // Copied while it is summed: what is not accepted is simply overwritten.
        let room = self.slab_room();
        let is_accepted = merge.accept(first, next, |payload| sum::copy_and_sum(payload, room));
        self.in_slab += if is_accepted { payload.len() } else { 0 };
        is_accepted
    }

    /// True where `len` more bytes fit. Takes a slab where they need one.
    fn has_room(&mut self, len: usize) -> bool {
        let tailroom = if self.head_is_full {
            0
        } else {
            self.buffer.tailroom()
        };
        if len <= tailroom {
            return true;
        }
        if self.slab.is_none() {
            self.slab = self.pool.take_slab();
        }
        len <= self.slab_room().len()
    }

    fn slab_room(&mut self) -> &mut [u8] {
        let slab = self.slab.as_mut().map_or(&mut [][..], Slab::as_mut_slice);
        slab.get_mut(self.in_slab..).unwrap_or_default()
    }

    fn finish(mut self) -> Option<Buffer> {
        if let Some(slab) = self.slab {
            self.buffer.attach_chain(slab, self.in_slab).ok()?;
        }
        Some(self.buffer)
    }
}

#[cfg(test)]
#[path = "row_tests.rs"]
mod tests;
