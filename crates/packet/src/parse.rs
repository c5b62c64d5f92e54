//! One pass over a guest's frame: where its headers are, and whether its form is right.
//!
//! This is the slow way's entrance; [`crate::flow_key::FlowKey::extract`] is the fast one and makes the same checks.
//! What a frame *means*, whether its addresses are its sender's own, is judged elsewhere.

use crate::ethernet::{Ethernet, HEADER_LEN, ethertype};
use crate::field::{array, be16};
use crate::ipv4::{self, Ipv4};
use crate::ipv6::{self, Ipv6};
use crate::malformed::Malformed;
use crate::{arp, icmp, icmpv6, protocol, tcp, udp};

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An IPv4 packet.
    Ipv4,
    /// An IPv6 packet.
    Ipv6,
    /// ARP for Ethernet and IPv4.
    Arp,
    /// Anything else: other EtherTypes, 802.1Q tags (EtherType 0x8100), 802.3 length frames (below 1,536).
    Other,
}

/// What part of an IP packet a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragment {
    /// All of it. So does an IPv6 "atomic fragment" (RFC 6946).
    None,
    /// The first fragment: the transport header is there.
    First,
    /// A later fragment: no transport header.
    Later,
}

/// Where the headers of a frame are, and what the pipeline asks of them most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// What the frame carries.
    pub kind: Kind,
    /// Part or whole of an IP packet.
    pub fragment: Fragment,
    /// The transport protocol of an IP packet, behind all extension headers; else 0.
    pub protocol: u8,
    /// TCP's flags ([`tcp::flag`]); 0 where there is no TCP header.
    pub tcp_flags: u8,
    /// The EtherType.
    pub ethertype: u16,
    /// Offset of what follows the Ethernet header.
    pub l3: u16,
    /// Offset of the transport header, of a later fragment's data, or of the end of ARP; else as `l3`.
    pub l4: u16,
    /// Source and destination port of TCP and UDP. ICMP and ICMPv6: identifier (0 where it is no echo) and
    /// type × 256 + code. Else, and in later fragments, (0, 0).
    pub ports: (u16, u16),
    /// Bytes of the frame without trailing padding. What a sender put behind this is no payload and is to be trimmed.
    pub length: u32,
}

impl Layout {
    /// Of no frame: every offset zero.
    pub const EMPTY: Layout = Layout {
        kind: Kind::Other,
        fragment: Fragment::None,
        protocol: 0,
        tcp_flags: 0,
        ethertype: 0,
        l3: 0,
        l4: 0,
        ports: (0, 0),
        length: 0,
    };

    /// Bytes of the IP packet, its header included (for other kinds: of what follows the Ethernet header).
    #[inline]
    pub fn l3_length(&self) -> u32 {
        self.length.saturating_sub(u32::from(self.l3))
    }

    /// Bytes of transport header and payload.
    #[inline]
    pub fn l4_length(&self) -> u32 {
        self.length.saturating_sub(u32::from(self.l4))
    }

    /// Bytes behind the packet in a frame of `packet_len` bytes.
    #[inline]
    pub fn padding(&self, packet_len: usize) -> usize {
        packet_len.saturating_sub(self.length as usize)
    }

    /// The layout of a later fragment with the ports of its first one: for what asks about the packet as a whole. There is
    /// still no transport header behind [`Layout::l4`].
    #[must_use]
    pub fn with_ports_of_first(&self, ports: (u16, u16)) -> Self {
        Self {
            fragment: Fragment::First,
            ports,
            ..*self
        }
    }

    /// True for IPv4 and IPv6.
    #[inline]
    pub fn is_ip(&self) -> bool {
        matches!(self.kind, Kind::Ipv4 | Kind::Ipv6)
    }

    /// Type and code of an ICMP or ICMPv6 message; `None` for other packets and in later fragments.
    #[inline]
    pub fn icmp(&self) -> Option<(u8, u8)> {
        let [kind, code] = self.ports.1.to_be_bytes();
        let is_icmp = matches!(
            (self.kind, self.protocol),
            (Kind::Ipv4, protocol::ICMP) | (Kind::Ipv6, protocol::ICMPV6)
        );
        (is_icmp && self.fragment != Fragment::Later).then_some((kind, code))
    }
}

