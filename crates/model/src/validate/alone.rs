//! One object by itself: the same questions for who admits it and for who plans it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anet_packet::addr::IpPrefix;

use super::ValidationError;
use crate::host_plan::{HostPlan, Network, Subnet, SubnetId, Tunnel};

/// Whether a plan may have this subnet in this network, beside no other. The network's endpoints play no part.
pub fn subnet_alone(id: &SubnetId, subnet: &Subnet, network: &Network) -> Result<(), ValidationError> {
    let network = Network {
        endpoints: Vec::new(),
        ..network.clone()
    };
    let plan = HostPlan {
        networks: BTreeMap::from([(subnet.network.clone(), network)]),
        subnets: BTreeMap::from([(id.clone(), subnet.clone())]),
        ..HostPlan::default()
    };
    plan.validate()
}

/// Whether a tunnel may end there.
pub fn tunnel_alone(address: IpAddr, udp_port: u16) -> Result<(), ValidationError> {
    let tunnel = Tunnel {
        address,
        udp_port,
        dpdk: None,
    };
    let plan = HostPlan {
        tunnel: Some(tunnel),
        ..HostPlan::default()
    };
    plan.validate()
}

/// True where other hosts can reach a tunnel's end: one that is legal, not on this host only (loopback), and not an IPv4 address in
/// IPv6's form, which no packet carries.
pub fn is_tunnel_between_hosts(address: IpAddr) -> bool {
    const ANY_PORT: u16 = 4789;
    tunnel_alone(address, ANY_PORT).is_ok() && !address.is_loopback() && address.to_canonical() == address
}

/// True for a range that a subnet's hosts may have addresses of: none of them is one that no station can have
/// ([`super::is_station_address`]), or IPv4's in IPv6's form.
pub fn is_station_range(prefix: IpPrefix) -> bool {
    let without: [(IpAddr, u8); 3] = match prefix.address() {
        IpAddr::V4(_) => [
            (Ipv4Addr::UNSPECIFIED.into(), 8),
            (Ipv4Addr::LOCALHOST.into(), 8),
            (Ipv4Addr::new(224, 0, 0, 0).into(), 4),
        ],
        IpAddr::V6(_) => [
            (Ipv6Addr::LOCALHOST.into(), 127),
            (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0).into(), 8),
            (Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().into(), 96),
        ],
    };
    let overlaps = |(address, length): (IpAddr, u8)| {
        let other = IpPrefix::containing(address, length);
        other.is_ok_and(|other| other.contains(prefix.address()) || prefix.contains(other.address()))
    };
    // In a wider range the broadcast address is the range's own, which is no host's.
    let broadcast = prefix.length() >= 31 && prefix.contains(Ipv4Addr::BROADCAST.into());
    !broadcast && !without.into_iter().any(overlaps)
}
