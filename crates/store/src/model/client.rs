//! One process's way to a model store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::engine::{self, Tables};
use crate::error::StoreError;
use crate::model::ModelStore;
use crate::model::faults::{Faults, LeaseFault, ReadFault, TransactionFault};
use crate::model::watcher::ModelWatcher;
use crate::range::{RangeAnswer, RangeRequest, Reading};
use crate::record::{Lease, LeaseId, Revision};
use crate::store::{Answer, Store, WatchRequest, Watcher};
use crate::transaction::{Transaction, TransactionAnswer};

/// The faults of one way, which calls and watchers share.
pub(super) type SharedFaults = Arc<Mutex<Box<dyn Faults>>>;

/// A way to a [`ModelStore`] with faults of its own.
#[derive(Debug, Clone)]
pub struct ModelClient {
    store: ModelStore,
    faults: SharedFaults,
    cut: Arc<AtomicBool>,
}

impl ModelClient {
    pub(super) fn new(store: ModelStore, faults: Box<dyn Faults>) -> Self {
        Self {
            store,
            faults: Arc::new(Mutex::new(faults)),
            cut: Arc::default(),
        }
    }

    /// Cuts this way, or joins it again. While it is cut nothing is sent, and watches break.
    pub fn set_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
        self.store.clock.wake();
    }

    /// The store at the other end.
    pub const fn store(&self) -> &ModelStore {
        &self.store
    }

    pub(super) fn check_cut(&self) -> Result<(), StoreError> {
        match self.cut.load(Ordering::SeqCst) {
            true => Err(unavailable("the way to it is cut")),
            false => Ok(()),
        }
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Box<dyn Faults>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait(&self, delay: Duration) {
        let clock = &self.store.clock;
        clock.reach(clock.now() + delay).await;
    }

    fn commit(&self, transaction: &Transaction) -> Result<TransactionAnswer, StoreError> {
        self.store
            .change(|state| engine::transact(&mut state.tables, transaction))
    }

    async fn transact_with_faults(&self, transaction: Transaction) -> Result<TransactionAnswer, StoreError> {
        transaction.check()?;
        self.check_cut()?;
        let fault = self.faults().transaction();
        match fault {
            TransactionFault::None => self.commit(&transaction),
            TransactionFault::Refused => Err(unavailable("the fault script refused it")),
            TransactionFault::LostBefore => Err(unknown("no answer came")),
            TransactionFault::LostAfter => {
                // Even that it was refused is not heard.
                let _unheard = self.commit(&transaction);
                Err(unknown("no answer came"))
            }
            TransactionFault::ArrivesLate(delay) => {
                let at = self.store.clock.now() + delay;
                self.store.change(|state| state.send_late(at, transaction));
                Err(unknown("no answer came yet"))
            }
            TransactionFault::Slow(delay) => {
                self.wait(delay).await;
                self.commit(&transaction)
            }
        }
    }

    async fn range_with_faults(&self, request: RangeRequest) -> Result<RangeAnswer, StoreError> {
        let age = self.read_fault().await?;
        let state = self.store.settled();
        let position = state.tables.position();
        let old = position
            .revision
            .saturating_sub(age)
            .max(position.compacted)
            .max(1);
        let request = match (request.reading, request.revision) {
            (Reading::Stale, None) => request.at(old),
            _ => request,
        };
        engine::range(&state.tables, &request)
    }

    /// Lets the next reading's fault happen; answers how old its answer should be.
    async fn read_fault(&self) -> Result<u64, StoreError> {
        self.check_cut()?;
        let fault = self.faults().read();
        match fault {
            ReadFault::None => Ok(0),
            ReadFault::Refused => Err(unavailable("the fault script refused it")),
            ReadFault::Slow(delay) => {
                self.wait(delay).await;
                self.check_cut().map(|()| 0)
            }
            ReadFault::Old(revisions) => Ok(revisions),
        }
    }

    /// How much longer than asked a lease lives.
    fn lease_fault(&self) -> Result<Duration, StoreError> {
        self.check_cut()?;
        let fault = self.faults().lease();
        match fault {
            LeaseFault::None => Ok(Duration::ZERO),
            LeaseFault::Refused => Err(unavailable("the fault script refused it")),
            LeaseFault::Longer(by) => Ok(by),
        }
    }
}

impl Store for ModelClient {
    fn transact(&self, transaction: Transaction) -> Answer<'_, TransactionAnswer> {
        Box::pin(self.transact_with_faults(transaction))
    }

    fn range(&self, request: RangeRequest) -> Answer<'_, RangeAnswer> {
        Box::pin(self.range_with_faults(request))
    }

    fn watch(&self, request: WatchRequest) -> Answer<'_, Box<dyn Watcher>> {
        Box::pin(async move {
            request.check()?;
            self.read_fault().await?;
            Ok(Box::new(ModelWatcher::new(self.clone(), request)) as Box<dyn Watcher>)
        })
    }

    fn grant(&self, ttl: Duration) -> Answer<'_, Lease> {
        Box::pin(async move {
            let longer = self.lease_fault()?;
            self.store.change(|state| {
                let ttl = ttl.max(state.minimum_ttl).saturating_add(longer);
                let lease = engine::grant(&mut state.tables, ttl)?;
                state.renew(lease.id, &self.store.clock)?;
                Ok(lease)
            })
        })
    }

    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, Duration> {
        Box::pin(async move {
            self.lease_fault()?;
            self.store.change(|state| state.renew(lease, &self.store.clock))
        })
    }

    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()> {
        Box::pin(async move {
            self.lease_fault()?;
            self.store.change(|state| state.revoke(lease))
        })
    }

    fn compact(&self, revision: Revision) -> Answer<'_, ()> {
        Box::pin(async move {
            self.check_cut()?;
            self.store.compact(revision)
        })
    }
}

pub(super) fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable {
        reason: reason.to_owned(),
    }
}

fn unknown(reason: &str) -> StoreError {
    StoreError::OutcomeUnknown {
        reason: reason.to_owned(),
    }
}
