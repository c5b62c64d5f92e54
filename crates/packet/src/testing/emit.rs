//! From a builder to bytes.

use super::{FrameBuilder, Network, Tcp, Transport};
use crate::ethernet::{self, ethertype};
use crate::{checksum, icmpv6, ipv4, ipv6, protocol, tcp, udp};

/// Which piece of a packet a network header is written for.
#[derive(Clone, Copy)]
struct Piece {
    offset: usize,
    more: bool,
}

/// A length as a 16-bit field; large segments end at 65,535 bytes of IP.
fn field(length: usize) -> u16 {
    u16::try_from(length).expect("a test's packet fits its length field")
}

impl FrameBuilder {
    /// The frame.
    pub fn build(&self) -> Vec<u8> {
        self.frame(&self.transport_bytes(), None)
    }

    /// The packet cut into fragments with `size` bytes (a multiple of 8) of transport each.
    pub fn fragments(&self, size: usize) -> Vec<Vec<u8>> {
        assert!(size > 0 && size.is_multiple_of(8));
        let bytes = self.transport_bytes();
        let count = bytes.len().div_ceil(size);
        let piece = |(i, data)| {
            self.frame(
                data,
                Some(Piece {
                    offset: i * size,
                    more: i + 1 < count,
                }),
            )
        };
        bytes.chunks(size).enumerate().map(piece).collect()
    }

    fn frame(&self, transport: &[u8], piece: Option<Piece>) -> Vec<u8> {
        let ethertype = match &self.network {
            Network::V4(..) => ethertype::IPV4,
            Network::V6(..) => ethertype::IPV6,
            Network::Raw(ethertype) => *ethertype,
        };
        let (outer, tag) = match self.vlan {
            None => (ethertype, Vec::new()),
            Some(vlan) => (
                ethertype::VLAN,
                [vlan.get().to_be_bytes(), ethertype.to_be_bytes()].concat(),
            ),
        };
        let header = ethernet::Header {
            destination: self.destination,
            source: self.source,
            ethertype: outer,
        };
        let network = match &self.network {
            Network::V4(header, options) => {
                let identification = self.identification.map_or(header.identification, |n| n as u16);
                let header = ipv4::Header {
                    identification,
                    ..*header
                };
                ipv4_bytes(&header, options, transport.len(), piece)
            }
            Network::V6(header, extensions) => {
                let piece = piece.map(|piece| (piece, self.identification.unwrap_or(0x1234_5678)));
                ipv6_bytes(header, extensions, transport.len(), piece)
            }
            Network::Raw(_) => Vec::new(),
        };
        let mut frame = [&header.to_bytes()[..], &tag, &network, transport].concat();
        frame.resize(frame.len().max(self.minimum), 0);
        frame
    }

    fn pseudo_header(&self, protocol: u8, length: usize) -> u64 {
        let length = length as u32;
        match &self.network {
            Network::V4(h, _) => checksum::pseudo_header_v4(h.source, h.destination, protocol, length),
            Network::V6(h, _) => checksum::pseudo_header_v6(h.source, h.destination, protocol, length),
            Network::Raw(_) => 0,
        }
    }

    /// The transport header and the payload.
    fn transport_bytes(&self) -> Vec<u8> {
        let (mut bytes, at, pseudo) = match &self.transport {
            Transport::None => return self.payload.clone(),
            Transport::Icmp(header) => return [&header.to_bytes(&self.payload)[..], &self.payload].concat(),
            Transport::Udp { source, destination } => {
                let length = udp::HEADER_LEN + self.payload.len();
                let header = udp::Header {
                    source_port: *source,
                    destination_port: *destination,
                    length: field(length),
                    checksum: 0,
                };
                (
                    header.to_bytes().to_vec(),
                    6,
                    self.pseudo_header(protocol::UDP, length),
                )
            }
            Transport::Tcp(tcp) => {
                let header = tcp.to_bytes();
                let pseudo = self.pseudo_header(protocol::TCP, header.len() + self.payload.len());
                (header, 16, pseudo)
            }
            Transport::Icmpv6(h) => {
                let header = vec![h.kind, h.code, 0, 0, h.rest[0], h.rest[1], h.rest[2], h.rest[3]];
                (
                    header,
                    2,
                    self.pseudo_header(protocol::ICMPV6, icmpv6::HEADER_LEN + self.payload.len()),
                )
            }
        };
        bytes.extend_from_slice(&self.payload);
        let field = match (self.partial, &self.transport) {
            (true, _) => checksum::fold(pseudo),
            (false, Transport::Udp { .. }) => checksum::complement_udp(pseudo + checksum::sum(&bytes)),
            (false, _) => checksum::complement(pseudo + checksum::sum(&bytes)),
        };
        bytes[at..at + 2].copy_from_slice(&field.to_be_bytes());
        bytes
    }
}

impl Tcp {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [self.source.to_be_bytes(), self.destination.to_be_bytes()].concat();
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledgment.to_be_bytes());
        bytes.extend([
            (((tcp::HEADER_LEN + self.options.len()) / 4) << 4) as u8,
            self.flags,
        ]);
        bytes.extend(self.window.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&self.options);
        bytes
    }
}

fn ipv4_bytes(header: &ipv4::Header, options: &[u8], length: usize, piece: Option<Piece>) -> Vec<u8> {
    let header = ipv4::Header {
        payload_length: field(length),
        ..*header
    };
    let mut bytes = [&header.to_bytes()[..], options].concat();
    let header_len = bytes.len();
    bytes[0] = 0x40 | (header_len / 4) as u8;
    bytes[2..4].copy_from_slice(&field(header_len + length).to_be_bytes());
    if let Some(Piece { offset, more }) = piece {
        let fragment = field(offset / 8) | if more { 0x2000 } else { 0 };
        bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
    }
    bytes[10..12].fill(0);
    let checksum = checksum::of(&bytes);
    bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn ipv6_bytes(
    header: &ipv6::Header,
    extensions: &[(u8, Vec<u8>)],
    length: usize,
    piece: Option<(Piece, u32)>,
) -> Vec<u8> {
    let mut chain = extensions.to_vec();
    if let Some((Piece { offset, more }, identification)) = piece {
        let fragment = field(offset) | u16::from(more);
        let data = [&fragment.to_be_bytes()[..], &identification.to_be_bytes()].concat();
        chain.push((protocol::FRAGMENT, data));
    }
    let mut bytes = Vec::new();
    for (i, (number, data)) in chain.iter().enumerate() {
        let next = chain.get(i + 1).map_or(header.next_header, |(n, _)| *n);
        let units = (data.len() + 2) / 8;
        // The authentication header counts in words, less two; the others in eight bytes, less one.
        let length = match *number {
            protocol::AUTHENTICATION => units * 2 - 2,
            protocol::FRAGMENT => 0,
            _ => units - 1,
        };
        bytes.extend([next, length as u8]);
        bytes.extend(data);
    }
    let next_header = chain.first().map_or(header.next_header, |(n, _)| *n);
    let payload_length = field(bytes.len() + length);
    [
        &ipv6::Header {
            payload_length,
            next_header,
            ..*header
        }
        .to_bytes()[..],
        &bytes,
    ]
    .concat()
}
