//! Leases: which there are and which keys hang on them. When they expire is the [`Deadlines`](super::Deadlines)' business.

use std::time::Duration;

use crate::engine::tables::{Tables, TablesMut};
use crate::engine::transact::PendingChange;
use crate::error::{RequestError, StoreError};
use crate::range::KeyRange;
use crate::record::{Lease, LeaseId};

/// The longest lease, as etcd's.
const TTL_SECONDS_MAXIMUM: u64 = 9_000_000_000;

/// Grants a lease for `ttl` in whole seconds, one at least.
pub(crate) fn grant(tables: &mut dyn TablesMut, ttl: Duration) -> Result<Lease, StoreError> {
    let seconds = (ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)).max(1);
    if seconds > TTL_SECONDS_MAXIMUM {
        return Err(StoreError::Request(RequestError::LeaseTooLong {
            found: seconds,
            maximum: TTL_SECONDS_MAXIMUM,
        }));
    }
    let mut position = tables.position();
    position.last_lease += 1;
    let lease = Lease {
        id: LeaseId(position.last_lease),
        ttl: Duration::from_secs(seconds),
    };
    tables.set_lease(lease.id, Some(lease.ttl))?;
    tables.set_position(position);
    Ok(lease)
}

/// How long a lease lives from now on.
pub(crate) fn renew(tables: &dyn Tables, lease: LeaseId) -> Result<Duration, StoreError> {
    tables.lease(lease)?.ok_or(StoreError::NoLease(lease))
}

/// Ends a lease: its keys are deleted at one revision.
pub(crate) fn revoke(tables: &mut dyn TablesMut, lease: LeaseId) -> Result<(), StoreError> {
    renew(tables, lease)?;
    let keys = tables.attached(lease)?;
    let mut change = PendingChange::begin(tables);
    for key in keys {
        change.delete_range(&KeyRange::key(key))?;
    }
    change.finish()?;
    tables.set_lease(lease, None)
}
