//! Tunnel, endpoints, networks, subnets, ports and peers.

use anet_model::host_plan::{
    AddressPair, Attachment, Budgets, DpdkUnderlay, Endpoint, Ipv6Mode, Network, Peer, Port, Subnet, Tunnel,
};
use anet_packet::addr::{Mtu, Vni};

use super::field::{
    Decoded, address, address_bytes, address_v4, at, each, id, mac, number, optional, prefix_message,
    required, required_prefix,
};
use super::proto;
use proto::attachment::Attachment as Kind;

pub(super) fn tunnel(message: proto::Tunnel) -> Decoded<Tunnel> {
    Ok(Tunnel {
        address: at("address", address(message.address))?,
        udp_port: number("udp_port", message.udp_port)?,
        dpdk: optional("dpdk", message.dpdk, dpdk_underlay)?,
    })
}

fn dpdk_underlay(message: proto::DpdkUnderlay) -> Decoded<DpdkUnderlay> {
    Ok(DpdkUnderlay {
        device: message.device,
        mac: at("mac", mac(&message.mac))?,
    })
}

pub(super) fn tunnel_message(tunnel: &Tunnel) -> proto::Tunnel {
    proto::Tunnel {
        address: address_bytes(tunnel.address),
        udp_port: tunnel.udp_port.into(),
        dpdk: tunnel.dpdk.as_ref().map(|underlay| proto::DpdkUnderlay {
            device: underlay.device.clone(),
            mac: underlay.mac.0.to_vec(),
        }),
    }
}

pub(super) fn endpoint(message: proto::Endpoint) -> Decoded<Endpoint> {
    Ok(Endpoint {
        address: at("address", address(message.address))?,
        udp_port: number("udp_port", message.udp_port)?,
        next_hop: optional("next_hop", message.next_hop, |bytes| mac(&bytes))?,
    })
}

pub(super) fn endpoint_message(endpoint: &Endpoint) -> proto::Endpoint {
    proto::Endpoint {
        address: address_bytes(endpoint.address),
        udp_port: endpoint.udp_port.into(),
        next_hop: endpoint.next_hop.map(|mac| mac.0.to_vec()),
    }
}

pub(super) fn network(message: proto::Network) -> Decoded<Network> {
    Ok(Network {
        vni: at("vni", Vni::new(message.vni))?,
        mtu: at("mtu", Mtu::new(message.mtu))?,
        endpoints: each("endpoints", message.endpoints, |text| id("", &text))?,
    })
}

