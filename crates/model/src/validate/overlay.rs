//! Tunnel, endpoints, networks and subnets.

use std::net::{IpAddr, Ipv4Addr};

use anet_packet::addr::IpPrefix;

use super::station::check_dpdk_device;
use super::{Check, Checker, Subject, at_most, is_host_of, is_station_address, no_repeats, wrong};
use crate::host_plan::{DpdkUnderlay, Endpoint, EndpointId, Family, Network, NetworkId, Subnet, SubnetId};
use crate::index::{DeviceKey, dpdk_name};
use crate::limits;

/// The smallest MTU a link with IPv6 may have (RFC 8200, section 5).
const IPV6_MTU_MINIMUM: u16 = 1280;

impl Checker<'_> {
    pub(super) fn check_tunnel(self) -> Check {
        let Some(tunnel) = &self.plan.tunnel else {
            return Ok(());
        };
        check_underlay_address(tunnel.address)?;
        check_udp_port(tunnel.udp_port)?;
        match &tunnel.dpdk {
            Some(underlay) => self.check_dpdk_underlay(underlay),
            None => Ok(()),
        }
    }

    fn check_dpdk_underlay(self, underlay: &DpdkUnderlay) -> Check {
        check_dpdk_device(&underlay.device)?;
        if !underlay.mac.is_station() {
            let problem = format!("{} is a group address or zero", underlay.mac);
            return wrong("dpdk.mac", problem, "a station's MAC");
        }
        let key = DeviceKey::Dpdk(dpdk_name(&underlay.device).to_owned());
        match self.index.devices.of(&key).first() {
            Some(port) => wrong(
                "dpdk.device",
                format!("{port} has the same device"),
                "a device of its own",
            ),
            None => Ok(()),
        }
    }

    /// Without the kernel nobody else knows where packets to an endpoint go.
    fn check_next_hop(self, endpoint: &Endpoint) -> Check {
        let has_device = self
            .plan
            .tunnel
            .as_ref()
            .is_some_and(|tunnel| tunnel.dpdk.is_some());
        match endpoint.next_hop {
            Some(mac) if !mac.is_station() => wrong(
                "next_hop",
                format!("{mac} is a group address or zero"),
                "a station's MAC",
            ),
            None if has_device => wrong(
                "next_hop",
                "the tunnel's DPDK device knows no neighbours",
                "the MAC of the endpoint, or of the router to it",
            ),
            _ => Ok(()),
        }
    }

    pub(super) fn check_endpoint(self, subject: &Subject, id: &EndpointId) -> Check {
        let Some(endpoint) = self.plan.endpoints.get(id) else {
            return Ok(());
        };
        check_underlay_address(endpoint.address)?;
        check_udp_port(endpoint.udp_port)?;
        self.check_next_hop(endpoint)?;
        let Some(tunnel) = &self.plan.tunnel else {
            return wrong(
                "address",
                "the host has no tunnel to reach it from",
                "a plan with a tunnel",
            );
        };
        if Family::of(tunnel.address) != Family::of(endpoint.address) {
            let problem = format!(
                "{} is not of the family of the tunnel {}",
                endpoint.address, tunnel.address
            );
            return wrong(
                "address",
                problem,
                format!("an {} address", Family::of(tunnel.address)),
            );
        }
        if tunnel.address == endpoint.address {
            let problem = format!("{} is this host's own tunnel address", endpoint.address);
            return wrong("address", problem, "the address of another host");
        }
        match self.index.endpoint_addresses.earlier(&endpoint.address, subject) {
            Some(other) => wrong(
                "address",
                format!("{} is also {other}", endpoint.address),
                "one endpoint an address",
            ),
            None => Ok(()),
        }
    }

    pub(super) fn check_network(self, subject: &Subject, id: &NetworkId) -> Check {
        let Some(network) = self.plan.networks.get(id) else {
            return Ok(());
        };
        if let Some(other) = self.index.vnis.earlier(&network.vni, subject) {
            return wrong(
                "vni",
                format!("{} is also the VNI of {other}", network.vni),
                "a VNI of its own",
            );
        }
        at_most(
            "subnets",
            self.index.network_subnets.count(id),
            limits::SUBNETS_PER_NETWORK,
        )?;
        self.check_network_endpoints(network)
    }

    fn check_network_endpoints(self, network: &Network) -> Check {
        at_most(
            "endpoints",
            network.endpoints.len(),
            limits::ENDPOINTS_PER_NETWORK,
        )?;
        no_repeats("endpoints", &network.endpoints)?;
        match network
            .endpoints
            .iter()
            .find(|id| !self.plan.endpoints.contains_key(*id))
        {
            Some(missing) => wrong(
                "endpoints",
                format!("there is no endpoint {missing}"),
                "endpoints of the plan",
            ),
            None => Ok(()),
        }
    }

    pub(super) fn check_subnet(self, id: &SubnetId) -> Check {
        let Some(subnet) = self.plan.subnets.get(id) else {
            return Ok(());
        };
        let Some(network) = self.plan.networks.get(&subnet.network) else {
            return wrong(
                "network",
                format!("there is no network {}", subnet.network),
                "a network of the plan",
            );
        };
        if subnet.prefix.address().is_ipv6() && network.mtu.get() < IPV6_MTU_MINIMUM {
            let problem = format!(
                "IPv6 needs more than the {} bytes of its network's MTU",
                network.mtu.get()
            );
            return wrong(
                "prefix",
                problem,
                format!("a network with an MTU of {IPV6_MTU_MINIMUM} or more"),
            );
        }
        self.check_subnet_alone_in_range(id, subnet)?;
        check_gateway(subnet)?;
        check_dns_servers(subnet)?;
        check_host_routes(subnet)?;
        if subnet.lease_s < limits::LEASE_SECONDS_MINIMUM {
            let expected = format!("{} seconds or more", limits::LEASE_SECONDS_MINIMUM);
            return wrong("lease_s", format!("{} is too short", subnet.lease_s), expected);
        }
        Ok(())
    }

    fn check_subnet_alone_in_range(self, id: &SubnetId, subnet: &Subnet) -> Check {
        if subnet.prefix.address().is_multicast() {
            let problem = format!("{} is a multicast range", subnet.prefix);
            return wrong("prefix", problem, "a unicast range");
        }
        match self.overlapping_subnets(id, subnet).find(|other| *other < id) {
            Some(other) => {
                let problem = format!("{} overlaps subnet {other} of the same network", subnet.prefix);
                wrong("prefix", problem, "a range of its own")
            }
            None => Ok(()),
        }
    }

    /// The other subnets of the network whose range shares an address with this one. At most
    /// [`limits::SUBNETS_PER_NETWORK`] are looked at, unless the network itself is refused.
    pub(crate) fn overlapping_subnets<'a>(
        self,
        id: &'a SubnetId,
        subnet: &'a Subnet,
    ) -> impl Iterator<Item = &'a SubnetId>
    where
        Self: 'a,
    {
        let subnets = &self.plan.subnets;
        let others = self
            .index
            .network_subnets
            .of(&subnet.network)
            .filter(move |other| *other != id);
        others.filter(move |other| {
            subnets
                .get(*other)
                .is_some_and(|o| overlap(o.prefix, subnet.prefix))
        })
    }
}

