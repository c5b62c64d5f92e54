//! The engine's tables in redb.

use std::borrow::Borrow;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::time::Duration;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::engine::{Position, Tables, TablesMut, Visit};
use crate::error::StoreError;
use crate::range::KeyRange;
use crate::record::{Event, Key, KeyValue, LeaseId, Revision};
use crate::redb::codec::{self, Wrong};
use crate::redb::error::of_redb;

type Bytes = &'static [u8];

/// The format, and where the store stands.
pub(super) const HEADER: TableDefinition<'_, &'static str, Bytes> = TableDefinition::new("header");
const KEYS: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("keys");
const HISTORY: TableDefinition<'_, u64, Bytes> = TableDefinition::new("history");
const LEASES: TableDefinition<'_, u64, Bytes> = TableDefinition::new("leases");
const ATTACHED: TableDefinition<'_, Bytes, ()> = TableDefinition::new("attached");

/// In the header: the format.
pub(super) const FORMAT_KEY: &str = "format";
/// In the header: the position.
const POSITION_KEY: &str = "position";

/// The tables as one transaction sees them.
pub(super) struct View<'a, K, H, L, A> {
    path: &'a Path,
    pub(super) keys: K,
    pub(super) history: H,
    pub(super) leases: L,
    pub(super) attached: A,
    position: Position,
    /// Commits before this one.
    pub(super) commits: u64,
    /// True where something was written.
    pub(super) dirty: bool,
}

/// For reading.
pub(super) type ReadView<'a> = View<
    'a,
    ReadOnlyTable<Bytes, Bytes>,
    ReadOnlyTable<u64, Bytes>,
    ReadOnlyTable<u64, Bytes>,
    ReadOnlyTable<Bytes, ()>,
>;

/// For writing.
pub(super) type WriteView<'a, 't> =
    View<'a, Table<'t, Bytes, Bytes>, Table<'t, u64, Bytes>, Table<'t, u64, Bytes>, Table<'t, Bytes, ()>>;

impl<'a> ReadView<'a> {
    pub(super) fn open(path: &'a Path, transaction: &ReadTransaction) -> Result<Self, StoreError> {
        let failed = |error| of_redb(path, error);
        let header = transaction.open_table(HEADER).map_err(failed)?;
        let (position, commits) = position(path, &header)?;
        Ok(View {
            path,
            keys: transaction.open_table(KEYS).map_err(failed)?,
            history: transaction.open_table(HISTORY).map_err(failed)?,
            leases: transaction.open_table(LEASES).map_err(failed)?,
            attached: transaction.open_table(ATTACHED).map_err(failed)?,
            position,
            commits,
            dirty: false,
        })
    }
}

impl<'a, 't> WriteView<'a, 't> {
    pub(super) fn open(path: &'a Path, transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        let header = transaction
            .open_table(HEADER)
            .map_err(|error| of_redb(path, error))?;
        let (position, commits) = position(path, &header)?;
        Self::at(path, transaction, position, commits)
    }

    fn at(
        path: &'a Path,
        transaction: &'t WriteTransaction,
        position: Position,
        commits: u64,
    ) -> Result<Self, StoreError> {
        let failed = |error| of_redb(path, error);
        Ok(View {
            path,
            keys: transaction.open_table(KEYS).map_err(failed)?,
            history: transaction.open_table(HISTORY).map_err(failed)?,
            leases: transaction.open_table(LEASES).map_err(failed)?,
            attached: transaction.open_table(ATTACHED).map_err(failed)?,
            position,
            commits,
            dirty: false,
        })
    }

    /// Makes all tables, and writes the header of a new store.
    pub(super) fn make(
        path: &'a Path,
        transaction: &'t WriteTransaction,
        format: u32,
    ) -> Result<(), StoreError> {
        let view = Self::at(path, transaction, Position::default(), 0)?;
        view.write_position(transaction)?;
        let mut header = transaction
            .open_table(HEADER)
            .map_err(|error| of_redb(path, error))?;
        let format = format.to_le_bytes();
        let written = header.insert(FORMAT_KEY, format.as_slice());
        written.map(drop).map_err(|error| of_redb(path, error))
    }

    /// Writes down where the store stands now. The last thing before a commit.
    pub(super) fn write_position(&self, transaction: &WriteTransaction) -> Result<(), StoreError> {
        let failed = |error| of_redb(self.path, error);
        let mut header = transaction
            .open_table(HEADER)
            .map_err(|error| of_redb(self.path, error))?;
        let record = codec::encode_position(&self.position, self.commits + 1);
        header
            .insert(POSITION_KEY, record.as_slice())
            .map(drop)
            .map_err(failed)
    }
}

fn position(
    path: &Path,
    header: &impl ReadableTable<&'static str, Bytes>,
) -> Result<(Position, u64), StoreError> {
    let record = header.get(POSITION_KEY).map_err(|error| of_redb(path, error))?;
    let record = record.ok_or_else(|| damaged(path, "its header has no position"))?;
    codec::decode_position(record.value()).map_err(|wrong| damaged(path, wrong))
}

pub(super) fn damaged(path: &Path, what: Wrong) -> StoreError {
    StoreError::Damaged {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}

impl<K, H, L, A> View<'_, K, H, L, A> {
    pub(super) fn failed(&self, error: redb::StorageError) -> StoreError {
        of_redb(self.path, error)
    }

    pub(super) fn checked<T>(&self, outcome: Result<T, Wrong>) -> Result<T, StoreError> {
        outcome.map_err(|wrong| damaged(self.path, wrong))
    }
}

