//! The resources: each noun's file has its rows of the table, its requests as typed structs, and how it looks as JSON.
//!
//! A request goes through [`decode`](decode::decode) (every attribute by itself, from the table) and then into a struct such as
//! [`PortCreate`] (what must fit together inside one request). What needs to know other objects is admission's.

pub mod attribute;
mod check;
pub mod decode;
pub mod foreign_endpoint;
pub mod host;
pub mod network;
pub mod port;
pub mod project;
mod protocol;
pub mod security_group;
pub mod security_group_rule;
mod shared;
pub mod subnet;
pub mod typed;

use serde_json::{Map, Value};

use crate::error::ApiError;
pub use attribute::{Access, Attribute, Initial, Kind, Literal, Role};
pub use decode::{Operation, Requests};
pub use foreign_endpoint::{ForeignEndpointCreate, ForeignEndpointUpdate, foreign_endpoint_to_json};
pub use host::{HostObserved, HostState, HostUpdate, host_to_json};
pub use network::{NetworkCreate, NetworkUpdate, network_to_json};
pub use port::{PortCreate, PortStatus, PortUpdate, port_to_json};
pub use project::{ProjectCreate, ProjectUpdate, project_to_json};
pub use security_group::{SecurityGroupCreate, SecurityGroupUpdate, security_group_to_json};
pub use security_group_rule::{SecurityGroupRuleCreate, security_group_rule_to_json};
pub use subnet::{SubnetCreate, SubnetUpdate, subnet_to_json};
pub use typed::{Attributes, FixedIpRequest, ProtocolName, Typed};

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Owners.
    Project,
    /// Layer-2 networks.
    Network,
    /// IP subnets.
    Subnet,
    /// Guests' interfaces.
    Port,
    /// Sets of rules.
    SecurityGroup,
    /// Rules.
    SecurityGroupRule,
    /// Hypervisor hosts.
    Host,
    /// VXLAN tunnel endpoints that are no hosts.
    ForeignEndpoint,
}

/// How a resource is called.
struct Names {
    singular: &'static str,
    plural: &'static str,
    path: &'static str,
    title: &'static str,
    not_found: &'static str,
    in_use: &'static str,
}

impl Resource {
    /// All of them.
    pub const ALL: [Resource; 8] = [
        Resource::Project,
        Resource::Network,
        Resource::Subnet,
        Resource::Port,
        Resource::SecurityGroup,
        Resource::SecurityGroupRule,
        Resource::Host,
        Resource::ForeignEndpoint,
    ];

    const fn names(self) -> Names {
        match self {
            Resource::Project => project::NAMES,
            Resource::Network => network::NAMES,
            Resource::Subnet => subnet::NAMES,
            Resource::Port => port::NAMES,
            Resource::SecurityGroup => security_group::NAMES,
            Resource::SecurityGroupRule => security_group_rule::NAMES,
            Resource::Host => host::NAMES,
            Resource::ForeignEndpoint => foreign_endpoint::NAMES,
        }
    }

    /// The key around one object, such as `security_group`.
    pub const fn singular(self) -> &'static str {
        self.names().singular
    }

    /// The key around several.
    pub const fn plural(self) -> &'static str {
        self.names().plural
    }

    /// Where the collection is, such as `/v2.0/security-groups`.
    pub const fn path(self) -> &'static str {
        self.names().path
    }

    /// For sentences, such as `Security group`.
    pub const fn title(self) -> &'static str {
        self.names().title
    }

    /// Neutron's error for an id that names none.
    pub const fn not_found_kind(self) -> &'static str {
        self.names().not_found
    }

    /// Neutron's error for one that others still need.
    pub const fn in_use_kind(self) -> &'static str {
        self.names().in_use
    }

    /// Its rows of the table, in the order that people read them.
    pub const fn attributes(self) -> &'static [Attribute] {
        match self {
            Resource::Project => project::ATTRIBUTES,
            Resource::Network => network::ATTRIBUTES,
            Resource::Subnet => subnet::ATTRIBUTES,
            Resource::Port => port::ATTRIBUTES,
            Resource::SecurityGroup => security_group::ATTRIBUTES,
            Resource::SecurityGroupRule => security_group_rule::ATTRIBUTES,
            Resource::Host => host::ATTRIBUTES,
            Resource::ForeignEndpoint => foreign_endpoint::ATTRIBUTES,
        }
    }

    /// One of its attributes.
    pub fn attribute(self, name: &str) -> Option<&'static Attribute> {
        self.attributes().iter().find(|attribute| attribute.name == name)
    }

    /// True where administrators alone may see and change it.
    pub const fn is_for_admins(self) -> bool {
        matches!(
            self,
            Resource::Project | Resource::Host | Resource::ForeignEndpoint
        )
    }
}

/// A request as a typed struct.
pub trait Request: Sized {
    /// Of what.
    const RESOURCE: Resource;
    /// To do what.
    const OPERATION: Operation;
    /// From attributes that are legal each by itself; an error where they do not fit together.
    fn from_attributes(attributes: Attributes) -> Result<Self, ApiError>;
}

/// The typed request in a body.
///
/// ```
/// use anet_api::resource::{NetworkCreate, Requests, Role, request};
/// let body = br#"{"network": {"name": "blue"}}"#;
/// let Requests::One(network) = request::<NetworkCreate>(Role::Member, body)? else { panic!() };
/// assert_eq!((network.name.as_str(), network.admin_state_up), ("blue", true));
/// # Ok::<(), anet_api::ApiError>(())
/// ```
pub fn request<T: Request>(role: Role, body: &[u8]) -> Result<Requests<T>, ApiError> {
    decode::decode(T::RESOURCE, T::OPERATION, role, body)?.try_map(T::from_attributes)
}

/// The typed request in a body that is about one object, as an update is.
pub fn request_one<T: Request>(role: Role, body: &[u8]) -> Result<T, ApiError> {
    match request(role, body)? {
        Requests::One(one) => Ok(one),
        Requests::Many(_) => Err(ApiError::bad_request(format!(
            "The body is not as expected: {{\"{}\": {{…}}}}.",
            T::RESOURCE.singular()
        ))),
    }
}

/// A value of an attribute as it stands in an object, from a text or other JSON that is legal for it; or why it is not.
pub fn legal_value(attribute: &Attribute, value: &Value) -> Result<Value, String> {
    Ok(check::value(attribute, value)?.to_json(attribute))
}

/// What `role` sees of an object.
pub fn visible(resource: Resource, role: Role, mut object: Map<String, Value>) -> Map<String, Value> {
    for attribute in resource.attributes() {
        if !attribute.show.permits(role) {
            object.remove(attribute.name);
        }
    }
    object
}
