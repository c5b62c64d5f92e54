//! Tests of the firewall's lookups: [`oracle`] holds them against a linear walk, [`bounds`] against their written bounds.

mod bounds;
mod oracle;
mod sets;

use std::net::IpAddr;

use anet_model::host_plan::{AddressSetId, Direction, Family, PortRange, Protocol, Remote, Rule};

use super::Query;

fn prefix(text: &str) -> anet_packet::addr::IpPrefix {
    text.parse().unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ports(first: u16, last: u16) -> PortRange {
    PortRange { first, last }
}

/// An IPv4 rule into the guest.
fn ingress(protocol: Protocol, remote: Remote) -> Rule {
    Rule {
        direction: Direction::Ingress,
        family: Family::Ipv4,
        protocol,
        remote,
    }
}

/// A TCP packet into the guest.
fn tcp(remote: &str, destination_port: u16) -> Query {
    Query {
        direction: Direction::Ingress,
        remote: address(remote),
        protocol: 6,
        destination_port: Some(destination_port),
        icmp: None,
    }
}

/// The id of the set with an index.
fn set_id(index: u32) -> AddressSetId {
    AddressSetId::new(&format!("set-{index}")).unwrap()
}

/// The index of a set with an id of [`set_id`].
fn set_index(id: &AddressSetId) -> Option<u32> {
    id.as_str().strip_prefix("set-")?.parse().ok()
}
