//! What is kept: keys with their values and revisions, events, leases.

use std::fmt;
use std::time::Duration;

/// A key: at least one byte.
pub type Key = Vec<u8>;
/// A value.
pub type Value = Vec<u8>;
/// A point in the store's history. An empty store is at revision 1; the first write makes it 2.
pub type Revision = u64;

/// A key that exists, as of some revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Key,
    /// Its value.
    pub value: Value,
    /// The revision that made the key. A key that was deleted and made again has a new one.
    pub create_revision: Revision,
    /// The revision that wrote it last.
    pub mod_revision: Revision,
    /// How often it was written since it was made, the making included.
    pub version: u64,
    /// The lease that it vanishes with.
    pub lease: Option<LeaseId>,
}

/// What a revision did to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The revision.
    pub revision: Revision,
    /// The key.
    pub key: Key,
    /// What it is now; `None` where it was deleted.
    pub now: Option<KeyValue>,
    /// What it was before, where the watch asked for it and the key was there.
    pub previous: Option<KeyValue>,
}

/// Names a lease. Never given twice by one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A lease as it was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub id: LeaseId,
    /// How long it lives without a keep-alive: never shorter than asked, often longer.
    pub ttl: Duration,
}
