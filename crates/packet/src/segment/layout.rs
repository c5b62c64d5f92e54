//! Where the headers of a segment lie.

use std::fmt;

use crate::checksum;
use crate::ethernet::{self, ethertype};
use crate::field::{array, be16};
use crate::ipv6::is_extension;
use crate::protocol;
use crate::{ipv4, ipv6, tcp, udp};

/// The most 802.1Q and 802.1ad tags that are stepped over.
const TAGS_MAX: usize = 2;
/// The most IPv6 extension headers that are stepped over.
const EXTENSIONS_MAX: usize = 4;

/// The IP version of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The transport protocol of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Offsets into a frame, each in bytes from its Ethernet header. They lie inside the bytes that were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// IP version.
    pub network: Network,
    /// Transport protocol.
    pub transport: Transport,
    /// Where the IP header starts.
    pub network_at: usize,
    /// Where the transport header starts.
    pub transport_at: usize,
    /// Where the payload starts; so the bytes of all headers.
    pub payload_at: usize,
}

/// Why a frame has no headers that a segment could have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutError {
    /// The bytes end inside the headers.
    Truncated,
    /// Neither IPv4 nor IPv6, or a version or header length that contradicts itself.
    Network,
    /// A fragment: its payload is not a whole segment.
    Fragment,
    /// Neither TCP nor UDP, or a TCP header length below 20 bytes.
    Transport,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the frame ends inside its headers",
            Self::Network => "the frame is neither IPv4 nor IPv6",
            Self::Fragment => "a fragment is no whole segment",
            Self::Transport => "the frame is neither TCP nor UDP",
        })
    }
}

impl std::error::Error for LayoutError {}

impl Layout {
    /// The layout of the frame that starts with `head`, which must hold all headers.
    pub fn of(head: &[u8]) -> Result<Self, LayoutError> {
        let (kind, network_at) = skip_tags(head)?;
        let (network, number, transport_at) = match kind {
            ethertype::IPV4 => over_v4(head, network_at)?,
            ethertype::IPV6 => over_v6(head, network_at)?,
            _ => return Err(LayoutError::Network),
        };
        let (transport, length) = match number {
            protocol::TCP => (Transport::Tcp, tcp_header_len(head, transport_at)?),
            protocol::UDP => (Transport::Udp, udp::HEADER_LEN),
            _ => return Err(LayoutError::Transport),
        };
        let payload_at = transport_at + length;
        if payload_at > head.len() {
            return Err(LayoutError::Truncated);
        }
        Ok(Self {
            network,
            transport,
            network_at,
            transport_at,
            payload_at,
        })
    }

    /// Where the checksum lies in the transport header.
    pub const fn checksum_offset(&self) -> usize {
        match self.transport {
            Transport::Tcp => 16,
            Transport::Udp => 6,
        }
    }

    /// The pseudo header's sum but for the length, which is to be added; 0 where `head` is not what was parsed.
    pub fn pseudo_header(&self, head: &[u8]) -> u64 {
        let (at, length) = match self.network {
            Network::V4 => (self.network_at + 12, 8),
            Network::V6 => (self.network_at + 8, 32),
        };
        let number = match self.transport {
            Transport::Tcp => protocol::TCP,
            Transport::Udp => protocol::UDP,
        };
        head.get(at..at + length)
            .map_or(0, |addresses| checksum::sum(addresses) + u64::from(number))
    }
}

/// The EtherType behind the tags, and where what it names starts.
fn skip_tags(head: &[u8]) -> Result<(u16, usize), LayoutError> {
    let mut at = ethernet::HEADER_LEN - 2;
    for _ in 0..=TAGS_MAX {
        match be16(head, at).ok_or(LayoutError::Truncated)? {
            ethertype::VLAN | ethertype::SERVICE_VLAN => at += ethernet::TAG_LEN,
            kind => return Ok((kind, at + 2)),
        }
    }
    Err(LayoutError::Network)
}

fn over_v4(head: &[u8], at: usize) -> Result<(Network, u8, usize), LayoutError> {
    let header: &[u8; ipv4::HEADER_LEN] = array(head, at).ok_or(LayoutError::Truncated)?;
    let length = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || length < ipv4::HEADER_LEN {
        return Err(LayoutError::Network);
    }
    if u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0 {
        return Err(LayoutError::Fragment);
    }
    Ok((Network::V4, header[9], at + length))
}

fn over_v6(head: &[u8], at: usize) -> Result<(Network, u8, usize), LayoutError> {
    let header: &[u8; ipv6::HEADER_LEN] = array(head, at).ok_or(LayoutError::Truncated)?;
    if header[0] >> 4 != 6 {
        return Err(LayoutError::Network);
    }
    let (mut number, mut at) = (header[6], at + ipv6::HEADER_LEN);
    for _ in 0..=EXTENSIONS_MAX {
        if !is_extension(number) {
            return Ok((Network::V6, number, at));
        }
        if number == protocol::FRAGMENT {
            return Err(LayoutError::Fragment);
        }
        let &[next, length] = array(head, at).ok_or(LayoutError::Truncated)?;
        at += match number {
            protocol::AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        number = next;
    }
    Err(LayoutError::Transport)
}

fn tcp_header_len(head: &[u8], at: usize) -> Result<usize, LayoutError> {
    let header: &[u8; tcp::HEADER_LEN] = array(head, at).ok_or(LayoutError::Truncated)?;
    let length = usize::from(header[12] >> 4) * 4;
    if length < tcp::HEADER_LEN {
        Err(LayoutError::Transport)
    } else {
        Ok(length)
    }
}
