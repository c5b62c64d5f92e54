//! Errors as Neutron says them: a status, a type that clients know by name, and a sentence for people.

use std::fmt::Display;
use std::net::IpAddr;

use anet_packet::addr::Mac;
use serde_json::{Value, json};

use crate::resource::Resource;

/// What went wrong, as the answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// Neutron's name of the error (`type`).
    pub kind: &'static str,
    /// What happened, where, and what to do next.
    pub message: String,
    /// More, where there is more.
    pub detail: String,
}

impl ApiError {
    /// An error of a status and Neutron's type for it.
    pub fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            detail: String::new(),
        }
    }

    /// 400: the request as a whole is not legal.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "HTTPBadRequest", message)
    }

    /// 400: one attribute is not legal; `reason` says what would be.
    pub fn invalid(attribute: &str, reason: impl Display) -> Self {
        Self::bad_request(format!("Invalid input for {attribute}. Reason: {reason}."))
    }

    /// 400: legal by itself, but not together with the rest.
    pub fn invalid_input(message: impl Display) -> Self {
        Self::new(
            400,
            "InvalidInput",
            format!("Invalid input for operation: {message}."),
        )
    }

    /// 401: nobody is known by the token.
    pub fn unauthorized() -> Self {
        Self::new(
            401,
            "HTTPUnauthorized",
            "The request needs a valid token in the header X-Auth-Token.",
        )
    }

    /// 403: the caller may not do this.
    pub fn forbidden(what: impl Display) -> Self {
        let message = format!("{what} is disallowed by policy");
        Self::new(403, "PolicyNotAuthorized", message)
    }

    /// 404: there is no such object, or the caller may not know of it.
    pub fn not_found(resource: Resource, id: &str) -> Self {
        let title = resource.title();
        let message = format!("{title} {} could not be found.", excerpt(id));
        Self::new(404, resource.not_found_kind(), message)
    }

    /// 404: the path names nothing.
    pub fn no_such_path(path: &str) -> Self {
        let message = format!("The path {} names no resource.", excerpt(path));
        Self::new(404, "HTTPNotFound", message)
    }

    /// 405: the resource cannot be used that way.
    pub fn method_not_allowed(method: &str, path: &str) -> Self {
        let message = format!("{} is not possible on {}.", excerpt(method), excerpt(path));
        Self::new(405, "HTTPMethodNotAllowed", message)
    }

    /// 409: it stands against what is there; `kind` is Neutron's name for that.
    pub fn conflict(kind: &'static str, message: impl Into<String>) -> Self {
        Self::new(409, kind, message)
    }

    /// 409: other objects still need it. `users` says which, such as `ports`.
    pub fn in_use(resource: Resource, id: &str, users: impl Display) -> Self {
        let noun = resource.title().to_lowercase();
        let message = format!("Unable to delete {noun} {id}: it is still used by {users}.");
        Self::conflict(resource.in_use_kind(), message)
    }

    /// 409: the address, given in this attribute, belongs to another port or station of the network.
    pub fn address_in_use(network: &str, attribute: &str, address: IpAddr) -> Self {
        let message = format!(
            "Unable to complete operation for network {network}. The IP address {address} is in use: give {attribute} another \
             ip_address, or none."
        );
        Self::conflict("IpAddressInUse", message)
    }

    /// 409: the MAC belongs to another port of the network.
    pub fn mac_in_use(network: &str, mac: Mac) -> Self {
        let message = format!(
            "Unable to complete operation for network {network}. The mac address {mac} is in use: give another mac_address."
        );
        Self::conflict("MacAddressInUse", message)
    }

    /// 409: the subnets of the network, or the one that was asked for, have no address left.
    pub fn no_more_addresses(network: &str) -> Self {
        let message = format!(
            "No more IP addresses available on network {network}: give fixed_ips an ip_address or another subnet_id, widen the \
             subnet's allocation_pools, or delete ports."
        );
        Self::conflict("IpAddressGenerationFailure", message)
    }

    /// 409: the segment carries another network.
    pub fn segment_in_use(vni: u32) -> Self {
        let message = format!(
            "Unable to create the network. The VXLAN segment {vni} is in use by another network: choose another provider:segmentation_id or none."
        );
        Self::conflict("TunnelIdInUse", message)
    }

    /// 412: the object is not of the revision that `If-Match` says.
    pub fn revision_constraint(expected: u64, current: u64) -> Self {
        let message = format!(
            "Constrained to {expected}, but current revision is {current}: look at the object as it is, and ask again."
        );
        Self::new(412, "RevisionNumberConstraintFailed", message)
    }

    /// 413: more than one request may carry.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(413, "RequestTooLarge", message)
    }

    /// 500: a fault of the fabric itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "HTTPInternalServerError", message)
    }

    /// 503: cannot be done now; the same request may succeed later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// The same error with more detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The body of the answer.
    pub fn body(&self) -> Value {
        json!({"NeutronError": {"type": self.kind, "message": self.message, "detail": self.detail}})
    }
}

/// The beginning of a text that came from outside, so that an error stays short and on one line.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ApiError, excerpt};
    use crate::resource::Resource;

    #[test]
    fn the_body_is_neutrons() {
        let error = ApiError::not_found(Resource::Network, "n1").with_detail("d");
        let inner =
            json!({"type": "NetworkNotFound", "message": "Network n1 could not be found.", "detail": "d"});
        assert_eq!(error.body(), json!({"NeutronError": inner}));
        assert_eq!(error.status, 404);
    }

    #[test]
    fn an_excerpt_is_short_and_on_one_line() {
        assert_eq!(excerpt("a\nb\u{1b}[31m"), "ab[31m");
        assert_eq!(excerpt(&"x".repeat(500)).chars().count(), 81);
    }
}
