//! Transactions: compares, and two lists of operations of which one is run.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use crate::error::RequestError;
use crate::range::{KeyRange, RangeAnswer};
use crate::record::{Key, KeyValue, LeaseId, Revision, Value};

/// The most compares, and the most operations of one branch: etcd's default. Each of the three lists counts for itself.
pub const OPERATIONS_MAXIMUM: usize = 128;
/// The most bytes of a request, as [`Transaction::bytes`] counts. etcd's own limit is half as much more, so that its encoding
/// has room.
pub const REQUEST_BYTES_MAXIMUM: usize = 1024 * 1024;
/// What a compare or an operation counts for beside its keys and values.
const BYTES_PER_ITEM: usize = 32;

/// A condition on the store as it is before the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compare {
    /// The key exists.
    Exists(Key),
    /// The key does not exist.
    Absent(Key),
    /// The key was last written by this revision. Revision 0 stands for a key that does not exist.
    ModRevision(Key, Revision),
    /// The key was made by this revision. Revision 0 stands for a key that does not exist.
    CreateRevision(Key, Revision),
    /// The key exists and has this value.
    Value(Key, Value),
    /// No key of the range exists.
    NoneIn(KeyRange),
}

impl Compare {
    fn bytes(&self) -> usize {
        BYTES_PER_ITEM
            + match self {
                Compare::Exists(key)
                | Compare::Absent(key)
                | Compare::ModRevision(key, _)
                | Compare::CreateRevision(key, _) => key.len(),
                Compare::Value(key, value) => key.len() + value.len(),
                Compare::NoneIn(range) => range.bytes(),
            }
    }

    fn has_empty_key(&self) -> bool {
        match self {
            Compare::Exists(key)
            | Compare::Absent(key)
            | Compare::ModRevision(key, _)
            | Compare::CreateRevision(key, _)
            | Compare::Value(key, _) => key.is_empty(),
            Compare::NoneIn(_) => false,
        }
    }
}

/// A step of a branch. Each sees what those before it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Writes a key. It leaves the lease that it had and joins the one given, which must exist.
    Put {
        /// The key.
        key: Key,
        /// The value.
        value: Value,
        /// What it vanishes with.
        lease: Option<LeaseId>,
    },
    /// Deletes a key if it is there.
    Delete(Key),
    /// Deletes every key of a range.
    DeleteRange(KeyRange),
    /// Reads a key.
    Get(Key),
    /// Reads a range, at most so many keys.
    Range(KeyRange, Option<NonZeroUsize>),
}

impl Operation {
    /// Writes a key that belongs to no lease.
    pub fn put(key: impl Into<Key>, value: impl Into<Value>) -> Self {
        Operation::Put {
            key: key.into(),
            value: value.into(),
            lease: None,
        }
    }

    /// Writes a key that vanishes with a lease.
    pub fn put_leased(key: impl Into<Key>, value: impl Into<Value>, lease: LeaseId) -> Self {
        Operation::Put {
            key: key.into(),
            value: value.into(),
            lease: Some(lease),
        }
    }

    /// Deletes a key if it is there.
    pub fn delete(key: impl Into<Key>) -> Self {
        Operation::Delete(key.into())
    }

    /// Reads a key.
    pub fn get(key: impl Into<Key>) -> Self {
        Operation::Get(key.into())
    }

    /// True where it can change something.
    pub const fn writes(&self) -> bool {
        match self {
            Operation::Put { .. } | Operation::Delete(_) | Operation::DeleteRange(_) => true,
            Operation::Get(_) | Operation::Range(..) => false,
        }
    }

    fn bytes(&self) -> usize {
        BYTES_PER_ITEM
            + match self {
                Operation::Put { key, value, .. } => key.len() + value.len(),
                Operation::Delete(key) | Operation::Get(key) => key.len(),
                Operation::DeleteRange(range) | Operation::Range(range, _) => range.bytes(),
            }
    }

