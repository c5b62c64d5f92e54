//! The frame of a trace: what a guest would send, out of the few fields that matter. [`super::tunnel_frame`] has those that
//! come out of the tunnel.

use std::net::{IpAddr, SocketAddr};

use anet_model::host_plan::Port;
use anet_packet::addr::Mac;
use anet_packet::build::{self, Stations};
use anet_packet::ethernet::{self, ethertype};
use anet_packet::{checksum, icmp, icmpv6, ipv4, ipv6, protocol};
use anet_wire::control::trace::{TraceFields, TraceProtocol};

/// A source port of the ephemeral range (RFC 6335) where none is given.
const EPHEMERAL: u16 = 49_152;
const FRAME_ROOM: usize = 128;
const TCP_HEADER: usize = 20;
const SYN: u8 = 0x02;

/// Why there is no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The port has no address of that family.
    #[error("the port has no address of the family of {destination}; give one with --from")]
    NoSource {
        /// Where the packet is to go.
        destination: IpAddr,
    },
    /// Source and destination are of different families.
    #[error("source {from} and destination {to} are of different families")]
    Families {
        /// Source.
        from: IpAddr,
        /// Destination.
        to: IpAddr,
    },
    /// Nobody in the network has the destination.
    #[error(
        "nobody in the network has {destination}: the guest's ARP or neighbor solicitation gets no answer"
    )]
    Unresolved {
        /// Where the packet is to go.
        destination: IpAddr,
    },
}

/// The frame that the guest of `port` would send. `resolve` answers what ARP or ND would.
pub fn build(
    port: &Port,
    fields: &TraceFields,
    resolve: impl Fn(IpAddr) -> Option<Mac>,
) -> Result<Vec<u8>, FrameError> {
    let to = fields.destination;
    let same_family = |address: &&IpAddr| address.is_ipv4() == to.is_ipv4();
    let own = port.addresses.iter().find(same_family).copied();
    let from = fields
        .source
        .or(own)
        .ok_or(FrameError::NoSource { destination: to })?;
    build_of(port.mac, from, fields, resolve)
}

/// The frame that a station with this MAC and address would send.
pub(super) fn build_of(
    source: Mac,
    from: IpAddr,
    fields: &TraceFields,
    resolve: impl Fn(IpAddr) -> Option<Mac>,
) -> Result<Vec<u8>, FrameError> {
    let to = fields.destination;
    if from.is_ipv4() != to.is_ipv4() {
        return Err(FrameError::Families { from, to });
    }
    let destination = fields
        .destination_mac
        .or_else(|| group_mac(to))
        .or_else(|| resolve(to))
        .ok_or(FrameError::Unresolved { destination: to })?;
    let stations = Stations { destination, source };
    let mut frame = vec![0; FRAME_ROOM];
    let length = match fields.protocol {
        TraceProtocol::Udp {
            source_port,
            destination_port,
        } => {
            let source = SocketAddr::new(from, source_port.unwrap_or(EPHEMERAL));
            build::udp(
                &mut frame,
                stations,
                source,
                SocketAddr::new(to, destination_port),
                &[],
            )
        }
        TraceProtocol::Icmp { kind, code } => echo(&mut frame, stations, from, to, (kind, code)),
        TraceProtocol::Tcp {
            source_port,
            destination_port,
        } => {
            let ports = (source_port.unwrap_or(EPHEMERAL), destination_port);
            return Ok(syn(stations, from, to, ports));
        }
    };
    // Both families were found equal and the room is more than any of these frames needs.
    frame.truncate(length.unwrap_or(0));
    Ok(frame)
}

fn echo(
    frame: &mut [u8],
    stations: Stations,
    from: IpAddr,
    to: IpAddr,
    (kind, code): (Option<u8>, Option<u8>),
) -> Result<usize, build::NoRoom> {
    let (rest, code) = ([0, 1, 0, 1], code.unwrap_or(0));
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let kind = kind.unwrap_or(icmp::kind::ECHO_REQUEST);
            build::icmp(frame, stations, from, to, &icmp::Header { kind, code, rest }, &[])
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let kind = kind.unwrap_or(icmpv6::kind::ECHO_REQUEST);
            build::icmpv6(
                frame,
                stations,
                from,
                to,
                &icmpv6::Header { kind, code, rest },
                &[],
            )
        }
        _ => Err(build::NoRoom { needed: usize::MAX }),
    }
}

