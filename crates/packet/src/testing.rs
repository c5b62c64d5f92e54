//! Frames for tests, behind the feature `testing`: a builder of legal frames and generators of many.
//!
//! Everything is right unless asked otherwise: lengths, checksums, the flags of a fragment. Tests that want a wrong
//! frame build a right one and spoil its bytes. This is the one module of the crate that allocates.

mod dhcp;
mod emit;
pub mod generators;
mod refine;

use crate::addr::{Mac, Vlan};
use crate::arp::{self, Arp};
use crate::ethernet::ethertype;
use crate::{icmp, icmpv6, ipv4, ipv6, ndp, protocol, tcp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use dhcp::{dhcp_discover, dhcp_request};

/// Builds a frame: begin with one of the functions that name a protocol, refine, then [`Self::build`].
#[derive(Debug, Clone)]
pub struct FrameBuilder {
    destination: Mac,
    source: Mac,
    vlan: Option<Vlan>,
    network: Network,
    transport: Transport,
    payload: Vec<u8>,
    minimum: usize,
    partial: bool,
    identification: Option<u32>,
}

#[derive(Debug, Clone)]
enum Network {
    V4(ipv4::Header, Vec<u8>),
    V6(ipv6::Header, Vec<(u8, Vec<u8>)>),
    Raw(u16),
}

#[derive(Debug, Clone)]
enum Transport {
    None,
    Udp { source: u16, destination: u16 },
    Tcp(Tcp),
    Icmp(icmp::Header),
    Icmpv6(icmpv6::Header),
}

#[derive(Debug, Clone, Default)]
struct Tcp {
    source: u16,
    destination: u16,
    sequence: u32,
    acknowledgment: u32,
    flags: u8,
    window: u16,
    options: Vec<u8>,
}

impl FrameBuilder {
    fn new(source: Mac, destination: Mac, network: Network, transport: Transport) -> Self {
        let (vlan, payload, minimum, partial) = (None, Vec::new(), 0, false);
        Self {
            destination,
            source,
            vlan,
            network,
            transport,
            payload,
            minimum,
            partial,
            identification: None,
        }
    }

    fn ip(macs: (Mac, Mac), addresses: (IpAddr, IpAddr), protocol: u8, transport: Transport) -> Self {
        let network = match addresses {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Network::V4(
                ipv4::Header {
                    traffic_class: 0,
                    identification: 0x4242,
                    dont_fragment: true,
                    time_to_live: 64,
                    protocol,
                    source,
                    destination,
                    payload_length: 0,
                },
                Vec::new(),
            ),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Network::V6(
                ipv6::Header {
                    traffic_class: 0,
                    flow_label: 0,
                    payload_length: 0,
                    next_header: protocol,
                    hop_limit: 64,
                    source,
                    destination,
                },
                Vec::new(),
            ),
            (source, destination) => panic!("addresses of two families: {source}, {destination}"),
        };
        Self::new(macs.0, macs.1, network, transport)
    }

    /// UDP of either family.
    pub fn udp(
        source_mac: Mac,
        destination_mac: Mac,
        source: IpAddr,
        destination: IpAddr,
        ports: (u16, u16),
    ) -> Self {
        let transport = Transport::Udp {
            source: ports.0,
            destination: ports.1,
        };
        Self::ip(
            (source_mac, destination_mac),
            (source, destination),
            protocol::UDP,
            transport,
        )
    }

    /// TCP of either family, with ACK set.
    pub fn tcp(
        source_mac: Mac,
        destination_mac: Mac,
        source: IpAddr,
        destination: IpAddr,
        ports: (u16, u16),
    ) -> Self {
        let (sequence, acknowledgment, window) = (1000, 2000, 0x7210);
        let tcp = Tcp {
            source: ports.0,
            destination: ports.1,
            sequence,
            acknowledgment,
            flags: tcp::flag::ACK,
            window,
            options: Vec::new(),
        };
        Self::ip(
            (source_mac, destination_mac),
            (source, destination),
            protocol::TCP,
            Transport::Tcp(tcp),
        )
    }

    /// UDP over IPv4.
    pub fn udp4(
        source_mac: Mac,
        destination_mac: Mac,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        source_port: u16,
        destination_port: u16,
    ) -> Self {
        Self::udp(
            source_mac,
            destination_mac,
            source.into(),
            destination.into(),
            (source_port, destination_port),
        )
    }

    /// UDP over IPv6.
    pub fn udp6(
        source_mac: Mac,
        destination_mac: Mac,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        source_port: u16,
        destination_port: u16,
    ) -> Self {
        Self::udp(
            source_mac,
            destination_mac,
            source.into(),
            destination.into(),
            (source_port, destination_port),
        )
    }

    /// TCP over IPv4, with ACK set.
    pub fn tcp4(
        source_mac: Mac,
        destination_mac: Mac,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        source_port: u16,
        destination_port: u16,
    ) -> Self {
        Self::tcp(
            source_mac,
            destination_mac,
            source.into(),
            destination.into(),
            (source_port, destination_port),
        )
    }

    /// TCP over IPv6, with ACK set.
    pub fn tcp6(
        source_mac: Mac,
        destination_mac: Mac,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        source_port: u16,
        destination_port: u16,
    ) -> Self {
        Self::tcp(
            source_mac,
            destination_mac,
            source.into(),
            destination.into(),
            (source_port, destination_port),
        )
    }

    /// An ICMP message: `rest` is the header's second word.
    pub fn icmp4(
        source_mac: Mac,
        destination_mac: Mac,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        (kind, code): (u8, u8),
        rest: [u8; 4],
    ) -> Self {
        let transport = Transport::Icmp(icmp::Header { kind, code, rest });
        let addresses = (source.into(), destination.into());
        Self::ip(
            (source_mac, destination_mac),
            addresses,
            protocol::ICMP,
            transport,
        )
    }

    /// An ICMPv6 message: `rest` is the header's second word. Neighbor discovery gets hop limit 255.
    pub fn icmp6(
        source_mac: Mac,
        destination_mac: Mac,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        (kind, code): (u8, u8),
        rest: [u8; 4],
    ) -> Self {
        let transport = Transport::Icmpv6(icmpv6::Header { kind, code, rest });
        let addresses = (source.into(), destination.into());
        let frame = Self::ip(
            (source_mac, destination_mac),
            addresses,
            protocol::ICMPV6,
            transport,
        );
        if icmpv6::is_neighbor_discovery(kind) {
            frame.time_to_live(255)
        } else {
            frame
        }
    }

    /// An echo request of either family.
    pub fn echo_request(
        source_mac: Mac,
        destination_mac: Mac,
        source: IpAddr,
        destination: IpAddr,
        identifier: u16,
        sequence: u16,
    ) -> Self {
        let kinds = (icmp::kind::ECHO_REQUEST, icmpv6::kind::ECHO_REQUEST);
        Self::echo(
            (source_mac, destination_mac),
            (source, destination),
            kinds,
            (identifier, sequence),
        )
    }

    /// An echo reply of either family.
    pub fn echo_reply(
        source_mac: Mac,
        destination_mac: Mac,
        source: IpAddr,
        destination: IpAddr,
        identifier: u16,
        sequence: u16,
    ) -> Self {
        let kinds = (icmp::kind::ECHO_REPLY, icmpv6::kind::ECHO_REPLY);
        Self::echo(
            (source_mac, destination_mac),
            (source, destination),
            kinds,
            (identifier, sequence),
        )
    }

    fn echo(
        macs: (Mac, Mac),
        addresses: (IpAddr, IpAddr),
        kinds: (u8, u8),
        (id, sequence): (u16, u16),
    ) -> Self {
        let ([i0, i1], [s0, s1]) = (id.to_be_bytes(), sequence.to_be_bytes());
        let rest = [i0, i1, s0, s1];
        match addresses {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Self::icmp4(macs.0, macs.1, source, destination, (kinds.0, 0), rest)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                Self::icmp6(macs.0, macs.1, source, destination, (kinds.1, 0), rest)
            }
            (source, destination) => panic!("addresses of two families: {source}, {destination}"),
        }
    }

    /// IP of either family with another protocol; the payload follows the IP header.
    pub fn other_protocol(
        source_mac: Mac,
        destination_mac: Mac,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
    ) -> Self {
        Self::ip(
            (source_mac, destination_mac),
            (source, destination),
            protocol,
            Transport::None,
        )
    }

    /// Any EtherType; the payload follows the Ethernet header.
    pub fn raw(source_mac: Mac, destination_mac: Mac, ethertype: u16) -> Self {
        Self::new(
            source_mac,
            destination_mac,
            Network::Raw(ethertype),
            Transport::None,
        )
    }

    /// An ARP packet in a frame from its sender.
    pub fn arp(destination_mac: Mac, arp: &Arp) -> Self {
        Self::raw(arp.sender_mac, destination_mac, ethertype::ARP).payload_bytes(&arp.to_bytes())
    }

    /// An ARP request, by broadcast.
    pub fn arp_request(source_mac: Mac, source: Ipv4Addr, target: Ipv4Addr) -> Self {
        let (operation, target_mac) = (arp::REQUEST, Mac::ZERO);
        let arp = Arp {
            operation,
            sender_mac: source_mac,
            sender: source,
            target_mac,
            target,
        };
        Self::arp(Mac::BROADCAST, &arp)
    }

    /// An ARP reply.
    pub fn arp_reply(source_mac: Mac, destination_mac: Mac, source: Ipv4Addr, target: Ipv4Addr) -> Self {
        let arp = Arp {
            operation: arp::REPLY,
            sender_mac: source_mac,
            sender: source,
            target_mac: destination_mac,
            target,
        };
        Self::arp(destination_mac, &arp)
    }

    /// An announcement (gratuitous ARP), by broadcast.
    pub fn arp_announcement(source_mac: Mac, address: Ipv4Addr) -> Self {
        Self::arp_request(source_mac, address, address)
    }

    /// A neighbor solicitation with the sender's MAC as option, to the target's solicited-node group. From `::` it is a
    /// probe and has no option.
    pub fn neighbor_solicitation(source_mac: Mac, source: Ipv6Addr, target: Ipv6Addr) -> Self {
        let group = ipv6::solicited_node(target);
        let kind = (icmpv6::kind::NEIGHBOR_SOLICITATION, 0);
        let frame = Self::icmp6(source_mac, multicast_mac(group), source, group, kind, [0; 4]);
        let mut body = target.octets().to_vec();
        if !source.is_unspecified() {
            body.extend(ndp::link_layer(ndp::option::SOURCE_LINK_LAYER, source_mac));
        }
        frame.payload_bytes(&body)
    }

    /// A neighbor advertisement that tells `target`'s MAC to be the sender's: solicited and override, or, to all
    /// nodes, override alone.
    pub fn neighbor_advertisement(
        source_mac: Mac,
        destination_mac: Mac,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        target: Ipv6Addr,
    ) -> Self {
        let (rest, body) = ndp::NeighborAdvertisement {
            target,
            mac: source_mac,
            is_router: false,
            is_solicited: !destination.is_multicast(),
            is_override: true,
        }
        .to_parts();
        let kind = (icmpv6::kind::NEIGHBOR_ADVERTISEMENT, 0);
        Self::icmp6(source_mac, destination_mac, source, destination, kind, rest).payload_bytes(&body)
    }

    /// A router solicitation to all routers.
    pub fn router_solicitation(source_mac: Mac, source: Ipv6Addr) -> Self {
        let routers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
        let kind = (icmpv6::kind::ROUTER_SOLICITATION, 0);
        let frame = Self::icmp6(source_mac, multicast_mac(routers), source, routers, kind, [0; 4]);
        if source.is_unspecified() {
            return frame;
        }
        frame.payload_bytes(&ndp::link_layer(ndp::option::SOURCE_LINK_LAYER, source_mac))
    }
}

/// The MAC of an IPv6 multicast group (RFC 2464, 7).
pub fn multicast_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

#[cfg(test)]
mod tests;
