//! What of the intent does not reach a host, and why: the words for what is left out.

use anet_model::host_plan::{NetworkId, PortId, RuleId, SecurityGroupId, SubnetId};
use anet_model::id::Id;
use anet_model::intent::{ForeignEndpointId, HostId};
use anet_model::validate::ValidationError;
use std::fmt;

/// An object of the intent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// A host.
    Host(HostId),
    /// A network.
    Network(NetworkId),
    /// A subnet.
    Subnet(SubnetId),
    /// A security group.
    SecurityGroup(SecurityGroupId),
    /// A rule.
    Rule(RuleId),
    /// A foreign tunnel endpoint.
    ForeignEndpoint(ForeignEndpointId),
    /// A port.
    Port(PortId),
    /// A station behind a foreign endpoint, by the peer that it becomes.
    Station(PortId),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Host(id) => write!(f, "host {id}"),
            Object::Network(id) => write!(f, "network {id}"),
            Object::Subnet(id) => write!(f, "subnet {id}"),
            Object::SecurityGroup(id) => write!(f, "security group {id}"),
            Object::Rule(id) => write!(f, "rule {id}"),
            Object::ForeignEndpoint(id) => write!(f, "foreign endpoint {id}"),
            Object::Port(id) => write!(f, "port {id}"),
            Object::Station(id) => write!(f, "station {id}"),
        }
    }
}

/// Something that was asked for and is not in a host's plan, wholly or in part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It names something that does not exist, or that is itself left out.
    #[error("{object} names {missing}, which is not there: what needs it is left out until it is")]
    Missing {
        /// Who names it.
        object: Object,
        /// What is named.
        missing: Object,
    },
    /// Two objects claim what only one may have; the one whose id is first in order has it.
    #[error("{object} claims {value}, which {other} has: give it another one")]
    Taken {
        /// Who came too late.
        object: Object,
        /// What both claim.
        value: String,
        /// Who has it.
        other: Object,
    },
    /// A value that no plan may have.
    #[error("{object}: {value} is left out; expected {expected}")]
    Illegal {
        /// Whose value.
        object: Object,
        /// The value.
        value: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// The model refuses the object as it is.
    #[error("{object} is left out: {error}")]
    Refused {
        /// The object.
        object: Object,
        /// What the model says.
        error: Box<ValidationError>,
    },
    /// The model refuses a part of the object: the object is there without it.
    #[error("{object}: {value} is left out: {}; expected {}", .error.problem, .error.expected)]
    Part {
        /// The object.
        object: Object,
        /// The part.
        value: String,
        /// What the model says.
        error: Box<ValidationError>,
    },
    /// More than a plan may hold ([`anet_model::limits`]).
    #[error("{of} would have {found} {noun} and may have {limit}: the rest is left out")]
    TooMany {
        /// Who has too many.
        of: Object,
        /// Of what.
        noun: &'static str,
        /// How many there would be.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
}

impl Problem {
    /// The objects that it names: whose it is, and the other one where there is one.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        let (own, other) = match self {
            Problem::Missing { object, missing } => (object, Some(missing)),
            Problem::Taken { object, other, .. } => (object, Some(other)),
            Problem::Illegal { object, .. }
            | Problem::Refused { object, .. }
            | Problem::Part { object, .. } => (object, None),
            Problem::TooMany { of, .. } => (of, None),
        };
        [Some(own), other].into_iter().flatten()
    }

    pub(crate) fn missing(object: Object, missing: Object) -> Self {
        Problem::Missing { object, missing }
    }

    pub(crate) fn taken(object: Object, value: impl fmt::Display, other: Object) -> Self {
        let value = value.to_string();
        Problem::Taken { object, value, other }
    }

    pub(crate) fn illegal(object: Object, value: impl fmt::Display, expected: &'static str) -> Self {
        Problem::Illegal {
            object,
            value: value.to_string().chars().take(80).collect(),
            expected,
        }
    }

    pub(crate) fn part(object: Object, value: String, error: ValidationError) -> Self {
        let error = Box::new(error);
        Problem::Part { object, value, error }
    }

    pub(crate) fn refused(object: Object, error: ValidationError) -> Self {
        let error = Box::new(error);
        Problem::Refused { object, error }
    }
}

/// The id that an object of another noun would be known by.
pub(crate) fn named<N>(text: &str) -> Option<Id<N>> {
    Id::new(text).ok()
}
