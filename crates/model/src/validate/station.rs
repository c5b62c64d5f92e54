//! Ports and peers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anet_packet::addr::Mac;

use super::{Check, Checker, Subject, at_most, is_host_of, is_station_address, no_repeats, wrong};
use crate::host_plan::{Attachment, NetworkId, Peer, Port, PortId};
use crate::index::{device_key, dpdk_name};
use crate::limits;

impl Checker<'_> {
    pub(super) fn check_port(self, subject: &Subject, id: &PortId) -> Check {
        let Some(port) = self.plan.ports.get(id) else {
            return Ok(());
        };
        self.check_station(subject, &port.network, port.mac, &port.addresses)?;
        self.check_addresses_have_a_subnet(port)?;
        check_address_pairs(port)?;
        self.check_groups_of_port(port)?;
        check_hostname(port)?;
        check_attachment(&port.attachment)?;
        let claimed = device_key(&port.attachment);
        match claimed.and_then(|key| self.index.devices.earlier(&key, subject)) {
            Some(other) => wrong(
                "attachment",
                format!("{other} has the same interface"),
                "an interface of its own",
            ),
            None => Ok(()),
        }
    }

    pub(super) fn check_peer(self, subject: &Subject, id: &PortId) -> Check {
        let Some(peer) = self.plan.peers.get(id) else {
            return Ok(());
        };
        if self.plan.ports.contains_key(id) {
            return wrong(
                "id",
                "a port of this host has the same id",
                "either a port or a peer of an id",
            );
        }
        self.check_station(subject, &peer.network, peer.mac, &peer.addresses)?;
        self.check_endpoint_of_peer(peer)
    }

    /// A peer behind an endpoint that its network does not accept frames from could send nothing.
    fn check_endpoint_of_peer(self, peer: &Peer) -> Check {
        if !self.plan.endpoints.contains_key(&peer.endpoint) {
            return wrong(
                "endpoint",
                format!("there is no endpoint {}", peer.endpoint),
                "an endpoint of the plan",
            );
        }
        if !self
            .index
            .endpoint_networks
            .contains(&peer.endpoint, &peer.network)
        {
            let problem = format!(
                "{} is not among the endpoints of network {}",
                peer.endpoint, peer.network
            );
            return wrong("endpoint", problem, "an endpoint of the peer's network");
        }
        Ok(())
    }

    fn check_station(self, subject: &Subject, network: &NetworkId, mac: Mac, addresses: &[IpAddr]) -> Check {
        if !self.plan.networks.contains_key(network) {
            return wrong(
                "network",
                format!("there is no network {network}"),
                "a network of the plan",
            );
        }
        if !mac.is_station() {
            return wrong(
                "mac",
                format!("{mac} is a group address or zero"),
                "a station's MAC, as 02:00:00:00:00:01",
            );
        }
        if let Some(other) = self.index.macs.earlier(&(network.clone(), mac), subject) {
            return wrong(
                "mac",
                format!("{mac} is also the MAC of {other}"),
                "a MAC of its own in the network",
            );
        }
        self.check_addresses(subject, network, addresses)
    }

    fn check_addresses(self, subject: &Subject, network: &NetworkId, addresses: &[IpAddr]) -> Check {
        at_most("addresses", addresses.len(), limits::ADDRESSES_PER_STATION)?;
        no_repeats("addresses", addresses)?;
        for address in addresses {
            if !is_station_address(*address) {
                return wrong(
                    "addresses",
                    format!("{address} is not a host's address"),
                    "unicast addresses",
                );
            }
            if let Some(other) = self
                .index
                .addresses
                .earlier(&(network.clone(), *address), subject)
            {
                let problem = format!("{address} is also an address of {other}");
                return wrong(
                    "addresses",
                    problem,
                    "addresses of its own (or allowed_address_pairs to share one)",
                );
            }
        }
        Ok(())
    }

    fn check_addresses_have_a_subnet(self, port: &Port) -> Check {
        let subnets = || {
            self.index
                .network_subnets
                .of(&port.network)
                .filter_map(|id| self.plan.subnets.get(id))
        };
        for address in &port.addresses {
            let Some(subnet) = subnets().find(|subnet| subnet.prefix.contains(*address)) else {
                let problem = format!("{address} is in no subnet of network {}", port.network);
                return wrong(
                    "addresses",
                    problem,
                    "addresses inside a subnet of the port's network",
                );
            };
            if !is_host_of(subnet.prefix, *address) {
                let problem = format!("{address} is the first or last address of {}", subnet.prefix);
                return wrong(
                    "addresses",
                    problem,
                    "an address between the network's own and its broadcast",
                );
            }
        }
        Ok(())
    }

    fn check_groups_of_port(self, port: &Port) -> Check {
        let field = "security_groups";
        at_most(
            field,
            port.security_groups.len(),
            limits::SECURITY_GROUPS_PER_PORT,
        )?;
        no_repeats(field, &port.security_groups)?;
        let mut rules = 0;
        let mut sets = BTreeSet::new();
        for id in &port.security_groups {
            let Some(group) = self.plan.security_groups.get(id) else {
                return wrong(
                    field,
                    format!("there is no security group {id}"),
                    "security groups of the plan",
                );
            };
            rules += group.rules.len();
            sets.extend(
                self.index
                    .group_sets
                    .get(id)
                    .into_iter()
                    .flat_map(|sets| sets.keys()),
            );
        }
        let too_many = |what: &str, found: usize, limit: usize| match found > limit {
            true => wrong(
                field,
                format!("its groups have {found} {what} together"),
                format!("at most {limit}"),
            ),
            false => Ok(()),
        };
        too_many("rules", rules, limits::RULES_PER_PORT)?;
        too_many("address sets", sets.len(), limits::ADDRESS_SETS_PER_PORT)
    }
}

