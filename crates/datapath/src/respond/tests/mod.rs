//! A small network for the responders' tests, and an independent reader (etherparse) of what they answer.

mod arp;
mod dhcp_v4;
mod dhcp_v4_options;
mod dhcp_v4_refused;
mod dhcp_v6;
mod dhcp_v6_refused;
mod echo;
mod hostile;
mod neighbor;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anet_memory::buffer::Checksum;
use anet_model::host_plan::{AddressPair, Ipv6Mode};
use anet_packet::addr::{IpPrefix, Mac, Mtu};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use super::{Outcome, PortView, Request, SERVICE_MAC, SubnetView, answer};

pub(super) const GUEST: Mac = Mac([0x02, 0, 0, 0, 0, 0x0a]);
pub(super) const OTHER: Mac = Mac([0x02, 0, 0, 0, 0, 0x0b]);
pub(super) const GUEST_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);
pub(super) const OTHER_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
pub(super) const SHARED_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
pub(super) const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const GUEST_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x0a);
pub(super) const OTHER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x0b);
pub(super) const SHARED_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x64);
pub(super) const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);

/// The port under test and its network, to be changed by a test.
pub(super) struct Fixture {
    pub addresses: Vec<IpAddr>,
    pub pairs: Vec<AddressPair>,
    pub v4: Subnet,
    pub v6: Subnet,
    pub mtu: u32,
    /// A station that has the gateways' addresses.
    pub gateway_station: Option<Mac>,
}

pub(super) struct Subnet {
    pub gateway: bool,
    pub dhcp: bool,
    pub dns_servers: Vec<IpAddr>,
    pub host_routes: Vec<(IpPrefix, Ipv4Addr)>,
    pub lease_s: u32,
}

impl Subnet {
    fn new(dns: &str) -> Self {
        let dns_servers = vec![dns.parse().unwrap()];
        Self {
            gateway: true,
            dhcp: true,
            dns_servers,
            host_routes: Vec::new(),
            lease_s: 3_600,
        }
    }
}

impl Default for Fixture {
    fn default() -> Self {
        Self {
            addresses: vec![GUEST_V4.into(), GUEST_V6.into()],
            pairs: vec![
                AddressPair {
                    mac: None,
                    prefix: IpPrefix::host(SHARED_V4.into()),
                },
                AddressPair {
                    mac: None,
                    prefix: IpPrefix::host(SHARED_V6.into()),
                },
            ],
            v4: Subnet::new("9.9.9.9"),
            v6: Subnet::new("2620:fe::fe"),
            mtu: 1_450,
            gateway_station: None,
        }
    }
}

impl Fixture {
    /// Runs `test` with the port's view.
    pub(super) fn with_port<T>(&self, test: impl FnOnce(&PortView<'_>) -> T) -> T {
        let view = |subnet: &'static str, gateway: IpAddr, facts: &Subnet| {
            let prefix = subnet.parse().unwrap();
            (prefix, facts.gateway.then_some(gateway))
        };
        let (prefix_v4, gateway_v4) = view("10.0.0.0/24", GATEWAY_V4.into(), &self.v4);
        let (prefix_v6, gateway_v6) = view("fd00::/64", GATEWAY_V6.into(), &self.v6);
        let subnets = [
            subnet_view(prefix_v4, gateway_v4, &self.v4),
            subnet_view(prefix_v6, gateway_v6, &self.v6),
        ];
        test(&PortView {
            mac: GUEST,
            addresses: &self.addresses,
            allowed_address_pairs: &self.pairs,
            hostname: Some("guest-a"),
            mtu: Mtu::new(self.mtu).unwrap(),
            subnets: &subnets,
            service_mac: SERVICE_MAC,
        })
    }

    /// The stations of the network.
    pub(super) fn resolve(&self, address: IpAddr) -> Option<Mac> {
        match address {
            IpAddr::V4(GUEST_V4) | IpAddr::V6(GUEST_V6) => Some(GUEST),
            IpAddr::V4(OTHER_V4 | SHARED_V4) | IpAddr::V6(OTHER_V6 | SHARED_V6) => Some(OTHER),
            IpAddr::V4(GATEWAY_V4) | IpAddr::V6(GATEWAY_V6) => self.gateway_station,
            _ => None,
        }
    }

