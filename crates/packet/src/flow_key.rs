//! The exact-match key of a flow: everything that the pipeline decides upon, in seven words.
//!
//! ```text
//! word  IPv4                                                    IPv6
//! 0     interface (32) · protocol (8) · family, 4 or 6 (8) · 0 (16)
//! 1     source MAC (48) · source port (16)
//! 2     destination MAC (48) · destination port (16)
//! 3     source (32) · destination (32)                          source, upper half
//! 4     0                                                       source, lower half
//! 5, 6  0                                                       destination
//! ```
//! For ICMP and ICMPv6 the source port is an echo's identifier (else 0) and the destination port type × 256 + code;
//! other protocols have ports 0. Fragments have no key: their later pieces carry no ports.

use crate::field::{array, part};
use crate::parse::{Fragment, Kind, Layout};
use crate::{ethernet, ipv4, ipv6, protocol, tcp};
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An exact-match key; see the module's page. Equality and hash look only at the words in use.
#[derive(Debug, Clone, Copy, Default)]
pub struct FlowKey {
    /// The words; those that the family does not use are 0.
    pub words: [u64; 7],
}

/// What [`FlowKey::extract`] knows beside the key: the [`Layout`] of an ordinary TCP or UDP packet in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brief {
    /// Bytes of the frame without trailing padding.
    pub length: u32,
    /// Offset of the transport header: 34 (IPv4) or 54 (IPv6).
    pub l4: u8,
    /// TCP's flags, never with SYN, FIN or RST; 0 for UDP.
    pub tcp_flags: u8,
}

/// Bytes up to IPv4's transport header, and up to IPv6's.
const L4_V4: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN;
const L4_V6: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN;
/// Both families' prefix that is loaded at once: everything but TCP's second half.
const HEAD_V4: usize = L4_V4 + 8;
const HEAD_V6: usize = L4_V6 + 8;

/// Version 4 and 20 bytes of header; neither "more fragments" nor an offset.
const PLAIN_MASK: u64 = 0xff00_0000_0000_3fff;
const PLAIN: u64 = 0x4500_0000_0000_0000;
const GROUP_BIT: u64 = 1 << 56;
const PORT_MASK: u64 = 0xffff;

impl FlowKey {
    /// The key of an IP packet that is no fragment. For ARP and other kinds the address words are 0 and the family is 0.
    /// `head` must be what `layout` was made from; of anything else the key is some other, harmless one.
    pub fn of(interface: u32, head: &[u8], layout: &Layout) -> FlowKey {
        let at = |offset: usize| array(head, offset).map_or(0, |b| u64::from_be_bytes(*b));
        let family = match layout.kind {
            Kind::Ipv4 => 4,
            Kind::Ipv6 => 6,
            Kind::Arp | Kind::Other => 0,
        };
        let l3 = usize::from(layout.l3);
        let (source_port, destination_port) = layout.ports;
        let [w3, w4, w5, w6] = match layout.kind {
            Kind::Ipv4 => [at(l3 + 12), 0, 0, 0],
            Kind::Ipv6 => [at(l3 + 8), at(l3 + 16), at(l3 + 24), at(l3 + 32)],
            Kind::Arp | Kind::Other => [0; 4],
        };
        let w1 = (at(6) & !PORT_MASK) | u64::from(source_port);
        let w2 = (at(0) & !PORT_MASK) | u64::from(destination_port);
        FlowKey {
            words: [
                first_word(interface, layout.protocol, family),
                w1,
                w2,
                w3,
                w4,
                w5,
                w6,
            ],
        }
    }

    /// Key and brief layout of an ordinary packet, at the least cost: TCP without SYN, FIN and RST, or UDP, over IPv4
    /// without options or IPv6 without extension headers, untagged, whole and well formed. `None` for everything else,
    /// which is then read by [`crate::layout`]. Where it answers, it agrees with `layout` and [`Self::of`].
    // Inlined always: the caller keeps the words in registers until it has hashed and stored them.
    #[inline(always)]
    pub fn extract(interface: u32, head: &[u8], packet_len: usize) -> Option<(FlowKey, Brief)> {
        let start: &[u8; HEAD_V4] = head.first_chunk()?;
        match word::<6, HEAD_V4>(start) as u16 {
            ethernet::ethertype::IPV4 => extract_v4(interface, start, head, packet_len),
            ethernet::ethertype::IPV6 => extract_v6(interface, head, packet_len),
            _ => None,
        }
    }

    /// The interface that the packet came in by.
    #[inline]
    pub const fn interface(&self) -> u32 {
        (self.words[0] >> 32) as u32
    }

    /// The transport protocol.
    #[inline]
    pub const fn protocol(&self) -> u8 {
        (self.words[0] >> 24) as u8
    }

    /// True for an IPv6 key.
    #[inline]
    pub const fn is_ipv6(&self) -> bool {
        (self.words[0] >> 16) as u8 == 6
    }

