//! One leader at a time, and writes that only the leader can make.
//!
//! The leader is who made the election's key; the key hangs on the leader's lease and vanishes with it. A lease is not a lock: a
//! leader that was paused, or whose clock is slow, can go on in the belief that it leads. So each of its writes carries the compare of
//! its [`Fence`]: the key is still the one that this leader made.

use std::sync::Arc;

use crate::error::{RequestError, StoreError};
use crate::range::{KeyRange, RangeRequest};
use crate::record::{Key, KeyValue, LeaseId, Revision, Value};
use crate::store::{Store, WatchRequest, Watcher};
use crate::transaction::{Compare, Operation, OperationResult, Transaction, TransactionAnswer};

/// An election: a key that at most one candidate holds.
#[derive(Debug, Clone)]
pub struct Election {
    store: Arc<dyn Store>,
    key: Key,
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// What the leader says of itself.
    pub value: Value,
    /// The lease that the leadership hangs on.
    pub lease: Option<LeaseId>,
    /// The leadership.
    pub fence: Fence,
}

/// One leadership: an election's key as one candidate made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    key: Key,
    create_revision: Revision,
}

/// What became of a leader's write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fenced {
    /// The leadership stood, and the transaction ran. Its results are those of the transaction as it was handed over.
    Ran(TransactionAnswer),
    /// Somebody else leads by now, or nobody. Nothing was written: step down.
    Deposed,
}

impl Fence {
    /// What each write of this leader has to compare.
    pub fn compare(&self) -> Compare {
        Compare::CreateRevision(self.key.clone(), self.create_revision)
    }

    /// The revision with which the leadership began: a later leadership has a higher one.
    pub const fn revision(&self) -> Revision {
        self.create_revision
    }

    /// Runs a transaction only while the leadership stands, and tells a failed compare of the transaction's own from a lost
    /// leadership. Takes one compare and one operation of the second list, which may only read: it runs also where the leadership
    /// is lost.
    pub async fn transact(&self, store: &dyn Store, transaction: Transaction) -> Result<Fenced, StoreError> {
        if transaction.otherwise.iter().any(Operation::writes) {
            return Err(RequestError::UnfencedWrite.into());
        }
        let fenced = transaction
            .when(self.compare())
            .otherwise(Operation::Get(self.key.clone()));
        let mut answer = store.transact(fenced).await?;
        if answer.succeeded() {
            return Ok(Fenced::Ran(answer));
        }
        match answer.results.pop() {
            Some(OperationResult::Got(Some(entry))) if entry.create_revision == self.create_revision => {
                Ok(Fenced::Ran(answer))
            }
            _ => Ok(Fenced::Deposed),
        }
    }
}

impl Election {
    /// The election that is held on a key.
    pub fn new(store: Arc<dyn Store>, key: impl Into<Key>) -> Self {
        Self {
            store,
            key: key.into(),
        }
    }

    /// Takes the leadership if nobody has it; `None` where somebody has. `value` is what others will see; `lease` has to be kept
    /// alive by the candidate, and may be used for one election only once at a time.
    pub async fn try_campaign(
        &self,
        value: impl Into<Value>,
        lease: LeaseId,
    ) -> Result<Option<Leader>, StoreError> {
        let (_, found) = self.attempt(value.into(), lease).await?;
        Ok(found.filter(|leader| leader.lease == Some(lease)))
    }

    /// Waits until the leadership is ours. Fails where the lease is gone: grant another one and begin anew. The wait rests on a watch,
    /// and a watch may lose the event that it waits for: drop this and call it again now and then, such as with each keep-alive.
    pub async fn campaign(&self, value: impl Into<Value>, lease: LeaseId) -> Result<Leader, StoreError> {
        let value = value.into();
        loop {
            let (revision, found) = self.attempt(value.clone(), lease).await?;
            match found {
                Some(leader) if leader.lease == Some(lease) => return Ok(leader),
                Some(_) => self.wait_for_vacancy(revision).await?,
                None => {}
            }
        }
    }

    /// Who leads now, read linearizably.
    pub async fn leader(&self) -> Result<Option<Leader>, StoreError> {
        Ok(self.read().await?.1)
    }

