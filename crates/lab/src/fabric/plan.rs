//! The plan of one host of a layout.

use std::net::IpAddr;
use std::path::Path;

use anet_model::host_plan::{
    Attachment, Budgets, Endpoint, HostPlan, Ipv6Mode, Network, Peer, Port, Subnet, Tunnel,
};
use anet_packet::addr::IpPrefix;

use super::layout::{GuestSpec, HostSpec, Layout, NetworkSpec, id};
use crate::Guest;

/// The port of VXLAN (RFC 7348).
const UDP_PORT: u16 = 4789;

impl Layout {
    /// The plan of a host. `netns` gives the path of the namespace in which a guest's TAP is to be made.
    pub fn host_plan(
        &self,
        host: &HostSpec,
        netns: impl Fn(&GuestSpec) -> Option<std::path::PathBuf>,
    ) -> HostPlan {
        let mut plan = HostPlan {
            tunnel: Some(Tunnel {
                address: host.address.into(),
                udp_port: UDP_PORT,
                dpdk: None,
            }),
            ..HostPlan::default()
        };
        let others = || self.hosts.iter().filter(|other| other.name != host.name);
        for other in others() {
            let endpoint = Endpoint {
                address: other.address.into(),
                udp_port: UDP_PORT,
                next_hop: None,
            };
            plan.endpoints.insert(id(other.name), endpoint);
        }
        for network in &self.networks {
            let members = others().filter(|other| self.has_member(other, network));
            let endpoints = members.map(|other| id(other.name)).collect();
            plan.networks.insert(
                id(network.name),
                Network {
                    vni: network.vni,
                    mtu: network.mtu,
                    endpoints,
                },
            );
            for (family, prefix) in [("4", network.ipv4), ("6", network.ipv6)] {
                plan.subnets
                    .insert(id(&format!("{}-{family}", network.name)), subnet(network, prefix));
            }
        }
        plan.security_groups.extend([self.group()]);
        for guest in &self.guests {
            if guest.host == host.name {
                let path = netns(guest);
                plan.ports
                    .insert(id(guest.name), self.port(guest, path.as_deref()));
            } else {
                plan.peers.insert(id(guest.name), self.peer(guest));
            }
        }
        plan
    }

    fn has_member(&self, host: &HostSpec, network: &NetworkSpec) -> bool {
        self.guests
            .iter()
            .any(|guest| guest.host == host.name && guest.network == network.name)
    }

    fn port(&self, guest: &GuestSpec, netns: Option<&Path>) -> Port {
        Port {
            network: id(guest.network),
            mac: guest.mac(),
            addresses: self.addresses(guest.name).to_vec(),
            allowed_address_pairs: Vec::new(),
            port_security: true,
            security_groups: vec![self.group().0],
            hostname: Some(guest.name.to_owned()),
            attachment: Attachment::Tap {
                interface: Guest::INTERFACE.to_owned(),
                netns: netns.map(|path| path.display().to_string()),
            },
            budgets: Budgets::default(),
            admin_up: true,
        }
    }

    fn peer(&self, guest: &GuestSpec) -> Peer {
        Peer {
            network: id(guest.network),
            mac: guest.mac(),
            addresses: self.addresses(guest.name).to_vec(),
            endpoint: id(guest.host),
        }
    }
}

fn subnet(network: &NetworkSpec, prefix: IpPrefix) -> Subnet {
    let name_server: IpAddr = match prefix.address() {
        IpAddr::V4(_) => network.addresses(2)[0],
        IpAddr::V6(_) => network.addresses(2)[1],
    };
    Subnet {
        network: id(network.name),
        prefix,
        gateway: None,
        dhcp: true,
        ipv6_mode: Ipv6Mode::DhcpV6Stateful,
        dns_servers: vec![name_server],
        host_routes: Vec::new(),
        lease_s: 3_600,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fabric::{tcp, udp};

    #[test]
    fn plans_of_all_hosts_are_valid_and_see_each_other() {
        let layout = Layout::two_hosts(&[("iperf", tcp(5201)), ("pace", udp(7001))]);
        for host in layout.hosts.iter().filter(|host| !host.foreign) {
            let plan = layout.host_plan(host, |guest| Some(Path::new("/run/netns").join(guest.name)));
            plan.validate().unwrap();
            assert_eq!(
                (plan.ports.len(), plan.peers.len(), plan.endpoints.len()),
                (3, 4, 2)
            );
        }
    }

    #[test]
    fn addresses_look_alike_in_both_families() {
        let layout = Layout::two_hosts(&[]);
        assert_eq!(
            layout.addresses("blue-11").map(|a| a.to_string()),
            ["10.0.0.11", "fd00:10::11"]
        );
        assert_eq!(
            layout.addresses("green-11"),
            layout.addresses("blue-11"),
            "networks overlap"
        );
        assert_eq!(layout.guest("blue-11").mac().to_string(), "02:00:00:00:00:11");
    }

    #[test]
    fn what_was_opened_can_be_closed() {
        let mut layout = Layout::two_hosts(&[("web", tcp(80))]);
        let before = layout.rules.len();
        layout.close("web");
        assert_eq!(layout.rules.len(), before - 2);
    }
}