    /// Asks the responders; a frame that the layout refuses is no request.
    pub(super) fn answer(&self, frame: &[u8]) -> (Outcome, Vec<u8>) {
        let mut out = vec![0xee; 7];
        let outcome = match anet_packet::layout(frame, frame.len()) {
            Ok(layout) => self.with_port(|port| {
                let request = Request {
                    bytes: frame,
                    layout: &layout,
                    checksum: Checksum::Unknown,
                };
                answer(request, port, |address| self.resolve(address), &mut out)
            }),
            Err(malformed) => {
                out.clear();
                Outcome::Refused(malformed.into())
            }
        };
        assert_eq!(
            !out.is_empty(),
            matches!(outcome, Outcome::Reply(_)),
            "{outcome:?} with {} bytes",
            out.len()
        );
        (outcome, out)
    }
}

fn subnet_view(prefix: IpPrefix, gateway: Option<IpAddr>, facts: &Subnet) -> SubnetView<'_> {
    SubnetView {
        prefix,
        gateway,
        dhcp: facts.dhcp,
        ipv6_mode: Ipv6Mode::DhcpV6Stateful,
        dns_servers: &facts.dns_servers,
        host_routes: &facts.host_routes,
        lease_s: facts.lease_s,
    }
}

/// A reply as an independent parser reads it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub source_mac: Mac,
    pub destination_mac: Mac,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub hop_limit: u8,
    /// UDP ports.
    pub ports: Option<(u16, u16)>,
    /// The UDP payload, or the whole ICMP message.
    pub message: Vec<u8>,
}

/// Reads a reply with etherparse and checks every length and checksum in it.
pub(super) fn read(frame: &[u8]) -> Read {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let ethernet = packet.link.unwrap().to_header().unwrap().ethernet2().unwrap();
    let (source, destination, hop_limit): (IpAddr, IpAddr, u8) = match packet.net.as_ref().unwrap() {
        NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            assert_eq!(usize::from(header.total_len) + 14, frame.len());
            (
                header.source.into(),
                header.destination.into(),
                header.time_to_live,
            )
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header().to_header();
            assert_eq!(usize::from(header.payload_length) + 54, frame.len());
            (header.source.into(), header.destination.into(), header.hop_limit)
        }
        NetSlice::Arp(_) => panic!("ARP"),
    };
    let transport = packet.transport.unwrap();
    let (ports, message) = match (&transport, source, destination) {
        (TransportSlice::Udp(udp), IpAddr::V4(from), IpAddr::V4(to)) => {
            let header = udp.to_header();
            let sum = header
                .calc_checksum_ipv4_raw(from.octets(), to.octets(), udp.payload())
                .unwrap();
            assert_eq!(header.checksum, sum);
            (
                Some((udp.source_port(), udp.destination_port())),
                udp.payload().to_vec(),
            )
        }
        (TransportSlice::Udp(udp), IpAddr::V6(from), IpAddr::V6(to)) => {
            let header = udp.to_header();
            let sum = header
                .calc_checksum_ipv6_raw(from.octets(), to.octets(), udp.payload())
                .unwrap();
            assert_eq!(header.checksum, sum);
            (
                Some((udp.source_port(), udp.destination_port())),
                udp.payload().to_vec(),
            )
        }
        (TransportSlice::Icmpv6(icmp), IpAddr::V6(from), IpAddr::V6(to)) => {
            assert!(icmp.is_checksum_valid(from.octets(), to.octets()));
            (None, icmp.slice().to_vec())
        }
        (TransportSlice::Icmpv4(icmp), ..) => {
            let sum = icmp.icmp_type().calc_checksum(icmp.payload());
            assert_eq!(sum, icmp.checksum());
            (None, icmp.slice().to_vec())
        }
        other => panic!("{other:?}"),
    };
    Read {
        source_mac: Mac(ethernet.source),
        destination_mac: Mac(ethernet.destination),
        source,
        destination,
        hop_limit,
        ports,
        message,
    }
}
