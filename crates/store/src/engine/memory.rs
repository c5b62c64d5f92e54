//! Tables in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::tables::{Position, Tables, TablesMut, Visit};
use crate::error::StoreError;
use crate::range::KeyRange;
use crate::record::{Event, Key, KeyValue, LeaseId, Revision};

/// All tables of a store. A clone is a backup.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryTables {
    position: Position,
    keys: BTreeMap<Key, KeyValue>,
    history: BTreeMap<Revision, Arc<[Event]>>,
    leases: BTreeMap<LeaseId, Duration>,
    attached: BTreeSet<(LeaseId, Key)>,
}

impl MemoryTables {
    /// Each lease and how long it lives.
    pub(crate) fn leases(&self) -> impl Iterator<Item = (LeaseId, Duration)> + '_ {
        self.leases.iter().map(|(lease, ttl)| (*lease, *ttl))
    }
}

impl Tables for MemoryTables {
    fn position(&self) -> Position {
        self.position
    }

    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        Ok(self.keys.get(key).cloned())
    }

    fn scan(&self, range: &KeyRange, limit: usize) -> Result<Vec<KeyValue>, StoreError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.keys.range::<[u8], _>(range.bounds());
        Ok(found.take(limit).map(|(_, entry)| entry.clone()).collect())
    }

    fn history(&self, from: Revision, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut revisions = self.history.range(from..);
        let _ended = revisions.try_for_each(|(revision, events)| visit(*revision, events));
        Ok(())
    }

    fn lease(&self, lease: LeaseId) -> Result<Option<Duration>, StoreError> {
        Ok(self.leases.get(&lease).copied())
    }

    fn attached(&self, lease: LeaseId) -> Result<Vec<Key>, StoreError> {
        let from = (lease, Vec::new());
        let keys = self.attached.range(from..).take_while(|(of, _)| *of == lease);
        Ok(keys.map(|(_, key)| key.clone()).collect())
    }
}

impl TablesMut for MemoryTables {
    fn set_position(&mut self, position: Position) {
        self.position = position;
    }

    fn put(&mut self, entry: &KeyValue) -> Result<(), StoreError> {
        self.keys.insert(entry.key.clone(), entry.clone());
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.keys.remove(key);
        Ok(())
    }

    fn append(&mut self, revision: Revision, events: Vec<Event>) -> Result<(), StoreError> {
        self.history.insert(revision, events.into());
        Ok(())
    }

    fn forget(&mut self, revision: Revision) -> Result<(), StoreError> {
        self.history.remove(&revision);
        Ok(())
    }

    fn set_lease(&mut self, lease: LeaseId, ttl: Option<Duration>) -> Result<(), StoreError> {
        match ttl {
            Some(ttl) => self.leases.insert(lease, ttl),
            None => self.leases.remove(&lease),
        };
        Ok(())
    }

    fn attach(&mut self, lease: LeaseId, key: &[u8]) -> Result<(), StoreError> {
        self.attached.insert((lease, key.to_vec()));
        Ok(())
    }

    fn detach(&mut self, lease: LeaseId, key: &[u8]) -> Result<(), StoreError> {
        self.attached.remove(&(lease, key.to_vec()));
        Ok(())
    }
}
