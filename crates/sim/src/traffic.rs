//! Packets between guests, held against what the rules say.

use anet_model::host_plan::{Direction, Family, HostPlan, Port, PortId, Protocol, Remote};
use anet_packet::testing::FrameBuilder;
use std::net::IpAddr;

/// The port that probes go to: some rules name it.
pub const DESTINATION: u16 = 80;

/// A TCP SYN.
pub fn syn(from: &Port, to: &Port, source_port: u16) -> Option<Vec<u8>> {
    let source = address(from)?;
    let destination = address(to)?;
    let macs = (from.mac, to.mac);
    let frame = FrameBuilder::tcp(macs.0, macs.1, source, destination, (source_port, DESTINATION));
    Some(frame.flags(0x02).build())
}

fn address(port: &Port) -> Option<IpAddr> {
    port.addresses.iter().copied().find(IpAddr::is_ipv4)
}

/// True where a plan's rules let a guest's port have this connection, to or from the other one.
pub fn allows(plan: &HostPlan, id: &PortId, direction: Direction, other: &Port) -> bool {
    let Some(port) = plan.ports.get(id) else {
        return false;
    };
    if !port.admin_up {
        return false;
    }
    if !port.port_security {
        return true;
    }
    let Some(remote) = address(other) else {
        return false;
    };
    let groups = port
        .security_groups
        .iter()
        .filter_map(|group| plan.security_groups.get(group));
    let mut rules = groups.flat_map(|group| group.rules.values());
    rules.any(|rule| {
        let layer4 = match rule.protocol {
            Protocol::Any => true,
            Protocol::Tcp(ports) => ports.contains(DESTINATION),
            _ => false,
        };
        let far = match &rule.remote {
            Remote::Any => true,
            Remote::Prefix(prefix) => prefix.contains(remote),
            Remote::Set(set) => {
                let set = plan.address_sets.get(set);
                set.is_some_and(|set| set.members.iter().any(|member| member.contains(remote)))
            }
        };
        rule.direction == direction && rule.family == Family::Ipv4 && layer4 && far
    })
}
