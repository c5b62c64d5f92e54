//! Neighbor discovery (RFC 4861): solicitations and advertisements with their options, checked as its sections
//! 6.1 and 7.1 demand. The ICMPv6 checksum is [`crate::icmpv6::Icmpv6::checksum_is_valid`]'s.

use crate::addr::{IpPrefix, Mac};
use crate::field::{array, part};
use crate::icmpv6::{HEADER_LEN, Icmpv6, kind};
use crate::ipv6::{self, Ipv6};
use crate::malformed::Malformed;
use std::net::{IpAddr, Ipv6Addr};

/// Option types (IANA "IPv6 Neighbor Discovery Option Formats").
pub mod option {
    /// The sender's MAC.
    pub const SOURCE_LINK_LAYER: u8 = 1;
    /// The target's MAC.
    pub const TARGET_LINK_LAYER: u8 = 2;
    /// A prefix on the link.
    pub const PREFIX: u8 = 3;
    /// The link's MTU.
    pub const MTU: u8 = 5;
}

/// Flags of a neighbor advertisement, in the first byte of its word.
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
/// Flags of a router advertisement, in the second byte of its word.
const MANAGED: u8 = 0x80;
const OTHER: u8 = 0x40;
/// Flags of a prefix option.
const ON_LINK: u8 = 0x80;
const AUTONOMOUS: u8 = 0x40;

/// A checked message.
#[derive(Debug, Clone)]
pub enum Ndp<'a> {
    /// A host asks for routers.
    RouterSolicitation {
        /// Options.
        options: Options<'a>,
    },
    /// A router tells of itself.
    RouterAdvertisement {
        /// Seconds for which it is a default router; 0 for none.
        lifetime_seconds: u16,
        /// Options.
        options: Options<'a>,
    },
    /// Somebody asks for the MAC of `target`, or (from `::`) whether it is free.
    NeighborSolicitation {
        /// Whose MAC is asked for.
        target: Ipv6Addr,
        /// Options.
        options: Options<'a>,
    },
    /// Somebody tells the MAC of `target`.
    NeighborAdvertisement {
        /// Whose MAC is told.
        target: Ipv6Addr,
        /// The sender is a router.
        is_router: bool,
        /// It answers a solicitation.
        is_solicited: bool,
        /// It overrides what is known.
        is_override: bool,
        /// Options.
        options: Options<'a>,
    },
    /// A router points to a better first hop.
    Redirect {
        /// The better hop.
        target: Ipv6Addr,
        /// For packets to here.
        destination: Ipv6Addr,
        /// Options.
        options: Options<'a>,
    },
}

impl<'a> Ndp<'a> {
    /// Reads the ICMPv6 message (padding trimmed) of a packet with the header `ip`. `None` for messages that are not
    /// neighbor discovery.
    pub fn parse(ip: &Ipv6<'_>, message: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let icmp = Icmpv6::parse(message)?;
        if !crate::icmpv6::is_neighbor_discovery(icmp.kind()) {
            return Ok(None);
        }
        if ip.hop_limit() != 255 || icmp.code() != 0 {
            return Err(Malformed::NdpForm);
        }
        match icmp.kind() {
            kind::ROUTER_SOLICITATION => router_solicitation(ip, message),
            kind::ROUTER_ADVERTISEMENT => router_advertisement(ip, message),
            kind::NEIGHBOR_SOLICITATION => neighbor_solicitation(ip, message),
            kind::NEIGHBOR_ADVERTISEMENT => neighbor_advertisement(ip, icmp.word(), message),
            _ => redirect(ip, message),
        }
        .map(Some)
    }
}

fn router_solicitation<'a>(ip: &Ipv6<'_>, message: &'a [u8]) -> Result<Ndp<'a>, Malformed> {
    let options = Options::parse(message, 8)?;
    let is_anonymous = ip.source().is_unspecified();
    match is_anonymous && options.source_mac().is_some() {
        true => Err(Malformed::NdpForm),
        false => Ok(Ndp::RouterSolicitation { options }),
    }
}