fn check_address_pairs(port: &Port) -> Check {
    let field = "allowed_address_pairs";
    at_most(
        field,
        port.allowed_address_pairs.len(),
        limits::ADDRESS_PAIRS_PER_PORT,
    )?;
    for pair in &port.allowed_address_pairs {
        if let Some(mac) = pair.mac.filter(|mac| !mac.is_station()) {
            return wrong(
                field,
                format!("{mac} is a group address or zero"),
                "a station's MAC",
            );
        }
        if pair.prefix.address().is_multicast() {
            return wrong(
                field,
                format!("{} is a multicast range", pair.prefix),
                "unicast addresses or ranges",
            );
        }
    }
    Ok(())
}

/// True for labels of letters, digits and inner hyphens, joined by dots (RFC 1123), of at most
/// [`limits::HOSTNAME_BYTES`] bytes.
pub fn is_host_name(name: &str) -> bool {
    let legal_label = |label: &str| {
        let bytes = label.as_bytes();
        let inner = bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
        inner
            && (1..=63).contains(&bytes.len())
            && bytes.first() != Some(&b'-')
            && bytes.last() != Some(&b'-')
    };
    name.len() <= limits::HOSTNAME_BYTES && name.split('.').all(legal_label)
}

fn check_hostname(port: &Port) -> Check {
    match &port.hostname {
        Some(name) if !is_host_name(name) => wrong(
            "hostname",
            format!("`{}` is not a host name", excerpt(name)),
            "labels of a-z A-Z 0-9 - joined by dots, 253 bytes at most (RFC 1123)",
        ),
        _ => Ok(()),
    }
}

fn check_attachment(attachment: &Attachment) -> Check {
    let (interface, netns) = match attachment {
        Attachment::Tap { interface, netns } | Attachment::Packet { interface, netns } => (interface, netns),
        Attachment::Dpdk { device } => return check_dpdk_device(device),
        Attachment::Detached => return Ok(()),
    };
    let legal = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%');
    let named = (1..=limits::INTERFACE_NAME_BYTES).contains(&interface.len()) && interface.bytes().all(legal);
    if !named || interface == "." || interface == ".." {
        return wrong(
            "interface",
            format!("`{}` is not an interface name", excerpt(interface)),
            "1 to 15 printable ASCII characters without space / : %",
        );
    }
    match netns {
        Some(path) if !is_netns_path(path) => wrong(
            "netns",
            format!("`{}` is not a network namespace's path", excerpt(path)),
            "an absolute path of at most 255 bytes, as /run/netns/guest",
        ),
        _ => Ok(()),
    }
}

/// Whether there is such a device is for DPDK to say.
pub(super) fn check_dpdk_device(device: &str) -> Check {
    let legal = (1..=limits::DPDK_DEVICE_BYTES).contains(&device.len())
        && device.bytes().all(|b| b.is_ascii_graphic())
        && !dpdk_name(device).is_empty();
    match legal {
        true => Ok(()),
        false => wrong(
            "dpdk.device",
            format!("`{}` is not a DPDK device", excerpt(device)),
            "a PCI address or a driver's name with a number, and arguments behind commas, as net_af_packet0,iface=eth1",
        ),
    }
}

fn is_netns_path(path: &str) -> bool {
    path.starts_with('/') && path.len() <= limits::NETNS_PATH_BYTES && !path.chars().any(char::is_control)
}

/// A hostile text, short enough for an error.
fn excerpt(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}
