//! Reading a guest's frame down to the message, and writing the frames that answer it.
//!
//! The slow path's own small reader: every step is checked, stops at what it does not know, and looks at no byte
//! behind the length that the IP header states.

use std::net::{Ipv4Addr, Ipv6Addr};

use anet_packet::addr::Mac;

use super::Refusal;

pub(super) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(super) const ETHERTYPE_ARP: u16 = 0x0806;
pub(super) const ETHERTYPE_IPV6: u16 = 0x86dd;
pub(super) const PROTOCOL_ICMP: u8 = 1;
pub(super) const PROTOCOL_UDP: u8 = 17;
pub(super) const PROTOCOL_ICMPV6: u8 = 58;

/// Bytes of an Ethernet header.
const ETHERNET_LENGTH: usize = 14;
/// Bytes of an IPv4 header without options.
const IPV4_LENGTH: usize = 20;
/// Bytes of an IPv6 header.
const IPV6_LENGTH: usize = 40;
/// Bytes of a UDP header.
const UDP_LENGTH: usize = 8;
/// Extension headers that are walked before the packet counts as hostile.
const EXTENSION_HEADERS_MAX: usize = 8;

/// An untagged Ethernet frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ethernet<'a> {
    pub destination: Mac,
    pub source: Mac,
    pub ethertype: u16,
    pub payload: &'a [u8],
}

impl<'a> Ethernet<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let (header, payload) = bytes
            .split_first_chunk::<ETHERNET_LENGTH>()
            .ok_or(Refusal::Truncated)?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
        Ok(Self {
            destination: Mac([d0, d1, d2, d3, d4, d5]),
            source: Mac([s0, s1, s2, s3, s4, s5]),
            ethertype: u16::from_be_bytes([t0, t1]),
            payload,
        })
    }
}

/// An IPv4 packet, cut to its total length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ipv4<'a> {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub protocol: u8,
    pub fragment: bool,
    /// True where the protocol's header is there: no fragment, or the first one.
    pub first: bool,
    /// The header with its options.
    pub header: &'a [u8],
    pub payload: &'a [u8],
}

impl<'a> Ipv4<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        if usize::from(u16_at(bytes, 2).ok_or(Refusal::Truncated)?) > bytes.len() {
            return Err(Refusal::Truncated);
        }
        Self::parse_head(bytes)
    }

    /// As [`Ipv4::parse`], of a packet whose end may lie behind `bytes`: a large segment's head.
    pub(super) fn parse_head(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let (fixed, _) = bytes
            .split_first_chunk::<IPV4_LENGTH>()
            .ok_or(Refusal::Truncated)?;
        let [
            version,
            _,
            l0,
            l1,
            _,
            _,
            f0,
            f1,
            _,
            protocol,
            _,
            _,
            s0,
            s1,
            s2,
            s3,
            d0,
            d1,
            d2,
            d3,
        ] = *fixed;
        let header_length = usize::from(version & 0xf) * 4;
        if version >> 4 != 4 || header_length < IPV4_LENGTH {
            return Err(Refusal::BadHeader);
        }
        let length = usize::from(u16::from_be_bytes([l0, l1])).min(bytes.len());
        let packet = bytes.get(..length).ok_or(Refusal::Truncated)?;
        let (header, payload) = packet.split_at_checked(header_length).ok_or(Refusal::Truncated)?;
        Ok(Self {
            source: Ipv4Addr::new(s0, s1, s2, s3),
            destination: Ipv4Addr::new(d0, d1, d2, d3),
            protocol,
            // More fragments, or an offset.
            fragment: u16::from_be_bytes([f0, f1]) & 0x3fff != 0,
            first: u16::from_be_bytes([f0, f1]) & 0x1fff == 0,
            header,
            payload,
        })
    }

    pub(super) fn header_is_sound(&self) -> bool {
        fold(sum(0, self.header)) == 0xffff
    }
}

/// An IPv6 packet, cut to its payload length, its extension headers walked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ipv6<'a> {
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
    pub hop_limit: u8,
    /// What stands behind the extension headers.
    pub protocol: u8,
    /// True where there was an extension header of any kind.
    pub extended: bool,
    pub fragment: bool,
    /// True where the protocol's header is there: no fragment, or the first one.
    pub first: bool,
    pub payload: &'a [u8],
}

