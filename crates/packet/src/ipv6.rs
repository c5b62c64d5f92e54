//! IPv6 (RFC 8200): header and a bounded walk over extension headers.

use crate::field::{array, part};
use crate::malformed::Malformed;
use crate::protocol;
use std::net::Ipv6Addr;

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = 40;
/// Extension headers that are walked before a packet is refused.
pub const EXTENSIONS_MAX: usize = 8;

/// A view of an IPv6 packet, of which the end may lie outside the slice.
#[derive(Debug, Clone, Copy)]
pub struct Ipv6<'a> {
    fixed: &'a [u8; HEADER_LEN],
    rest: &'a [u8],
}

impl<'a> Ipv6<'a> {
    /// A view of the packet that starts with `bytes`. Checked: version. Not checked: that the payload length is in
    /// `bytes`, extension headers.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (fixed, rest) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(Malformed::Ipv6Truncated)?;
        if fixed[0] >> 4 != 6 {
            return Err(Malformed::Ipv6Version);
        }
        Ok(Self { fixed, rest })
    }

    /// DSCP and ECN.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        (self.fixed[0] << 4) | (self.fixed[1] >> 4)
    }

    /// The flow label, 20 bits.
    #[inline]
    pub fn flow_label(&self) -> u32 {
        u32::from_be_bytes(part::<0, 4, HEADER_LEN>(self.fixed)) & 0x000f_ffff
    }

    /// Bytes behind the fixed header, extension headers included.
    #[inline]
    pub fn payload_length(&self) -> u16 {
        u16::from_be_bytes(part::<4, 2, HEADER_LEN>(self.fixed))
    }

    /// The protocol of what follows the fixed header.
    #[inline]
    pub fn next_header(&self) -> u8 {
        self.fixed[6]
    }

    /// Hops left.
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        self.fixed[7]
    }

    /// Source address.
    #[inline]
    pub fn source(&self) -> Ipv6Addr {
        Ipv6Addr::from(part::<8, 16, HEADER_LEN>(self.fixed))
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> Ipv6Addr {
        Ipv6Addr::from(part::<24, 16, HEADER_LEN>(self.fixed))
    }

    /// What follows the fixed header: up to the payload length, or as much of it as the slice holds.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.rest
            .get(..usize::from(self.payload_length()))
            .unwrap_or(self.rest)
    }

    /// Walks the extension headers to the transport header, or to the data of a later fragment.
    pub fn upper(&self) -> Result<Upper, Malformed> {
        let mut walk = Walk {
            bytes: self.payload(),
            length: usize::from(self.payload_length()),
            at: 0,
            protocol: self.next_header(),
            fragment: None,
        };
        for place in 0..=EXTENSIONS_MAX {
            if !walk.step(place)? {
                let offset = HEADER_LEN + walk.at;
                return Ok(Upper {
                    protocol: walk.protocol,
                    offset,
                    fragment: walk.fragment,
                });
            }
        }
        Err(Malformed::Ipv6ExtensionChain)
    }
}

/// Where the walk over the extension headers ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upper {
    /// The protocol there.
    pub protocol: u8,
    /// Bytes from the start of the IPv6 header.
    pub offset: usize,
    /// The fragment header on the way, if there was one.
    pub fragment: Option<FragmentHeader>,
}

/// A fragment header (RFC 8200, 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentHeader {
    /// Where this fragment's data lies in the whole, in bytes.
    pub offset: u32,
    /// True where more fragments follow.
    pub more: bool,
    /// The number that a packet's fragments share.
    pub identification: u32,
}

impl FragmentHeader {
    /// True for the whole packet in one "fragment", which is to be treated as unfragmented (RFC 6946).
    pub const fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more
    }
}

struct Walk<'a> {
    bytes: &'a [u8],
    length: usize,
    at: usize,
    protocol: u8,
    fragment: Option<FragmentHeader>,
}

impl Walk<'_> {
    /// Steps over the extension header at `at`; false where there is none, or nothing more that can be read.
    fn step(&mut self, place: usize) -> Result<bool, Malformed> {
        let is_later_fragment = self.fragment.is_some_and(|f| f.offset != 0);
        if is_later_fragment || !is_extension(self.protocol) {
            return Ok(false);
        }
        let header = *self.header()?;
        let length = match self.protocol {
            protocol::HOP_BY_HOP if place != 0 => return Err(Malformed::Ipv6ExtensionChain),
            protocol::FRAGMENT if self.fragment.is_some() => return Err(Malformed::Ipv6ExtensionChain),
            protocol::FRAGMENT => {
                self.fragment = Some(fragment_header(&header));
                8
            }
            protocol::ROUTING if header[2] == 0 && header[3] != 0 => return Err(Malformed::Ipv6SourceRoute),
            protocol::AUTHENTICATION => (usize::from(header[1]) + 2) * 4,
            _ => (usize::from(header[1]) + 1) * 8,
        };
        self.at += length;
        if self.at > self.length {
            return Err(Malformed::Ipv6ExtensionTruncated);
        }
        self.protocol = header[0];
        Ok(true)
    }

    fn header(&self) -> Result<&[u8; 8], Malformed> {
        if self.at + 8 > self.length {
            return Err(Malformed::Ipv6ExtensionTruncated);
        }
        array(self.bytes, self.at).ok_or(Malformed::HeadersTooLong)
    }
}

fn fragment_header(bytes: &[u8; 8]) -> FragmentHeader {
    let [_, _, o0, o1, i0, i1, i2, i3] = *bytes;
    let field = u16::from_be_bytes([o0, o1]);
    FragmentHeader {
        offset: u32::from(field & 0xfff8),
        more: field & 1 != 0,
        identification: u32::from_be_bytes([i0, i1, i2, i3]),
    }
}

/// True for the extension headers that the walk steps over.
#[inline]
pub const fn is_extension(number: u8) -> bool {
    matches!(
        number,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AUTHENTICATION
            | protocol::DESTINATION_OPTIONS
    )
}

/// True where nobody may send from `address` on a wire: multicast, loopback, IPv4-mapped (RFC 4291).
#[inline]
pub const fn is_forbidden_source(address: Ipv6Addr) -> bool {
    address.is_multicast() || address.is_loopback() || address.to_bits() >> 32 == 0xffff
}

/// The solicited-node multicast group of `address` (RFC 4291, 2.7.1).
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xff02_0000_0000_0000_0000_0001_ff00_0000 | (address.to_bits() & 0x00ff_ffff))
}

/// A header to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// The flow label; only the lower 20 bits are used.
    pub flow_label: u32,
    /// Bytes behind the header.
    pub payload_length: u16,
    /// The protocol of what follows.
    pub next_header: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
}

impl Header {
    /// The bytes on the wire.
    #[inline]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | (self.flow_label & 0x000f_ffff);
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&first.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.payload_length.to_be_bytes());
        bytes[6] = self.next_header;
        bytes[7] = self.hop_limit;
        bytes[8..24].copy_from_slice(&self.source.octets());
        bytes[24..].copy_from_slice(&self.destination.octets());
        bytes
    }
}
