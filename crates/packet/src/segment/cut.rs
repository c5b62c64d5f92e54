//! A large segment is cut: the headers of each packet.

use std::fmt;
use std::ops::Range;

use super::PACKET_MAX;
use super::layout::{Layout, LayoutError, Network, Transport};
use crate::checksum;
use crate::field::{array, be16};
use crate::tcp::flag;

/// The smallest payload per packet that is accepted; Linux has the same bound (`TCP_MIN_GSO_SIZE`). It bounds how
/// many packets one segment of a hostile guest becomes.
pub const SIZE_MIN: u16 = 8;

/// Why a segment cannot be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutError {
    /// Its headers are not those of a segment.
    Layout(LayoutError),
    /// The payload per packet is below [`SIZE_MIN`].
    Size,
    /// A single packet would be longer than an IP packet can be, or the frame is shorter than its headers.
    Length,
}

impl fmt::Display for CutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout(error) => error.fmt(f),
            Self::Size => write!(f, "less than {SIZE_MIN} bytes of payload in each packet"),
            Self::Length => write!(f, "a packet would have no legal length"),
        }
    }
}

impl std::error::Error for CutError {}

impl From<LayoutError> for CutError {
    fn from(error: LayoutError) -> Self {
        Self::Layout(error)
    }
}

/// A segment about to be cut. The sums of what all packets share are taken once, when it is made.
#[derive(Debug, Clone)]
pub struct Cut<'a> {
    headers: &'a [u8],
    layout: Layout,
    payload_len: usize,
    size: usize,
    ecn: bool,
    /// The IPv4 header's sum without length, identification and checksum.
    network_sum: u64,
    /// Pseudo header and transport header without lengths, sequence number, flags and checksum.
    transport_sum: u64,
    identification: u16,
    sequence: u32,
    offset_and_flags: u16,
}

impl<'a> Cut<'a> {
    /// Prepares to cut the frame that starts with `head` and is `frame_len` bytes long into packets of `size` bytes
    /// of payload. `head` starts with the Ethernet header and must hold all headers. With `ecn`, the CWR flag is
    /// kept on the first packet only (RFC 3168, 6.1.2), else it stays as it is on each.
    ///
    /// Length and checksum fields of the headers are not believed: they are written anew.
    pub fn new(head: &'a [u8], frame_len: usize, size: u16, ecn: bool) -> Result<Self, CutError> {
        let layout = Layout::of(head)?;
        if size < SIZE_MIN {
            return Err(CutError::Size);
        }
        let headers = &head[..layout.payload_at];
        let payload_len = frame_len.checked_sub(layout.payload_at).ok_or(CutError::Length)?;
        let size = usize::from(size);
        if layout.payload_at - layout.network_at + size.min(payload_len) > PACKET_MAX
            || payload_len > PACKET_MAX
        {
            return Err(CutError::Length);
        }
        let mut cut = Self {
            headers,
            layout,
            payload_len,
            size,
            ecn,
            network_sum: 0,
            transport_sum: 0,
            identification: 0,
            sequence: 0,
            offset_and_flags: 0,
        };
        cut.take_sums().ok_or(LayoutError::Truncated)?;
        Ok(cut)
    }

    fn take_sums(&mut self) -> Option<()> {
        let Layout {
            network_at,
            transport_at,
            ..
        } = self.layout;
        let word = |at| be16(self.headers, at).map(|w| u64::from(!w));
        if self.layout.network == Network::V4 {
            self.identification = be16(self.headers, network_at + 4)?;
            let header = self.headers.get(network_at..transport_at)?;
            let without = word(network_at + 2)? + word(network_at + 4)? + word(network_at + 10)?;
            self.network_sum = checksum::sum(header) + without;
        }
        // A field leaves a one's complement sum by adding its complement.
        let without = match self.layout.transport {
            Transport::Tcp => {
                self.sequence = u32::from_be_bytes(*array(self.headers, transport_at + 4)?);
                self.offset_and_flags = be16(self.headers, transport_at + 12)?;
                let sequence = word(transport_at + 4)? + word(transport_at + 6)?;
                sequence + word(transport_at + 12)? + word(transport_at + 16)?
            }
            Transport::Udp => word(transport_at + 4)? + word(transport_at + 6)?,
        };
        let header = self.headers.get(transport_at..)?;
        self.transport_sum = self.layout.pseudo_header(self.headers) + checksum::sum(header) + without;
        Some(())
    }

