//! What to do about a packet that was dropped: the smallest change that would let it through, as a command.

use std::net::IpAddr;

use anet_api::trace::TraceProtocol;
use anet_model::host_plan::{Family, NetworkId, PortId, SecurityGroupId};
use anet_model::intent::{HostId, Port};

use super::super::mirror::Mirror;

/// A packet that was dropped.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The port whose guest sends it.
    pub port: &'a PortId,
    /// Its network.
    pub network: &'a NetworkId,
    /// Where it was dropped.
    pub host: &'a HostId,
    /// From where.
    pub source: IpAddr,
    /// Where to.
    pub destination: IpAddr,
    /// Layer 4.
    pub protocol: TraceProtocol,
}

/// What to do about a reason; `None` where there is nothing to be changed but the packet.
pub fn advise(mirror: &Mirror, case: &Case<'_>, reason: &str) -> Option<String> {
    match reason {
        "firewall_egress" => Some(allow(mirror, case, case.port, "egress", case.destination)),
        "firewall_ingress" => {
            let port = port_with(mirror, case.network, case.destination)?;
            Some(allow(mirror, case, port, "ingress", case.source))
        }
        "spoofed_ipv4" | "spoofed_ipv6" | "spoofed_mac" | "spoofed_arp" | "spoofed_nd" => {
            let (port, source) = (case.port, case.source);
            Some(format!(
                "anet port set {port} --allowed-address ip-address={source}"
            ))
        }
        "unknown_target" | "unknown_destination" => Some(reach(mirror, case)),
        "port_down" => Some(raise(mirror, case)),
        "no_tunnel" => Some(tunnel(mirror, case)),
        "unknown_endpoint" | "unknown_vni" => Some(format!(
            "host {} does not know the sender yet: look at `anet host show {}` until it is in step, then trace again",
            case.host, case.host
        )),
        "too_big" => Some(format!(
            "send smaller packets, or raise the MTU where the underlay carries it: anet network set {} --mtu MTU",
            case.network
        )),
        "quarantined" => Some(format!(
            "look at the switch's log on host {}, then restart it",
            case.host
        )),
        _ => None,
    }
}

/// Which object the reason is about: what would have to be changed, where it is one.
pub fn object(mirror: &Mirror, case: &Case<'_>, reason: &str) -> Option<String> {
    let receiver = || port_with(mirror, case.network, case.destination);
    match reason {
        "firewall_ingress" | "unknown_target" => receiver().map(|port| format!("port {port}")),
        "firewall_egress" | "spoofed_ipv4" | "spoofed_ipv6" | "spoofed_mac" | "spoofed_arp"
        | "spoofed_nd" => Some(format!("port {}", case.port)),
        "unknown_destination" | "too_big" => Some(format!("network {}", case.network)),
        "no_tunnel" | "unknown_endpoint" | "unknown_vni" | "quarantined" => {
            Some(format!("host {}", case.host))
        }
        _ => None,
    }
}

/// What to do where a port is on no host.
pub fn bind(mirror: &Mirror, port: &PortId) -> String {
    let mut hosts = mirror.intent().hosts.keys();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => format!("anet port set {port} --host {host}"),
        (Some(host), Some(_)) => {
            format!("anet port set {port} --host {host}  # or another one of `anet host list`")
        }
        (None, _) => format!("let a host join (`anet host token`), then: anet port set {port} --host HOST"),
    }
}

/// What to do where a port has no address of the destination's family.
pub fn no_source(mirror: &Mirror, id: &PortId, port: &Port, destination: IpAddr) -> String {
    let family = Family::of(destination);
    let mut subnets = mirror.index().network_subnets.of(&port.network);
    let subnet = subnets.find(|id| {
        let subnet = mirror.intent().subnets.get(*id);
        subnet.is_some_and(|subnet| Family::of(subnet.cidr.address()) == family)
    });
    match subnet {
        Some(subnet) => format!("anet port set {id} --fixed-ip subnet={subnet}"),
        None => format!(
            "the network has no {family} subnet: anet subnet create NAME --network {} --subnet-range CIDR, then anet port set {id} --fixed-ip subnet=SUBNET",
            port.network
        ),
    }
}

/// A rule for just this packet, in the group of the port that fewest other ports obey.
fn allow(mirror: &Mirror, case: &Case<'_>, port: &PortId, direction: &str, remote: IpAddr) -> String {
    let groups = mirror.intent().ports.get(port).map(|port| &port.security_groups);
    let group = groups
        .into_iter()
        .flatten()
        .min_by_key(|group| mirror.index().group_ports.count(group));
    match group {
        Some(group) => rule(group, direction, remote, case.protocol),
        None => format!(
            "the port has port security and no security group: anet port set {port} --security-group GROUP, with a group that has an \
             {direction} rule for {remote}"
        ),
    }
}

