//! ARP for Ethernet and IPv4 (RFC 826), with the announcements and probes of RFC 5227.

use crate::addr::Mac;
use crate::field::part;
use crate::malformed::Malformed;
use std::net::Ipv4Addr;

/// Bytes of an ARP packet for Ethernet and IPv4.
pub const PACKET_LEN: usize = 28;

/// The operation of a request.
pub const REQUEST: u16 = 1;
/// The operation of a reply.
pub const REPLY: u16 = 2;

/// Hardware type Ethernet, protocol type IPv4, address lengths 6 and 4.
const FORMAT: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// An ARP packet, read or to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// [`REQUEST`], [`REPLY`], or what else is on the wire.
    pub operation: u16,
    /// The sender's MAC.
    pub sender_mac: Mac,
    /// The sender's address; 0.0.0.0 in a probe (RFC 5227).
    pub sender: Ipv4Addr,
    /// The target's MAC; without meaning in a request.
    pub target_mac: Mac,
    /// The target's address.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Reads the packet that starts with `bytes`; padding behind it is ignored.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let packet: &[u8; PACKET_LEN] = bytes.first_chunk().ok_or(Malformed::ArpTruncated)?;
        if part::<0, 6, PACKET_LEN>(packet) != FORMAT {
            return Err(Malformed::ArpFormat);
        }
        Ok(Self {
            operation: u16::from_be_bytes(part::<6, 2, PACKET_LEN>(packet)),
            sender_mac: Mac(part::<8, 6, PACKET_LEN>(packet)),
            sender: part::<14, 4, PACKET_LEN>(packet).into(),
            target_mac: Mac(part::<18, 6, PACKET_LEN>(packet)),
            target: part::<24, 4, PACKET_LEN>(packet).into(),
        })
    }

    /// True for an announcement: who asks for, or answers with, the sender's own address.
    pub fn is_gratuitous(&self) -> bool {
        self.sender == self.target
    }

    /// True for a probe, by which a host asks whether an address is free (RFC 5227).
    pub fn is_probe(&self) -> bool {
        self.operation == REQUEST && self.sender.is_unspecified()
    }

    /// The reply to this request: the target is at `mac`.
    pub fn reply(&self, mac: Mac) -> Arp {
        Arp {
            operation: REPLY,
            sender_mac: mac,
            sender: self.target,
            target_mac: self.sender_mac,
            target: self.sender,
        }
    }

    /// The bytes on the wire.
    pub fn to_bytes(&self) -> [u8; PACKET_LEN] {
        let mut bytes = [0; PACKET_LEN];
        bytes[..6].copy_from_slice(&FORMAT);
        bytes[6..8].copy_from_slice(&self.operation.to_be_bytes());
        bytes[8..14].copy_from_slice(&self.sender_mac.0);
        bytes[14..18].copy_from_slice(&self.sender.octets());
        bytes[18..24].copy_from_slice(&self.target_mac.0);
        bytes[24..].copy_from_slice(&self.target.octets());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_answers_its_request() {
        let request = Arp {
            operation: REQUEST,
            sender_mac: Mac([2, 0, 0, 0, 0, 1]),
            sender: Ipv4Addr::new(10, 0, 0, 1),
            target_mac: Mac::ZERO,
            target: Ipv4Addr::new(10, 0, 0, 2),
        };
        assert_eq!(Arp::parse(&request.to_bytes()), Ok(request));
        let reply = request.reply(Mac([2, 0, 0, 0, 0, 2]));
        assert_eq!(
            (reply.sender, reply.target, reply.target_mac),
            (request.target, request.sender, request.sender_mac)
        );
        assert!(!reply.is_gratuitous() && !request.is_probe());
    }

    #[test]
    fn other_formats_are_refused() {
        let arp = Arp {
            operation: REPLY,
            sender_mac: Mac([2; 6]),
            sender: Ipv4Addr::LOCALHOST,
            target_mac: Mac([4; 6]),
            target: Ipv4Addr::LOCALHOST,
        };
        for place in 0..6 {
            let mut bytes = arp.to_bytes();
            bytes[place] ^= 0x10;
            assert_eq!(Arp::parse(&bytes), Err(Malformed::ArpFormat), "byte {place}");
        }
        assert_eq!(Arp::parse(&arp.to_bytes()[..27]), Err(Malformed::ArpTruncated));
    }
}
