//! What the writer is asked to do.

use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::engine::{self, TablesMut};
use crate::error::StoreError;
use crate::record::{Lease, LeaseId, Revision};
use crate::transaction::{Transaction, TransactionAnswer};

/// Something to do.
#[derive(Debug, Clone)]
pub(super) enum Request {
    Transact(Transaction),
    Grant(Duration),
    KeepAlive(LeaseId),
    Revoke(LeaseId),
    Compact(Revision),
    LookAtTheClock,
}

/// What was done.
#[derive(Debug, Clone)]
pub(super) enum Done {
    Transacted(TransactionAnswer),
    Granted(Lease),
    Renewed(Duration),
    Unit,
}

/// What came of it.
pub(super) type Outcome = Result<Done, StoreError>;

/// A request with whoever waits for its outcome.
#[derive(Debug)]
pub(super) struct Job {
    pub request: Request,
    /// `None` for the writer's own.
    pub reply: Option<oneshot::Sender<Outcome>>,
    /// A place among those that wait, until it is done.
    pub _place: Option<OwnedSemaphorePermit>,
}

impl Job {
    /// One that nobody waits for.
    pub(super) fn own(request: Request) -> Self {
        Self {
            request,
            reply: None,
            _place: None,
        }
    }

    pub(super) fn answer(self, outcome: Outcome) {
        if let Some(reply) = self.reply {
            // Whoever asked may have gone.
            let _gone = reply.send(outcome);
        }
    }
}

/// Does it in the midst of a write transaction. Can be done again where that transaction was dropped.
pub(super) fn run(tables: &mut dyn TablesMut, request: &Request) -> Outcome {
    match request {
        Request::Transact(transaction) => engine::transact(tables, transaction).map(Done::Transacted),
        Request::Grant(ttl) => engine::grant(tables, *ttl).map(Done::Granted),
        Request::KeepAlive(lease) => engine::renew(tables, *lease).map(Done::Renewed),
        Request::Revoke(lease) => engine::revoke(tables, *lease).map(|()| Done::Unit),
        Request::Compact(revision) => engine::compact(tables, *revision).map(|()| Done::Unit),
        Request::LookAtTheClock => Ok(Done::Unit),
    }
}
