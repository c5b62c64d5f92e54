//! `If-Match: revision_number=N`: a change or delete of an object as it was when the client looked at it, or none.

use anet_api::{ApiError, Resource};
use anet_model::id::Id;
use anet_model::intent::Common;
use std::collections::BTreeMap;

use super::super::mirror::Mirror;

/// What stands before the number.
const NAME: &str = "revision_number=";

/// The revision number that the header names; none where any will do.
pub fn expected(header: &str) -> Result<Option<u64>, ApiError> {
    let value = header.trim();
    if value == "*" {
        return Ok(None);
    }
    let number = value
        .strip_prefix(NAME)
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    match number.and_then(|digits| digits.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(ApiError::bad_request(format!(
            "Invalid input for the header If-Match: expected {NAME}N, or *."
        ))),
    }
}

/// Refuses where the object is of another revision. That it stays of this one until the change is written is compared by the change.
pub fn check(mirror: &Mirror, resource: Resource, id: &str, expected: u64) -> Result<(), ApiError> {
    match current(mirror, resource, id) {
        Some(current) if current != expected => Err(ApiError::revision_constraint(expected, current)),
        _ => Ok(()),
    }
}

fn current(mirror: &Mirror, resource: Resource, id: &str) -> Option<u64> {
    fn of<N, V>(map: &BTreeMap<Id<N>, V>, id: &str, common: impl Fn(&V) -> &Common) -> Option<u64> {
        let id = Id::new(id).ok()?;
        map.get(&id).map(|object| common(object).revision_number)
    }
    let intent = mirror.intent();
    match resource {
        Resource::Project => of(&intent.projects, id, |object| &object.common),
        Resource::Network => of(&intent.networks, id, |object| &object.common),
        Resource::Subnet => of(&intent.subnets, id, |object| &object.common),
        Resource::Port => of(&intent.ports, id, |object| &object.common),
        Resource::SecurityGroup => of(&intent.security_groups, id, |object| &object.common),
        Resource::SecurityGroupRule => of(&intent.rules, id, |object| &object.common),
        Resource::Host => of(&intent.hosts, id, |object| &object.common),
        Resource::ForeignEndpoint => of(&intent.foreign_endpoints, id, |object| &object.common),
    }
}

#[cfg(test)]
mod tests {
    use super::expected;

    #[test]
    fn the_header_is_read_or_refused() {
        assert_eq!(expected(" revision_number=77 "), Ok(Some(77)));
        assert_eq!(expected("*"), Ok(None));
        for wrong in [
            "",
            "77",
            "revision_number=",
            "revision_number=-1",
            "revision_number=+1",
            "\"etag\"",
        ] {
            assert_eq!(expected(wrong).map_err(|error| error.status), Err(400), "{wrong}");
        }
    }
}
