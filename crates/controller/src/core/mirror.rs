//! What the store holds, in memory: the planner with its intent, who uses what, and the revision of each object.
//!
//! Fed by a listing, then by watch events. A watch is only a hint: the counter, which every write puts and whose value says how many
//! objects the write changed, shows each gap, be it in the middle or at the end. Then everything is listed again, and what differs
//! is taken in as one change.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use anet_model::changeset::Change;
use anet_model::intent::{HostId, Intent, IntentChange};
use anet_plan::{Planner, Settings};
use anet_store::{Event, KeyValue, Listing, Revision, WatchBatch};
use serde::{Deserialize, Serialize};

use super::index::Index;
use super::keys::{self, Noun, Place};
use super::record::{self, RecordError};
use super::revisions::Revisions;
use super::share::share;

/// What the cluster says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cluster {
    /// Its id.
    pub cluster: String,
    /// The incarnation of its history.
    pub incarnation: u64,
}

/// What the change counter's value is after a write that changed so many objects.
pub fn counter_value(objects: usize) -> Vec<u8> {
    objects.to_string().into_bytes()
}

/// What taking something in did: for each host whose plan is another one now, what differs.
pub type HostChanges = BTreeMap<HostId, Vec<Change>>;

/// What came of a watch's batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Followed {
    /// The mirror is as of the batch.
    Applied(HostChanges),
    /// Something is missing: list again.
    Gap,
}

/// The state of the change counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counted {
    times: u64,
    revision: Revision,
}

impl Counted {
    fn of(counter: &KeyValue) -> Self {
        Self {
            times: counter.version,
            revision: counter.mod_revision,
        }
    }
}

/// The mirror. It starts empty, at revision 0.
#[derive(Debug)]
pub struct Mirror {
    planner: Planner,
    index: Index,
    revisions: Revisions,
    revision: Revision,
    /// How often the counter was put, and when last, as far as the mirror has seen.
    counter: Counted,
    cluster: Cluster,
    cluster_revision: Revision,
}

impl Mirror {
    /// An empty mirror.
    pub fn new(settings: Settings) -> Self {
        Self {
            planner: Planner::new(settings),
            index: Index::default(),
            revisions: Revisions::default(),
            revision: 0,
            counter: Counted::default(),
            cluster: Cluster::default(),
            cluster_revision: 0,
        }
    }

    /// What the cluster says of itself.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The revision that wrote the cluster's record last.
    pub const fn cluster_revision(&self) -> Revision {
        self.cluster_revision
    }

    /// The store's revision as of which it is right.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The objects.
    pub fn intent(&self) -> &Intent {
        self.planner.intent()
    }

    /// The plans.
    pub const fn planner(&self) -> &Planner {
        &self.planner
    }

    /// Who uses what.
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// The revision that wrote an object last; 0 for none.
    pub fn revision_of(&self, noun: Noun, id: &str) -> Revision {
        self.revisions.of(noun, id)
    }

    /// Takes a listing of all objects, with the counter and the cluster's record at the same revision, in the place of what was there.
    pub fn list(
        &mut self,
        listing: &Listing,
        counter: Option<&KeyValue>,
        cluster: Option<&KeyValue>,
    ) -> Result<HostChanges, RecordError> {
        if let Some(cluster) = cluster {
            self.cluster = record::decode("the cluster's record", &cluster.value)?;
            self.cluster_revision = cluster.mod_revision;
        }
        let mut changes = Vec::new();
        let mut seen = HashSet::new();
        for entry in &listing.entries {
            let Some(Place::Object(noun, id, _)) = keys::place(&entry.key) else {
                continue;
            };
            if self.revisions.of(noun, &id) != entry.mod_revision {
                let change = record::change(noun, &id, Some(&entry.value))?;
                changes.push((change, entry.mod_revision));
            }
            seen.insert((noun, id));
        }
        let known = self.revisions.all().map(|(noun, id)| (noun, id.to_owned()));
        for (noun, id) in known.filter(|known| !seen.contains(known)) {
            changes.push((record::change(noun, &id, None)?, 0));
        }
        drop(seen);
        self.revision = listing.revision;
        self.counter = counter.map_or(Counted::default(), Counted::of);
        Ok(self.take_in(changes))
    }