impl<'a> Ipv6<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        if IPV6_LENGTH + usize::from(u16_at(bytes, 4).ok_or(Refusal::Truncated)?) > bytes.len() {
            return Err(Refusal::Truncated);
        }
        Self::parse_head(bytes)
    }

    /// As [`Ipv6::parse`], of a packet whose end may lie behind `bytes`: a large segment's head.
    pub(super) fn parse_head(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let (fixed, rest) = bytes
            .split_first_chunk::<IPV6_LENGTH>()
            .ok_or(Refusal::Truncated)?;
        let (&[version, _, _, _, l0, l1, next_header, hop_limit], addresses) =
            fixed.split_first_chunk::<8>().ok_or(Refusal::Truncated)?;
        if version >> 4 != 6 {
            return Err(Refusal::BadHeader);
        }
        let length = usize::from(u16::from_be_bytes([l0, l1])).min(rest.len());
        let payload = rest.get(..length).ok_or(Refusal::Truncated)?;
        let mut packet = Self {
            source: ipv6_at(addresses, 0).ok_or(Refusal::Truncated)?,
            destination: ipv6_at(addresses, 16).ok_or(Refusal::Truncated)?,
            hop_limit,
            protocol: next_header,
            extended: false,
            fragment: false,
            first: true,
            payload,
        };
        packet.walk_extensions()?;
        Ok(packet)
    }

    fn walk_extensions(&mut self) -> Result<(), Refusal> {
        for _ in 0..EXTENSION_HEADERS_MAX {
            // Hop-by-hop, routing, destination options, mobility: length in units of 8 bytes beyond the first.
            let length = match (self.protocol, self.payload) {
                (0 | 43 | 60 | 135, [_, units, ..]) => 8 + usize::from(*units) * 8,
                (44, [_, _, o0, o1, ..]) => {
                    let field = u16::from_be_bytes([*o0, *o1]);
                    self.fragment |= field & 0xfff9 != 0;
                    self.first &= field & 0xfff8 == 0;
                    8
                }
                // Authentication header: units of 4 bytes beyond two.
                (51, [_, units, ..]) => 8 + usize::from(*units) * 4,
                (0 | 43 | 44 | 51 | 60 | 135, _) => return Err(Refusal::Truncated),
                _ => return Ok(()),
            };
            let (header, rest) = self.payload.split_at_checked(length).ok_or(Refusal::Truncated)?;
            self.extended = true;
            self.protocol = *header.first().ok_or(Refusal::Truncated)?;
            self.payload = rest;
            if !self.first {
                return Ok(());
            }
        }
        Err(Refusal::BadHeader)
    }

    /// True where the ICMPv6 or UDP checksum of the payload is right.
    pub(super) fn checksum_is_sound(&self) -> bool {
        fold(sum(
            pseudo_v6(self.source, self.destination, self.protocol, self.payload.len()),
            self.payload,
        )) == 0xffff
    }
}

/// A UDP datagram, cut to its length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Udp<'a> {
    pub destination: u16,
    /// As it stands in the header; zero where the sender made none.
    pub checksum: u16,
    /// Header and payload.
    pub datagram: &'a [u8],
    pub payload: &'a [u8],
}

impl<'a> Udp<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let (&[_, _, d0, d1, l0, l1, c0, c1], _) = bytes
            .split_first_chunk::<UDP_LENGTH>()
            .ok_or(Refusal::Truncated)?;
        let datagram = bytes
            .get(..usize::from(u16::from_be_bytes([l0, l1])))
            .ok_or(Refusal::Truncated)?;
        Ok(Self {
            destination: u16::from_be_bytes([d0, d1]),
            checksum: u16::from_be_bytes([c0, c1]),
            datagram,
            payload: datagram.get(UDP_LENGTH..).ok_or(Refusal::BadHeader)?,
        })
    }

    /// True where the checksum is right or, as IPv4 allows, absent.
    pub(super) fn checksum_is_sound_v4(&self, packet: &Ipv4<'_>) -> bool {
        let pseudo = pseudo_v4(
            packet.source,
            packet.destination,
            PROTOCOL_UDP,
            self.datagram.len(),
        );
        self.checksum == 0 || fold(sum(pseudo, self.datagram)) == 0xffff
    }

    /// True where the checksum is right; IPv6 has no datagram without one (RFC 8200, 8.1).
    pub(super) fn checksum_is_sound_v6(&self, packet: &Ipv6<'_>) -> bool {
        let pseudo = pseudo_v6(
            packet.source,
            packet.destination,
            PROTOCOL_UDP,
            self.datagram.len(),
        );
        self.checksum != 0 && fold(sum(pseudo, self.datagram)) == 0xffff
    }
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