    /// Source and destination port, as the module's page gives them.
    #[inline]
    pub const fn ports(&self) -> (u16, u16) {
        (self.words[1] as u16, self.words[2] as u16)
    }

    /// The source address of an IP packet's key.
    #[inline]
    pub const fn source(&self) -> IpAddr {
        let [_, _, _, w3, w4, ..] = self.words;
        match self.is_ipv6() {
            true => IpAddr::V6(Ipv6Addr::from_bits((w3 as u128) << 64 | w4 as u128)),
            false => IpAddr::V4(Ipv4Addr::from_bits((w3 >> 32) as u32)),
        }
    }

    /// The destination address of an IP packet's key.
    #[inline]
    pub const fn destination(&self) -> IpAddr {
        let [_, _, _, w3, _, w5, w6] = self.words;
        match self.is_ipv6() {
            true => IpAddr::V6(Ipv6Addr::from_bits((w5 as u128) << 64 | w6 as u128)),
            false => IpAddr::V4(Ipv4Addr::from_bits(w3 as u32)),
        }
    }

    /// Words in use: 4 for IPv4, 7 for IPv6.
    #[inline]
    pub const fn len_words(&self) -> usize {
        if self.is_ipv6() { 7 } else { 4 }
    }

    /// The words in use.
    #[inline]
    pub fn words(&self) -> &[u64] {
        self.words.get(..self.len_words()).unwrap_or(&self.words)
    }

    /// A hash under `seed`: a random number, unknown outside, keeps strangers from aiming at one bucket. Two
    /// multiplications for IPv4, four for IPv6; all 64 bits are fit for use.
    #[inline]
    pub const fn hash(&self, seed: u64) -> u64 {
        let [w0, w1, w2, w3, w4, w5, w6] = self.words;
        let pair = fold_multiply(w0 ^ seed ^ SALT[0], w1 ^ seed.rotate_left(32) ^ SALT[1]);
        let hash = fold_multiply(w2 ^ pair, w3 ^ seed ^ SALT[2]);
        if !self.is_ipv6() {
            return hash;
        }
        let pair = fold_multiply(w4 ^ seed ^ SALT[3], w5 ^ seed.rotate_left(16) ^ SALT[4]);
        fold_multiply(hash ^ pair, w6 ^ seed ^ SALT[5])
    }
}

impl PartialEq for FlowKey {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let ([a0, a1, a2, a3, a4, a5, a6], [b0, b1, b2, b3, b4, b5, b6]) = (self.words, other.words);
        // Without a branch per word: a candidate of the same hash is nearly always the one.
        let first = (a0 ^ b0) | (a1 ^ b1) | (a2 ^ b2) | (a3 ^ b3);
        first == 0 && (!self.is_ipv6() || ((a4 ^ b4) | (a5 ^ b5) | (a6 ^ b6)) == 0)
    }
}

impl Eq for FlowKey {}

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words().hash(state);
    }
}

/// Digits of pi, so that keys with many zero bits do not meet zero factors.
pub(crate) const SALT: [u64; 6] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7344,
    0xa409_3822_299f_31d0,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
    0xbe54_66cf_34e9_0c6c,
];

