//! What changed in one host's plan lately, so that an agent that was away for a moment gets just that.

use std::collections::VecDeque;
use std::sync::Arc;

use anet_model::changeset::{Change, Revision};
use anet_model::digest::Digest;

/// The most entries that are kept.
const ENTRIES_MAXIMUM: usize = 1_024;
/// The most changes that are kept in all entries together.
const CHANGES_MAXIMUM: usize = 4_096;

/// One step of a host's plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The store's revision that made it.
    pub to: Revision,
    /// What differs.
    pub changes: Arc<[Change]>,
    /// The digest of the plan behind it.
    pub digest: Digest,
}

/// What a log knows about what came behind a revision.
#[derive(Debug, PartialEq, Eq)]
pub enum Behind<'a> {
    /// Nothing came.
    Nothing,
    /// This came next.
    Entry(&'a LogEntry),
    /// It is forgotten: a snapshot is needed.
    Forgotten,
}

/// A bounded log. Everything behind its floor is in it.
#[derive(Debug, Clone, Default)]
pub struct ChangeLog {
    floor: Revision,
    entries: VecDeque<LogEntry>,
    changes: usize,
}

impl ChangeLog {
    /// A log that knows nothing of what was up to `floor`.
    pub fn new(floor: Revision) -> Self {
        Self {
            floor,
            ..Self::default()
        }
    }

    /// Adds the newest step, and forgets the oldest where there is too much.
    pub fn push(&mut self, entry: LogEntry) {
        self.changes += entry.changes.len();
        self.entries.push_back(entry);
        while self.entries.len() > ENTRIES_MAXIMUM || self.changes > CHANGES_MAXIMUM {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.changes -= oldest.changes.len();
            self.floor = oldest.to;
        }
    }

    /// Forgets the steps up to a revision: the host has them.
    pub fn forget(&mut self, revision: Revision) {
        while let Some(oldest) = self.entries.front()
            && oldest.to <= revision
        {
            self.changes -= oldest.changes.len();
            self.floor = oldest.to;
            self.entries.pop_front();
        }
    }

    /// The revision of the newest step, or the floor.
    pub fn head(&self) -> Revision {
        self.entries.back().map_or(self.floor, |entry| entry.to)
    }

    /// What came next behind a revision.
    pub fn behind(&self, revision: Revision) -> Behind<'_> {
        if revision < self.floor {
            return Behind::Forgotten;
        }
        let at = self.entries.partition_point(|entry| entry.to <= revision);
        self.entries.get(at).map_or(Behind::Nothing, Behind::Entry)
    }

    /// The digest of the plan as it was at a revision, where the log still knows.
    pub fn digest_at(&self, revision: Revision) -> Option<Digest> {
        let at = self.entries.partition_point(|entry| entry.to <= revision);
        Some(self.entries.get(at.checked_sub(1)?)?.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(to: Revision, changes: usize) -> LogEntry {
        LogEntry {
            to,
            changes: vec![Change::Tunnel(None); changes].into(),
            digest: Digest::from_bytes([u8::try_from(to % 251).unwrap(); 16]),
        }
    }

    #[test]
    fn it_tells_what_came_next_until_it_has_forgotten() {
        let mut log = ChangeLog::new(10);
        assert_eq!(log.behind(9), Behind::Forgotten);
        assert_eq!((log.behind(10), log.head()), (Behind::Nothing, 10));
        log.push(entry(12, 1));
        log.push(entry(15, 1));
        assert_eq!(log.behind(10), Behind::Entry(&entry(12, 1)));
        assert_eq!(log.behind(13), Behind::Entry(&entry(15, 1)));
        assert_eq!((log.behind(15), log.head()), (Behind::Nothing, 15));
        assert_eq!(log.digest_at(14), Some(entry(12, 1).digest));
        assert_eq!(log.digest_at(11), None);
    }

    #[test]
    fn what_the_host_has_is_forgotten() {
        let mut log = ChangeLog::new(0);
        (1..=3).for_each(|revision| log.push(entry(revision, 2)));
        log.forget(2);
        assert_eq!((log.entries.len(), log.changes, log.head()), (1, 2, 3));
        assert_eq!(
            (log.behind(1), log.behind(2)),
            (Behind::Forgotten, Behind::Entry(&entry(3, 2)))
        );
        log.forget(7);
        assert_eq!((log.head(), log.behind(3)), (3, Behind::Nothing));
    }

    #[test]
    fn it_is_bounded_in_entries_and_in_changes() {
        let mut log = ChangeLog::new(0);
        for revision in 1..=3_000 {
            log.push(entry(revision, 1));
        }
        assert_eq!(log.entries.len(), ENTRIES_MAXIMUM);
        assert_eq!(log.behind(1), Behind::Forgotten);
        log.push(entry(3_001, CHANGES_MAXIMUM));
        assert_eq!(log.entries.len(), 1);
        assert_eq!(log.behind(3_000), Behind::Entry(&entry(3_001, CHANGES_MAXIMUM)));
        log.push(entry(3_002, CHANGES_MAXIMUM + 1));
        assert_eq!((log.entries.len(), log.changes), (0, 0));
        assert_eq!(
            (log.behind(3_001), log.behind(3_002)),
            (Behind::Forgotten, Behind::Nothing)
        );
    }
}
