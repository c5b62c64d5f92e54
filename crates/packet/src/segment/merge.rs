//! Consecutive TCP packets are merged into one large segment.

use super::PACKET_MAX;
use super::layout::{Layout, Network, Transport};
use crate::checksum;
use crate::ethernet::{self, ethertype};
use crate::field::{array, be16};
use crate::tcp::flag;
use crate::{ipv4, ipv6};

/// Flags with which a packet is never merged.
const FLAGS_ALONE: u8 = flag::SYN | flag::RST | flag::URG;
/// Flags that may differ between packets: they end the segment.
const FLAGS_LAST: u8 = flag::FIN | flag::PSH;
/// Flags that only the first packet of a segment may have.
const FLAGS_FIRST: u8 = flag::CWR;
const DONT_FRAGMENT: u8 = 0x40;

/// A packet that may be merged: its headers are plain and its checksums right.
#[derive(Debug, Clone, Copy)]
struct Packet {
    layout: Layout,
    payload_len: usize,
    sequence: u32,
    flags: u8,
    /// IPv4: the identification; IPv6: 0.
    identification: u16,
    /// Its identification says nothing: IPv6, or IPv4 that must not be fragmented (RFC 6864).
    is_atomic: bool,
}

impl Packet {
    /// Cheap refusals first; the payload is summed only where all else fits.
    fn parse(frame: &[u8]) -> Option<Self> {
        let (identification, is_atomic) = match be16(frame, 12)? {
            ethertype::IPV4 => plain_v4(frame)?,
            ethertype::IPV6 => plain_v6(frame)?,
            _ => return None,
        };
        let layout = Layout::of(frame).ok().filter(|l| l.transport == Transport::Tcp)?;
        if layout.network == Network::V6 && layout.transport_at != ethernet::HEADER_LEN + ipv6::HEADER_LEN {
            return None;
        }
        let header: &[u8; 20] = array(frame, layout.transport_at)?;
        let flags = header[13];
        if flags & FLAGS_ALONE != 0 || flags & flag::ACK == 0 || frame.len() == layout.payload_at {
            return None;
        }
        Some(Self {
            layout,
            payload_len: frame.len() - layout.payload_at,
            sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            flags,
            identification,
            is_atomic,
        })
    }

    /// The header's length is even, so the two sums simply add up.
    fn has_valid_checksum(&self, frame: &[u8], sum: impl FnOnce(&[u8]) -> u64) -> bool {
        let Layout {
            transport_at,
            payload_at,
            ..
        } = self.layout;
        let (Some(header), Some(payload)) = (frame.get(transport_at..payload_at), frame.get(payload_at..))
        else {
            return false;
        };
        let length = (header.len() + payload.len()) as u64;
        let total = self.layout.pseudo_header(frame) + length + checksum::sum(header) + sum(payload);
        checksum::fold(total) == 0xffff
    }
}

/// Identification, and whether it says nothing, of an IPv4 header without options that is right and ends with
/// the frame.
fn plain_v4(frame: &[u8]) -> Option<(u16, bool)> {
    let header: &[u8; ipv4::HEADER_LEN] = array(frame, ethernet::HEADER_LEN)?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let fits =
        header[0] == 0x45 && length + ethernet::HEADER_LEN == frame.len() && checksum::is_valid(header);
    fits.then(|| {
        (
            u16::from_be_bytes([header[4], header[5]]),
            header[6] & DONT_FRAGMENT != 0,
        )
    })
}

fn plain_v6(frame: &[u8]) -> Option<(u16, bool)> {
    let length = usize::from(be16(frame, ethernet::HEADER_LEN + 4)?);
    (length + ethernet::HEADER_LEN + ipv6::HEADER_LEN == frame.len()).then_some((0, true))
}

/// A segment that grows. It begins with one packet; each further one must continue it exactly.
#[derive(Debug, Clone, Copy)]
pub struct Merge {
    first: Packet,
    payload_len: usize,
    count: usize,
    last_flags: u8,
    /// By how much identifications go up, known from the second packet on.
    step: Option<u16>,
    is_complete: bool,
}

/// What a merged segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// Where the headers lie.
    pub layout: Layout,
    /// Bytes of payload in each packet but the last: the size to cut it with again.
    pub size: u16,
    /// CWR is set, and was on the first packet only.
    pub ecn: bool,
    /// How many packets were merged.
    pub count: usize,
    /// Bytes of payload in all.
    pub payload_len: usize,
}

impl Merge {
    /// Begins with the packet in `frame`, from its Ethernet header to its last byte. `None` where it is not an
    /// ordinary TCP packet with payload, or one of its checksums is wrong: such a packet travels alone.
    ///
    /// `sum` is called with the payload once all else is right; it is [`checksum::sum`], or gives the same.
    pub fn start(frame: &[u8], sum: impl FnOnce(&[u8]) -> u64) -> Option<Self> {
        let first = Packet::parse(frame)?;
        if first.payload_len > usize::from(u16::MAX) || !first.has_valid_checksum(frame, sum) {
            return None;
        }
        Some(Self {
            first,
            payload_len: first.payload_len,
            count: 1,
            last_flags: first.flags,
            step: None,
            is_complete: first.flags & FLAGS_LAST != 0,
        })
    }