fn rule(group: &SecurityGroupId, direction: &str, remote: IpAddr, protocol: TraceProtocol) -> String {
    let length = if remote.is_ipv4() { 32 } else { 128 };
    let ethertype = Family::of(remote);
    let layer4 = match protocol {
        TraceProtocol::Tcp { destination_port, .. } => format!("tcp --dst-port {destination_port}"),
        TraceProtocol::Udp { destination_port, .. } => format!("udp --dst-port {destination_port}"),
        TraceProtocol::Icmp { icmp_type, icmp_code } => {
            let name = if remote.is_ipv4() { "icmp" } else { "ipv6-icmp" };
            let kind = icmp_type.unwrap_or(if remote.is_ipv4() { 8 } else { 128 });
            format!("{name} --icmp-type {kind} --icmp-code {}", icmp_code.unwrap_or(0))
        }
    };
    format!(
        "anet security-group rule create {group} --{direction} --ethertype {ethertype} --protocol {layer4} --remote-ip {remote}/{length}"
    )
}

/// The port of a network that has an address, of its own or as a pair.
fn port_with<'a>(mirror: &'a Mirror, network: &NetworkId, address: IpAddr) -> Option<&'a PortId> {
    let ports = || {
        let ids = mirror.index().network_ports.of(network);
        ids.filter_map(|id| mirror.intent().ports.get_key_value(id))
    };
    let own = ports().find(|(_, port)| port.fixed_ips.iter().any(|fixed| fixed.address == address));
    let pair = || {
        ports().find(|(_, port)| {
            port.allowed_address_pairs
                .iter()
                .any(|pair| pair.prefix.contains(address))
        })
    };
    own.or_else(pair).map(|(id, _)| id)
}

fn has_no_tunnel(mirror: &Mirror, host: &HostId) -> bool {
    let host = mirror.intent().hosts.get(host);
    host.is_some_and(|host| host.tunnel_address.is_none())
}

fn set_tunnel(host: &HostId) -> String {
    format!("anet host set {host} --tunnel-address ADDRESS")
}

/// What to do where nobody answers for the destination.
fn reach(mirror: &Mirror, case: &Case<'_>) -> String {
    if let Some(id) = port_with(mirror, case.network, case.destination) {
        let host = mirror.intent().ports.get(id).and_then(|port| port.host.as_ref());
        let far = host.is_some_and(|host| host != case.host);
        return match host {
            None => bind(mirror, id),
            // The sender's own host can reach no other one.
            Some(_) if far && has_no_tunnel(mirror, case.host) => set_tunnel(case.host),
            Some(host) if far && has_no_tunnel(mirror, host) => set_tunnel(host),
            Some(_) => format!(
                "port {id} is there, and host {} does not know it yet: look at `anet host show {}` until it is in step, then trace again",
                case.host, case.host
            ),
        };
    }
    let mut subnets = mirror.index().network_subnets.of(case.network);
    let around = subnets.find(|id| {
        let subnet = mirror.intent().subnets.get(*id);
        subnet.is_some_and(|subnet| subnet.cidr.contains(case.destination))
    });
    match around {
        Some(subnet) => format!(
            "nobody has {0}: anet port create NAME --network {1} --fixed-ip subnet={subnet},ip-address={0}",
            case.destination, case.network
        ),
        None => format!(
            "{} is in no subnet of network {}, and networks are not routed to each other: use a port of the destination's network",
            case.destination, case.network
        ),
    }
}

/// What to do where a port passes nothing.
fn raise(mirror: &Mirror, case: &Case<'_>) -> String {
    let network_is_down = mirror
        .intent()
        .networks
        .get(case.network)
        .is_some_and(|network| !network.admin_state_up);
    if network_is_down {
        return format!("anet network set {} --enable", case.network);
    }
    let receiver = port_with(mirror, case.network, case.destination);
    let on_this_host = |id: &&PortId| {
        let port = mirror.intent().ports.get(*id);
        port.is_some_and(|port| port.host.as_ref() == Some(case.host))
    };
    let candidates = [Some(case.port), receiver];
    let local = || candidates.into_iter().flatten().filter(on_this_host);
    let is_down = |id: &&PortId| {
        mirror
            .intent()
            .ports
            .get(*id)
            .is_some_and(|port| !port.admin_state_up)
    };
    match (local().find(is_down), local().next()) {
        (Some(port), _) => format!("anet port set {port} --enable"),
        (None, Some(port)) => format!(
            "attach the guest on host {}: anet-agent attach {port} --tap INTERFACE",
            case.host
        ),
        (None, None) => bind(mirror, case.port),
    }
}

/// What to do where there is no tunnel between the two hosts.
fn tunnel(mirror: &Mirror, case: &Case<'_>) -> String {
    let without = |host: &&HostId| {
        mirror
            .intent()
            .hosts
            .get(*host)
            .is_some_and(|host| host.tunnel_address.is_none())
    };
    let receiver = port_with(mirror, case.network, case.destination);
    let receiver = receiver.and_then(|id| mirror.intent().ports.get(id)?.host.as_ref());
    let host = [Some(case.host), receiver].into_iter().flatten().find(without);
    match host {
        Some(host) => format!("anet host set {host} --tunnel-address ADDRESS"),
        None => format!(
            "the two hosts' tunnel addresses are of different IP versions: anet host set {} --tunnel-address ADDRESS",
            case.host
        ),
    }
}
