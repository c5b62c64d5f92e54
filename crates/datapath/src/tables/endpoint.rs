//! The overlay's side of the tables: compiled outer headers, adjacencies, memberships.

use std::net::IpAddr;

use anet_packet::addr::Mac;

/// This host's tunnel endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTunnel {
    /// Its address.
    pub address: IpAddr,
    /// Its UDP port.
    pub udp_port: u16,
}

/// The way to a remote station: which endpoint it is behind. A station that moves host is one write here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adjacency {
    /// Index of the endpoint.
    pub endpoint: u32,
    /// Witness slot of the station.
    pub witness: u32,
    /// Witness slot of what comes from the station: that it is behind this endpoint, which may send into its network.
    pub source_witness: u32,
}

/// A remote endpoint's right to send frames of a VNI to this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The VNI.
    pub vni: u32,
    /// The outer source address.
    pub source: IpAddr,
    /// Index of the network.
    pub network: u32,
    /// Index of the endpoint.
    pub endpoint: u32,
}

const ETHERNET: usize = 14;
const UDP_AND_VXLAN: usize = 16;
/// Bytes of the header over IPv4.
const LENGTH_V4: usize = ETHERNET + 20 + UDP_AND_VXLAN;

/// An outer header, compiled once per endpoint: Ethernet, IPv4 or IPv6, UDP, VXLAN (RFC 7348). What differs from packet
/// to packet is filled in by [`OuterHeader::write`].
#[derive(Clone)]
pub struct OuterHeader {
    bytes: [u8; Self::MAX_LENGTH],
    length: u8,
    /// One's-complement sum of the IPv4 header without total length and TOS.
    base_sum: u32,
    /// The remote endpoint.
    remote: IpAddr,
}

impl OuterHeader {
    /// Bytes of the longest: over IPv6.
    pub const MAX_LENGTH: usize = ETHERNET + 40 + UDP_AND_VXLAN;

    /// Compiles the header from `local` to `remote`. `None` where the families differ. The Ethernet addresses are of the
    /// underlay's next hop; a socket uplink ignores them.
    pub fn compile(
        local: &LocalTunnel,
        remote: IpAddr,
        udp_port: u16,
        source: Mac,
        next_hop: Mac,
    ) -> Option<Self> {
        let mut header = Self {
            bytes: [0; Self::MAX_LENGTH],
            length: 0,
            base_sum: 0,
            remote,
        };
        let bytes = &mut header.bytes;
        bytes[0..6].copy_from_slice(&next_hop.0);
        bytes[6..12].copy_from_slice(&source.0);
        let udp = match (local.address, remote) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                bytes[12..14].copy_from_slice(&[0x08, 0x00]);
                // Version and IHL, don't fragment (RFC 7348 section 4.3), TTL 64, UDP.
                bytes[14] = 0x45;
                bytes[20] = 0x40;
                bytes[22] = 64;
                bytes[23] = 17;
                bytes[26..30].copy_from_slice(&from.octets());
                bytes[30..34].copy_from_slice(&to.octets());
                ETHERNET + 20
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                bytes[12..14].copy_from_slice(&[0x86, 0xdd]);
                bytes[14] = 0x60;
                bytes[20] = 17;
                bytes[21] = 64;
                bytes[22..38].copy_from_slice(&from.octets());
                bytes[38..54].copy_from_slice(&to.octets());
                ETHERNET + 40
            }
            _ => return None,
        };
        bytes[udp + 2..udp + 4].copy_from_slice(&udp_port.to_be_bytes());
        bytes[udp + 8] = 0x08;
        header.base_sum = bytes[14..34]
            .chunks_exact(2)
            .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
            .sum();
        header.length = (udp + UDP_AND_VXLAN) as u8;
        Some(header)
    }

    /// Bytes of the header.
    #[inline]
    pub fn length(&self) -> usize {
        self.length as usize
    }

    /// The remote endpoint.
    pub fn remote(&self) -> IpAddr {
        self.remote
    }

    /// Writes the header to the front of `target` (at least [`OuterHeader::length`] bytes) for an inner frame of
    /// `inner` bytes. `tos` is the outer traffic class (RFC 6040: the inner ECN field copied). Lengths over 65,535 are
    /// written as zero: such a frame is a large segment, and whoever cuts it writes them anew.
    #[inline(always)]
    pub fn write(&self, target: &mut [u8], inner: usize, vni: u32, source_port: u16, tos: u8) {
        // Of a length known when compiled, so that no copy is a call.
        if self.length() == LENGTH_V4 {
            if let (Some(target), Some(bytes)) = (target.first_chunk_mut(), self.bytes.first_chunk()) {
                *target = *bytes;
                self.write_v4(target, inner, vni, source_port, tos);
            }
        } else if let Some(target) = target.first_chunk_mut() {
            *target = self.bytes;
            write_v6(target, inner, vni, source_port, tos);
        }
    }

    #[inline(always)]
    fn write_v4(&self, target: &mut [u8; LENGTH_V4], inner: usize, vni: u32, source_port: u16, tos: u8) {
        let total = u16::try_from(inner + UDP_AND_VXLAN + 20).unwrap_or(0);
        target[15] = tos;
        target[16..18].copy_from_slice(&total.to_be_bytes());
        let mut sum = self.base_sum + u32::from(total) + u32::from(tos);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        target[24..26].copy_from_slice(&(!(sum as u16)).to_be_bytes());
        let udp_length = u16::try_from(inner + UDP_AND_VXLAN).unwrap_or(0);
        target[34..36].copy_from_slice(&source_port.to_be_bytes());
        target[38..40].copy_from_slice(&udp_length.to_be_bytes());
        target[46..50].copy_from_slice(&(vni << 8).to_be_bytes());
    }
}

#[inline]
fn write_v6(
    target: &mut [u8; OuterHeader::MAX_LENGTH],
    inner: usize,
    vni: u32,
    source_port: u16,
    traffic_class: u8,
) {
    let udp_length = u16::try_from(inner + UDP_AND_VXLAN).unwrap_or(0).to_be_bytes();
    target[14] |= traffic_class >> 4;
    target[15] = traffic_class << 4;
    target[18..20].copy_from_slice(&udp_length);
    target[54..56].copy_from_slice(&source_port.to_be_bytes());
    target[58..60].copy_from_slice(&udp_length);
    target[66..70].copy_from_slice(&(vni << 8).to_be_bytes());
}
