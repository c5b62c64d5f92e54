//! Why the store did not do as asked.

use std::path::PathBuf;

use crate::record::{LeaseId, Revision};
use crate::transaction::{OPERATIONS_MAXIMUM, REQUEST_BYTES_MAXIMUM};

/// A request that no store would take, found before anything was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Too many compares, or too many operations in one branch.
    #[error(
        "a transaction of {found} operations, {OPERATIONS_MAXIMUM} are allowed: stage the change in parts and publish it by one \
         small transaction"
    )]
    TooManyOperations {
        /// Of the longest of the three lists.
        found: usize,
    },
    /// Too many bytes.
    #[error(
        "a request of {found} bytes, {REQUEST_BYTES_MAXIMUM} are allowed: stage the change in parts and publish it by one small \
         transaction"
    )]
    TooLarge {
        /// As [`Transaction::bytes`](crate::Transaction::bytes) counts.
        found: usize,
    },
    /// A key without a byte.
    #[error("an empty key: a key has at least one byte")]
    EmptyKey,
    /// One branch writes a key twice.
    #[error("key {} is written twice in one branch: write each key once", .0.escape_ascii())]
    RepeatedKey(Vec<u8>),
    /// A lease longer than any store grants.
    #[error("a lease of {found} s, at most {maximum} s are granted: ask for a shorter one and keep it alive")]
    LeaseTooLong {
        /// Asked for, in seconds.
        found: u64,
        /// The longest, in seconds.
        maximum: u64,
    },
    /// A leader's transaction would write although the leadership is lost.
    #[error(
        "a leader's transaction writes in its second list, which no compare guards: write in the first list only"
    )]
    UnfencedWrite,
    /// Revision 0 is before everything, and no revision to watch from.
    #[error("a watch from revision 0: watch from the revision behind a listing's")]
    WatchFromZero,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The request itself is wrong. Nothing was sent.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The history that was asked for is gone.
    #[error(
        "revision {asked} is compacted away, history begins behind {compacted}: list again and watch from there"
    )]
    Compacted {
        /// The revision asked for.
        asked: Revision,
        /// The newest compacted one.
        compacted: Revision,
    },
    /// The store has not come there yet.
    #[error(
        "revision {asked} is in the future, the store is at {revision}: it was restored from an older copy, or another store was \
         asked before"
    )]
    FutureRevision {
        /// The revision asked for.
        asked: Revision,
        /// The store's.
        revision: Revision,
    },
    /// The lease has expired, was revoked or never was.
    #[error("there is no lease {0}, it may have expired: grant another one")]
    NoLease(LeaseId),
    /// The write may have been committed, may not, or may be later.
    #[error(
        "it is unknown whether the write was committed ({reason}): send it again with the same idempotency key"
    )]
    OutcomeUnknown {
        /// What happened.
        reason: String,
    },
    /// The store cannot be reached or cannot serve. Nothing was written.
    #[error("the store does not serve now ({reason}): try again")]
    Unavailable {
        /// What happened.
        reason: String,
    },
    /// No room left. Nothing was written.
    #[error("the disk of {} is full, nothing was written: make room, the store then goes on by itself", path.display())]
    Full {
        /// The store's file.
        path: PathBuf,
    },
    /// What is on disk is not what was written there.
    #[error(
        "{} is damaged ({what}): stop the controller, keep a copy of the file, and restore the last backup",
        path.display()
    )]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
}

impl StoreError {
    /// True where the write may have been committed all the same. After every other error it certainly was not.
    pub const fn may_have_committed(&self) -> bool {
        matches!(self, StoreError::OutcomeUnknown { .. })
    }

    /// True where the fault lies with the store's own place, not with the request.
    pub(crate) const fn is_of_storage(&self) -> bool {
        matches!(
            self,
            StoreError::Unavailable { .. } | StoreError::Full { .. } | StoreError::Damaged { .. }
        )
    }
}
