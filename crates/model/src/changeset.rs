//! A change of a host plan, applied whole or not at all.

use anet_packet::addr::IpPrefix;

use crate::host_plan::{
    AddressSet, AddressSetId, Endpoint, EndpointId, Network, NetworkId, Peer, Port, PortId, Rule, RuleId,
    SecurityGroup, SecurityGroupId, Subnet, SubnetId, Tunnel,
};

/// A cursor in a host's history of changes.
pub type Revision = u64;

/// A change from `from` to `to`: it applies iff `from <= applied < to`, whole or not at all. A snapshot is a
/// changeset with `snapshot` set: what it does not name is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changeset {
    /// The history the revisions belong to; a higher one replaces everything, a lower one is refused.
    pub incarnation: u64,
    /// The revision it starts from.
    pub from: Revision,
    /// The revision it leads to.
    pub to: Revision,
    /// True: the entries are the whole plan.
    pub snapshot: bool,
    /// Changes, in no particular order; at most one for each key.
    pub changes: Vec<Change>,
    /// The digest of the plan after it, where the sender knows it; a mismatch refuses the changeset.
    pub digest_after: Option<[u8; 16]>,
}

/// One entry of a changeset: put (the whole new value) or delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The host's own tunnel endpoint; `None` deletes it.
    Tunnel(Option<Tunnel>),
    /// A network.
    Network(NetworkId, Option<Network>),
    /// A subnet.
    Subnet(SubnetId, Option<Subnet>),
    /// A local port.
    Port(PortId, Option<Port>),
    /// A remote endpoint.
    Endpoint(EndpointId, Option<Endpoint>),
    /// A remote station.
    Peer(PortId, Option<Peer>),
    /// A security group with all its rules; `None` deletes it and them.
    SecurityGroup(SecurityGroupId, Option<SecurityGroup>),
    /// One rule of a group that exists.
    Rule(SecurityGroupId, RuleId, Option<Rule>),
    /// An address set with all its members.
    AddressSet(AddressSetId, Option<AddressSet>),
    /// One member of a set that exists: true adds, false removes.
    Member(AddressSetId, IpPrefix, bool),
}