    /// Follows who leads, from now on.
    pub fn observe(&self) -> Observer {
        Observer {
            election: self.clone(),
            said: None,
            watcher: None,
        }
    }

    /// Gives the leadership up. Nothing happens where it was lost already.
    pub async fn resign(&self, leader: &Leader) -> Result<(), StoreError> {
        let transaction = Transaction::new()
            .when(leader.fence.compare())
            .then(Operation::Delete(self.key.clone()));
        self.store.transact(transaction).await.map(drop)
    }

    /// Makes the key if it is not there; answers whose it then is. Doing it twice does no harm, so that an unknown outcome is
    /// settled by reading.
    async fn attempt(&self, value: Value, lease: LeaseId) -> Result<(Revision, Option<Leader>), StoreError> {
        let transaction = Transaction::new()
            .when(Compare::Absent(self.key.clone()))
            .then(Operation::put_leased(self.key.clone(), value, lease))
            .then(Operation::Get(self.key.clone()))
            .otherwise(Operation::Get(self.key.clone()));
        match self.store.transact(transaction).await {
            Ok(mut answer) => match answer.results.pop() {
                Some(OperationResult::Got(entry)) => Ok((answer.revision, entry.map(Leader::of))),
                _ => self.read().await,
            },
            Err(error) if error.may_have_committed() => self.read().await,
            Err(error) => Err(error),
        }
    }

    async fn read(&self) -> Result<(Revision, Option<Leader>), StoreError> {
        let request = RangeRequest::new(KeyRange::key(self.key.clone()));
        let mut answer = self.store.range(request).await?;
        Ok((answer.revision, answer.entries.pop().map(Leader::of)))
    }

    async fn watch_behind(&self, revision: Revision) -> Result<Box<dyn Watcher>, StoreError> {
        let range = KeyRange::key(self.key.clone());
        self.store.watch(WatchRequest::new(range, revision + 1)).await
    }

    /// Returns when the key may have gone since `revision`. A broken or compacted watch is a reason to look again, too.
    async fn wait_for_vacancy(&self, revision: Revision) -> Result<(), StoreError> {
        let mut watcher = self.watch_behind(revision).await?;
        loop {
            match watcher.next().await {
                Ok(batch) if batch.events.iter().any(|event| event.now.is_none()) => return Ok(()),
                Ok(_) => {}
                Err(StoreError::Compacted { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Leader {
    fn of(entry: KeyValue) -> Self {
        Self {
            value: entry.value,
            lease: entry.lease,
            fence: Fence {
                key: entry.key,
                create_revision: entry.create_revision,
            },
        }
    }
}

/// Follows an election.
#[derive(Debug)]
pub struct Observer {
    election: Election,
    /// What was said last; outer `None` before the first time.
    said: Option<Option<Leader>>,
    watcher: Option<Box<dyn Watcher>>,
}

impl Observer {
    /// Who leads: at once when asked first, afterwards whenever it has changed. `None` while nobody does. May skip a leadership that
    /// was short; may be late where a watch loses events: see [`Observer::look_again`]. After an error ask again.
    pub async fn next(&mut self) -> Result<Option<Leader>, StoreError> {
        loop {
            if self.watcher.is_none() {
                let (revision, leader) = self.election.read().await?;
                self.watcher = Some(self.election.watch_behind(revision).await?);
                if let Some(news) = self.news(leader) {
                    return Ok(news);
                }
            }
            let Some(watcher) = &mut self.watcher else {
                continue;
            };
            match watcher.next().await {
                Ok(batch) => {
                    let last = batch.events.into_iter().next_back();
                    let now = last.map(|event| event.now.map(Leader::of));
                    if let Some(news) = now.and_then(|leader| self.news(leader)) {
                        return Ok(news);
                    }
                }
                Err(StoreError::Compacted { .. }) => self.watcher = None,
                Err(error) => {
                    self.watcher = None;
                    return Err(error);
                }
            }
        }
    }

    /// Lets the next answer begin with a reading instead of trusting the watch.
    pub fn look_again(&mut self) {
        self.watcher = None;
    }

    fn news(&mut self, leader: Option<Leader>) -> Option<Option<Leader>> {
        if self.said.as_ref() == Some(&leader) {
            return None;
        }
        self.said = Some(leader.clone());
        Some(leader)
    }
}
