//! The five-tuple of a connection, without interface and MACs, and that of a packet which an ICMP error quotes.

use crate::field::array;
use crate::flow_key::{FlowKey, SALT, fold_multiply};
use crate::ipv4::Ipv4;
use crate::ipv6::Ipv6;
use crate::malformed::Malformed;
use crate::parse::{Fragment, Kind, Layout};
use crate::{icmp, icmpv6, protocol};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who talks to whom, seen from the packet's sender.
///
/// ICMP and ICMPv6: an echo's request and reply are the two directions of one tuple. The asker's port is its identifier,
/// the answerer's 256 times the request's type, and `icmp_type` is the request's type in either direction, so
/// `reply.reversed() == request`, and no reply is on the tuple of a request the same way. (Which of the two a
/// packet is stays in [`Layout::ports`].) Other messages have their own type, and their code as both ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Source address; IPv4 as `::ffff:a.b.c.d`.
    pub source: u128,
    /// Destination address, in the same form.
    pub destination: u128,
    /// Source port; see above for ICMP; 0 for protocols without ports.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Family: 4 or 6.
    pub family: u8,
    /// The transport protocol.
    pub protocol: u8,
    /// The normalised type of ICMP and ICMPv6; else 0.
    pub icmp_type: u8,
}

const V4_MAPPED: u128 = 0xffff_0000_0000;

impl Tuple {
    /// The tuple of a packet; `None` where it is not IP. A later fragment's ports are 0. `head` must be what `layout` was
    /// made from.
    pub fn of(head: &[u8], layout: &Layout) -> Option<Tuple> {
        let l3 = usize::from(layout.l3);
        let (family, source, destination) = match layout.kind {
            Kind::Ipv4 => (4, mapped_at(head, l3 + 12)?, mapped_at(head, l3 + 16)?),
            Kind::Ipv6 => (6, v6_at(head, l3 + 8)?, v6_at(head, l3 + 24)?),
            Kind::Arp | Kind::Other => return None,
        };
        let ports = if layout.fragment == Fragment::Later {
            (0, 0)
        } else {
            layout.ports
        };
        Some(Self::normalised(
            family,
            layout.protocol,
            source,
            destination,
            ports,
        ))
    }

    /// The tuple that a flow's key holds.
    pub fn of_key(key: &FlowKey) -> Tuple {
        let [_, _, _, w3, w4, w5, w6] = key.words;
        let pair = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        let (family, source, destination) = match key.is_ipv6() {
            true => (6, pair(w3, w4), pair(w5, w6)),
            false => (
                4,
                V4_MAPPED | u128::from(w3 >> 32),
                V4_MAPPED | u128::from(w3 as u32),
            ),
        };
        Self::normalised(family, key.protocol(), source, destination, key.ports())
    }

    /// The tuple of the packet that an ICMP or ICMPv6 error quotes, as its sender sent it. `quote` begins with its
    /// IP header; eight bytes behind the IP headers are enough. Lengths and checksums are not held against it: the
    /// quote is cut, and routers may have changed it. A later fragment tells no tuple.
    pub fn of_embedded(quote: &[u8]) -> Result<Tuple, Malformed> {
        match quote.first().map(|b| b >> 4) {
            Some(4) => {
                let ip = Ipv4::parse(quote).map_err(|_| Malformed::IcmpQuote)?;
                let (s, d) = (
                    ip.source().to_ipv6_mapped().to_bits(),
                    ip.destination().to_ipv6_mapped().to_bits(),
                );
                if ip.fragment_offset() != 0 {
                    return Err(Malformed::IcmpQuote);
                }
                let ports = quoted_ports(quote, ip.header_length(), 4, ip.protocol())?;
                Ok(Self::normalised(4, ip.protocol(), s, d, ports))
            }
            Some(6) => {
                let ip = Ipv6::parse(quote).map_err(|_| Malformed::IcmpQuote)?;
                let upper = ip.upper().map_err(|_| Malformed::IcmpQuote)?;
                if upper.fragment.is_some_and(|f| f.offset != 0) {
                    return Err(Malformed::IcmpQuote);
                }
                let ports = quoted_ports(quote, upper.offset, 6, upper.protocol)?;
                let (s, d) = (ip.source().to_bits(), ip.destination().to_bits());
                Ok(Self::normalised(6, upper.protocol, s, d, ports))
            }
            _ => Err(Malformed::IcmpQuote),
        }
    }

