//! A store in one file on one machine: redb's tables, each commit synced before it is answered.
//!
//! Writes go to a thread of the store's own, which runs all that waits for it as one commit; readings run on tokio's blocking
//! threads. So nothing here blocks the executor, and everything has to be called within a tokio runtime.
//!
//! - **Locked**: a second process, or a second [`RedbStore`] in this one, is refused.
//! - **Format**: a header says which; a newer one is refused.
//! - **Damage**: redb checks its pages when the file is opened; each record carries a checksum of its own, and counts and revisions
//!   must add up ([`Options::verify`]). Commits are made in two phases, so that a page that went bad is an error and never a quiet step
//!   back to the commit before.
//! - **Full disk** and other failed writes: an error, nothing half done; the file is opened anew and its own counter says
//!   whether the commit is in it. Where it is, or where even that fails, the outcome is unknown: written is not yet durable.
//! - **History** is bounded ([`Options::history_events`], [`Options::history_bytes`]); watchers that are overtaken hear so.
//! - **Leases** have their whole time again after a restart.

mod codec;
mod database;
mod error;
mod job;
mod medium;
mod quiet;
mod reader;
mod tables;
mod verify;
mod watcher;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use error::OpenError;
pub use medium::Medium;

use crate::clock::{Clock, SystemClock};
use crate::engine;
use crate::error::StoreError;
use crate::range::{RangeAnswer, RangeRequest};
use crate::record::{Lease, LeaseId, Revision};
use crate::store::{Answer, Store, WatchRequest, Watcher};
use crate::transaction::{Transaction, TransactionAnswer};
use database::Database;
use job::{Done, Request};
use medium::FileMedium;
use reader::Reader;
use watcher::RedbWatcher;
use writer::WriterHandle;

/// The format that this build writes. Kept in the file's header; raised by each change of the encoding.
pub const FORMAT: u32 = 1;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Memory for pages of the file.
    pub cache_bytes: usize,
    /// The oldest history is forgotten where there are more events than this.
    pub history_events: u64,
    /// Or where their keys and values, old and new, have more bytes than this.
    pub history_bytes: u64,
    /// Reads the whole file when it is opened and checks that all of it is sound.
    pub verify: bool,
    /// What leases expire by.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 32 * 1024 * 1024,
            history_events: 20_000,
            history_bytes: 64 * 1024 * 1024,
            verify: true,
            clock: Arc::new(SystemClock::default()),
        }
    }
}

/// A store in a file. Clones are the same store; the file is closed behind the last one and the last of its watchers.
#[derive(Debug, Clone)]
pub struct RedbStore {
    reader: Reader,
    writer: Arc<WriterHandle>,
}

impl RedbStore {
    /// Makes a new store. Refused where there is a file already. A crash in the midst leaves none.
    pub fn create(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        FileMedium::create(path.as_ref(), &options)?;
        Self::open(path, options)
    }

    /// Opens a store that is there. Blocks while it is read through.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        Self::open_medium(Arc::new(FileMedium::new(path.as_ref())), options)
    }

    /// Opens a store, or makes one, on something other than a file: for tests of what disks do.
    pub fn open_medium(medium: Arc<dyn Medium>, options: Options) -> Result<Self, OpenError> {
        let database = Arc::new(Database::open(medium, options)?);
        let (writer, revisions) = WriterHandle::start(database.clone())?;
        Ok(Self {
            reader: Reader::new(database, revisions),
            writer: Arc::new(writer),
        })
    }

    /// Ends what has expired by now without waiting until that is noticed: for clocks that are moved by hand.
    pub async fn expire_leases(&self) -> Result<(), StoreError> {
        self.call(Request::LookAtTheClock, |done| match done {
            Done::Unit => Some(()),
            _ => None,
        })
        .await
    }

    async fn call<T>(&self, request: Request, pick: fn(Done) -> Option<T>) -> Result<T, StoreError> {
        let done = self.writer.call(request).await?;
        pick(done).ok_or_else(|| StoreError::OutcomeUnknown {
            reason: "the store gave the answer of another request".to_owned(),
        })
    }
}

impl Store for RedbStore {
    fn transact(&self, transaction: Transaction) -> Answer<'_, TransactionAnswer> {
        Box::pin(async move {
            transaction.check()?;
            self.call(Request::Transact(transaction), |done| match done {
                Done::Transacted(answer) => Some(answer),
                _ => None,
            })
            .await
        })
    }

    fn range(&self, request: RangeRequest) -> Answer<'_, RangeAnswer> {
        // One node: what is committed is what everyone sees, so that no answer is stale.
        Box::pin(self.reader.read(move |tables| engine::range(tables, &request)))
    }

    fn watch(&self, request: WatchRequest) -> Answer<'_, Box<dyn Watcher>> {
        Box::pin(async move {
            request.check()?;
            Ok(Box::new(RedbWatcher::new(self.reader.clone(), request)) as Box<dyn Watcher>)
        })
    }

    fn grant(&self, ttl: Duration) -> Answer<'_, Lease> {
        Box::pin(self.call(Request::Grant(ttl), |done| match done {
            Done::Granted(lease) => Some(lease),
            _ => None,
        }))
    }

    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, Duration> {
        Box::pin(self.call(Request::KeepAlive(lease), |done| match done {
            Done::Renewed(ttl) => Some(ttl),
            _ => None,
        }))
    }

    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()> {
        Box::pin(self.call(Request::Revoke(lease), |done| match done {
            Done::Unit => Some(()),
            _ => None,
        }))
    }

    fn compact(&self, revision: Revision) -> Answer<'_, ()> {
        Box::pin(self.call(Request::Compact(revision), |done| match done {
            Done::Unit => Some(()),
            _ => None,
        }))
    }
}