/// Both halves of the 128-bit product, mixed.
#[inline]
pub(crate) const fn fold_multiply(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

#[inline]
const fn first_word(interface: u32, protocol: u8, family: u64) -> u64 {
    (interface as u64) << 32 | (protocol as u64) << 24 | family << 16
}

#[inline(always)]
fn word<const AT: usize, const SIZE: usize>(head: &[u8; SIZE]) -> u64 {
    u64::from_be_bytes(part::<AT, 8, SIZE>(head))
}

/// A header, its checksum included, is right where the sum of its words, not zero, is a multiple of 0xffff. An odd
/// divisor divides where the product with its inverse modulo 2^64 is small: one multiplication and no folding.
#[inline(always)]
const fn is_multiple_of_ffff(sum: u64) -> bool {
    const INVERSE: u64 = 0xfffe_fffe_fffe_ffff;
    const { assert!(INVERSE.wrapping_mul(0xffff) == 1) };
    sum.wrapping_mul(INVERSE) <= u64::MAX / 0xffff
}

#[inline(always)]
fn extract_v4(
    interface: u32,
    start: &[u8; HEAD_V4],
    head: &[u8],
    packet_len: usize,
) -> Option<(FlowKey, Brief)> {
    let (first, second) = (word::<14, HEAD_V4>(start), word::<22, HEAD_V4>(start));
    let destination = u64::from(u32::from_be_bytes(part::<30, 4, HEAD_V4>(start)));
    let sum = (first >> 32) + (first & 0xffff_ffff) + (second >> 32) + (second & 0xffff_ffff) + destination;
    let source_byte = (second >> 24) as u8;
    let source_is_legal = source_byte < 224 && source_byte != 127;
    if first & PLAIN_MASK != PLAIN || !is_multiple_of_ffff(sum) || !source_is_legal {
        return None;
    }
    let macs = (word::<0, HEAD_V4>(start), word::<6, HEAD_V4>(start));
    let transport = Transport {
        head,
        packet_len,
        l4: L4_V4,
        end: ethernet::HEADER_LEN + (first >> 32) as usize % 0x1_0000,
        word: word::<L4_V4, HEAD_V4>(start),
        protocol: (second >> 48) as u8,
    };
    let brief = transport.check(macs.1)?;
    let [w1, w2] = transport.station_words(macs);
    let w3 = second << 32 | destination;
    Some((
        FlowKey {
            words: [first_word(interface, transport.protocol, 4), w1, w2, w3, 0, 0, 0],
        },
        brief,
    ))
}

#[inline(always)]
fn extract_v6(interface: u32, head: &[u8], packet_len: usize) -> Option<(FlowKey, Brief)> {
    let start: &[u8; HEAD_V6] = head.first_chunk()?;
    let first = word::<14, HEAD_V6>(start);
    let source = word::<22, HEAD_V6>(start);
    // Loopback, unspecified and IPv4-mapped sources all begin with 64 zero bits: let the slow way tell them apart.
    if first >> 60 != 6 || source == 0 || source >> 56 == 0xff {
        return None;
    }
    let macs = (word::<0, HEAD_V6>(start), word::<6, HEAD_V6>(start));
    let transport = Transport {
        head,
        packet_len,
        l4: L4_V6,
        end: L4_V6 + (first >> 16) as usize % 0x1_0000,
        word: word::<L4_V6, HEAD_V6>(start),
        protocol: (first >> 8) as u8,
    };
    let brief = transport.check(macs.1)?;
    let [w1, w2] = transport.station_words(macs);
    let words = [
        first_word(interface, transport.protocol, 6),
        w1,
        w2,
        source,
        word::<30, HEAD_V6>(start),
        word::<38, HEAD_V6>(start),
        word::<46, HEAD_V6>(start),
    ];
    Some((FlowKey { words }, brief))
}

/// What the families share, `word` being the first eight bytes of the transport header.
struct Transport<'a> {
    head: &'a [u8],
    packet_len: usize,
    l4: usize,
    end: usize,
    word: u64,
    protocol: u8,
}

impl Transport<'_> {
    /// `source` is the word of the source MAC.
    #[inline(always)]
    fn check(&self, source: u64) -> Option<Brief> {
        let is_station = source & GROUP_BIT == 0 && source >> 16 != 0;
        if !is_station || self.end > self.packet_len {
            return None;
        }
        let tcp_flags = match self.protocol {
            protocol::UDP => {
                let length = (self.word >> 16) as usize % 0x1_0000;
                if length < 8 || self.l4 + length > self.end {
                    return None;
                }
                0
            }
            protocol::TCP => self.tcp()?,
            _ => return None,
        };
        Some(Brief {
            length: self.end as u32,
            l4: self.l4 as u8,
            tcp_flags,
        })
    }

    /// The flags of a segment with a whole header in the head, and without SYN, FIN and RST.
    #[inline(always)]
    fn tcp(&self) -> Option<u8> {
        let [offset, flags] = *array::<2>(self.head, self.l4 + 12)?;
        let length = usize::from(offset >> 4) * 4;
        let end = self.l4 + length;
        let is_ordinary = flags & (tcp::flag::SYN | tcp::flag::FIN | tcp::flag::RST) == 0;
        let fits = length >= tcp::HEADER_LEN && end <= self.end && end <= self.head.len();
        (is_ordinary && fits).then_some(flags)
    }

    /// The second and third word: MACs with ports.
    #[inline(always)]
    fn station_words(&self, (destination, source): (u64, u64)) -> [u64; 2] {
        let w1 = (source & !PORT_MASK) | self.word >> 48;
        let w2 = (destination & !PORT_MASK) | (self.word >> 32 & PORT_MASK);
        [w1, w2]
    }
}

impl Brief {
    /// The full layout that belongs to this brief one and its key.
    pub fn layout(&self, key: &FlowKey) -> Layout {
        let (kind, ethertype) = match key.is_ipv6() {
            true => (Kind::Ipv6, ethernet::ethertype::IPV6),
            false => (Kind::Ipv4, ethernet::ethertype::IPV4),
        };
        Layout {
            kind,
            fragment: Fragment::None,
            protocol: key.protocol(),
            tcp_flags: self.tcp_flags,
            ethertype,
            l3: ethernet::HEADER_LEN as u16,
            l4: u16::from(self.l4),
            ports: key.ports(),
            length: self.length,
        }
    }
}

#[cfg(test)]
mod tests;