    /// `ports` as [`Layout::ports`] has them.
    fn normalised(family: u8, protocol: u8, source: u128, destination: u128, ports: (u16, u16)) -> Tuple {
        let [kind, code] = ports.1.to_be_bytes();
        let (ports, icmp_type) = match (family, protocol) {
            (4, protocol::ICMP) if icmp::is_echo(kind) => Self::echo(ports.0, kind, icmp::kind::ECHO_REQUEST),
            (6, protocol::ICMPV6) if icmpv6::is_echo(kind) => {
                Self::echo(ports.0, kind, icmpv6::kind::ECHO_REQUEST)
            }
            (4, protocol::ICMP) | (6, protocol::ICMPV6) => ((u16::from(code), u16::from(code)), kind),
            _ => (ports, 0),
        };
        Tuple {
            source,
            destination,
            source_port: ports.0,
            destination_port: ports.1,
            family,
            protocol,
            icmp_type,
        }
    }

    /// The ports of an echo: who asks has the identifier, who answers the request's type.
    fn echo(identifier: u16, kind: u8, request: u8) -> ((u16, u16), u8) {
        let answerer = u16::from(request) << 8;
        let ports = if kind == request {
            (identifier, answerer)
        } else {
            (answerer, identifier)
        };
        (ports, request)
    }

    /// The same connection, seen from the other side.
    #[inline]
    pub const fn reversed(self) -> Tuple {
        Tuple {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            ..self
        }
    }

    /// A hash under `seed` that both directions share.
    #[inline]
    pub const fn symmetric_hash(&self, seed: u64) -> u64 {
        let source = end_hash(self.source, self.source_port, seed);
        let destination = end_hash(self.destination, self.destination_port, seed);
        let kind = (self.family as u64) << 16 | (self.protocol as u64) << 8 | self.icmp_type as u64;
        let both = source.wrapping_add(destination);
        fold_multiply(
            both ^ seed ^ SALT[2],
            (source ^ destination).rotate_left(29) ^ kind ^ SALT[3],
        )
    }

    /// The source as an address of its family.
    pub fn source_address(&self) -> IpAddr {
        address(self.family, self.source)
    }

    /// The destination as an address of its family.
    pub fn destination_address(&self) -> IpAddr {
        address(self.family, self.destination)
    }

    /// True for ICMP over IPv4 and ICMPv6 over IPv6.
    pub const fn is_icmp(&self) -> bool {
        matches!(
            (self.family, self.protocol),
            (4, protocol::ICMP) | (6, protocol::ICMPV6)
        )
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = (self.source_address(), self.destination_address());
        let (source_port, destination_port) = (self.source_port, self.destination_port);
        match (self.protocol, self.is_icmp()) {
            (_, true) => {
                write!(
                    f,
                    "icmp type {} id {source_port} {source} > {destination}",
                    self.icmp_type
                )
            }
            (protocol::TCP, _) => write!(f, "tcp {source} {source_port} > {destination} {destination_port}"),
            (protocol::UDP, _) => write!(f, "udp {source} {source_port} > {destination} {destination_port}"),
            (other, _) => write!(f, "protocol {other} {source} > {destination}"),
        }
    }
}

const fn end_hash(address: u128, port: u16, seed: u64) -> u64 {
    let high = (address >> 64) as u64 ^ (port as u64) << 48;
    fold_multiply(
        high ^ seed ^ SALT[0],
        address as u64 ^ (port as u64) << 32 ^ seed.rotate_left(32) ^ SALT[1],
    )
}

fn address(family: u8, bits: u128) -> IpAddr {
    match family {
        4 => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
        _ => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

fn mapped_at(bytes: &[u8], at: usize) -> Option<u128> {
    array(bytes, at).map(|b| V4_MAPPED | u128::from(u32::from_be_bytes(*b)))
}

fn v6_at(bytes: &[u8], at: usize) -> Option<u128> {
    array(bytes, at).map(|b| u128::from_be_bytes(*b))
}

/// Ports of a quoted transport header, in the form of [`Layout::ports`].
fn quoted_ports(quote: &[u8], at: usize, family: u8, protocol: u8) -> Result<(u16, u16), Malformed> {
    let is_echo = match (family, protocol) {
        (_, protocol::TCP | protocol::UDP) => None,
        (4, protocol::ICMP) => Some(icmp::is_echo as fn(u8) -> bool),
        (6, protocol::ICMPV6) => Some(icmpv6::is_echo as fn(u8) -> bool),
        _ => return Ok((0, 0)),
    };
    let [b0, b1, b2, b3, b4, b5, _, _] = *array::<8>(quote, at).ok_or(Malformed::IcmpQuote)?;
    Ok(match is_echo {
        None => (u16::from_be_bytes([b0, b1]), u16::from_be_bytes([b2, b3])),
        Some(is_echo) if is_echo(b0) => (u16::from_be_bytes([b4, b5]), u16::from_be_bytes([b0, b1])),
        Some(_) => (0, u16::from_be_bytes([b0, b1])),
    })
}

#[cfg(test)]
mod tests;
