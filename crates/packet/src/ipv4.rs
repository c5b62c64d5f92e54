//! IPv4 (RFC 791): header, options, fragments.

use crate::checksum;
use crate::field::part;
use crate::malformed::Malformed;
use std::net::Ipv4Addr;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

/// A view of an IPv4 packet, of which the end may lie outside the slice.
#[derive(Debug, Clone, Copy)]
pub struct Ipv4<'a> {
    fixed: &'a [u8; HEADER_LEN],
    options: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Ipv4<'a> {
    /// A view of the packet that starts with `bytes`. Checked: version, header length, and that the total length
    /// holds the header. Not checked: that the total length is in `bytes`, the checksum, the options.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (fixed, rest) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(Malformed::Ipv4Truncated)?;
        if fixed[0] >> 4 != 4 {
            return Err(Malformed::Ipv4Version);
        }
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        let options_len = header_len
            .checked_sub(HEADER_LEN)
            .ok_or(Malformed::Ipv4HeaderLength)?;
        let (options, rest) = rest
            .split_at_checked(options_len)
            .ok_or(Malformed::Ipv4HeaderLength)?;
        let view = Self { fixed, options, rest };
        if usize::from(view.total_length()) < header_len {
            return Err(Malformed::Ipv4TotalLength);
        }
        Ok(view)
    }

    /// Bytes of the header, options included: 20 to 60.
    #[inline]
    pub fn header_length(&self) -> usize {
        HEADER_LEN + self.options.len()
    }

    /// Bytes of header and payload, at least [`Self::header_length`].
    #[inline]
    pub fn total_length(&self) -> u16 {
        u16::from_be_bytes(part::<2, 2, HEADER_LEN>(self.fixed))
    }

    /// DSCP and ECN (RFC 2474, RFC 3168).
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        self.fixed[1]
    }

    /// The number that a packet's fragments share.
    #[inline]
    pub fn identification(&self) -> u16 {
        u16::from_be_bytes(part::<4, 2, HEADER_LEN>(self.fixed))
    }

    #[inline]
    fn fragment_field(&self) -> u16 {
        u16::from_be_bytes(part::<6, 2, HEADER_LEN>(self.fixed))
    }

    /// True where routers may not cut the packet.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.fragment_field() & DONT_FRAGMENT != 0
    }

    /// True where more fragments follow.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        self.fragment_field() & MORE_FRAGMENTS != 0
    }

    /// Where this fragment's payload lies in the whole one, in bytes.
    #[inline]
    pub fn fragment_offset(&self) -> u32 {
        u32::from(self.fragment_field() & OFFSET_MASK) * 8
    }

    /// Hops left.
    #[inline]
    pub fn time_to_live(&self) -> u8 {
        self.fixed[8]
    }

    /// The protocol of the payload.
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.fixed[9]
    }

    /// Source address.
    #[inline]
    pub fn source(&self) -> Ipv4Addr {
        Ipv4Addr::from(part::<12, 4, HEADER_LEN>(self.fixed))
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::from(part::<16, 4, HEADER_LEN>(self.fixed))
    }

    /// True where the header checksum, options included, is right.
    #[inline]
    pub fn checksum_is_valid(&self) -> bool {
        checksum::fold(checksum::sum(self.fixed) + checksum::sum(self.options)) == 0xffff
    }

    /// The options, one by one.
    pub fn options(&self) -> Options<'a> {
        Options { rest: self.options }
    }

    /// The payload: up to the total length, or as much of it as the slice holds.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        let length = usize::from(self.total_length()).saturating_sub(self.header_length());
        self.rest.get(..length).unwrap_or(self.rest)
    }
}

/// An option: its type byte (1 is padding) and what follows its length byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderOption<'a> {
    /// The type byte with its copy flag (RFC 791, 3.1).
    pub kind: u8,
    /// The bytes behind the length.
    pub data: &'a [u8],
}

impl HeaderOption<'_> {
    /// True for loose and strict source and record route.
    pub const fn is_source_route(&self) -> bool {
        matches!(self.kind, 131 | 137)
    }
}

/// Walks options until their end, or until the first that does not parse.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<HeaderOption<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, rest) = std::mem::take(&mut self.rest).split_first()?;
        match kind {
            0 => None,
            1 => {
                self.rest = rest;
                Some(Ok(HeaderOption { kind, data: &[] }))
            }
            _ => {
                let split = rest
                    .split_first()
                    .and_then(|(&length, rest)| rest.split_at_checked(usize::from(length).checked_sub(2)?));
                let Some((data, rest)) = split else {
                    return Some(Err(Malformed::Ipv4Options));
                };
                self.rest = rest;
                Some(Ok(HeaderOption { kind, data }))
            }
        }
    }
}

/// True where nobody may send from `address`: multicast, broadcast, loopback.
#[inline]
pub const fn is_forbidden_source(address: Ipv4Addr) -> bool {
    address.is_multicast() || address.is_broadcast() || address.is_loopback()
}

/// A header without options to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// The number that a packet's fragments share; free to be 0 where `dont_fragment` is set (RFC 6864).
    pub identification: u16,
    /// Routers may not cut the packet.
    pub dont_fragment: bool,
    /// Hops left.
    pub time_to_live: u8,
    /// The protocol of the payload.
    pub protocol: u8,
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Bytes of payload, at most 65,515.
    pub payload_length: u16,
}

impl Header {
    /// The bytes on the wire, checksum included. A payload too long is written as the longest one.
    #[inline]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let [l0, l1] = self
            .payload_length
            .saturating_add(HEADER_LEN as u16)
            .to_be_bytes();
        let [i0, i1] = self.identification.to_be_bytes();
        let [f0, f1] = if self.dont_fragment { DONT_FRAGMENT } else { 0 }.to_be_bytes();
        let (s, d) = (self.source.octets(), self.destination.octets());
        let mut bytes = [0; HEADER_LEN];
        bytes[..10].copy_from_slice(&[
            0x45,
            self.traffic_class,
            l0,
            l1,
            i0,
            i1,
            f0,
            f1,
            self.time_to_live,
            self.protocol,
        ]);
        bytes[12..16].copy_from_slice(&s);
        bytes[16..].copy_from_slice(&d);
        let checksum = checksum::of(&bytes).to_be_bytes();
        bytes[10..12].copy_from_slice(&checksum);
        bytes
    }
}
