//! The outer header of a tunnelled frame: read off what is to be sent, written in front of what came in.
//!
//! Only sockets need this: they take and give UDP payloads, while the data plane sees whole frames from every
//! back end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anet_packet::addr::Mac;
use anet_packet::ethernet::{self, ethertype};
use anet_packet::{ipv4, ipv6, protocol, udp};

/// Bytes in front of the UDP payload over IPv4.
pub(crate) const LEN_V4: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN + udp::HEADER_LEN;
/// Bytes in front of the UDP payload over IPv6.
pub(crate) const LEN_V6: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN + udp::HEADER_LEN;

/// What an outer header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outer {
    /// The sending tunnel endpoint; its port is the inner flow's entropy.
    pub source: SocketAddr,
    /// The receiving tunnel endpoint. Of the same family.
    pub destination: SocketAddr,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// TTL or hop limit.
    pub time_to_live: u8,
}

impl Outer {
    /// The outer header that `head` starts with, and where the UDP payload begins. Length fields are not looked at:
    /// those of a large segment say nothing. `None` where it is not a whole UDP packet with addresses of one family.
    pub fn parse(head: &[u8]) -> Option<(Self, usize)> {
        match *head.get(12..14)?.first_chunk()? {
            [a, b] if u16::from_be_bytes([a, b]) == ethertype::IPV4 => Self::parse_v4(head),
            [a, b] if u16::from_be_bytes([a, b]) == ethertype::IPV6 => Self::parse_v6(head),
            _ => None,
        }
    }

    fn parse_v4(head: &[u8]) -> Option<(Self, usize)> {
        let header: &[u8; ipv4::HEADER_LEN] = head.get(ethernet::HEADER_LEN..)?.first_chunk()?;
        let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
        if header[0] != 0x45 || header[9] != protocol::UDP || is_fragment {
            return None;
        }
        let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
        Self::with_ports(
            head,
            LEN_V4,
            address(12).into(),
            address(16).into(),
            header[1],
            header[8],
        )
    }

    fn parse_v6(head: &[u8]) -> Option<(Self, usize)> {
        let header: &[u8; ipv6::HEADER_LEN] = head.get(ethernet::HEADER_LEN..)?.first_chunk()?;
        if header[0] >> 4 != 6 || header[6] != protocol::UDP {
            return None;
        }
        let (source, rest) = header.get(8..)?.split_first_chunk::<16>()?;
        let destination = rest.first_chunk::<16>()?;
        let traffic_class = header[0] << 4 | header[1] >> 4;
        let (source, destination) = (Ipv6Addr::from(*source), Ipv6Addr::from(*destination));
        Self::with_ports(
            head,
            LEN_V6,
            source.into(),
            destination.into(),
            traffic_class,
            header[7],
        )
    }

    fn with_ports(
        head: &[u8],
        len: usize,
        source: IpAddr,
        destination: IpAddr,
        traffic_class: u8,
        time_to_live: u8,
    ) -> Option<(Self, usize)> {
        let &[s0, s1, d0, d1, ..] = head
            .get(len - udp::HEADER_LEN..)?
            .first_chunk::<{ udp::HEADER_LEN }>()?;
        let source = SocketAddr::new(source, u16::from_be_bytes([s0, s1]));
        let destination = SocketAddr::new(destination, u16::from_be_bytes([d0, d1]));
        Some((
            Self {
                source,
                destination,
                traffic_class,
                time_to_live,
            },
            len,
        ))
    }

    /// Bytes that [`Self::write`] needs.
    pub fn len(&self) -> usize {
        if self.destination.is_ipv4() {
            LEN_V4
        } else {
            LEN_V6
        }
    }

