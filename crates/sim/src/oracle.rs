//! Who may speak with whom, said slowly and straight from what users asked for: no plan, no set, no compiled rule.

use std::net::IpAddr;

use anet_model::host_plan::{Direction, Family, PortId, Protocol};
use anet_model::intent::{Intent, Port, Remote, SecurityGroupRule};

use crate::conversation::{Conversation, Layer4};

/// True where the two are guests of one network, both on a host, and the rules of both let this conversation begin.
pub fn may_speak(intent: &Intent, of: &Conversation) -> bool {
    let port = |id| intent.ports.get(id);
    let (Some(client), Some(server)) = (port(&of.client.id), port(&of.server.id)) else {
        return false;
    };
    let placed = |port: &Port| {
        port.host
            .as_ref()
            .is_some_and(|host| intent.hosts.contains_key(host))
    };
    let one_network = client.network == server.network && of.client.id != of.server.id;
    one_network && placed(client) && placed(server) && lets_out(intent, of) && lets_in(intent, of)
}

/// True where the client's rules let it begin this conversation.
pub fn lets_out(intent: &Intent, of: &Conversation) -> bool {
    lets(intent, &of.client.id, Direction::Egress, of.server.address, of)
}

/// True where the server's rules let the client begin this conversation.
pub fn lets_in(intent: &Intent, of: &Conversation) -> bool {
    lets(intent, &of.server.id, Direction::Ingress, of.client.address, of)
}

/// True where the two ports are of one network.
pub fn share_a_network(intent: &Intent, one: &PortId, other: &PortId) -> bool {
    let network = |id| intent.ports.get(id).map(|port| &port.network);
    network(one).is_some() && network(one) == network(other)
}

fn lets(intent: &Intent, id: &PortId, direction: Direction, far: IpAddr, of: &Conversation) -> bool {
    let Some(port) = intent.ports.get(id) else {
        return false;
    };
    let network = intent.networks.get(&port.network);
    if !port.admin_state_up || !network.is_some_and(|network| network.admin_state_up) {
        return false;
    }
    if !port.port_security_enabled {
        return true;
    }
    let own = |rule: &&SecurityGroupRule| port.security_groups.contains(&rule.security_group);
    let mut rules = intent.rules.values().filter(own);
    rules.any(|rule| {
        rule.direction == direction
            && rule.family == Family::of(far)
            && speaks_of(rule.protocol, of)
            && is_far(intent, &rule.remote, far)
    })
}

fn speaks_of(protocol: Protocol, of: &Conversation) -> bool {
    match (protocol, of.layer4) {
        (Protocol::Any, _) => true,
        (Protocol::Tcp(range), Layer4::Tcp) | (Protocol::Udp(range), Layer4::Udp) => {
            range.contains(of.ports.1)
        }
        _ => false,
    }
}

fn is_far(intent: &Intent, remote: &Remote, far: IpAddr) -> bool {
    match remote {
        Remote::Any => true,
        Remote::Prefix(prefix) => prefix.contains(far),
        Remote::Group(group) => {
            let mut members = intent.ports.values();
            members.any(|port| {
                let mut addresses = port.fixed_ips.iter();
                port.security_groups.contains(group) && addresses.any(|fixed| fixed.address == far)
            })
        }
    }
}