/// Reads a frame, Ethernet header on. `head` is its linear part: the whole frame, or at least 256 bytes of it;
/// `packet_len` is the length of the whole frame. Large segments (up to 65,535 bytes of IP) need no other treatment: their length fields
/// are right too.
pub fn layout(head: &[u8], packet_len: usize) -> Result<Layout, Malformed> {
    let head = head.get(..packet_len).unwrap_or(head);
    let ethernet = Ethernet::parse(head)?;
    if !ethernet.source().is_station() {
        return Err(Malformed::EthernetSource);
    }
    let blank = Layout {
        kind: Kind::Other,
        fragment: Fragment::None,
        protocol: 0,
        tcp_flags: 0,
        ethertype: ethernet.ethertype(),
        l3: HEADER_LEN as u16,
        l4: HEADER_LEN as u16,
        ports: (0, 0),
        length: u32::try_from(packet_len).unwrap_or(u32::MAX),
    };
    let packet = Packet {
        head,
        l3: ethernet.payload(),
        packet_len,
    };
    match ethernet.ethertype() {
        ethertype::IPV4 => packet.ipv4(blank),
        ethertype::IPV6 => packet.ipv6(blank),
        ethertype::ARP => {
            arp::Arp::parse(packet.l3)?;
            let end = HEADER_LEN + arp::PACKET_LEN;
            Ok(Layout {
                kind: Kind::Arp,
                l4: end as u16,
                length: end as u32,
                ..blank
            })
        }
        _ => Ok(blank),
    }
}

/// The number that the fragments of a packet share; `None` where the frame is no fragment. `head` must be what `layout` was
/// made from.
pub fn identification(head: &[u8], layout: &Layout) -> Option<u32> {
    if layout.fragment == Fragment::None {
        return None;
    }
    let l3 = head.get(usize::from(layout.l3)..)?;
    match layout.kind {
        Kind::Ipv4 => Some(u32::from(Ipv4::parse(l3).ok()?.identification())),
        Kind::Ipv6 => Some(Ipv6::parse(l3).ok()?.upper().ok()?.fragment?.identification),
        Kind::Arp | Kind::Other => None,
    }
}

#[derive(Clone, Copy)]
struct Packet<'a> {
    head: &'a [u8],
    l3: &'a [u8],
    packet_len: usize,
}