    fn has_empty_key(&self) -> bool {
        match self {
            Operation::Put { key, .. } | Operation::Delete(key) | Operation::Get(key) => key.is_empty(),
            Operation::DeleteRange(_) | Operation::Range(..) => false,
        }
    }
}

/// Compares; if all hold, the first list of operations, else the second. Whole or not at all, and at one revision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transaction {
    /// What must hold, all of it.
    pub compares: Vec<Compare>,
    /// What is done if it does.
    pub then: Vec<Operation>,
    /// What is done if it does not.
    pub otherwise: Vec<Operation>,
}

impl Transaction {
    /// One that does nothing.
    pub const fn new() -> Self {
        Self {
            compares: Vec::new(),
            then: Vec::new(),
            otherwise: Vec::new(),
        }
    }

    /// Adds a condition.
    pub fn when(mut self, compare: Compare) -> Self {
        self.compares.push(compare);
        self
    }

    /// Adds to what is done if all conditions hold.
    pub fn then(mut self, operation: Operation) -> Self {
        self.then.push(operation);
        self
    }

    /// Adds to what is done if a condition fails.
    pub fn otherwise(mut self, operation: Operation) -> Self {
        self.otherwise.push(operation);
        self
    }

    /// The size that [`REQUEST_BYTES_MAXIMUM`] bounds: keys and values of all three lists, and 32 bytes for each item.
    pub fn bytes(&self) -> usize {
        let compares: usize = self.compares.iter().map(Compare::bytes).sum();
        let operations = self.then.iter().chain(&self.otherwise);
        compares + operations.map(Operation::bytes).sum::<usize>()
    }

    /// Refuses what no store would take. Every store calls it before it sends anything.
    pub fn check(&self) -> Result<(), RequestError> {
        let lists = [self.compares.len(), self.then.len(), self.otherwise.len()];
        let found = lists.into_iter().max().unwrap_or_default();
        if found > OPERATIONS_MAXIMUM {
            return Err(RequestError::TooManyOperations { found });
        }
        let found = self.bytes();
        if found > REQUEST_BYTES_MAXIMUM {
            return Err(RequestError::TooLarge { found });
        }
        let mut operations = self.then.iter().chain(&self.otherwise);
        if self.compares.iter().any(Compare::has_empty_key) || operations.any(Operation::has_empty_key) {
            return Err(RequestError::EmptyKey);
        }
        check_repeats(&self.then)?;
        check_repeats(&self.otherwise)
    }
}

/// As etcd, a branch may put a key once, and not delete what it puts. Deletes may overlap.
fn check_repeats(operations: &[Operation]) -> Result<(), RequestError> {
    let mut puts = BTreeSet::new();
    for operation in operations {
        if let Operation::Put { key, .. } = operation
            && !puts.insert(key.as_slice())
        {
            return Err(RequestError::RepeatedKey(key.clone()));
        }
    }
    for operation in operations {
        let hit = match operation {
            Operation::Delete(key) => puts.get(key.as_slice()),
            Operation::DeleteRange(range) if !range.is_empty() => {
                puts.range::<[u8], _>(range.bounds()).next()
            }
            _ => None,
        };
        if let Some(key) = hit {
            return Err(RequestError::RepeatedKey(key.to_vec()));
        }
    }
    Ok(())
}

/// Which list was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// All compares held.
    Then,
    /// One did not.
    Otherwise,
}

/// What one operation did, in the place of the operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationResult {
    /// Written.
    Put,
    /// So many keys were deleted.
    Deleted(u64),
    /// The key, where it is there.
    Got(Option<KeyValue>),
    /// What is in the range.
    Range(RangeAnswer),
}

/// What a transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionAnswer {
    /// The store's revision after it. If it wrote, this is the revision of its writes.
    pub revision: Revision,
    /// Which branch ran.
    pub branch: Branch,
    /// One result for each operation of that branch.
    pub results: Vec<OperationResult>,
}

impl TransactionAnswer {
    /// True where all compares held.
    pub const fn succeeded(&self) -> bool {
        matches!(self.branch, Branch::Then)
    }
}
