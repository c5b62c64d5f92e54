//! ICMP for IPv4 (RFC 792): echo and errors.

use crate::checksum;
use crate::field::part;
use crate::malformed::Malformed;

/// Bytes of the header that all messages share.
pub const HEADER_LEN: usize = 8;

/// Message types (IANA "ICMP Type Numbers").
pub mod kind {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable, an error.
    pub const DESTINATION_UNREACHABLE: u8 = 3;
    /// Source quench, an error (deprecated by RFC 6633).
    pub const SOURCE_QUENCH: u8 = 4;
    /// Redirect, which quotes a packet as errors do.
    pub const REDIRECT: u8 = 5;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
    /// Time exceeded, an error.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem, an error.
    pub const PARAMETER_PROBLEM: u8 = 12;
}

/// Codes of "destination unreachable".
pub mod unreachable {
    /// No route to the network.
    pub const NETWORK: u8 = 0;
    /// The host does not answer.
    pub const HOST: u8 = 1;
    /// Nobody takes that protocol.
    pub const PROTOCOL: u8 = 2;
    /// Nobody listens on that port.
    pub const PORT: u8 = 3;
    /// Too big, and not to be cut (RFC 1191).
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// Forbidden by a filter (RFC 1812).
    pub const PROHIBITED: u8 = 13;
}

/// A view of an ICMP message, of which the end may lie outside the slice.
#[derive(Debug, Clone, Copy)]
pub struct Icmp<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Icmp<'a> {
    /// A view of the message that starts with `bytes`.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, payload) = bytes.split_first_chunk().ok_or(Malformed::IcmpTruncated)?;
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

    /// The sequence number of an echo, or the MTU of "fragmentation needed"; without meaning elsewhere.
    #[inline]
    pub fn sequence(&self) -> u16 {
        u16::from_be_bytes(part::<6, 2, HEADER_LEN>(self.header))
    }

    /// What follows the header: echoed bytes, or the packet that an error quotes.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The packet that an error quotes; `None` for messages that are no error.
    #[inline]
    pub fn quote(&self) -> Option<&'a [u8]> {
        is_error(self.kind()).then_some(self.payload)
    }

    /// True where the checksum is right. The whole message must be in the slice.
    pub fn checksum_is_valid(&self) -> bool {
        checksum::fold(checksum::sum(self.header) + checksum::sum(self.payload)) == 0xffff
    }
}

/// True for types that quote the packet they are about, and so belong to its connection.
#[inline]
pub const fn is_error(kind: u8) -> bool {
    matches!(
        kind,
        kind::DESTINATION_UNREACHABLE
            | kind::SOURCE_QUENCH
            | kind::REDIRECT
            | kind::TIME_EXCEEDED
            | kind::PARAMETER_PROBLEM
    )
}

/// True for echo request and reply.
#[inline]
pub const fn is_echo(kind: u8) -> bool {
    matches!(kind, kind::ECHO_REQUEST | kind::ECHO_REPLY)
}

/// A message's header to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The type, see [`kind`].
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The second word: identifier and sequence, MTU, pointer, or zero.
    pub rest: [u8; 4],
}

impl Header {
    /// The bytes on the wire, with the checksum over header and `payload`.
    pub fn to_bytes(&self, payload: &[u8]) -> [u8; HEADER_LEN] {
        let [a, b, c, d] = self.rest;
        let zero = [self.kind, self.code, 0, 0, a, b, c, d];
        let [c0, c1] = checksum::complement(checksum::sum(&zero) + checksum::sum(payload)).to_be_bytes();
        [self.kind, self.code, c0, c1, a, b, c, d]
    }
}
