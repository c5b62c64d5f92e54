//! Frames that a device cannot take as they are: copied into buffers of its own, their checksum finished, large segments cut.

use std::ops::Range;

use anet_memory::buffer::{Buffer, Origin, SegmentKind};
use anet_packet::segment::{Cut, Network, PACKET_MAX, Transport};
use anet_packet::{checksum, ethernet, ipv4, ipv6, udp, vxlan};

use super::pool::Pool;
use super::port::Role;
use crate::kernel::uplink::outer::{LEN_V4, LEN_V6, Outer};
use crate::kernel::uplink::pieces::{Pieces, finish_checksum};

/// The longest segment that is taken, with Ethernet header and tunnel headers.
pub(super) const SEGMENT_MAX: u32 = (PACKET_MAX + ethernet::HEADER_LEN + 70) as u32;

/// Why a frame was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not one that this port can send.
    Unsupported,
    /// The port's pool is empty.
    NoBuffer,
}

/// What a device takes.
pub(super) struct Target<'t> {
    pub pool: &'t Pool,
    /// Whose buffers it takes without a copy.
    pub origin: std::ptr::NonNull<Origin>,
    pub role: Role,
    /// Longest frame in bytes.
    pub frame_max: usize,
}

impl Target<'_> {
    /// Gives `ready` the packets that a frame becomes: one, or as many as a large segment is cut into.
    pub fn finish(&self, mut frame: Buffer, ready: &mut impl FnMut(Buffer)) -> Result<(), Refused> {
        if frame.meta.segmentation.kind != SegmentKind::None {
            return self.cut(&frame, ready);
        }
        finish_checksum(&mut frame).map_err(|_| Refused::Unsupported)?;
        if frame.len() > self.frame_max {
            return Err(Refused::Unsupported);
        }
        if frame.origin() != self.origin {
            frame = self.copy(&frame)?;
        }
        ready(frame);
        Ok(())
    }

    fn copy(&self, frame: &Buffer) -> Result<Buffer, Refused> {
        let mut copy = self.pool.take().ok_or(Refused::NoBuffer)?;
        let room = copy
            .tail_mut()
            .get_mut(..frame.len())
            .ok_or(Refused::Unsupported)?;
        fill(room, Pieces::from(frame, 0));
        copy.set_head_len(frame.len()).map_err(|_| Refused::Unsupported)?;
        Ok(copy)
    }

    /// Headers are written for each packet, behind a copy of the tunnel's.
    fn cut(&self, frame: &Buffer, ready: &mut impl FnMut(Buffer)) -> Result<(), Refused> {
        let inner_at = match self.role {
            Role::Guest => 0,
            Role::Uplink => {
                let (_, payload_at) = Outer::parse(frame.head()).ok_or(Refused::Unsupported)?;
                payload_at + vxlan::HEADER_LEN
            }
        };
        let (outer, inner) = frame
            .head()
            .split_at_checked(inner_at)
            .ok_or(Refused::Unsupported)?;
        let segmentation = frame.meta.segmentation;
        let cut = Cut::new(inner, frame.len() - inner_at, segmentation.size, segmentation.ecn);
        let cut = cut
            .ok()
            .filter(|cut| kind_of(cut) == segmentation.kind)
            .ok_or(Refused::Unsupported)?;
        let header_len = inner_at + cut.header_len();
        if header_len + cut.payload(0).len() > self.frame_max {
            return Err(Refused::Unsupported);
        }
        let mut rest = Pieces::from(frame, header_len);
        for index in 0..cut.count() {
            let Range { start, end } = cut.payload(index);
            let payload = rest.split_front(end - start);
            let mut packet = self.pool.take().ok_or(Refused::NoBuffer)?;
            let len = header_len + end - start;
            let room = packet.tail_mut().get_mut(..len).ok_or(Refused::Unsupported)?;
            let (headers, body) = room.split_at_mut(header_len);
            fill(body, payload);
            let (outer_room, inner_room) = headers.split_at_mut(inner_at);
            outer_room.copy_from_slice(outer);
            set_lengths(outer_room, len);
            cut.write_headers(index, checksum::sum(body), inner_room);
            packet.set_head_len(len).map_err(|_| Refused::Unsupported)?;
            ready(packet);
        }
        Ok(())
    }
}

fn kind_of(cut: &Cut<'_>) -> SegmentKind {
    match (cut.layout().transport, cut.layout().network) {
        (Transport::Tcp, Network::V4) => SegmentKind::TcpV4,
        (Transport::Tcp, Network::V6) => SegmentKind::TcpV6,
        (Transport::Udp, _) => SegmentKind::Udp,
    }
}

fn fill(mut room: &mut [u8], pieces: Pieces<'_>) {
    for piece in pieces {
        let (now, later) = room.split_at_mut(piece.len().min(room.len()));
        now.copy_from_slice(&piece[..now.len()]);
        room = later;
    }
}

/// Writes the lengths of a tunnel header for a packet that is `len` bytes long with it, and the IPv4 header's checksum. No
/// effect on an empty header. A UDP checksum stays what it is: zero, "none" (RFC 7348, 5; RFC 6935).
fn set_lengths(outer: &mut [u8], len: usize) {
    let ip_len = len - ethernet::HEADER_LEN.min(len);
    if outer.len() == LEN_V4 + vxlan::HEADER_LEN {
        put(outer, ethernet::HEADER_LEN + 2, ip_len);
        put(outer, LEN_V4 - udp::HEADER_LEN + 4, ip_len - ipv4::HEADER_LEN);
        put(outer, ethernet::HEADER_LEN + 10, 0);
        let header = &outer[ethernet::HEADER_LEN..][..ipv4::HEADER_LEN];
        put(outer, ethernet::HEADER_LEN + 10, checksum::of(header).into());
    } else if outer.len() == LEN_V6 + vxlan::HEADER_LEN {
        put(outer, ethernet::HEADER_LEN + 4, ip_len - ipv6::HEADER_LEN);
        put(outer, LEN_V6 - udp::HEADER_LEN + 4, ip_len - ipv6::HEADER_LEN);
    }
}

fn put(outer: &mut [u8], at: usize, value: usize) {
    outer[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
}