    /// How many packets it gives: at least one.
    pub fn count(&self) -> usize {
        self.payload_len.div_ceil(self.size).max(1)
    }

    /// Bytes of headers in front of each packet's payload, from the Ethernet header on.
    pub fn header_len(&self) -> usize {
        self.headers.len()
    }

    /// Where the headers lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Packet `index`'s slice of the payload, counted from the payload's first byte; empty behind the last packet.
    pub fn payload(&self, index: usize) -> Range<usize> {
        let start = index.saturating_mul(self.size).min(self.payload_len);
        start..(start + self.size).min(self.payload_len)
    }

    /// Writes the headers of packet `index` to the front of `to`, which must have [`Self::header_len`] bytes, else
    /// nothing is written. `payload_sum` is [`checksum::sum`] over the packet's slice of the payload.
    #[inline]
    pub fn write_headers(&self, index: usize, payload_sum: u64, to: &mut [u8]) {
        let Some(to) = to.get_mut(..self.headers.len()) else {
            return;
        };
        to.copy_from_slice(self.headers);
        let payload = self.payload(index);
        let Layout {
            network,
            transport,
            network_at,
            transport_at,
            payload_at,
        } = self.layout;
        match network {
            Network::V4 => self.write_v4(
                index,
                payload_at - network_at + payload.len(),
                &mut to[network_at..],
            ),
            Network::V6 => {
                let length = payload_at - network_at - crate::ipv6::HEADER_LEN + payload.len();
                put(&mut to[network_at..], 4, length as u16);
            }
        }
        let length = payload_at - transport_at + payload.len();
        let sum = self.transport_sum + length as u64 + payload_sum;
        match transport {
            Transport::Tcp => self.write_tcp(index, payload, sum, &mut to[transport_at..]),
            Transport::Udp => {
                put(&mut to[transport_at..], 4, length as u16);
                // The length counts twice: in the pseudo header and in the header.
                put(
                    &mut to[transport_at..],
                    6,
                    checksum::complement_udp(sum + length as u64),
                );
            }
        }
    }

    fn write_v4(&self, index: usize, length: usize, header: &mut [u8]) {
        let identification = self.identification.wrapping_add(index as u16);
        put(header, 2, length as u16);
        put(header, 4, identification);
        put(
            header,
            10,
            checksum::complement(self.network_sum + length as u64 + u64::from(identification)),
        );
    }

    fn write_tcp(&self, index: usize, payload: Range<usize>, sum: u64, header: &mut [u8]) {
        let sequence = self.sequence.wrapping_add(payload.start as u32);
        let mut offset_and_flags = self.offset_and_flags;
        if payload.end < self.payload_len {
            offset_and_flags &= !u16::from(flag::FIN | flag::PSH);
        }
        if self.ecn && index > 0 {
            offset_and_flags &= !u16::from(flag::CWR);
        }
        header[4..8].copy_from_slice(&sequence.to_be_bytes());
        put(header, 12, offset_and_flags);
        let sum =
            sum + u64::from(sequence >> 16) + u64::from(sequence & 0xffff) + u64::from(offset_and_flags);
        put(header, 16, checksum::complement(sum));
    }
}

#[inline]
fn put(header: &mut [u8], at: usize, value: u16) {
    header[at..at + 2].copy_from_slice(&value.to_be_bytes());
}
