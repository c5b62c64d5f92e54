//! A store that is too simple to be wrong: the whole content for every revision.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::range::{KeyRange, RangeAnswer};
use crate::record::{Event, Key, KeyValue, LeaseId, Revision};
use crate::transaction::{Branch, Compare, Operation, OperationResult, Transaction, TransactionAnswer};

type Content = BTreeMap<Key, KeyValue>;

/// The reference. Times are those since its beginning.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    /// The content as of each revision, from `first` on.
    contents: Vec<Content>,
    events: Vec<Event>,
    first: Revision,
    pub now: Duration,
    leases: BTreeMap<LeaseId, (Duration, Duration)>,
}

impl Reference {
    /// Empty, at a revision.
    pub fn new(first: Revision) -> Self {
        Self {
            contents: vec![Content::new()],
            events: Vec::new(),
            first,
            now: Duration::ZERO,
            leases: BTreeMap::new(),
        }
    }

    pub fn revision(&self) -> Revision {
        self.first + self.contents.len() as u64 - 1
    }

    fn at(&self, revision: Revision) -> &Content {
        let index = usize::try_from(revision - self.first).expect("small");
        &self.contents[index]
    }

    fn current(&self) -> Content {
        self.at(self.revision()).clone()
    }

    pub fn range(&self, range: &KeyRange, limit: usize, revision: Revision) -> RangeAnswer {
        answer(self.at(revision), range, limit, revision)
    }

    pub fn events_from(&self, from: Revision) -> Vec<Event> {
        let events = self.events.iter().filter(|event| event.revision >= from);
        events.cloned().collect()
    }

    pub fn transact(&mut self, transaction: &Transaction) -> Result<TransactionAnswer, LeaseId> {
        let mut content = self.current();
        let all = transaction
            .compares
            .iter()
            .all(|compare| holds(&content, compare));
        let (branch, operations) = match all {
            true => (Branch::Then, &transaction.then),
            false => (Branch::Otherwise, &transaction.otherwise),
        };
        for operation in operations {
            if let Operation::Put {
                lease: Some(lease), ..
            } = operation
                && !self.leases.contains_key(lease)
            {
                return Err(*lease);
            }
        }
        let mut events = Vec::new();
        let revision = self.revision();
        let results = operations
            .iter()
            .map(|operation| run(&mut content, &mut events, revision + 1, operation))
            .collect();
        self.keep(content, events);
        Ok(TransactionAnswer {
            revision: self.revision(),
            branch,
            results,
        })
    }

    fn keep(&mut self, content: Content, events: Vec<Event>) {
        if !events.is_empty() {
            self.contents.push(content);
            self.events.extend(events);
        }
    }

    pub fn grant(&mut self, lease: LeaseId, ttl: Duration) {
        self.leases.insert(lease, (self.now + ttl, ttl));
    }

    /// True where the lease is there.
    pub fn keep_alive(&mut self, lease: LeaseId) -> bool {
        let now = self.now;
        let found = self.leases.get_mut(&lease);
        found.map(|(until, ttl)| *until = now + *ttl).is_some()
    }

    /// True where the lease was there.
    pub fn revoke(&mut self, lease: LeaseId) -> bool {
        let was = self.leases.remove(&lease).is_some();
        let (mut content, mut events) = (self.current(), Vec::new());
        let of_lease = content.values().filter(|entry| entry.lease == Some(lease));
        let keys: Vec<Key> = of_lease.map(|entry| entry.key.clone()).collect();
        let revision = self.revision() + 1;
        for key in keys {
            delete(&mut content, &mut events, revision, &KeyRange::key(key));
        }
        self.keep(content, events);
        was
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        loop {
            let due = self
                .leases
                .iter()
                .map(|(lease, (until, _))| (*until, *lease))
                .min();
            match due.filter(|(until, _)| *until <= self.now) {
                Some((_, lease)) => self.revoke(lease),
                None => return,
            };
        }
    }
}

fn answer(content: &Content, range: &KeyRange, limit: usize, revision: Revision) -> RangeAnswer {
    let mut entries: Vec<KeyValue> = content.values().cloned().collect();
    entries.retain(|entry| range.contains(&entry.key));
    let more = limit > 0 && entries.len() > limit;
    if more {
        entries.truncate(limit);
    }
    RangeAnswer {
        revision,
        entries,
        more,
    }
}

fn holds(content: &Content, compare: &Compare) -> bool {
    match compare {
        Compare::Exists(key) => content.contains_key(key),
        Compare::Absent(key) => !content.contains_key(key),
        Compare::ModRevision(key, 0) | Compare::CreateRevision(key, 0) => !content.contains_key(key),
        Compare::ModRevision(key, revision) => content
            .get(key)
            .is_some_and(|entry| entry.mod_revision == *revision),
        Compare::CreateRevision(key, revision) => content
            .get(key)
            .is_some_and(|entry| entry.create_revision == *revision),
        Compare::Value(key, value) => content.get(key).is_some_and(|entry| entry.value == *value),
        Compare::NoneIn(range) => !content.keys().any(|key| range.contains(key)),
    }
}

fn run(
    content: &mut Content,
    events: &mut Vec<Event>,
    revision: Revision,
    operation: &Operation,
) -> OperationResult {
    match operation {
        Operation::Put { key, value, lease } => {
            let previous = content.get(key).cloned();
            let now = KeyValue {
                key: key.clone(),
                value: value.clone(),
                create_revision: previous.as_ref().map_or(revision, |was| was.create_revision),
                mod_revision: revision,
                version: previous.as_ref().map_or(1, |was| was.version + 1),
                lease: *lease,
            };
            content.insert(key.clone(), now.clone());
            events.push(event(revision, key, Some(now), previous));
            OperationResult::Put
        }
        Operation::Delete(key) => {
            OperationResult::Deleted(delete(content, events, revision, &KeyRange::key(key.clone())))
        }
        Operation::DeleteRange(range) => OperationResult::Deleted(delete(content, events, revision, range)),
        Operation::Get(key) => OperationResult::Got(content.get(key).cloned()),
        Operation::Range(range, limit) => {
            let seen = revision - u64::from(events.is_empty());
            let limit = limit.map_or(0, std::num::NonZeroUsize::get);
            OperationResult::Range(answer(content, range, limit, seen))
        }
    }
}

fn delete(content: &mut Content, events: &mut Vec<Event>, revision: Revision, range: &KeyRange) -> u64 {
    let doomed: Vec<KeyValue> = content.values().cloned().collect();
    let mut count = 0;
    for entry in doomed {
        if range.contains(&entry.key) {
            content.remove(&entry.key);
            events.push(event(revision, &entry.key.clone(), None, Some(entry)));
            count += 1;
        }
    }
    count
}

fn event(revision: Revision, key: &[u8], now: Option<KeyValue>, previous: Option<KeyValue>) -> Event {
    Event {
        revision,
        key: key.to_vec(),
        now,
        previous,
    }
}
