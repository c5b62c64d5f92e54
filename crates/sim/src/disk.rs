//! An agent's disk: a write takes a while, may be refused, and counts once it is synced.
//!
//! It means what the files of `agent/disk` mean. What is added to a log is there in order, up to where it came; what replaces a file
//! does so at one moment. A write that failed may have left something behind, which a process that starts meanwhile finds, and
//! which the next write to the same file takes away; after a loss of power only what was synced is certain to be there.

use std::collections::VecDeque;

use anet_agent::core::{Record, Restored};

use crate::chance::Chance;

/// The longest that a write takes where the disk works, in milliseconds.
const SLOWEST_MS: usize = 30;
/// The longest that a disk refuses writes.
const REFUSES_MS: usize = 5_000;

/// What a write came to.
pub type Outcome = Result<(), String>;

/// See the module's page.
#[derive(Debug)]
pub struct Disk {
    chance: Chance,
    synced: Restored,
    /// Written or half written, and not synced.
    loose: Vec<Record>,
    /// What is being written, and when that is over.
    under_way: VecDeque<(u64, Record)>,
    refuses_until_ms: u64,
}

impl Disk {
    /// One with nothing on it.
    pub fn new(chance: Chance) -> Self {
        Self {
            chance,
            synced: Restored::default(),
            loose: Vec::new(),
            under_way: VecDeque::new(),
            refuses_until_ms: 0,
        }
    }

    /// What is on it for certain.
    pub const fn synced(&self) -> &Restored {
        &self.synced
    }

    /// True where nothing is being written.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Begins to write.
    pub fn write(&mut self, now_ms: u64, record: Record) {
        let last = self.under_way.back().map_or(now_ms, |(due, _)| *due);
        let takes = self.chance.below(SLOWEST_MS) as u64;
        self.under_way.push_back((last.max(now_ms) + takes, record));
    }

    /// The write that is over by now, and what it came to.
    pub fn written(&mut self, now_ms: u64) -> Option<(Record, Outcome)> {
        let (due, _) = self.under_way.front()?;
        if *due > now_ms {
            return None;
        }
        let (_, record) = self.under_way.pop_front()?;
        self.loose.retain(|loose| !is_of_same_file(loose, &record));
        if now_ms < self.refuses_until_ms {
            if self.chance.per_thousand(300) {
                let part = self.chance_part(&record);
                self.loose.push(part);
            }
            return Some((record, Err("no space left on device".to_owned())));
        }
        put(&mut self.synced, record.clone());
        Some((record, Ok(())))
    }

    /// Writes are refused from now on, for a while.
    pub fn refuse(&mut self, now_ms: u64) {
        self.refuses_until_ms = now_ms + self.chance.below(REFUSES_MS) as u64;
    }

    /// Writes are refused no more.
    pub fn mend(&mut self) {
        self.refuses_until_ms = 0;
    }

    /// The process that wrote is gone: what it was writing may be there or not.
    pub fn abandon(&mut self) {
        for (_, record) in std::mem::take(&mut self.under_way) {
            self.loose.retain(|loose| !is_of_same_file(loose, &record));
            if self.chance.per_thousand(500) {
                let part = self.chance_part(&record);
                self.loose.push(part);
            }
        }
    }

    /// The machine has lost its power: of what was not synced, each thing may be there or not.
    pub fn lose_power(&mut self) {
        self.abandon();
        let mut chance = self.chance.fork();
        self.loose.retain(|_| chance.per_thousand(500));
    }

    /// What was synced last is lost all the same, as with a disk that lies or a file that was damaged at its end.
    pub fn lose_last(&mut self) {
        self.loose.clear();
        let kept = self.synced.changesets.len().saturating_sub(1);
        self.synced.changesets.truncate(kept);
    }

    /// What a process that starts finds. It syncs what it reads, so that this is certain from now on.
    pub fn open(&mut self) -> Restored {
        for record in std::mem::take(&mut self.loose) {
            put(&mut self.synced, record);
        }
        self.synced.clone()
    }

    /// As far as a write may have come.
    fn chance_part(&mut self, record: &Record) -> Record {
        match record {
            Record::Changesets(changesets) => {
                let kept = self.chance.below(changesets.len() + 1);
                Record::Changesets(changesets[..kept].to_vec())
            }
            whole => whole.clone(),
        }
    }
}

fn put(restored: &mut Restored, record: Record) {
    match record {
        Record::Changesets(changesets) => restored.changesets.extend(changesets),
        Record::Plan(snapshot) => restored.changesets = vec![*snapshot],
        Record::Applied(applied) => restored.applied = Some(applied),
        Record::Attachments(attachments) => restored.attachments = attachments,
    }
}

fn is_of_same_file(one: &Record, other: &Record) -> bool {
    let file = |record: &Record| match record {
        Record::Changesets(_) | Record::Plan(_) => 0,
        Record::Applied(_) => 1,
        Record::Attachments(_) => 2,
    };
    file(one) == file(other)
}