    /// Writes the header in front of `payload_len` bytes of UDP payload to `to`, which is [`Self::len`] bytes long.
    /// MAC addresses are zero: nobody knows them here. The UDP checksum is 0, "none" (the kernel has verified and
    /// taken off the real one); a length beyond 65,535 is written as the longest one.
    pub fn write(&self, payload_len: usize, to: &mut [u8]) {
        let udp_len = u16::try_from(payload_len + udp::HEADER_LEN).unwrap_or(u16::MAX);
        let kind = if self.destination.is_ipv4() {
            ethertype::IPV4
        } else {
            ethertype::IPV6
        };
        let ethernet = ethernet::Header {
            destination: Mac::ZERO,
            source: Mac::ZERO,
            ethertype: kind,
        };
        let udp = udp::Header {
            source_port: self.source.port(),
            destination_port: self.destination.port(),
            length: udp_len,
            checksum: 0,
        };
        let Some((first, rest)) = to.split_first_chunk_mut() else {
            return;
        };
        *first = ethernet.to_bytes();
        let Some((rest, last)) = rest.split_last_chunk_mut() else {
            return;
        };
        *last = udp.to_bytes();
        self.write_ip(udp_len, rest);
    }

    fn write_ip(&self, udp_len: u16, to: &mut [u8]) {
        let Self {
            traffic_class,
            time_to_live,
            ..
        } = *self;
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = ipv4::Header {
                    traffic_class,
                    identification: 0,
                    dont_fragment: true,
                    time_to_live,
                    protocol: protocol::UDP,
                    source,
                    destination,
                    payload_length: udp_len,
                };
                if let Some(to) = to.first_chunk_mut() {
                    *to = header.to_bytes();
                }
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = ipv6::Header {
                    traffic_class,
                    flow_label: 0,
                    payload_length: udp_len,
                    next_header: protocol::UDP,
                    hop_limit: time_to_live,
                    source,
                    destination,
                };
                if let Some(to) = to.first_chunk_mut() {
                    *to = header.to_bytes();
                }
            }
            // A socket never mixes families; nothing sensible could be written.
            _ => to.fill(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outer(source: &str, destination: &str) -> Outer {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        Outer {
            source,
            destination,
            traffic_class: 0xb9,
            time_to_live: 63,
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_right() {
        for outer in [
            outer("10.0.0.1:50000", "10.0.0.2:4789"),
            outer("[fd00::1]:50000", "[fd00::2]:4789"),
        ] {
            let mut frame = vec![0xff; outer.len() + 100];
            outer.write(100, &mut frame[..outer.len()]);
            assert_eq!(Outer::parse(&frame), Some((outer, frame.len() - 100)));
            let parsed = etherparse::PacketHeaders::from_ethernet_slice(&frame).unwrap();
            assert_eq!(parsed.payload.slice().len(), 100);
            if let Some(etherparse::NetHeaders::Ipv4(ip, _)) = parsed.net {
                assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            }
        }
    }

    #[test]
    fn a_merged_segment_is_longer_than_the_header_can_say() {
        let outer = outer("10.0.0.1:50000", "10.0.0.2:4789");
        let mut header = vec![0; outer.len()];
        outer.write(70_000, &mut header);
        assert_eq!(Outer::parse(&header), Some((outer, LEN_V4)));
    }

    #[test]
    fn what_is_not_udp_is_refused() {
        let mut frame = vec![0; LEN_V4];
        outer("10.0.0.1:5", "10.0.0.2:6").write(0, &mut frame);
        for (at, byte) in [(12, 0), (14, 0x46), (14, 0x65), (20, 0x20), (21, 1), (23, 6)] {
            let mut wrong = frame.clone();
            wrong[at] = byte;
            assert_eq!(Outer::parse(&wrong), None, "byte {at}");
        }
        assert_eq!(Outer::parse(&frame[..LEN_V4 - 1]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn hostile_bytes_do_no_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), six in any::<bool>()) {
            if bytes.len() > 14 {
                bytes[12..14].copy_from_slice(if six { &[0x86, 0xdd] } else { &[0x08, 0] });
                bytes[14] = if six { 0x60 } else { 0x45 };
            }
            let _ = Outer::parse(&bytes);
            outer("10.0.0.1:5", "10.0.0.2:6").write(9, &mut bytes);
        }
    }
}
