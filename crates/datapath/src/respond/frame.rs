//! From a request to its message, and from a message to the reply's frame.
//!
//! The layout says where the message is, and that the form of the frame is right; what is checked here is what it
//! leaves: fragments, extension headers, the transport checksum, and that the message is all in the head.

use std::net::{Ipv4Addr, Ipv6Addr};

use anet_memory::buffer::Checksum;
use anet_packet::addr::Mac;
use anet_packet::build::NoRoom;
use anet_packet::ethernet::Ethernet;
use anet_packet::icmp::Icmp;
use anet_packet::icmpv6::Icmpv6;
use anet_packet::ipv4::Ipv4;
use anet_packet::ipv6::{self, Ipv6};
use anet_packet::udp::Udp;
use anet_packet::{Fragment, Kind};

use super::{REPLY_MAX, REQUEST_MAX, Refusal, Request};

impl<'a> Request<'a> {
    /// The Ethernet header.
    pub(super) fn ethernet(&self) -> Result<Ethernet<'a>, Refusal> {
        Ok(Ethernet::parse(self.bytes)?)
    }

    fn network_layer(&self) -> Result<&'a [u8], Refusal> {
        self.bytes
            .get(usize::from(self.layout.l3)..)
            .ok_or(Refusal::TooLong)
    }

    /// The IPv4 header.
    pub(super) fn ipv4(&self) -> Result<Ipv4<'a>, Refusal> {
        Ok(Ipv4::parse(self.network_layer()?)?)
    }

    /// The IPv6 header.
    pub(super) fn ipv6(&self) -> Result<Ipv6<'a>, Refusal> {
        Ok(Ipv6::parse(self.network_layer()?)?)
    }

    /// Transport header and payload, without padding: whole, and no longer than a responder reads.
    fn transport(&self) -> Result<&'a [u8], Refusal> {
        let end = self.layout.length as usize;
        if end > REQUEST_MAX {
            return Err(Refusal::TooLong);
        }
        if self.layout.fragment != Fragment::None {
            return Err(Refusal::Fragmented);
        }
        self.bytes
            .get(usize::from(self.layout.l4)..end)
            .ok_or(Refusal::TooLong)
    }

    /// True where something stands between IPv6 header and message, be it only an atomic fragment's header.
    fn is_extended(&self) -> bool {
        self.layout.kind == Kind::Ipv6
            && usize::from(self.layout.l4) != usize::from(self.layout.l3) + ipv6::HEADER_LEN
    }

    /// The payload of a UDP datagram.
    pub(super) fn datagram(&self) -> Result<&'a [u8], Refusal> {
        if self.is_extended() {
            return Err(Refusal::Fragmented);
        }
        let datagram = Udp::parse(self.transport()?)?;
        let sound = match self.layout.kind {
            Kind::Ipv4 => {
                let packet = self.ipv4()?;
                datagram.checksum_is_valid(packet.source().into(), packet.destination().into())
            }
            _ => {
                let packet = self.ipv6()?;
                // IPv6 has no datagram without a checksum here (RFC 8200, 8.1).
                datagram.checksum() != 0
                    && datagram.checksum_is_valid(packet.source().into(), packet.destination().into())
            }
        };
        self.trust(sound)?;
        Ok(datagram.payload())
    }

    /// An ICMP message.
    pub(super) fn icmp(&self) -> Result<Icmp<'a>, Refusal> {
        let message = Icmp::parse(self.transport()?)?;
        self.trust(message.checksum_is_valid())?;
        Ok(message)
    }

    /// An ICMPv6 message that may stand behind extension headers.
    pub(super) fn icmpv6(&self) -> Result<Icmpv6<'a>, Refusal> {
        let message = Icmpv6::parse(self.transport()?)?;
        let packet = self.ipv6()?;
        self.trust(message.checksum_is_valid(packet.source(), packet.destination()))?;
        Ok(message)
    }

    /// The bytes of an ICMPv6 message that may not: neighbor discovery (RFC 6980), where extension headers have no use
    /// but to hide it from filters.
    pub(super) fn neighbor_discovery(&self) -> Result<&'a [u8], Refusal> {
        if self.is_extended() {
            return Err(Refusal::Fragmented);
        }
        self.icmpv6()?;
        self.transport()
    }

    fn trust(&self, sound: bool) -> Result<(), Refusal> {
        if self.checksum == Checksum::Unknown && !sound {
            Err(Refusal::BadChecksum)
        } else {
            Ok(())
        }
    }
}

/// Has `build` write a frame into `out`, which holds it, or nothing, afterwards.
pub(super) fn write(
    out: &mut Vec<u8>,
    build: impl FnOnce(&mut [u8]) -> Result<usize, NoRoom>,
) -> Result<(), Refusal> {
    out.clear();
    out.resize(REPLY_MAX, 0);
    let written = build(out);
    out.truncate(*written.as_ref().unwrap_or(&0));
    written.map(drop).map_err(|_| Refusal::ReplyTooLong)
}

/// The MAC that an IPv6 multicast address is sent to (RFC 2464, 7).
pub(super) fn multicast_mac(address: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = address.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

/// A big-endian number at `at`, where there is one.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// As [`u16_at`].
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// As [`u16_at`].
pub(super) fn ipv4_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    u32_at(bytes, at).map(Ipv4Addr::from_bits)
}

/// As [`u16_at`].
pub(super) fn ipv6_at(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    Some(Ipv6Addr::from(*bytes.get(at..)?.first_chunk::<16>()?))
}

/// As [`u16_at`].
pub(super) fn mac_at(bytes: &[u8], at: usize) -> Option<Mac> {
    Some(Mac(*bytes.get(at..)?.first_chunk()?))
}
