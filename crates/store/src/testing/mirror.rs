//! A copy of a range, kept by listing and watching: what a careful caller does.

use std::collections::BTreeMap;

use crate::list::Listing;
use crate::record::{Key, KeyValue, Revision};
use crate::store::WatchBatch;

/// A copy of a range as of some revision.
#[derive(Debug, Clone)]
pub struct Mirror {
    revision: Revision,
    entries: BTreeMap<Key, KeyValue>,
}

impl Mirror {
    /// Begins with a listing.
    pub fn of(listing: Listing) -> Self {
        let entries = listing.entries.into_iter();
        Self {
            revision: listing.revision,
            entries: entries.map(|entry| (entry.key.clone(), entry)).collect(),
        }
    }

    /// Takes events in; those that are not newer than the mirror are dropped, so that repeated ones do no harm.
    pub fn take(&mut self, batch: &WatchBatch) {
        for event in &batch.events {
            if event.revision <= self.revision {
                continue;
            }
            match &event.now {
                Some(entry) => self.entries.insert(event.key.clone(), entry.clone()),
                None => self.entries.remove(&event.key),
            };
        }
        self.revision = self.revision.max(batch.revision);
    }

    /// The revision as of which it is a copy, if no event was lost.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The copy.
    pub fn entries(&self) -> Vec<KeyValue> {
        self.entries.values().cloned().collect()
    }
}
