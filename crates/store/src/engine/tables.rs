//! The tables that the engine works on.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::error::StoreError;
use crate::range::KeyRange;
use crate::record::{Event, Key, KeyValue, LeaseId, Revision};

/// Where the store stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// The newest revision.
    pub revision: Revision,
    /// History up to and with this revision is forgotten.
    pub compacted: Revision,
    /// Keys that exist.
    pub keys: u64,
    /// Events in the history.
    pub events: u64,
    /// Their bytes.
    pub event_bytes: u64,
    /// The lease that was granted last.
    pub last_lease: u64,
}

impl Default for Position {
    fn default() -> Self {
        Self {
            revision: 1,
            compacted: 0,
            keys: 0,
            events: 0,
            event_bytes: 0,
            last_lease: 0,
        }
    }
}

/// Told each revision of the history with its events; may end the walk.
pub(crate) type Visit<'a> = dyn FnMut(Revision, &[Event]) -> ControlFlow<()> + 'a;

/// Reading.
pub(crate) trait Tables {
    fn position(&self) -> Position;
    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, StoreError>;
    /// The first `limit` keys of a range, in order.
    fn scan(&self, range: &KeyRange, limit: usize) -> Result<Vec<KeyValue>, StoreError>;
    /// The history from a revision on, in order. Events have their previous value.
    fn history(&self, from: Revision, visit: &mut Visit<'_>) -> Result<(), StoreError>;
    /// How long a lease lives; `None` where there is none.
    fn lease(&self, lease: LeaseId) -> Result<Option<Duration>, StoreError>;
    /// The keys of a lease, in order.
    fn attached(&self, lease: LeaseId) -> Result<Vec<Key>, StoreError>;
}

/// Writing. The engine keeps [`Position`] right.
pub(crate) trait TablesMut: Tables {
    fn set_position(&mut self, position: Position);
    fn put(&mut self, entry: &KeyValue) -> Result<(), StoreError>;
    fn remove(&mut self, key: &[u8]) -> Result<(), StoreError>;
    /// Adds a revision to the history.
    fn append(&mut self, revision: Revision, events: Vec<Event>) -> Result<(), StoreError>;
    /// Removes a revision from the history, if it is there.
    fn forget(&mut self, revision: Revision) -> Result<(), StoreError>;
    /// Keeps a lease, or with `None` forgets it.
    fn set_lease(&mut self, lease: LeaseId, ttl: Option<Duration>) -> Result<(), StoreError>;
    fn attach(&mut self, lease: LeaseId, key: &[u8]) -> Result<(), StoreError>;
    fn detach(&mut self, lease: LeaseId, key: &[u8]) -> Result<(), StoreError>;
}

/// What an event counts for in [`Position::event_bytes`].
pub(crate) fn event_bytes(event: &Event) -> u64 {
    let value = |entry: &Option<KeyValue>| entry.as_ref().map_or(0, |entry| entry.value.len());
    (event.key.len() + value(&event.now) + value(&event.previous)) as u64
}