/// One's complement sum (RFC 1071), not folded. Correct up to 128 KiB.
pub(super) fn sum(initial: u32, bytes: &[u8]) -> u32 {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let words: u32 = pairs
        .iter()
        .map(|pair| u32::from(u16::from_be_bytes(*pair)))
        .sum();
    initial + words + odd.first().map_or(0, |byte| u32::from(*byte) << 8)
}

/// Folds a sum to 16 bits.
pub(super) fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

fn pseudo_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: usize) -> u32 {
    sum(
        sum(u32::from(protocol) + length as u32, &source.octets()),
        &destination.octets(),
    )
}

fn pseudo_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: usize) -> u32 {
    sum(
        sum(u32::from(protocol) + length as u32, &source.octets()),
        &destination.octets(),
    )
}

/// The MAC that an IPv6 multicast address is sent to (RFC 2464, 7).
pub(super) fn multicast_mac(address: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = address.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

/// Clears `out` and writes an Ethernet header.
pub(super) fn write_ethernet(out: &mut Vec<u8>, destination: Mac, source: Mac, ethertype: u16) {
    out.clear();
    out.extend_from_slice(&destination.0);
    out.extend_from_slice(&source.0);
    out.extend_from_slice(&ethertype.to_be_bytes());
}

/// From whom to whom a reply goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route<A> {
    pub source_mac: Mac,
    pub destination_mac: Mac,
    pub source: A,
    pub destination: A,
}

/// Writes a whole frame with an IPv4 packet: not to be fragmented, 64 hops.
pub(super) fn write_ipv4(out: &mut Vec<u8>, route: Route<Ipv4Addr>, protocol: u8, payload: &[u8]) {
    write_ethernet(out, route.destination_mac, route.source_mac, ETHERTYPE_IPV4);
    let length = (IPV4_LENGTH + payload.len()) as u16;
    let [l0, l1] = length.to_be_bytes();
    let mut header = [
        0x45, 0, l0, l1, 0, 0, 0x40, 0, 64, protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    header[12..16].copy_from_slice(&route.source.octets());
    header[16..20].copy_from_slice(&route.destination.octets());
    let checksum = !fold(sum(0, &header));
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
}

/// Writes a whole frame with a UDP datagram over IPv4.
pub(super) fn write_udp_v4(out: &mut Vec<u8>, route: Route<Ipv4Addr>, ports: (u16, u16), message: &[u8]) {
    let pseudo = |length| pseudo_v4(route.source, route.destination, PROTOCOL_UDP, length);
    write_ipv4(out, route, PROTOCOL_UDP, &udp(pseudo, ports, message));
}

/// Writes a whole frame with a UDP datagram over IPv6.
pub(super) fn write_udp_v6(out: &mut Vec<u8>, route: Route<Ipv6Addr>, ports: (u16, u16), message: &[u8]) {
    let pseudo = |length| pseudo_v6(route.source, route.destination, PROTOCOL_UDP, length);
    write_ipv6(out, route, PROTOCOL_UDP, 64, &udp(pseudo, ports, message));
}

/// Writes a whole frame with an ICMPv6 message, whose checksum field (bytes 2 and 3) is zero before.
pub(super) fn write_icmp_v6(out: &mut Vec<u8>, route: Route<Ipv6Addr>, hop_limit: u8, message: &mut [u8]) {
    let pseudo = pseudo_v6(route.source, route.destination, PROTOCOL_ICMPV6, message.len());
    let checksum = !fold(sum(pseudo, message));
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    write_ipv6(out, route, PROTOCOL_ICMPV6, hop_limit, message);
}

fn write_ipv6(out: &mut Vec<u8>, route: Route<Ipv6Addr>, protocol: u8, hop_limit: u8, payload: &[u8]) {
    write_ethernet(out, route.destination_mac, route.source_mac, ETHERTYPE_IPV6);
    out.extend_from_slice(&[0x60, 0, 0, 0]);
    out.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    out.extend_from_slice(&[protocol, hop_limit]);
    out.extend_from_slice(&route.source.octets());
    out.extend_from_slice(&route.destination.octets());
    out.extend_from_slice(payload);
}

fn udp(pseudo: impl Fn(usize) -> u32, (source, destination): (u16, u16), message: &[u8]) -> Vec<u8> {
    let length = UDP_LENGTH + message.len();
    let mut datagram = Vec::with_capacity(length);
    for field in [source, destination, length as u16, 0] {
        datagram.extend_from_slice(&field.to_be_bytes());
    }
    datagram.extend_from_slice(message);
    // A sum of zero would say "no checksum" (RFC 768).
    let checksum = match !fold(sum(pseudo(length), &datagram)) {
        0 => 0xffff,
        checksum => checksum,
    };
    datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
    datagram
}
