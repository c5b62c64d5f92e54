//! TCP (RFC 9293): the header, its flags and options.

use crate::field::part;
use crate::malformed::Malformed;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

/// The flag bits of the header's byte 13.
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Opens a connection.
    pub const SYN: u8 = 0x02;
    /// Ends a connection at once.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgment number is valid.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is valid.
    pub const URG: u8 = 0x20;
    /// ECN echo.
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced.
    pub const CWR: u8 = 0x80;
}

/// A view of a segment, of which the end may lie outside the slice.
#[derive(Debug, Clone, Copy)]
pub struct Tcp<'a> {
    fixed: &'a [u8; HEADER_LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Tcp<'a> {
    /// A view of the segment that starts with `bytes`. Checked: the data offset.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (fixed, rest) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(Malformed::TcpTruncated)?;
        let options = usize::from(fixed[12] >> 4) * 4;
        let options = options.checked_sub(HEADER_LEN).ok_or(Malformed::TcpDataOffset)?;
        let (options, payload) = rest.split_at_checked(options).ok_or(Malformed::TcpDataOffset)?;
        Ok(Self {
            fixed,
            options,
            payload,
        })
    }

    /// Source port.
    #[inline]
    pub fn source_port(&self) -> u16 {
        u16::from_be_bytes(part::<0, 2, HEADER_LEN>(self.fixed))
    }

    /// Destination port.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        u16::from_be_bytes(part::<2, 2, HEADER_LEN>(self.fixed))
    }

    /// The sequence number of the first byte.
    #[inline]
    pub fn sequence(&self) -> u32 {
        u32::from_be_bytes(part::<4, 4, HEADER_LEN>(self.fixed))
    }

    /// The next sequence number that the sender expects; valid with [`flag::ACK`].
    #[inline]
    pub fn acknowledgment(&self) -> u32 {
        u32::from_be_bytes(part::<8, 4, HEADER_LEN>(self.fixed))
    }

    /// Bytes of the header, options included: 20 to 60.
    #[inline]
    pub fn header_length(&self) -> usize {
        HEADER_LEN + self.options.len()
    }

    /// The flags, see [`flag`].
    #[inline]
    pub fn flags(&self) -> u8 {
        self.fixed[13]
    }

    /// The receive window as it is on the wire, not scaled.
    #[inline]
    pub fn window(&self) -> u16 {
        u16::from_be_bytes(part::<14, 2, HEADER_LEN>(self.fixed))
    }

    /// The checksum field.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes(part::<16, 2, HEADER_LEN>(self.fixed))
    }

    /// The options, one by one. Those that do not parse end the walk: the end point will ignore them likewise.
    pub fn options(&self) -> Options<'a> {
        Options { rest: self.options }
    }

    /// The payload, or as much of it as the slice holds.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// An option of a TCP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderOption<'a> {
    /// Maximum segment size, bytes.
    MaximumSegmentSize(u16),
    /// Window scale, the shift count as it is on the wire (RFC 7323 caps its effect at 14).
    WindowScale(u8),
    /// Selective acknowledgments may be sent.
    SackPermitted,
    /// Any other: its kind and what follows the length byte.
    Other(u8, &'a [u8]),
}

/// Walks TCP options; see [`Tcp::options`].
#[derive(Debug, Clone)]
pub struct Options<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = HeaderOption<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        // Taken, so that an option that does not parse ends the walk.
        let mut bytes = std::mem::take(&mut self.rest);
        while let Some((1, rest)) = bytes.split_first() {
            bytes = rest;
        }
        let (&kind, rest) = bytes.split_first().filter(|(kind, _)| **kind != 0)?;
        let (&length, rest) = rest.split_first()?;
        let (data, rest) = rest.split_at_checked(usize::from(length).checked_sub(2)?)?;
        self.rest = rest;
        Some(match (kind, data) {
            (2, &[a, b]) => HeaderOption::MaximumSegmentSize(u16::from_be_bytes([a, b])),
            (3, &[shift]) => HeaderOption::WindowScale(shift),
            (4, []) => HeaderOption::SackPermitted,
            _ => HeaderOption::Other(kind, data),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: [u8; 32] = [
        0x30,
        0x39,
        0x00,
        0x50,
        0,
        0,
        0,
        7,
        0,
        0,
        0,
        9,
        0x80,
        flag::SYN,
        0x10,
        0,
        0xab,
        0xcd,
        0,
        0,
        2,
        4,
        5,
        0xb4,
        1,
        3,
        3,
        7,
        4,
        2,
        0,
        9,
    ];

    #[test]
    fn a_syn_is_read_with_its_options() {
        let tcp = Tcp::parse(&SYN).unwrap();
        assert_eq!(
            (tcp.source_port(), tcp.destination_port(), tcp.flags()),
            (12_345, 80, flag::SYN)
        );
        assert_eq!(
            (tcp.sequence(), tcp.acknowledgment(), tcp.window()),
            (7, 9, 0x1000)
        );
        assert_eq!(
            (tcp.header_length(), tcp.checksum(), tcp.payload().len()),
            (32, 0xabcd, 0)
        );
        let options: Vec<_> = tcp.options().collect();
        use HeaderOption::*;
        assert_eq!(options, [MaximumSegmentSize(1460), WindowScale(7), SackPermitted]);
    }

    #[test]
    fn offsets_and_options_that_lie_are_harmless() {
        assert_eq!(Tcp::parse(&SYN[..19]).unwrap_err(), Malformed::TcpTruncated);
        assert_eq!(Tcp::parse(&SYN[..31]).unwrap_err(), Malformed::TcpDataOffset);
        let mut low = SYN;
        low[12] = 0x40;
        assert_eq!(Tcp::parse(&low).unwrap_err(), Malformed::TcpDataOffset);
        for length in [0, 1, 200] {
            let mut lie = SYN;
            lie[21] = length;
            assert_eq!(Tcp::parse(&lie).unwrap().options().count(), 0);
        }
    }
}
