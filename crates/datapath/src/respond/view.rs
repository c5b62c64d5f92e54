//! What the responders are told of a port and its subnets: borrowed, nothing more than an answer needs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anet_model::host_plan::{AddressPair, Ipv6Mode, Subnet};
use anet_packet::addr::{IpPrefix, Mac, Mtu};

use super::SERVICE_ADDRESS_V4;

/// The port that a request came from.
#[derive(Debug, Clone, Copy)]
pub struct PortView<'a> {
    /// Its MAC.
    pub mac: Mac,
    /// Its fixed addresses: what DHCP gives.
    pub addresses: &'a [IpAddr],
    /// What it may use besides: shared addresses, which other ports may have too.
    pub allowed_address_pairs: &'a [AddressPair],
    /// Host name given by DHCPv4.
    pub hostname: Option<&'a str>,
    /// The network's MTU.
    pub mtu: Mtu,
    /// The network's subnets.
    pub subnets: &'a [SubnetView<'a>],
    /// The MAC that the service answers with; [`super::SERVICE_MAC`] unless the fabric is set up otherwise.
    pub service_mac: Mac,
}

/// A subnet of the port's network. The fields are those of [`Subnet`].
#[derive(Debug, Clone, Copy)]
pub struct SubnetView<'a> {
    /// Its range.
    pub prefix: IpPrefix,
    /// Default gateway announced.
    pub gateway: Option<IpAddr>,
    /// True where its addresses are given by DHCP.
    pub dhcp: bool,
    /// For IPv6: how addresses are given.
    pub ipv6_mode: Ipv6Mode,
    /// Name servers announced, of the prefix's family.
    pub dns_servers: &'a [IpAddr],
    /// Routes of option 121: destination, next hop.
    pub host_routes: &'a [(IpPrefix, Ipv4Addr)],
    /// Lifetime of a lease in seconds; `u32::MAX` is for ever.
    pub lease_s: u32,
}

impl<'a> From<&'a Subnet> for SubnetView<'a> {
    fn from(subnet: &'a Subnet) -> Self {
        Self {
            prefix: subnet.prefix,
            gateway: subnet.gateway,
            dhcp: subnet.dhcp,
            ipv6_mode: subnet.ipv6_mode,
            dns_servers: &subnet.dns_servers,
            host_routes: &subnet.host_routes,
            lease_s: subnet.lease_s,
        }
    }
}

impl<'a> SubnetView<'a> {
    /// The IPv4 gateway, where there is one.
    pub(super) fn gateway_v4(&self) -> Option<Ipv4Addr> {
        match self.gateway {
            Some(IpAddr::V4(gateway)) => Some(gateway),
            _ => None,
        }
    }

    /// The address that DHCPv4 answers from and names as server identifier.
    pub(super) fn server_v4(&self) -> Ipv4Addr {
        self.gateway_v4().unwrap_or(SERVICE_ADDRESS_V4)
    }

    /// Name servers of IPv4.
    pub(super) fn dns_v4(&self) -> impl Iterator<Item = Ipv4Addr> + 'a {
        self.dns_servers.iter().filter_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        })
    }

    /// Name servers of IPv6.
    pub(super) fn dns_v6(&self) -> impl Iterator<Item = Ipv6Addr> + 'a {
        self.dns_servers.iter().filter_map(|address| match address {
            IpAddr::V6(address) => Some(*address),
            IpAddr::V4(_) => None,
        })
    }

    fn is_dhcp_v6(&self) -> bool {
        match self.ipv6_mode {
            Ipv6Mode::DhcpV6Stateful => self.dhcp && self.prefix.address().is_ipv6(),
        }
    }
}

impl<'a> PortView<'a> {
    /// Subnets that DHCPv4 serves.
    pub(super) fn dhcp_v4_subnets(&self) -> impl Iterator<Item = &'a SubnetView<'a>> {
        self.subnets
            .iter()
            .filter(|subnet| subnet.dhcp && subnet.prefix.address().is_ipv4())
    }

    /// Subnets that DHCPv6 serves and router advertisements announce.
    pub(super) fn dhcp_v6_subnets(&self) -> impl Iterator<Item = &'a SubnetView<'a>> {
        self.subnets.iter().filter(|subnet| subnet.is_dhcp_v6())
    }

    /// The port's address in a subnet that DHCPv4 serves: the first, since a port has one lease.
    pub(super) fn lease_v4(&self) -> Option<(Ipv4Addr, &'a SubnetView<'a>)> {
        self.addresses.iter().find_map(|address| match address {
            IpAddr::V4(own) => Some((
                *own,
                self.dhcp_v4_subnets().find(|s| s.prefix.contains(*address))?,
            )),
            IpAddr::V6(_) => None,
        })
    }

    /// The port's addresses in subnets that DHCPv6 serves.
    pub(super) fn leases_v6(&self) -> impl Iterator<Item = (Ipv6Addr, &'a SubnetView<'a>)> {
        self.addresses.iter().filter_map(|address| match address {
            IpAddr::V6(own) => Some((
                *own,
                self.dhcp_v6_subnets().find(|s| s.prefix.contains(*address))?,
            )),
            IpAddr::V4(_) => None,
        })
    }

    /// True for an address that the port may use beside other ports.
    pub(super) fn shares(&self, address: IpAddr) -> bool {
        self.allowed_address_pairs
            .iter()
            .any(|pair| pair.prefix.contains(address))
    }

    /// True for the gateway of one of the subnets.
    pub(super) fn is_gateway(&self, address: IpAddr) -> bool {
        self.subnets.iter().any(|subnet| subnet.gateway == Some(address))
    }
}
