//! The table's first line: what it is, how big, which process has it, and how far it was ever filled.
//!
//! ```text
//! word 0 magic   1 version of the layout   2 capacity in entries   3 epoch   4, 5 high-water mark, twice   6 clock
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use anet_memory::shared_file::Layout;

use super::layout::{ENTRY, HEADER, MAGIC, VERSION, mix};

const WORD_MAGIC: usize = 0;
const WORD_VERSION: usize = 1;
const WORD_CAPACITY: usize = 2;
const WORD_EPOCH: usize = 3;
const WORD_MARKS: [usize; 2] = [4, 5];
const WORD_CLOCK: usize = 6;

/// Why words are not a connection table that can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not even one entry fits.
    #[error("a connection table needs at least {needed} words, and there are {found}: give it a larger file")]
    TooSmall {
        /// Words needed at least.
        needed: usize,
        /// Words given.
        found: usize,
    },
    /// More entries than an id can name.
    #[error(
        "a connection table holds at most {} connections: give it a smaller file",
        u32::MAX
    )]
    TooLarge,
    /// Something else is in there.
    #[error(
        "this is no connection table (it begins with {found:#018x}): move the file away, a new one will be made"
    )]
    NotAConnectionTable {
        /// The first word.
        found: u64,
    },
    /// Written by a version that lays entries out differently.
    #[error(
        "the connection table has layout {found}, this program knows {known}: move the file away, a new one will be made"
    )]
    OtherVersion {
        /// The layout's version in the file.
        found: u64,
        /// The one this program knows.
        known: u64,
    },
    /// The table was made for another number of connections.
    #[error(
        "the connection table was made for {found} connections and its file holds {fits}: keep the size it was made with, or move it away"
    )]
    OtherCapacity {
        /// What the header says.
        found: u64,
        /// What fits into the words.
        fits: usize,
    },
    /// No memory for what is kept beside the words.
    #[error("no {bytes} bytes of memory: a smaller connection table needs less")]
    NoMemory {
        /// Bytes asked for.
        bytes: u64,
    },
}

/// What the file of a table of `capacity` connections is to be: see [`anet_memory::shared_file`].
pub const fn file_layout(capacity: u32) -> Layout {
    Layout {
        magic: *b"aNETconn",
        version: VERSION as u32,
        header_words: HEADER as u32,
        entry_words: ENTRY as u32,
        capacity: capacity as u64,
    }
}

/// Words that a table of `capacity` connections needs: 192 bytes each, and 64 before them.
pub const fn words_for(capacity: u32) -> usize {
    HEADER + capacity as usize * ENTRY
}

/// Names the clock that the times in a table are of, as [`set_clock`] wrote it; 0 where nobody did.
pub fn clock_of(words: &[AtomicU64]) -> u64 {
    words
        .get(WORD_CLOCK)
        .map_or(0, |word| word.load(Ordering::Acquire))
}

/// Writes down which clock the times in a table are of: a name that the host's next boot does not have.
pub fn set_clock(words: &[AtomicU64], clock: u64) {
    if let Some(word) = words.get(WORD_CLOCK) {
        word.store(clock, Ordering::Release);
    }
}

/// The first line of a table whose kind, version and size were checked.
pub(super) struct Header<'a>(&'a [AtomicU64]);

impl<'a> Header<'a> {
    /// Checks the header, or makes one where the words are fresh (zero). Returns the capacity, too.
    pub(super) fn open(words: &'a [AtomicU64]) -> Result<(Self, u32), OpenError> {
        if words.len() < words_for(1) {
            return Err(OpenError::TooSmall {
                needed: words_for(1),
                found: words.len(),
            });
        }
        let capacity = u32::try_from((words.len() - HEADER) / ENTRY).map_err(|_| OpenError::TooLarge)?;
        let header = Self(words);
        match header.load(WORD_MAGIC) {
            MAGIC => header.check(capacity)?,
            0 => header.make(capacity),
            found => return Err(OpenError::NotAConnectionTable { found }),
        }
        Ok((header, capacity))
    }

    fn check(&self, capacity: u32) -> Result<(), OpenError> {
        let (version, found) = (self.load(WORD_VERSION), self.load(WORD_CAPACITY));
        if version != VERSION {
            return Err(OpenError::OtherVersion {
                found: version,
                known: VERSION,
            });
        }
        if found != u64::from(capacity) {
            return Err(OpenError::OtherCapacity {
                found,
                fits: capacity as usize,
            });
        }
        Ok(())
    }

    /// The magic comes last: a process killed before it leaves words that count as fresh.
    fn make(&self, capacity: u32) {
        self.store(WORD_VERSION, VERSION);
        self.store(WORD_CAPACITY, u64::from(capacity));
        self.store(WORD_EPOCH, 0);
        self.set_mark(0);
        self.0[WORD_MAGIC].store(MAGIC, Ordering::Release);
    }

    /// Counts the processes that have opened the table; never zero.
    pub(super) fn next_epoch(&self) -> u32 {
        let epoch = (self.load(WORD_EPOCH) as u32).wrapping_add(1).max(1);
        self.store(WORD_EPOCH, u64::from(epoch));
        epoch
    }

    /// Entries from here on were never used. Damage to one of its two copies is seen and mended; with both gone
    /// it is `capacity`.
    pub(super) fn mark(&self, capacity: u32) -> u32 {
        let whole = |word: u64| (word == mark_word(word as u32)).then_some(word as u32);
        let marks = WORD_MARKS.map(|at| whole(self.load(at)));
        marks
            .into_iter()
            .flatten()
            .max()
            .unwrap_or(capacity)
            .min(capacity)
    }

    pub(super) fn set_mark(&self, mark: u32) {
        WORD_MARKS.iter().for_each(|&at| self.store(at, mark_word(mark)));
    }

    /// The header of words that were opened.
    pub(super) fn of(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    fn load(&self, word: usize) -> u64 {
        self.0[word].load(Ordering::Acquire)
    }

    fn store(&self, word: usize, value: u64) {
        self.0[word].store(value, Ordering::Release);
    }
}

fn mark_word(mark: u32) -> u64 {
    mix(u64::from(mark) ^ MAGIC) >> 32 << 32 | u64::from(mark)
}