pub(super) fn network_message(network: &Network) -> proto::Network {
    proto::Network {
        vni: network.vni.get(),
        mtu: network.mtu.get().into(),
        endpoints: network.endpoints.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn subnet(message: proto::Subnet) -> Decoded<Subnet> {
    let mode = proto::Ipv6Mode::try_from(message.ipv6_mode).ok();
    let ipv6_mode = match mode {
        Some(proto::Ipv6Mode::Dhcpv6Stateful) => Some(Ipv6Mode::DhcpV6Stateful),
        Some(proto::Ipv6Mode::Unspecified) | None => None,
    };
    let host_route = |route: proto::HostRoute| {
        let destination = required_prefix("destination", route.destination)?;
        Ok((destination, at("next_hop", address_v4(&route.next_hop))?))
    };
    Ok(Subnet {
        network: id("network", &message.network)?,
        prefix: required_prefix("prefix", message.prefix)?,
        gateway: optional("gateway", message.gateway, address)?,
        dhcp: message.dhcp,
        ipv6_mode: required("ipv6_mode", ipv6_mode)?,
        dns_servers: each("dns_servers", message.dns_servers, address)?,
        host_routes: each("host_routes", message.host_routes, host_route)?,
        lease_s: message.lease_s,
    })
}

pub(super) fn subnet_message(subnet: &Subnet) -> proto::Subnet {
    let ipv6_mode = match subnet.ipv6_mode {
        Ipv6Mode::DhcpV6Stateful => proto::Ipv6Mode::Dhcpv6Stateful,
    };
    let host_routes = subnet
        .host_routes
        .iter()
        .map(|(destination, next_hop)| proto::HostRoute {
            destination: Some(prefix_message(*destination)),
            next_hop: next_hop.octets().to_vec(),
        });
    proto::Subnet {
        network: subnet.network.to_string(),
        prefix: Some(prefix_message(subnet.prefix)),
        gateway: subnet.gateway.map(address_bytes),
        dhcp: subnet.dhcp,
        ipv6_mode: ipv6_mode.into(),
        dns_servers: subnet.dns_servers.iter().copied().map(address_bytes).collect(),
        host_routes: host_routes.collect(),
        lease_s: subnet.lease_s,
    }
}

pub(super) fn port(message: proto::Port) -> Decoded<Port> {
    let pair = |pair: proto::AddressPair| {
        Ok(AddressPair {
            mac: optional("mac", pair.mac, |bytes| mac(&bytes))?,
            prefix: required_prefix("prefix", pair.prefix)?,
        })
    };
    let budgets = required("budgets", message.budgets)?;
    Ok(Port {
        network: id("network", &message.network)?,
        mac: at("mac", mac(&message.mac))?,
        addresses: each("addresses", message.addresses, address)?,
        allowed_address_pairs: each("allowed_address_pairs", message.allowed_address_pairs, pair)?,
        port_security: message.port_security,
        security_groups: each("security_groups", message.security_groups, |text| id("", &text))?,
        hostname: message.hostname,
        attachment: attachment(required("attachment", message.attachment)?)?,
        budgets: Budgets {
            connections: budgets.connections,
            control_pps: budgets.control_pps,
            new_flows_pps: budgets.new_flows_pps,
        },
        admin_up: message.admin_up,
    })
}

fn attachment(message: proto::Attachment) -> Decoded<Attachment> {
    Ok(match required("attachment", message.attachment)? {
        Kind::Tap(proto::Interface { interface, netns }) => Attachment::Tap { interface, netns },
        Kind::Packet(proto::Interface { interface, netns }) => Attachment::Packet { interface, netns },
        Kind::Dpdk(proto::Dpdk { device }) => Attachment::Dpdk { device },
        Kind::Detached(proto::Detached {}) => Attachment::Detached,
    })
}

pub(super) fn port_message(port: &Port) -> proto::Port {
    let pair = |pair: &AddressPair| proto::AddressPair {
        mac: pair.mac.map(|mac| mac.0.to_vec()),
        prefix: Some(prefix_message(pair.prefix)),
    };
    proto::Port {
        network: port.network.to_string(),
        mac: port.mac.0.to_vec(),
        addresses: port.addresses.iter().copied().map(address_bytes).collect(),
        allowed_address_pairs: port.allowed_address_pairs.iter().map(pair).collect(),
        port_security: port.port_security,
        security_groups: port.security_groups.iter().map(ToString::to_string).collect(),
        hostname: port.hostname.clone(),
        attachment: Some(attachment_message(&port.attachment)),
        budgets: Some(proto::Budgets {
            connections: port.budgets.connections,
            control_pps: port.budgets.control_pps,
            new_flows_pps: port.budgets.new_flows_pps,
        }),
        admin_up: port.admin_up,
    }
}

fn attachment_message(attachment: &Attachment) -> proto::Attachment {
    let interface = |interface: &String, netns: &Option<String>| proto::Interface {
        interface: interface.clone(),
        netns: netns.clone(),
    };
    let kind = match attachment {
        Attachment::Tap {
            interface: name,
            netns,
        } => Kind::Tap(interface(name, netns)),
        Attachment::Packet {
            interface: name,
            netns,
        } => Kind::Packet(interface(name, netns)),
        Attachment::Dpdk { device } => Kind::Dpdk(proto::Dpdk {
            device: device.clone(),
        }),
        Attachment::Detached => Kind::Detached(proto::Detached {}),
    };
    proto::Attachment {
        attachment: Some(kind),
    }
}

pub(super) fn peer(message: proto::Peer) -> Decoded<Peer> {
    Ok(Peer {
        network: id("network", &message.network)?,
        mac: at("mac", mac(&message.mac))?,
        addresses: each("addresses", message.addresses, address)?,
        endpoint: id("endpoint", &message.endpoint)?,
    })
}

pub(super) fn peer_message(peer: &Peer) -> proto::Peer {
    proto::Peer {
        network: peer.network.to_string(),
        mac: peer.mac.0.to_vec(),
        addresses: peer.addresses.iter().copied().map(address_bytes).collect(),
        endpoint: peer.endpoint.to_string(),
    }
}