    /// Follows a watch of [`keys::watched`]. On [`Followed::Gap`] and on an error nothing has changed.
    pub fn follow(&mut self, batch: &WatchBatch) -> Result<Followed, RecordError> {
        let fresh: Vec<&Event> = batch
            .events
            .iter()
            .filter(|event| event.revision > self.revision)
            .collect();
        let Some(counter) = count(&fresh, self.counter) else {
            return Ok(Followed::Gap);
        };
        // Of an object that was changed several times, only what it is in the end counts.
        let mut latest = BTreeMap::new();
        for event in fresh {
            let (noun, id) = match (keys::place(&event.key), &event.now) {
                (Some(Place::Object(noun, id, _)), _) => (noun, id),
                (Some(Place::Cluster), Some(now)) => {
                    self.cluster = record::decode("the cluster's record", &now.value)?;
                    self.cluster_revision = now.mod_revision;
                    continue;
                }
                _ => continue,
            };
            let record = event.now.as_ref().map(|now| now.value.as_slice());
            let change = record::change(noun, &id, record)?;
            let revision = event.now.as_ref().map_or(0, |now| now.mod_revision);
            latest.insert((noun, id), (change, revision));
        }
        let changes = latest.into_values().collect();
        self.counter = counter;
        // Not the batch's revision: a watch that has lost something does not know.
        self.revision = self.revision.max(counter.revision);
        Ok(Followed::Applied(self.take_in(changes)))
    }

    /// True where the mirror has all writes up to the counter's state at `counter`, the revision that put it last.
    pub const fn has(&self, counter: Revision) -> bool {
        counter <= self.counter.revision
    }

    /// Nothing but what the mirror has was written up to `revision`, as the counter says, which was last put at `counter`.
    pub fn advance(&mut self, counter: Revision, revision: Revision) {
        if self.has(counter) {
            self.revision = self.revision.max(revision);
        }
    }

    /// Puts changes, each with the revision that made it, or 0 where the object is gone.
    fn take_in(&mut self, changes: Vec<(IntentChange, Revision)>) -> HostChanges {
        let (mut changes, revisions): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
        share(self.planner.intent(), &mut changes);
        for (change, revision) in changes.iter().zip(revisions) {
            self.revisions.set(change, revision);
            if let Some(old) = current(self.planner.intent(), change) {
                self.index.set(&old, false);
            }
            self.index.set(change, true);
        }
        match changes.is_empty() {
            true => HostChanges::new(),
            false => self.planner.apply(changes),
        }
    }
}

/// Counts the writes of some events on from `counter`; `None` where one is missing, or an object of one.
fn count(events: &[&Event], mut counter: Counted) -> Option<Counted> {
    for revision in events.chunk_by(|a, b| a.revision == b.revision) {
        let mut objects = 0_usize;
        let mut said = None;
        for event in revision {
            match keys::place(&event.key) {
                Some(Place::Counter) => said = event.now.as_ref(),
                Some(Place::Object(..)) => objects += 1,
                Some(Place::Cluster) | None => {}
            }
        }
        match said {
            Some(put) if put.version == counter.times + 1 && put.value == counter_value(objects) => {
                counter = Counted::of(put);
            }
            None if objects == 0 => {}
            _ => return None,
        }
    }
    Some(counter)
}

/// What an object is now, as a change that would make it so; `None` where it is not there.
fn current(intent: &Intent, change: &IntentChange) -> Option<IntentChange> {
    fn of<K: Ord + Clone, V: Clone>(map: &BTreeMap<K, V>, id: &K) -> Option<(K, Option<V>)> {
        Some((id.clone(), Some(map.get(id)?.clone())))
    }
    Some(match change {
        IntentChange::Project(id, _) => {
            of(&intent.projects, id).map(|(id, v)| IntentChange::Project(id, v))?
        }
        IntentChange::Network(id, _) => {
            of(&intent.networks, id).map(|(id, v)| IntentChange::Network(id, v))?
        }
        IntentChange::Subnet(id, _) => of(&intent.subnets, id).map(|(id, v)| IntentChange::Subnet(id, v))?,
        IntentChange::Port(id, _) => of(&intent.ports, id).map(|(id, v)| IntentChange::Port(id, v))?,
        IntentChange::SecurityGroup(id, _) => {
            of(&intent.security_groups, id).map(|(id, v)| IntentChange::SecurityGroup(id, v))?
        }
        IntentChange::Rule(id, _) => of(&intent.rules, id).map(|(id, v)| IntentChange::Rule(id, v))?,
        IntentChange::Host(id, _) => of(&intent.hosts, id).map(|(id, v)| IntentChange::Host(id, v))?,
        IntentChange::ForeignEndpoint(id, _) => {
            of(&intent.foreign_endpoints, id).map(|(id, v)| IntentChange::ForeignEndpoint(id, v))?
        }
    })
}