fn router_advertisement<'a>(ip: &Ipv6<'_>, message: &'a [u8]) -> Result<Ndp<'a>, Malformed> {
    let options = Options::parse(message, 16)?;
    let lifetime = array(message, 6).ok_or(Malformed::NdpTruncated)?;
    match ip.source().is_unicast_link_local() {
        true => Ok(Ndp::RouterAdvertisement {
            lifetime_seconds: u16::from_be_bytes(*lifetime),
            options,
        }),
        false => Err(Malformed::NdpForm),
    }
}

fn neighbor_solicitation<'a>(ip: &Ipv6<'_>, message: &'a [u8]) -> Result<Ndp<'a>, Malformed> {
    let options = Options::parse(message, 24)?;
    let target = address_at(message, 8)?;
    let is_probe = ip.source().is_unspecified();
    let is_wrong_probe =
        is_probe && (ip.destination() != ipv6::solicited_node(target) || options.source_mac().is_some());
    match target.is_multicast() || is_wrong_probe {
        true => Err(Malformed::NdpForm),
        false => Ok(Ndp::NeighborSolicitation { target, options }),
    }
}

fn neighbor_advertisement<'a>(ip: &Ipv6<'_>, word: [u8; 4], message: &'a [u8]) -> Result<Ndp<'a>, Malformed> {
    let options = Options::parse(message, 24)?;
    let target = address_at(message, 8)?;
    let [flags, ..] = word;
    let is_solicited = flags & SOLICITED != 0;
    if target.is_multicast() || (is_solicited && ip.destination().is_multicast()) {
        return Err(Malformed::NdpForm);
    }
    let (is_router, is_override) = (flags & ROUTER != 0, flags & OVERRIDE != 0);
    Ok(Ndp::NeighborAdvertisement {
        target,
        is_router,
        is_solicited,
        is_override,
        options,
    })
}

fn redirect<'a>(ip: &Ipv6<'_>, message: &'a [u8]) -> Result<Ndp<'a>, Malformed> {
    let options = Options::parse(message, 40)?;
    let (target, destination) = (address_at(message, 8)?, address_at(message, 24)?);
    match ip.source().is_unicast_link_local() && !destination.is_multicast() {
        true => Ok(Ndp::Redirect {
            target,
            destination,
            options,
        }),
        false => Err(Malformed::NdpForm),
    }
}

fn address_at(message: &[u8], at: usize) -> Result<Ipv6Addr, Malformed> {
    array(message, at)
        .map(|octets: &[u8; 16]| Ipv6Addr::from(*octets))
        .ok_or(Malformed::NdpTruncated)
}

/// The options of a message: each is known to lie inside it.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    /// The options behind the first `fixed` bytes of `message`.
    fn parse(message: &'a [u8], fixed: usize) -> Result<Self, Malformed> {
        let mut options = Self {
            rest: message.get(fixed..).ok_or(Malformed::NdpTruncated)?,
        };
        let checked = options.clone();
        while !options.rest.is_empty() {
            options.next().ok_or(Malformed::NdpOption)?;
        }
        Ok(checked)
    }

    /// The sender's MAC, where it is told.
    pub fn source_mac(&self) -> Option<Mac> {
        self.mac(option::SOURCE_LINK_LAYER)
    }

    /// The target's MAC, where it is told.
    pub fn target_mac(&self) -> Option<Mac> {
        self.mac(option::TARGET_LINK_LAYER)
    }

    fn mac(&self, kind: u8) -> Option<Mac> {
        self.clone()
            .find(|o| o.kind == kind)
            .and_then(|o| o.data.first_chunk())
            .map(|m| Mac(*m))
    }
}

/// An option of a neighbor discovery message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageOption<'a> {
    /// The type, see [`option`].
    pub kind: u8,
    /// What follows the length byte, padding included: 6 bytes or 8 more, and so on.
    pub data: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = MessageOption<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let &[kind, length] = self.rest.first_chunk()?;
        // In units of eight bytes, type and length included; zero would walk for ever.
        let (option, rest) = self.rest.split_at_checked(usize::from(length) * 8)?;
        let data = option.get(2..)?;
        self.rest = rest;
        Some(MessageOption { kind, data })
    }
}

/// Bytes of a neighbor advertisement with its option.
pub const NEIGHBOR_ADVERTISEMENT_LEN: usize = HEADER_LEN + 24;