/// A TCP segment with SYN (RFC 9293, 3.1), without options.
fn syn(stations: Stations, from: IpAddr, to: IpAddr, ports: (u16, u16)) -> Vec<u8> {
    let mut tcp = [0; TCP_HEADER];
    tcp[0..2].copy_from_slice(&ports.0.to_be_bytes());
    tcp[2..4].copy_from_slice(&ports.1.to_be_bytes());
    tcp[12] = ((TCP_HEADER / 4) << 4) as u8;
    tcp[13] = SYN;
    tcp[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    let pseudo = checksum::pseudo_header(from, to, protocol::TCP, TCP_HEADER as u32).unwrap_or(0);
    let sum = checksum::complement(pseudo + checksum::sum(&tcp));
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    let ethernet = ethernet::Header {
        destination: stations.destination,
        source: stations.source,
        ethertype: match to {
            IpAddr::V4(_) => ethertype::IPV4,
            IpAddr::V6(_) => ethertype::IPV6,
        },
    };
    let mut frame = ethernet.to_bytes().to_vec();
    match (from, to) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = ipv4::Header {
                traffic_class: 0,
                identification: 0,
                dont_fragment: true,
                time_to_live: 64,
                protocol: protocol::TCP,
                source,
                destination,
                payload_length: TCP_HEADER as u16,
            };
            frame.extend_from_slice(&header.to_bytes());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = ipv6::Header {
                traffic_class: 0,
                flow_label: 0,
                payload_length: TCP_HEADER as u16,
                next_header: protocol::TCP,
                hop_limit: 64,
                source,
                destination,
            };
            frame.extend_from_slice(&header.to_bytes());
        }
        _ => {}
    }
    frame.extend_from_slice(&tcp);
    frame
}

/// Group addresses need no resolution (RFC 1112, 6.4; RFC 2464, 7).
fn group_mac(address: IpAddr) -> Option<Mac> {
    match address {
        IpAddr::V4(address) if address.is_broadcast() => Some(Mac([0xff; 6])),
        IpAddr::V4(address) if address.is_multicast() => {
            let [_, b, c, d] = address.octets();
            Some(Mac([0x01, 0x00, 0x5e, b & 0x7f, c, d]))
        }
        IpAddr::V6(address) if address.is_multicast() => {
            let [.., a, b, c, d] = address.octets();
            Some(Mac([0x33, 0x33, a, b, c, d]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_packet::parse::{self, Kind};

    fn port() -> Port {
        let text = "networks:\n  blue: {vni: 10, mtu: 1450, endpoints: []}\nsubnets:\n  v4: {network: blue, prefix: 10.0.0.0/24}\n  \
                    v6: {network: blue, prefix: 'fd00::/64'}\nports:\n  a: {network: blue, mac: '02:00:00:00:00:01', addresses: [10.0.0.1, 'fd00::1']}\n";
        let plan = anet_wire::plan_text::parse(text).unwrap();
        plan.ports.into_values().next().unwrap()
    }

    fn fields(to: &str, protocol: TraceProtocol) -> TraceFields {
        TraceFields {
            source: None,
            destination: to.parse().unwrap(),
            destination_mac: None,
            protocol,
        }
    }

    #[test]
    fn frames_of_every_protocol_and_family_parse() {
        let protocols = [
            (
                TraceProtocol::Tcp {
                    source_port: None,
                    destination_port: 80,
                },
                [protocol::TCP; 2],
            ),
            (
                TraceProtocol::Udp {
                    source_port: Some(5),
                    destination_port: 80,
                },
                [protocol::UDP; 2],
            ),
            (
                TraceProtocol::Icmp {
                    kind: None,
                    code: None,
                },
                [protocol::ICMP, protocol::ICMPV6],
            ),
        ];
        for (family, to) in ["10.0.0.2", "fd00::2"].into_iter().enumerate() {
            for (wanted, numbers) in &protocols {
                let frame = build(&port(), &fields(to, *wanted), |_| Some(Mac([2; 6]))).unwrap();
                let layout = parse::layout(&frame, frame.len()).unwrap();
                assert_eq!(layout.protocol, numbers[family]);
                assert_eq!(layout.kind, [Kind::Ipv4, Kind::Ipv6][family]);
                let parsed = etherparse::SlicedPacket::from_ethernet(&frame).unwrap();
                assert!(parsed.transport.is_some());
                assert_eq!(frame[..12], [2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 1]);
            }
        }
    }

    #[test]
    fn what_the_guest_could_not_send_is_an_error() {
        let icmp = TraceProtocol::Icmp {
            kind: None,
            code: None,
        };
        let nobody = build(&port(), &fields("10.0.0.9", icmp), |_| None);
        assert!(matches!(nobody, Err(FrameError::Unresolved { .. })));
        let group = build(&port(), &fields("ff02::1", icmp), |_| None).unwrap();
        assert_eq!(group[..6], [0x33, 0x33, 0, 0, 0, 1]);
        let mut only_v4 = port();
        only_v4.addresses.truncate(1);
        let no_source = build(&only_v4, &fields("fd00::2", icmp), |_| Some(Mac([2; 6])));
        assert!(matches!(no_source, Err(FrameError::NoSource { .. })));
        let mixed = TraceFields {
            source: Some("fd00::1".parse().unwrap()),
            ..fields("10.0.0.2", icmp)
        };
        assert!(matches!(
            build(&port(), &mixed, |_| None),
            Err(FrameError::Families { .. })
        ));
    }
}