fn overlap(a: IpPrefix, b: IpPrefix) -> bool {
    a.contains(b.address()) || b.contains(a.address())
}

fn check_underlay_address(address: IpAddr) -> Check {
    let link_local = matches!(address, IpAddr::V6(a) if a.is_unicast_link_local());
    if link_local || !(is_station_address(address) || address.is_loopback()) {
        let problem = format!("{address} cannot be the end of a tunnel");
        return wrong("address", problem, "a unicast address, not link-local");
    }
    Ok(())
}

fn check_udp_port(udp_port: u16) -> Check {
    if udp_port == 0 {
        wrong("udp_port", "0 is not a port", "1 to 65535")
    } else {
        Ok(())
    }
}

fn check_gateway(subnet: &Subnet) -> Check {
    match subnet.gateway {
        Some(gateway) if !(is_host_of(subnet.prefix, gateway) && is_station_address(gateway)) => {
            let problem = format!("{gateway} is not a host's address inside {}", subnet.prefix);
            wrong("gateway", problem, "an address of the subnet")
        }
        _ => Ok(()),
    }
}

fn check_dns_servers(subnet: &Subnet) -> Check {
    at_most(
        "dns_servers",
        subnet.dns_servers.len(),
        limits::DNS_SERVERS_PER_SUBNET,
    )?;
    no_repeats("dns_servers", &subnet.dns_servers)?;
    let family = Family::of(subnet.prefix.address());
    let misfit = subnet
        .dns_servers
        .iter()
        .find(|a| Family::of(**a) != family || !is_station_address(**a));
    match misfit {
        Some(address) => wrong(
            "dns_servers",
            format!("{address} is not a server's {family} address"),
            format!("unicast {family} addresses, as the subnet's prefix"),
        ),
        None => Ok(()),
    }
}

fn check_host_routes(subnet: &Subnet) -> Check {
    let field = "host_routes";
    at_most(field, subnet.host_routes.len(), limits::HOST_ROUTES_PER_SUBNET)?;
    for (destination, next_hop) in &subnet.host_routes {
        if !subnet.prefix.address().is_ipv4() {
            return wrong(
                field,
                "an IPv6 subnet has none",
                "host routes on IPv4 subnets only (RFC 3442)",
            );
        }
        if !destination.address().is_ipv4() {
            return wrong(
                field,
                format!("{destination} is not IPv4"),
                "IPv4 destinations (RFC 3442)",
            );
        }
        let on_link = *next_hop == Ipv4Addr::UNSPECIFIED;
        if !on_link && !subnet.prefix.contains(IpAddr::V4(*next_hop)) {
            let problem = format!("{next_hop} is not inside {}", subnet.prefix);
            return wrong(
                field,
                problem,
                "a next hop inside the subnet, or 0.0.0.0 for on-link",
            );
        }
    }
    let destinations: Vec<IpPrefix> = subnet
        .host_routes
        .iter()
        .map(|(destination, _)| *destination)
        .collect();
    no_repeats(field, &destinations)
}
