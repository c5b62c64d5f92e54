//! ICMP for IPv6 (RFC 4443): echo and errors. Neighbor discovery is in [`crate::ndp`].

use crate::checksum;
use crate::field::part;
use crate::malformed::Malformed;
use crate::protocol;
use std::net::Ipv6Addr;

/// Bytes of the header that all messages share, their first word included.
pub const HEADER_LEN: usize = 8;

/// Message types (IANA "ICMPv6 type Numbers").
pub mod kind {
    /// Destination unreachable, an error.
    pub const DESTINATION_UNREACHABLE: u8 = 1;
    /// Packet too big, an error.
    pub const PACKET_TOO_BIG: u8 = 2;
    /// Time exceeded, an error.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem, an error.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Multicast listener query (RFC 2710).
    pub const LISTENER_QUERY: u8 = 130;
    /// Multicast listener report (RFC 2710).
    pub const LISTENER_REPORT: u8 = 131;
    /// Multicast listener done (RFC 2710).
    pub const LISTENER_DONE: u8 = 132;
    /// Router solicitation (RFC 4861).
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// Router advertisement (RFC 4861).
    pub const ROUTER_ADVERTISEMENT: u8 = 134;
    /// Neighbor solicitation (RFC 4861).
    pub const NEIGHBOR_SOLICITATION: u8 = 135;
    /// Neighbor advertisement (RFC 4861).
    pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;
    /// Redirect (RFC 4861).
    pub const REDIRECT: u8 = 137;
    /// Multicast listener report, version 2 (RFC 3810).
    pub const LISTENER_REPORT_V2: u8 = 143;
}

/// Codes of "destination unreachable".
pub mod unreachable {
    /// No route.
    pub const NO_ROUTE: u8 = 0;
    /// Forbidden by a filter.
    pub const PROHIBITED: u8 = 1;
    /// The host does not answer.
    pub const ADDRESS: u8 = 3;
    /// Nobody listens on that port.
    pub const PORT: u8 = 4;
}

/// A view of an ICMPv6 message, of which the end may lie outside the slice.
#[derive(Debug, Clone, Copy)]
pub struct Icmpv6<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Icmpv6<'a> {
    /// A view of the message that starts with `bytes`.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, payload) = bytes.split_first_chunk().ok_or(Malformed::Icmpv6Truncated)?;
        Ok(Self { header, payload })
    }

    /// The type, see [`kind`].
    #[inline]
    pub fn kind(&self) -> u8 {
        self.header[0]
    }

    /// The code, whose meaning depends on the type.
    #[inline]
    pub fn code(&self) -> u8 {
        self.header[1]
    }

    /// The checksum field.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes(part::<2, 2, HEADER_LEN>(self.header))
    }

    /// The identifier of an echo; without meaning elsewhere.
    #[inline]
    pub fn identifier(&self) -> u16 {
        u16::from_be_bytes(part::<4, 2, HEADER_LEN>(self.header))
    }

    /// The sequence number of an echo; without meaning elsewhere.
    #[inline]
    pub fn sequence(&self) -> u16 {
        u16::from_be_bytes(part::<6, 2, HEADER_LEN>(self.header))
    }

    /// The word behind the checksum: the MTU of "packet too big", flags of an advertisement.
    #[inline]
    pub fn word(&self) -> [u8; 4] {
        part::<4, 4, HEADER_LEN>(self.header)
    }

    /// What follows the header.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The packet that an error quotes; `None` for messages that are no error.
    #[inline]
    pub fn quote(&self) -> Option<&'a [u8]> {
        is_error(self.kind()).then_some(self.payload)
    }

    /// True where the checksum is right. The whole message, and nothing else, must be in the slice.
    pub fn checksum_is_valid(&self, source: Ipv6Addr, destination: Ipv6Addr) -> bool {
        let length = (HEADER_LEN + self.payload.len()) as u32;
        let pseudo = checksum::pseudo_header_v6(source, destination, protocol::ICMPV6, length);
        checksum::fold(pseudo + checksum::sum(self.header) + checksum::sum(self.payload)) == 0xffff
    }
}

/// True for errors, which quote the packet they are about: RFC 4443 gives them the types below 128.
#[inline]
pub const fn is_error(kind: u8) -> bool {
    matches!(
        kind,
        kind::DESTINATION_UNREACHABLE | kind::PACKET_TOO_BIG | kind::TIME_EXCEEDED | kind::PARAMETER_PROBLEM
    )
}

/// True for echo request and reply.
#[inline]
pub const fn is_echo(kind: u8) -> bool {
    matches!(kind, kind::ECHO_REQUEST | kind::ECHO_REPLY)
}

/// True for the types of neighbor discovery (RFC 4861).
#[inline]
pub const fn is_neighbor_discovery(kind: u8) -> bool {
    kind >= kind::ROUTER_SOLICITATION && kind <= kind::REDIRECT
}

/// A message's header to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The type, see [`kind`].
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The second word: identifier and sequence, MTU, flags, or zero.
    pub rest: [u8; 4],
}

impl Header {
    /// The bytes on the wire, with the checksum over pseudo header, header and `payload` (at most 65,527 bytes).
    pub fn to_bytes(&self, source: Ipv6Addr, destination: Ipv6Addr, payload: &[u8]) -> [u8; HEADER_LEN] {
        let [a, b, c, d] = self.rest;
        let zero = [self.kind, self.code, 0, 0, a, b, c, d];
        let length = (HEADER_LEN + payload.len()) as u32;
        let pseudo = checksum::pseudo_header_v6(source, destination, protocol::ICMPV6, length);
        let sum = pseudo + checksum::sum(&zero) + checksum::sum(payload);
        let [c0, c1] = checksum::complement(sum).to_be_bytes();
        [self.kind, self.code, c0, c1, a, b, c, d]
    }
}
