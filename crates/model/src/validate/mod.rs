//! Whether a host plan means something: references, uniqueness, families, ranges and [`crate::limits`].
//!
//! Each entry is checked by itself against the plan and its index; a conflict between two entries is the fault of
//! the later one in the order of [`Subject`]. So the first error of a plan is one and the same, whether the whole
//! plan is looked at ([`HostPlan::validate`]) or only what a change touched ([`crate::state::PlanState::apply`]).

mod alone;
mod firewall;
mod overlay;
mod station;
mod totals;

use std::fmt;
use std::net::IpAddr;

use anet_packet::addr::IpPrefix;

use crate::host_plan::{
    AddressSetId, EndpointId, HostPlan, NetworkId, PortId, RuleId, SecurityGroupId, SubnetId,
};
use crate::index::Index;

pub use alone::{is_station_range, is_tunnel_between_hosts, subnet_alone, tunnel_alone};
pub use station::is_host_name;

/// What an error is about. The order is the order in which a plan is checked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The plan as a whole: how many entries it has.
    Plan,
    /// The host's own tunnel endpoint.
    Tunnel,
    /// A remote tunnel endpoint.
    Endpoint(EndpointId),
    /// A network.
    Network(NetworkId),
    /// A subnet.
    Subnet(SubnetId),
    /// An address set.
    AddressSet(AddressSetId),
    /// A security group.
    SecurityGroup(SecurityGroupId),
    /// A rule of a group.
    Rule(SecurityGroupId, RuleId),
    /// A local port.
    Port(PortId),
    /// A remote station.
    Peer(PortId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Plan => write!(f, "the plan"),
            Subject::Tunnel => write!(f, "the tunnel"),
            Subject::Endpoint(id) => write!(f, "endpoint {id}"),
            Subject::Network(id) => write!(f, "network {id}"),
            Subject::Subnet(id) => write!(f, "subnet {id}"),
            Subject::AddressSet(id) => write!(f, "address set {id}"),
            Subject::SecurityGroup(id) => write!(f, "security group {id}"),
            Subject::Rule(group, id) => write!(f, "rule {id} of security group {group}"),
            Subject::Port(id) => write!(f, "port {id}"),
            Subject::Peer(id) => write!(f, "peer {id}"),
        }
    }
}

/// What is wrong with one entry of a plan, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject}, {field}: {problem}; expected {expected}")]
pub struct ValidationError {
    /// The entry.
    pub subject: Subject,
    /// The field, by its name in the model.
    pub field: &'static str,
    /// What is wrong.
    pub problem: String,
    /// What would be accepted.
    pub expected: String,
}

/// The outcome of one check inside an entry: field, problem, expected.
pub(crate) type Check = Result<(), Wrong>;

/// A [`ValidationError`] that does not know its subject yet.
#[derive(Debug)]
pub(crate) struct Wrong {
    field: &'static str,
    problem: String,
    expected: String,
}

/// The shortest way to write a failed check.
pub(crate) fn wrong(field: &'static str, problem: impl Into<String>, expected: impl Into<String>) -> Check {
    Err(Wrong {
        field,
        problem: problem.into(),
        expected: expected.into(),
    })
}

/// Refuses a count above a limit.
pub(crate) fn at_most(field: &'static str, found: usize, limit: usize) -> Check {
    if found <= limit {
        return Ok(());
    }
    wrong(
        field,
        format!("{found} entries are too many"),
        format!("at most {limit}"),
    )
}

/// Refuses a list that names something twice.
pub(crate) fn no_repeats<T: Ord + fmt::Display>(field: &'static str, list: &[T]) -> Check {
    let mut seen = std::collections::BTreeSet::new();
    match list.iter().find(|item| !seen.insert(*item)) {
        Some(item) => wrong(field, format!("{item} is listed twice"), "each entry once"),
        None => Ok(()),
    }
}

/// True for an address that one station can have: not unspecified, loopback, multicast or broadcast.
pub fn is_station_address(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(a) if a.is_broadcast() || a.octets()[0] == 0);
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || broadcast)
}

/// True for an address of `prefix` that a station may have: of an IPv4 range of more than two addresses neither the
/// first, which names the network, nor the last, which is its broadcast.
pub fn is_host_of(prefix: IpPrefix, address: IpAddr) -> bool {
    let has_broadcast = prefix.address().is_ipv4() && prefix.length() < 31;
    prefix.contains(address) && !(has_broadcast && (address == prefix.address() || address == prefix.last()))
}

/// A plan with its index: what a check may look at.
#[derive(Clone, Copy)]
pub(crate) struct Checker<'a> {
    pub(crate) plan: &'a HostPlan,
    pub(crate) index: &'a Index,
}

impl Checker<'_> {
    /// Checks one entry; an entry that is not in the plan is fine.
    pub(crate) fn check(self, subject: &Subject) -> Result<(), ValidationError> {
        let outcome = match subject {
            Subject::Plan => self.check_totals(),
            Subject::Tunnel => self.check_tunnel(),
            Subject::Endpoint(id) => self.check_endpoint(subject, id),
            Subject::Network(id) => self.check_network(subject, id),
            Subject::Subnet(id) => self.check_subnet(id),
            Subject::AddressSet(id) => self.check_address_set(id),
            Subject::SecurityGroup(id) => self.check_security_group(id),
            Subject::Rule(group, id) => self.check_rule(subject, group, id),
            Subject::Port(id) => self.check_port(subject, id),
            Subject::Peer(id) => self.check_peer(subject, id),
        };
        let locate = |w: Wrong| ValidationError {
            subject: subject.clone(),
            field: w.field,
            problem: w.problem,
            expected: w.expected,
        };
        outcome.map_err(locate)
    }
}

impl HostPlan {
    /// Checks the whole plan: the first error in the order of [`Subject`]. Cost: proportional to the plan.
    pub fn validate(&self) -> Result<(), ValidationError> {
        match self.problems(1).pop() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Every entry that is wrong, each with its first error, up to `limit` of them, in the order of [`Subject`].
    pub fn problems(&self, limit: usize) -> Vec<ValidationError> {
        let index = Index::of(self);
        let checker = Checker {
            plan: self,
            index: &index,
        };
        self.subjects()
            .filter_map(|subject| checker.check(&subject).err())
            .take(limit)
            .collect()
    }

    /// Every entry of the plan, in the order of [`Subject`].
    pub fn subjects(&self) -> impl Iterator<Item = Subject> + '_ {
        let rules = self.security_groups.iter().flat_map(|(group, security_group)| {
            security_group
                .rules
                .keys()
                .map(|id| Subject::Rule(group.clone(), id.clone()))
        });
        [Subject::Plan, Subject::Tunnel]
            .into_iter()
            .chain(self.endpoints.keys().cloned().map(Subject::Endpoint))
            .chain(self.networks.keys().cloned().map(Subject::Network))
            .chain(self.subnets.keys().cloned().map(Subject::Subnet))
            .chain(self.address_sets.keys().cloned().map(Subject::AddressSet))
            .chain(self.security_groups.keys().cloned().map(Subject::SecurityGroup))
            .chain(rules)
            .chain(self.ports.keys().cloned().map(Subject::Port))
            .chain(self.peers.keys().cloned().map(Subject::Peer))
    }
}
