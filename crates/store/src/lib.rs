//! Revisioned key-value truth, and nothing about networks: what the keys and values mean is the caller's business.
//!
//! # The key space
//! Keys and values are bytes; keys are ordered as bytes. There is one [`Revision`] for all of it, which grows by one with
//! each transaction that writes; every key knows the revision that created it, the one that last wrote it, and how
//! often it was written since ([`KeyValue`]). This is etcd's version 3 model, kept so exactly that etcd can stand behind the
//! same trait.
//!
//! # The parts
//! - [`Store`]: the trait, safe to use as `Arc<dyn Store>`. [`Transaction`] compares, then runs one of two lists of operations;
//!   [`RangeRequest`] reads, page by page at one revision where asked ([`list()`]); [`WatchRequest`] follows a range of
//!   keys from a revision on; leases make keys vanish with whoever keeps them alive.
//! - [`Election`] and [`Fence`], on top of the trait and so the same for each back end.
//! - [`redb`]: one file on one machine, each commit synced. The default of one management node.
//! - [`model`]: in memory, for tests and simulation; it misbehaves on demand.
//! - `testing` (a feature): the conformance suite that each back end passes.
//!
//! # What callers must do
//! - **A write whose outcome is unknown** ([`StoreError::OutcomeUnknown`]) may have been committed, may not, and may still be. Put a key
//!   of your own, compared as absent, into each transaction that must happen once, and send the same transaction again.
//! - **A watch is a hint, not a promise.** Events may be lost or come twice or again (etcd 3.4 did all three). Each event carries its
//!   revision; drop what is not newer than what you have, and read a counter key linearizably now and then: if it is ahead of
//!   the watch, list again. [`StoreError::Compacted`] says so outright.
//! - **A leader may have been replaced without knowing it.** A lease is not a lock: each write of a leader carries the compare of its
//!   [`Fence`].
//! - **Time is an argument**: [`clock::Clock`].

pub mod clock;
mod election;
mod engine;
mod error;
mod list;
pub mod model;
mod range;
mod record;
pub mod redb;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod transaction;

pub use election::{Election, Fence, Fenced, Leader, Observer};
pub use error::{RequestError, StoreError};
pub use list::{Listing, list};
pub use range::{KeyRange, RangeAnswer, RangeRequest, Reading};
pub use record::{Event, Key, KeyValue, Lease, LeaseId, Revision, Value};
pub use store::{Answer, Store, WatchBatch, WatchRequest, Watcher};
pub use transaction::{
    Branch, Compare, OPERATIONS_MAXIMUM, Operation, OperationResult, REQUEST_BYTES_MAXIMUM, Transaction,
    TransactionAnswer,
};
