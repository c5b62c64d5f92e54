//! Ethernet II (IEEE 802.3) and the 802.1Q tag.

use crate::addr::{Mac, Vlan};
use crate::field::part;
use crate::malformed::Malformed;

/// Bytes of an Ethernet header without a tag.
pub const HEADER_LEN: usize = 14;
/// Bytes of an 802.1Q tag.
pub const TAG_LEN: usize = 4;
/// The lowest value that is an EtherType; below it is an 802.3 length.
pub const ETHERTYPE_MIN: u16 = 0x0600;

/// EtherType numbers (IEEE).
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// An 802.1Q tag.
    pub const VLAN: u16 = 0x8100;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// An 802.1ad service tag.
    pub const SERVICE_VLAN: u16 = 0x88a8;
}

/// A view of an Ethernet frame.
#[derive(Debug, Clone, Copy)]
pub struct Ethernet<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Ethernet<'a> {
    /// A view of the frame that starts with `bytes`.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, payload) = bytes.split_first_chunk().ok_or(Malformed::EthernetTruncated)?;
        Ok(Self { header, payload })
    }

    /// Who is to get the frame.
    #[inline]
    pub fn destination(&self) -> Mac {
        Mac(part::<0, 6, HEADER_LEN>(self.header))
    }

    /// Who claims to have sent it.
    #[inline]
    pub fn source(&self) -> Mac {
        Mac(part::<6, 6, HEADER_LEN>(self.header))
    }

    /// The EtherType; below [`ETHERTYPE_MIN`] the length of an 802.3 frame.
    #[inline]
    pub fn ethertype(&self) -> u16 {
        u16::from_be_bytes(part::<12, 2, HEADER_LEN>(self.header))
    }

    /// What follows the header, padding included.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The 802.1Q tag behind the header, where the EtherType says that there is one.
    pub fn tag(&self) -> Result<Option<Tag>, Malformed> {
        if self.ethertype() != ethertype::VLAN {
            return Ok(None);
        }
        let [t0, t1, e0, e1] = *self.payload.first_chunk().ok_or(Malformed::EthernetTruncated)?;
        let control = u16::from_be_bytes([t0, t1]);
        Ok(Some(Tag {
            control,
            ethertype: u16::from_be_bytes([e0, e1]),
        }))
    }
}

/// An 802.1Q tag and the EtherType behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    control: u16,
    ethertype: u16,
}

impl Tag {
    /// The VLAN, or `None` for a priority tag (0) and the reserved id (4,095).
    pub fn vlan(self) -> Option<Vlan> {
        Vlan::new(self.control & 0x0fff).ok()
    }

    /// The priority code point, 0 to 7.
    pub fn priority(self) -> u8 {
        (self.control >> 13) as u8
    }

    /// The EtherType of what follows the tag.
    pub fn ethertype(self) -> u16 {
        self.ethertype
    }
}

/// An Ethernet header to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Who is to get the frame.
    pub destination: Mac,
    /// Who sends it.
    pub source: Mac,
    /// The EtherType of what follows.
    pub ethertype: u16,
}

impl Header {
    /// The bytes on the wire.
    #[inline]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let (d, s, [e0, e1]) = (self.destination.0, self.source.0, self.ethertype.to_be_bytes());
        [
            d[0], d[1], d[2], d[3], d[4], d[5], s[0], s[1], s[2], s[3], s[4], s[5], e0, e1,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let header = Header {
            destination: Mac([2, 0, 0, 0, 0, 1]),
            source: Mac([2, 0, 0, 0, 0, 2]),
            ethertype: ethertype::ARP,
        };
        let mut bytes = header.to_bytes().to_vec();
        bytes.push(7);
        let view = Ethernet::parse(&bytes).unwrap();
        let read = Header {
            destination: view.destination(),
            source: view.source(),
            ethertype: view.ethertype(),
        };
        assert_eq!((read, view.payload(), view.tag()), (header, &[7][..], Ok(None)));
        assert_eq!(
            Ethernet::parse(&bytes[..13]).unwrap_err(),
            Malformed::EthernetTruncated
        );
    }

    #[test]
    fn a_tag_is_read_and_a_cut_one_refused() {
        let header = Header {
            destination: Mac::BROADCAST,
            source: Mac([2; 6]),
            ethertype: ethertype::VLAN,
        }
        .to_bytes();
        let bytes = [&header[..], &[0xa0, 0x64, 0x08, 0x00]].concat();
        let tag = Ethernet::parse(&bytes).unwrap().tag().unwrap().unwrap();
        assert_eq!(
            (tag.vlan().unwrap().get(), tag.priority(), tag.ethertype()),
            (100, 5, ethertype::IPV4)
        );
        assert_eq!(
            Ethernet::parse(&bytes[..17]).unwrap().tag(),
            Err(Malformed::EthernetTruncated)
        );
    }
}
