//! The entries a plan consists of: what is put, deleted and digested one by one.
//!
//! Rules and members are entries of their own, beside the group or set that holds them, so that the change of one
//! rule costs one entry.

use std::fmt;

use anet_packet::addr::IpPrefix;

use crate::changeset::Change;
use crate::host_plan::{
    AddressSetId, Endpoint, EndpointId, HostPlan, Network, NetworkId, Peer, Port, PortId, Rule, RuleId,
    SecurityGroupId, Subnet, SubnetId, Tunnel,
};

/// The kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Noun {
    /// The host's tunnel.
    Tunnel,
    /// Remote endpoints.
    Endpoint,
    /// Networks.
    Network,
    /// Subnets.
    Subnet,
    /// Address sets, without their members.
    AddressSet,
    /// Members of address sets.
    Member,
    /// Security groups, without their rules.
    SecurityGroup,
    /// Rules.
    Rule,
    /// Local ports.
    Port,
    /// Remote stations.
    Peer,
}

impl Noun {
    /// Every noun, in order: `ALL[noun as usize] == noun`.
    pub const ALL: [Noun; 10] = [
        Noun::Tunnel,
        Noun::Endpoint,
        Noun::Network,
        Noun::Subnet,
        Noun::AddressSet,
        Noun::Member,
        Noun::SecurityGroup,
        Noun::Rule,
        Noun::Port,
        Noun::Peer,
    ];

    /// Its name, as in the plan's text form but in the singular.
    pub const fn name(self) -> &'static str {
        match self {
            Noun::Tunnel => "tunnel",
            Noun::Endpoint => "endpoint",
            Noun::Network => "network",
            Noun::Subnet => "subnet",
            Noun::AddressSet => "address_set",
            Noun::Member => "member",
            Noun::SecurityGroup => "security_group",
            Noun::Rule => "rule",
            Noun::Port => "port",
            Noun::Peer => "peer",
        }
    }
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One entry, borrowed from wherever it is kept: a plan, a change, or the tables it was programmed into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// The host's tunnel.
    Tunnel(&'a Tunnel),
    /// A remote endpoint.
    Endpoint(&'a EndpointId, &'a Endpoint),
    /// A network.
    Network(&'a NetworkId, &'a Network),
    /// A subnet.
    Subnet(&'a SubnetId, &'a Subnet),
    /// That an address set exists.
    AddressSet(&'a AddressSetId),
    /// A member of a set.
    Member(&'a AddressSetId, &'a IpPrefix),
    /// That a security group exists.
    SecurityGroup(&'a SecurityGroupId),
    /// A rule of a group.
    Rule(&'a SecurityGroupId, &'a RuleId, &'a Rule),
    /// A local port.
    Port(&'a PortId, &'a Port),
    /// A remote station.
    Peer(&'a PortId, &'a Peer),
}

impl Entry<'_> {
    /// What kind of entry it is.
    pub const fn noun(&self) -> Noun {
        match self {
            Entry::Tunnel(..) => Noun::Tunnel,
            Entry::Endpoint(..) => Noun::Endpoint,
            Entry::Network(..) => Noun::Network,
            Entry::Subnet(..) => Noun::Subnet,
            Entry::AddressSet(..) => Noun::AddressSet,
            Entry::Member(..) => Noun::Member,
            Entry::SecurityGroup(..) => Noun::SecurityGroup,
            Entry::Rule(..) => Noun::Rule,
            Entry::Port(..) => Noun::Port,
            Entry::Peer(..) => Noun::Peer,
        }
    }
}

impl HostPlan {
    /// Every entry of the plan.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let sets = self.address_sets.iter().flat_map(|(id, set)| {
            let members = set.members.iter().map(move |member| Entry::Member(id, member));
            std::iter::once(Entry::AddressSet(id)).chain(members)
        });
        let groups = self.security_groups.iter().flat_map(|(id, group)| {
            let rules = group
                .rules
                .iter()
                .map(move |(rule_id, rule)| Entry::Rule(id, rule_id, rule));
            std::iter::once(Entry::SecurityGroup(id)).chain(rules)
        });
        (self.tunnel.iter().map(Entry::Tunnel))
            .chain(self.endpoints.iter().map(|(id, e)| Entry::Endpoint(id, e)))
            .chain(self.networks.iter().map(|(id, n)| Entry::Network(id, n)))
            .chain(self.subnets.iter().map(|(id, s)| Entry::Subnet(id, s)))
            .chain(sets)
            .chain(groups)
            .chain(self.ports.iter().map(|(id, p)| Entry::Port(id, p)))
            .chain(self.peers.iter().map(|(id, p)| Entry::Peer(id, p)))
    }
}

impl Change {
    /// Calls `visit` with each entry that the change puts; with none for a delete.
    pub fn visit_entries(&self, mut visit: impl FnMut(Entry<'_>)) {
        match self {
            Change::Tunnel(Some(tunnel)) => visit(Entry::Tunnel(tunnel)),
            Change::Network(id, Some(network)) => visit(Entry::Network(id, network)),
            Change::Subnet(id, Some(subnet)) => visit(Entry::Subnet(id, subnet)),
            Change::Port(id, Some(port)) => visit(Entry::Port(id, port)),
            Change::Endpoint(id, Some(endpoint)) => visit(Entry::Endpoint(id, endpoint)),
            Change::Peer(id, Some(peer)) => visit(Entry::Peer(id, peer)),
            Change::Rule(group, id, Some(rule)) => visit(Entry::Rule(group, id, rule)),
            Change::Member(set, member, true) => visit(Entry::Member(set, member)),
            Change::SecurityGroup(id, Some(group)) => {
                visit(Entry::SecurityGroup(id));
                group
                    .rules
                    .iter()
                    .for_each(|(rule_id, rule)| visit(Entry::Rule(id, rule_id, rule)));
            }
            Change::AddressSet(id, Some(set)) => {
                visit(Entry::AddressSet(id));
                set.members
                    .iter()
                    .for_each(|member| visit(Entry::Member(id, member)));
            }
            _ => {}
        }
    }
}
