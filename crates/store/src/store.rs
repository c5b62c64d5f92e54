//! The trait that every back end implements.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::error::{RequestError, StoreError};
use crate::range::{KeyRange, RangeAnswer, RangeRequest};
use crate::record::{Event, Key, KeyValue, Lease, LeaseId, Revision, Value};
use crate::transaction::{Operation, Transaction, TransactionAnswer};

/// What a call of the store will say. Dropping it does not take a write back: its outcome is then unknown.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A store of revisioned keys. See the [crate's page](crate) for what its callers have to do.
pub trait Store: Debug + Send + Sync {
    /// Runs a transaction: whole or not at all, durable before it is answered.
    fn transact(&self, transaction: Transaction) -> Answer<'_, TransactionAnswer>;

    /// Reads a range.
    fn range(&self, request: RangeRequest) -> Answer<'_, RangeAnswer>;

    /// Begins to watch a range.
    fn watch(&self, request: WatchRequest) -> Answer<'_, Box<dyn Watcher>>;

    /// Grants a lease for at least `ttl`; whole seconds, rounded up.
    fn grant(&self, ttl: Duration) -> Answer<'_, Lease>;

    /// Lets a lease begin anew; answers how long it lives from now. [`StoreError::NoLease`] where it has expired.
    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, Duration>;

    /// Ends a lease and deletes its keys, at one revision. [`StoreError::NoLease`] where it has expired.
    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()>;

    /// Forgets history: afterwards, what was at `revision` and later can still be read and what came behind it still be
    /// watched. Nothing happens where that much is forgotten already.
    fn compact(&self, revision: Revision) -> Answer<'_, ()>;

    /// Reads one key, linearizably.
    fn get(&self, key: Key) -> Answer<'_, Option<KeyValue>> {
        Box::pin(async move {
            let answer = self.range(RangeRequest::new(KeyRange::key(key))).await?;
            Ok(answer.entries.into_iter().next())
        })
    }

    /// Writes one key whatever it was; answers the revision that did it.
    fn put(&self, key: Key, value: Value) -> Answer<'_, Revision> {
        Box::pin(async move {
            let transaction = Transaction::new().then(Operation::put(key, value));
            Ok(self.transact(transaction).await?.revision)
        })
    }
}

/// What to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchRequest {
    /// Which keys.
    pub range: KeyRange,
    /// The first revision whose events are wanted: the one behind a listing's. It may lie in the future.
    pub from: Revision,
    /// Whether events carry what the key was before.
    pub previous: bool,
}

impl WatchRequest {
    /// The events of a range from a revision on.
    pub const fn new(range: KeyRange, from: Revision) -> Self {
        Self {
            range,
            from,
            previous: false,
        }
    }

    /// With what each key was before.
    pub const fn with_previous(mut self) -> Self {
        self.previous = true;
        self
    }

    /// Refuses what no store would take.
    pub const fn check(&self) -> Result<(), RequestError> {
        match self.from {
            0 => Err(RequestError::WatchFromZero),
            _ => Ok(()),
        }
    }
}

/// Events in the order of their revisions; those of one revision come together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchBatch {
    /// All events up to and with this revision have now been handed over.
    pub revision: Revision,
    /// The events. None: only progress.
    pub events: Vec<Event>,
}

/// A watch that is under way.
pub trait Watcher: Debug + Send {
    /// Waits for the next events. May be dropped and asked again without loss. After an error the watch is at its end:
    /// [`StoreError::Compacted`] asks for a new listing, another error for a new watch.
    fn next(&mut self) -> Answer<'_, WatchBatch>;

    /// Asks for word of the progress: [`Watcher::next`] then answers at once, without events if there are none, with the revision
    /// up to which the watch has come.
    fn request_progress(&mut self);
}