/// A neighbor advertisement to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighborAdvertisement {
    /// Whose MAC is told.
    pub target: Ipv6Addr,
    /// The MAC.
    pub mac: Mac,
    /// The target is a router.
    pub is_router: bool,
    /// It answers a solicitation from an address (not one from `::`).
    pub is_solicited: bool,
    /// It overrides what is known.
    pub is_override: bool,
}

impl NeighborAdvertisement {
    /// The word of flags behind the checksum, and the body behind it.
    pub fn to_parts(&self) -> ([u8; 4], [u8; 24]) {
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let flags = flag(self.is_router, ROUTER)
            | flag(self.is_solicited, SOLICITED)
            | flag(self.is_override, OVERRIDE);
        let mut body = [0; 24];
        body[..16].copy_from_slice(&self.target.octets());
        body[16..].copy_from_slice(&link_layer(option::TARGET_LINK_LAYER, self.mac));
        ([flags, 0, 0, 0], body)
    }
}

/// The option that tells a MAC.
pub fn link_layer(kind: u8, mac: Mac) -> [u8; 8] {
    let [a, b, c, d, e, f] = mac.0;
    [kind, 1, a, b, c, d, e, f]
}

/// A router advertisement to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterAdvertisement<'a> {
    /// The hop limit that hosts are to use; 0 for no advice.
    pub hop_limit: u8,
    /// Addresses come by DHCPv6 (M).
    pub is_managed: bool,
    /// Other configuration comes by DHCPv6 (O).
    pub is_other: bool,
    /// Seconds for which the sender is a default router; 0 for none.
    pub lifetime_seconds: u16,
    /// The sender's MAC.
    pub mac: Mac,
    /// The link's MTU, bytes.
    pub mtu: u16,
    /// Prefixes; those that are not IPv6 are left out.
    pub prefixes: &'a [AdvertisedPrefix],
}

/// A prefix that a router advertises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdvertisedPrefix {
    /// The prefix.
    pub prefix: IpPrefix,
    /// Its addresses are neighbors (L).
    pub is_on_link: bool,
    /// Hosts may make addresses of it (A).
    pub is_autonomous: bool,
    /// Seconds for which it is valid; `u32::MAX` for ever.
    pub valid_seconds: u32,
    /// Seconds for which addresses in it are preferred; not more than `valid_seconds`.
    pub preferred_seconds: u32,
}

impl RouterAdvertisement<'_> {
    /// The word behind the checksum: hop limit, flags, lifetime.
    pub fn word(&self) -> [u8; 4] {
        let managed = if self.is_managed { MANAGED } else { 0 };
        let other = if self.is_other { OTHER } else { 0 };
        let [l0, l1] = self.lifetime_seconds.to_be_bytes();
        [self.hop_limit, managed | other, l0, l1]
    }

    /// Reachable time and retransmission timer (both left to the host), MAC and MTU.
    pub fn fixed_body(&self) -> [u8; 24] {
        let mut body = [0; 24];
        body[8..16].copy_from_slice(&link_layer(option::SOURCE_LINK_LAYER, self.mac));
        body[16..18].copy_from_slice(&[option::MTU, 1]);
        body[20..].copy_from_slice(&u32::from(self.mtu).to_be_bytes());
        body
    }

    /// The options that tell the prefixes.
    pub fn prefix_options(&self) -> impl Iterator<Item = [u8; 32]> {
        self.prefixes
            .iter()
            .copied()
            .filter_map(AdvertisedPrefix::to_bytes)
    }
}

impl AdvertisedPrefix {
    fn to_bytes(self) -> Option<[u8; 32]> {
        let IpAddr::V6(address) = self.prefix.address() else {
            return None;
        };
        let on_link = if self.is_on_link { ON_LINK } else { 0 };
        let autonomous = if self.is_autonomous { AUTONOMOUS } else { 0 };
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&[option::PREFIX, 4, self.prefix.length(), on_link | autonomous]);
        bytes[4..8].copy_from_slice(&self.valid_seconds.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.preferred_seconds.to_be_bytes());
        bytes[16..].copy_from_slice(&address.octets());
        Some(bytes)
    }
}

/// The link's MTU of an option of type [`option::MTU`].
pub fn mtu(option: &MessageOption<'_>) -> Option<u32> {
    let data: &[u8; 6] = option.data.first_chunk().filter(|_| option.kind == option::MTU)?;
    Some(u32::from_be_bytes(part::<2, 4, 6>(data)))
}
