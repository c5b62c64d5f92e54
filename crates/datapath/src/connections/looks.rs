//! When ageing looks at an entry again: so that connections which cannot be over yet cost it a word in a row, not the three
//! cache lines of their entry, far apart and cold.
//!
//! Time only ever makes a silence longer allowed (an answer, a stream, the handshake's end) with one exception: a TCP state
//! that changes. Who writes one, or a new connection, [recalls](NextLooks::recall) the entry. It belongs to this process: what the
//! next one finds, it looks at once.

use std::sync::atomic::{AtomicU64, Ordering};

use anet_memory::words::Words;

use super::header::OpenError;
use super::ticks::Ticks;

/// Every entry is looked at this often all the same: then other timeouts hold, whatever they were before. A minute.
const LATEST: u64 = Ticks::at(60_000_000_000).0;
/// An entry that is to be looked at next time.
const RECALLED: u64 = 0;

/// See the module's page.
#[derive(Debug)]
pub(super) struct NextLooks(Words);

/// A look that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    word: &'a AtomicU64,
    begun: u64,
}

impl NextLooks {
    /// For as many entries; memory only for those that were ever used.
    pub(super) fn new(capacity: u32) -> Result<Self, OpenError> {
        let words = Words::anonymous(capacity as usize);
        words.map(Self).map_err(|_| OpenError::NoMemory {
            bytes: u64::from(capacity) * 8,
        })
    }

    /// After an entry was written so that it may be over earlier than was thought.
    #[inline]
    pub(super) fn recall(&self, slot: u32) {
        if let Some(word) = self.0.get(slot as usize) {
            word.store(RECALLED, Ordering::Release);
        }
    }

    /// Where it is time for a look at the entry: begins it.
    #[inline]
    pub(super) fn begin(&self, slot: u32, now: Ticks) -> Option<Look<'_>> {
        let word = self.0.get(slot as usize)?;
        if word.load(Ordering::Relaxed) > now.0 {
            return None;
        }
        // Before the entry is read: a recall of what is not read any more then comes after this, and is not undone by `end`.
        let begun = now.0 + LATEST;
        word.swap(begun, Ordering::AcqRel);
        Some(Look { word, begun })
    }
}

impl Look<'_> {
    /// Found that the entry cannot be over before `at`.
    pub(super) fn end(self, at: Ticks) {
        let next = at.0.min(self.begun);
        // One that was recalled meanwhile stays so.
        let _ = self
            .word
            .compare_exchange(self.begun, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_looked_at_when_it_may_be_over_when_recalled_and_each_minute() {
        let looks = NextLooks::new(3).unwrap();
        let at = |now: u64| looks.begin(1, Ticks(now));
        at(1_000).unwrap().end(Ticks(5_000));
        assert!(at(4_999).is_none());
        at(5_000).unwrap().end(Ticks(u64::MAX));
        assert!(at(5_000 + LATEST - 1).is_none());
        // Who does not end it has found nothing there.
        at(5_000 + LATEST).unwrap();
        let later = 5_000 + 2 * LATEST;
        assert!(at(later - 1).is_none());
        looks.recall(1);
        let look = at(later - 1).unwrap();
        looks.recall(1);
        look.end(Ticks(later + 9));
        assert!(at(later - 1).is_some(), "recalled while it was looked at");
        assert!(looks.begin(3, Ticks(0)).is_none() && looks.begin(0, Ticks(0)).is_some());
        looks.recall(3);
    }
}
