//! Transactions.

use crate::engine::reading::current_range;
use crate::engine::tables::{Position, TablesMut, event_bytes};
use crate::error::StoreError;
use crate::range::KeyRange;
use crate::record::{Event, Key, KeyValue, LeaseId, Revision, Value};
use crate::transaction::{Branch, Compare, Operation, OperationResult, Transaction, TransactionAnswer};

/// Runs a transaction that [`Transaction::check`] has let pass. Its own errors come before anything is written.
pub(crate) fn transact(
    tables: &mut dyn TablesMut,
    transaction: &Transaction,
) -> Result<TransactionAnswer, StoreError> {
    let branch = branch(tables, &transaction.compares)?;
    let operations = match branch {
        Branch::Then => &transaction.then,
        Branch::Otherwise => &transaction.otherwise,
    };
    check_leases(tables, operations)?;
    let mut change = PendingChange::begin(tables);
    let results = operations.iter().map(|operation| change.run(operation));
    let results = results.collect::<Result<Vec<_>, StoreError>>()?;
    let revision = change.finish()?;
    Ok(TransactionAnswer {
        revision,
        branch,
        results,
    })
}

fn branch(tables: &dyn TablesMut, compares: &[Compare]) -> Result<Branch, StoreError> {
    for compare in compares {
        if !holds(tables, compare)? {
            return Ok(Branch::Otherwise);
        }
    }
    Ok(Branch::Then)
}

fn holds(tables: &dyn TablesMut, compare: &Compare) -> Result<bool, StoreError> {
    Ok(match compare {
        Compare::Exists(key) => tables.get(key)?.is_some(),
        Compare::Absent(key) => tables.get(key)?.is_none(),
        Compare::ModRevision(key, revision) => {
            tables.get(key)?.map_or(0, |entry| entry.mod_revision) == *revision
        }
        Compare::CreateRevision(key, revision) => {
            tables.get(key)?.map_or(0, |entry| entry.create_revision) == *revision
        }
        Compare::Value(key, value) => tables.get(key)?.is_some_and(|entry| entry.value == *value),
        Compare::NoneIn(range) => tables.scan(range, 1)?.is_empty(),
    })
}

fn check_leases(tables: &dyn TablesMut, operations: &[Operation]) -> Result<(), StoreError> {
    for operation in operations {
        if let Operation::Put {
            lease: Some(lease), ..
        } = operation
            && tables.lease(*lease)?.is_none()
        {
            return Err(StoreError::NoLease(*lease));
        }
    }
    Ok(())
}

/// Writes that will become one revision.
pub(super) struct PendingChange<'a> {
    tables: &'a mut dyn TablesMut,
    position: Position,
    revision: Revision,
    events: Vec<Event>,
}

impl<'a> PendingChange<'a> {
    pub(super) fn begin(tables: &'a mut dyn TablesMut) -> Self {
        let position = tables.position();
        Self {
            tables,
            position,
            revision: position.revision + 1,
            events: Vec::new(),
        }
    }

    fn run(&mut self, operation: &Operation) -> Result<OperationResult, StoreError> {
        Ok(match operation {
            Operation::Put { key, value, lease } => {
                self.put(key.clone(), value.clone(), *lease)?;
                OperationResult::Put
            }
            Operation::Delete(key) => {
                OperationResult::Deleted(self.delete_range(&KeyRange::key(key.clone()))?)
            }
            Operation::DeleteRange(range) => OperationResult::Deleted(self.delete_range(range)?),
            Operation::Get(key) => OperationResult::Got(self.tables.get(key)?),
            Operation::Range(range, limit) => {
                let revision = self.position.revision + u64::from(!self.events.is_empty());
                OperationResult::Range(current_range(self.tables, range, *limit, revision)?)
            }
        })
    }

    fn put(&mut self, key: Key, value: Value, lease: Option<LeaseId>) -> Result<(), StoreError> {
        let previous = self.tables.get(&key)?;
        let now = KeyValue {
            create_revision: previous
                .as_ref()
                .map_or(self.revision, |entry| entry.create_revision),
            version: previous.as_ref().map_or(0, |entry| entry.version) + 1,
            mod_revision: self.revision,
            key,
            value,
            lease,
        };
        self.tables.put(&now)?;
        self.move_lease(&now.key, previous.as_ref().and_then(|entry| entry.lease), lease)?;
        self.position.keys += u64::from(previous.is_none());
        self.record(now.key.clone(), Some(now), previous);
        Ok(())
    }

    pub(super) fn delete_range(&mut self, range: &KeyRange) -> Result<u64, StoreError> {
        let doomed = self.tables.scan(range, usize::MAX)?;
        let count = doomed.len() as u64;
        for entry in doomed {
            self.tables.remove(&entry.key)?;
            self.move_lease(&entry.key, entry.lease, None)?;
            self.position.keys -= 1;
            self.record(entry.key.clone(), None, Some(entry));
        }
        Ok(count)
    }

    fn move_lease(
        &mut self,
        key: &[u8],
        from: Option<LeaseId>,
        to: Option<LeaseId>,
    ) -> Result<(), StoreError> {
        if from == to {
            return Ok(());
        }
        if let Some(lease) = from {
            self.tables.detach(lease, key)?;
        }
        to.map_or(Ok(()), |lease| self.tables.attach(lease, key))
    }

    fn record(&mut self, key: Key, now: Option<KeyValue>, previous: Option<KeyValue>) {
        let event = Event {
            revision: self.revision,
            key,
            now,
            previous,
        };
        self.position.events += 1;
        self.position.event_bytes += event_bytes(&event);
        self.events.push(event);
    }

    /// Makes the writes a revision, if there are any; answers the store's revision.
    pub(super) fn finish(mut self) -> Result<Revision, StoreError> {
        if self.events.is_empty() {
            return Ok(self.position.revision);
        }
        self.position.revision = self.revision;
        self.tables.set_position(self.position);
        self.tables.append(self.revision, self.events)?;
        Ok(self.revision)
    }
}