impl Packet<'_> {
    fn ipv4(self, blank: Layout) -> Result<Layout, Malformed> {
        let ip = Ipv4::parse(self.l3)?;
        let length = HEADER_LEN + usize::from(ip.total_length());
        if length > self.packet_len {
            return Err(Malformed::Ipv4TotalLength);
        }
        if !ip.checksum_is_valid() {
            return Err(Malformed::Ipv4Checksum);
        }
        if ipv4::is_forbidden_source(ip.source()) {
            return Err(Malformed::Ipv4Source);
        }
        check_options(ip.options())?;
        let l4 = HEADER_LEN + ip.header_length();
        let fragment = fragment(
            ip.fragment_offset(),
            ip.more_fragments(),
            length - l4,
            ip.protocol(),
        )?;
        self.transport(Layout {
            kind: Kind::Ipv4,
            fragment,
            protocol: ip.protocol(),
            l4: l4 as u16,
            length: length as u32,
            ..blank
        })
    }

    fn ipv6(self, blank: Layout) -> Result<Layout, Malformed> {
        let ip = Ipv6::parse(self.l3)?;
        let length = HEADER_LEN + ipv6::HEADER_LEN + usize::from(ip.payload_length());
        if length > self.packet_len {
            return Err(Malformed::Ipv6PayloadLength);
        }
        if ipv6::is_forbidden_source(ip.source()) {
            return Err(Malformed::Ipv6Source);
        }
        let upper = ip.upper()?;
        let l4 = HEADER_LEN + upper.offset;
        let fragment = match upper.fragment {
            Some(f) if !f.is_atomic() => fragment(f.offset, f.more, length - l4, upper.protocol)?,
            _ => Fragment::None,
        };
        self.transport(Layout {
            kind: Kind::Ipv6,
            fragment,
            protocol: upper.protocol,
            l4: u16::try_from(l4).map_err(|_| Malformed::HeadersTooLong)?,
            length: length as u32,
            ..blank
        })
    }

    /// Adds ports and flags.
    fn transport(self, layout: Layout) -> Result<Layout, Malformed> {
        if layout.fragment == Fragment::Later {
            return Ok(layout);
        }
        match (layout.kind, layout.protocol) {
            (_, protocol::TCP) => self.tcp(layout),
            (_, protocol::UDP) => self.udp(layout),
            (Kind::Ipv4, protocol::ICMP) => self.icmp(layout, Malformed::IcmpTruncated, icmp::is_echo),
            (Kind::Ipv6, protocol::ICMPV6) => self.icmp(layout, Malformed::Icmpv6Truncated, icmpv6::is_echo),
            _ => Ok(layout),
        }
    }

    fn tcp(self, layout: Layout) -> Result<Layout, Malformed> {
        let header: &[u8; tcp::HEADER_LEN] = self.header(&layout, Malformed::TcpTruncated)?;
        let length = usize::from(header[12] >> 4) * 4;
        if length < tcp::HEADER_LEN || length > layout.l4_length() as usize {
            return Err(Malformed::TcpDataOffset);
        }
        if usize::from(layout.l4) + length > self.head.len() {
            return Err(Malformed::HeadersTooLong);
        }
        Ok(Layout {
            ports: ports(header),
            tcp_flags: header[13],
            ..layout
        })
    }

    fn udp(self, layout: Layout) -> Result<Layout, Malformed> {
        let header: &[u8; udp::HEADER_LEN] = self.header(&layout, Malformed::UdpTruncated)?;
        let length = u32::from(be16(header, 4).unwrap_or(0));
        // The first fragment's length is that of the whole datagram.
        let is_too_long = layout.fragment == Fragment::None && length > layout.l4_length();
        if length < udp::HEADER_LEN as u32 || is_too_long {
            return Err(Malformed::UdpLength);
        }
        Ok(Layout {
            ports: ports(header),
            ..layout
        })
    }

    fn icmp(self, layout: Layout, short: Malformed, is_echo: fn(u8) -> bool) -> Result<Layout, Malformed> {
        let [kind, code, _, _, i0, i1, _, _]: [u8; icmp::HEADER_LEN] = *self.header(&layout, short)?;
        let identifier = if is_echo(kind) {
            u16::from_be_bytes([i0, i1])
        } else {
            0
        };
        Ok(Layout {
            ports: (identifier, u16::from_be_bytes([kind, code])),
            ..layout
        })
    }

    /// The first `N` bytes of the transport header.
    fn header<const N: usize>(&self, layout: &Layout, short: Malformed) -> Result<&[u8; N], Malformed> {
        if (layout.l4_length() as usize) < N {
            return Err(if layout.fragment == Fragment::First {
                Malformed::FragmentTiny
            } else {
                short
            });
        }
        array(self.head, usize::from(layout.l4)).ok_or(Malformed::HeadersTooLong)
    }
}

fn ports<const N: usize>(header: &[u8; N]) -> (u16, u16) {
    (be16(header, 0).unwrap_or(0), be16(header, 2).unwrap_or(0))
}

fn check_options(options: ipv4::Options<'_>) -> Result<(), Malformed> {
    for option in options {
        if option?.is_source_route() {
            return Err(Malformed::Ipv4SourceRoute);
        }
    }
    Ok(())
}

/// Which fragment it is; `data` is its length behind all headers.
fn fragment(offset: u32, more: bool, data: usize, protocol: u8) -> Result<Fragment, Malformed> {
    if offset == 0 && !more {
        return Ok(Fragment::None);
    }
    let ends_behind = offset as usize + data > usize::from(u16::MAX);
    if data == 0 || (more && !data.is_multiple_of(8)) || ends_behind {
        return Err(Malformed::FragmentBounds);
    }
    // RFC 1858: a fragment at byte 8 would write over TCP's flags.
    if offset == 8 && protocol == protocol::TCP {
        return Err(Malformed::FragmentTiny);
    }
    Ok(if offset == 0 {
        Fragment::First
    } else {
        Fragment::Later
    })
}

#[cfg(test)]
mod tests;
