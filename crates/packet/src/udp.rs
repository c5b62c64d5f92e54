//! UDP (RFC 768).

use crate::checksum;
use crate::field::part;
use crate::malformed::Malformed;
use crate::protocol;
use std::net::IpAddr;

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;

/// A view of a datagram, of which the end may lie outside the slice.
#[derive(Debug, Clone, Copy)]
pub struct Udp<'a> {
    header: &'a [u8; HEADER_LEN],
    rest: &'a [u8],
}

impl<'a> Udp<'a> {
    /// A view of the datagram that starts with `bytes`. Checked: that the length holds the header.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) = bytes.split_first_chunk().ok_or(Malformed::UdpTruncated)?;
        let view = Self { header, rest };
        if usize::from(view.length()) < HEADER_LEN {
            return Err(Malformed::UdpLength);
        }
        Ok(view)
    }

    /// Source port; 0 where the sender wants no answer.
    #[inline]
    pub fn source_port(&self) -> u16 {
        u16::from_be_bytes(part::<0, 2, HEADER_LEN>(self.header))
    }

    /// Destination port.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        u16::from_be_bytes(part::<2, 2, HEADER_LEN>(self.header))
    }

    /// Bytes of header and payload, at least 8.
    #[inline]
    pub fn length(&self) -> u16 {
        u16::from_be_bytes(part::<4, 2, HEADER_LEN>(self.header))
    }

    /// The checksum field; 0 means none (IPv4, and tunnels over IPv6: RFC 6935).
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes(part::<6, 2, HEADER_LEN>(self.header))
    }

    /// The payload: up to the length, or as much of it as the slice holds.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        let length = usize::from(self.length()).saturating_sub(HEADER_LEN);
        self.rest.get(..length).unwrap_or(self.rest)
    }

    /// True where the checksum is right, or there is none. The whole payload must be in the slice.
    pub fn checksum_is_valid(&self, source: IpAddr, destination: IpAddr) -> bool {
        if self.checksum() == 0 {
            return true;
        }
        checksum::pseudo_header(source, destination, protocol::UDP, u32::from(self.length())).is_some_and(
            |pseudo| {
                let sum = checksum::sum(self.header) + checksum::sum(self.payload());
                checksum::fold(pseudo + sum) == 0xffff
            },
        )
    }
}

/// A header to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Bytes of header and payload.
    pub length: u16,
    /// The checksum field; 0 for none.
    pub checksum: u16,
}

impl Header {
    /// The bytes on the wire.
    #[inline]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let [s0, s1] = self.source_port.to_be_bytes();
        let [d0, d1] = self.destination_port.to_be_bytes();
        let [l0, l1] = self.length.to_be_bytes();
        let [c0, c1] = self.checksum.to_be_bytes();
        [s0, s1, d0, d1, l0, l1, c0, c1]
    }

    /// The header with the checksum of `payload` below it; `pseudo` is the pseudo header's sum, whose length must
    /// be [`Self::length`].
    pub fn with_checksum(self, pseudo: u64, payload: &[u8]) -> Self {
        let header = checksum::sum(&Self { checksum: 0, ..self }.to_bytes());
        Self {
            checksum: checksum::complement_udp(pseudo + header + checksum::sum(payload)),
            ..self
        }
    }
}