impl<K, H, L, A> View<'_, K, H, L, A>
where
    L: ReadableTable<u64, Bytes>,
{
    /// Every lease and how long it lives.
    pub(super) fn all_leases(&self) -> Result<Vec<(LeaseId, Duration)>, StoreError> {
        let mut leases = Vec::new();
        for found in self.leases.iter().map_err(|error| self.failed(error))? {
            let (lease, record) = found.map_err(|error| self.failed(error))?;
            let lease = LeaseId(lease.value());
            let seconds = self.checked(codec::decode_lease(lease, record.value()))?;
            leases.push((lease, Duration::from_secs(seconds)));
        }
        Ok(leases)
    }
}

impl<K, H, L, A> Tables for View<'_, K, H, L, A>
where
    K: ReadableTable<Bytes, Bytes>,
    H: ReadableTable<u64, Bytes>,
    L: ReadableTable<u64, Bytes>,
    A: ReadableTable<Bytes, ()>,
{
    fn position(&self) -> Position {
        self.position
    }

    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        let record = self.keys.get(key).map_err(|error| self.failed(error))?;
        let entry = record.map(|record| codec::decode_entry(key, record.value()));
        self.checked(entry.transpose())
    }

    fn scan(&self, range: &KeyRange, limit: usize) -> Result<Vec<KeyValue>, StoreError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let found = self
            .keys
            .range::<&[u8]>(range.bounds())
            .map_err(|error| self.failed(error))?;
        let mut entries = Vec::new();
        for found in found.take(limit) {
            let (key, record) = found.map_err(|error| self.failed(error))?;
            entries.push(self.checked(codec::decode_entry(key.value(), record.value()))?);
        }
        Ok(entries)
    }

    fn history(&self, from: Revision, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let found = self.history.range(from..).map_err(|error| self.failed(error))?;
        for found in found {
            let (revision, record) = found.map_err(|error| self.failed(error))?;
            let revision = revision.value();
            let events = self.checked(codec::decode_events(revision, record.value()))?;
            if visit(revision, &events) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }

    fn lease(&self, lease: LeaseId) -> Result<Option<Duration>, StoreError> {
        let record = self.leases.get(lease.0).map_err(|error| self.failed(error))?;
        let seconds = record.map(|record| codec::decode_lease(lease, record.value()));
        Ok(self.checked(seconds.transpose())?.map(Duration::from_secs))
    }

    fn attached(&self, lease: LeaseId) -> Result<Vec<Key>, StoreError> {
        let (from, end) = (codec::attachment(lease, b""), lease.0.checked_add(1));
        let end = end.map(|next| codec::attachment(LeaseId(next), b""));
        let bound = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let found = self
            .attached
            .range::<&[u8]>((Bound::Included(from.as_slice()), bound))
            .map_err(|error| self.failed(error))?;
        let mut keys = Vec::new();
        for found in found {
            let (attachment, _) = found.map_err(|error| self.failed(error))?;
            keys.push(self.checked(codec::of_attachment(attachment.value()))?.1);
        }
        Ok(keys)
    }
}

fn insert<'k, 'v, K, V>(
    path: &Path,
    table: &mut Table<'_, K, V>,
    key: impl Borrow<K::SelfType<'k>>,
    value: impl Borrow<V::SelfType<'v>>,
) -> Result<(), StoreError>
where
    K: redb::Key + 'static,
    V: redb::Value + 'static,
{
    table
        .insert(key, value)
        .map(drop)
        .map_err(|error| of_redb(path, error))
}

fn remove<'k, K, V>(
    path: &Path,
    table: &mut Table<'_, K, V>,
    key: impl Borrow<K::SelfType<'k>>,
) -> Result<(), StoreError>
where
    K: redb::Key + 'static,
    V: redb::Value + 'static,
{
    table.remove(key).map(drop).map_err(|error| of_redb(path, error))
}

impl TablesMut for WriteView<'_, '_> {
    fn set_position(&mut self, position: Position) {
        self.dirty = true;
        self.position = position;
    }

    fn put(&mut self, entry: &KeyValue) -> Result<(), StoreError> {
        self.dirty = true;
        let record = codec::encode_entry(entry);
        insert(self.path, &mut self.keys, entry.key.as_slice(), record.as_slice())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.dirty = true;
        remove(self.path, &mut self.keys, key)
    }

    fn append(&mut self, revision: Revision, events: Vec<Event>) -> Result<(), StoreError> {
        self.dirty = true;
        let record = codec::encode_events(revision, &events);
        insert(self.path, &mut self.history, revision, record.as_slice())
    }

    fn forget(&mut self, revision: Revision) -> Result<(), StoreError> {
        self.dirty = true;
        remove(self.path, &mut self.history, revision)
    }

    fn set_lease(&mut self, lease: LeaseId, ttl: Option<Duration>) -> Result<(), StoreError> {
        self.dirty = true;
        match ttl {
            Some(ttl) => {
                let record = codec::encode_lease(lease, ttl.as_secs());
                insert(self.path, &mut self.leases, lease.0, record.as_slice())
            }
            None => remove(self.path, &mut self.leases, lease.0),
        }
    }

    fn attach(&mut self, lease: LeaseId, key: &[u8]) -> Result<(), StoreError> {
        self.dirty = true;
        let attachment = codec::attachment(lease, key);
        insert(self.path, &mut self.attached, attachment.as_slice(), ())
    }

    fn detach(&mut self, lease: LeaseId, key: &[u8]) -> Result<(), StoreError> {
        self.dirty = true;
        let attachment = codec::attachment(lease, key);
        remove(self.path, &mut self.attached, attachment.as_slice())
    }
}