    /// Takes the packet in `frame` in, or leaves everything as it was and says false where it does not continue the
    /// segment. `first` is the frame that it was started with (only its headers are read). `sum` as in
    /// [`Self::start`]: it may move the payload to where it will belong, too.
    pub fn accept(&mut self, first: &[u8], frame: &[u8], sum: impl FnOnce(&[u8]) -> u64) -> bool {
        match self.continued_by(first, frame, sum) {
            Some(next) => {
                self.step =
                    Some(next.identification.wrapping_sub(self.first.identification) / self.count as u16);
                self.count += 1;
                self.payload_len += next.payload_len;
                self.last_flags = next.flags;
                self.is_complete = next.flags & FLAGS_LAST != 0 || next.payload_len < self.first.payload_len;
                true
            }
            None => false,
        }
    }

    fn continued_by(&self, first: &[u8], frame: &[u8], sum: impl FnOnce(&[u8]) -> u64) -> Option<Packet> {
        let length = self.first.layout.payload_at - self.first.layout.network_at + self.payload_len;
        if self.is_complete || self.count >= usize::from(u16::MAX) {
            return None;
        }
        let next = Packet::parse(frame)?;
        let fits = next.layout == self.first.layout
            && next.payload_len <= self.first.payload_len
            && length + next.payload_len <= PACKET_MAX
            && next.sequence == self.first.sequence.wrapping_add(self.payload_len as u32)
            && (next.flags ^ self.first.flags) & !(FLAGS_LAST | FLAGS_FIRST) == 0
            && next.flags & FLAGS_FIRST == 0
            && self.identification_fits(&next)
            && same_headers(&self.first.layout, first, frame);
        (fits && next.has_valid_checksum(frame, sum)).then_some(next)
    }

    /// Identifications go up by one, or, where they say nothing, stay the same.
    fn identification_fits(&self, next: &Packet) -> bool {
        let distance = next.identification.wrapping_sub(self.first.identification);
        let is_next = distance == self.count as u16 && self.step != Some(0);
        next.is_atomic && distance == 0 && self.step != Some(1) || is_next
    }

    /// How many packets it is so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes of headers in front of the payload: the same in each packet.
    pub fn header_len(&self) -> usize {
        self.first.layout.payload_at
    }

    /// Writes lengths, flags, the IPv4 header's checksum, and the pseudo header's sum in place of the transport
    /// checksum (which so is a *partial* one) into the first packet's headers. `headers` starts with its Ethernet
    /// header; where it is too short, nothing is written.
    pub fn finish(self, headers: &mut [u8]) -> Merged {
        let layout = self.first.layout;
        let merged = Merged {
            layout,
            size: self.first.payload_len as u16,
            ecn: self.first.flags & flag::CWR != 0,
            count: self.count,
            payload_len: self.payload_len,
        };
        if self.count > 1
            && let Some(headers) = headers.get_mut(..layout.payload_at)
        {
            self.write(&layout, headers);
        }
        merged
    }

    fn write(&self, layout: &Layout, headers: &mut [u8]) {
        let pseudo_header = layout.pseudo_header(headers);
        let (network, transport) =
            headers[layout.network_at..].split_at_mut(layout.transport_at - layout.network_at);
        let transport_len = transport.len() + self.payload_len;
        match layout.network {
            Network::V4 => {
                put(network, 2, (network.len() + transport_len) as u16);
                put(network, 10, 0);
                put(network, 10, checksum::of(network));
            }
            Network::V6 => put(network, 4, transport_len as u16),
        }
        transport[13] |= self.last_flags & FLAGS_LAST;
        put(
            transport,
            16,
            checksum::fold(pseudo_header + transport_len as u64),
        );
    }
}

/// True where all that packets of one segment share is the same: addresses, IP fields, ports, acknowledgment,
/// window, options.
fn same_headers(layout: &Layout, first: &[u8], next: &[u8]) -> bool {
    let Layout {
        network,
        network_at,
        transport_at,
        payload_at,
        ..
    } = *layout;
    let same = |from: usize, to: usize| {
        first
            .get(from..to)
            .is_some_and(|part| next.get(from..to) == Some(part))
    };
    let network_is_same = match network {
        Network::V4 => {
            same(0, network_at + 2)
                && same(network_at + 6, network_at + 10)
                && same(network_at + 12, transport_at)
        }
        Network::V6 => same(0, network_at + 4) && same(network_at + 6, transport_at),
    };
    network_is_same
        && same(transport_at, transport_at + 4)
        && same(transport_at + 8, transport_at + 13)
        && same(transport_at + 14, transport_at + 16)
        && same(transport_at + 18, payload_at)
}

#[inline]
fn put(header: &mut [u8], at: usize, value: u16) {
    header[at..at + 2].copy_from_slice(&value.to_be_bytes());
}
