//! Equivalence classes of layer 4: everything that the same rules match shares one bitmap, stored without its empty words.

use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Bitmaps of rules, each kept once. A class is the index of one.
///
/// A bitmap is stored as a summary (one bit per word of 64 rules) and the words that are not zero, in order.
#[derive(Debug, Default)]
pub(super) struct Classes {
    /// Where the bitmap of a class begins in `words`.
    offsets: Vec<u32>,
    words: Vec<u64>,
    summary_words: usize,
}

impl Classes {
    /// The bitmap of a class; an empty one for a class that is not there.
    #[inline]
    pub(super) fn get(&self, class: u16) -> Bitmap<'_> {
        let offset = self
            .offsets
            .get(usize::from(class))
            .map_or(self.words.len(), |o| *o as usize);
        let block = self.words.get(offset..).unwrap_or(&[]);
        let (summary, words) = block.split_at_checked(self.summary_words).unwrap_or((&[], &[]));
        Bitmap { summary, words }
    }

    /// Words of a summary.
    pub(super) fn summary_words(&self) -> usize {
        self.summary_words
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>() + self.offsets.capacity() * size_of::<u32>()
    }
}

/// One class's rules. The words run on into the bitmaps behind it: the summary says how many are its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bitmap<'a> {
    summary: &'a [u64],
    words: &'a [u64],
}

impl Bitmap<'_> {
    /// The lowest bit of the range that is set. Reads at most two words and each word of the summary once.
    #[inline]
    pub(super) fn first_in(self, range: Range<u32>) -> Option<u32> {
        let word = range.start / 64;
        let mut index = (word / 64) as usize;
        let summary = *self.summary.get(index)?;
        let (below, here) = ((1_u64 << (word % 64)) - 1, 1_u64 << (word % 64));
        let before = self
            .summary
            .iter()
            .take(index)
            .map(|s| s.count_ones())
            .sum::<u32>();
        let mut rank = (before + (summary & below).count_ones()) as usize;
        if summary & here != 0 {
            let bits = self.words.get(rank)? & (u64::MAX << (range.start % 64));
            if bits != 0 {
                return Some(word * 64 + bits.trailing_zeros()).filter(|bit| *bit < range.end);
            }
            rank += 1;
        }
        if range.end <= (word + 1) * 64 {
            return None;
        }
        let mut later = summary & !below & !here;
        while later == 0 {
            index += 1;
            later = *self.summary.get(index)?;
        }
        let word = index as u32 * 64 + later.trailing_zeros();
        let bit = word * 64 + self.words.get(rank)?.trailing_zeros();
        (bit < range.end).then_some(bit)
    }
}

/// Collects bitmaps, each once.
pub(super) struct ClassBuilder {
    classes: Classes,
    known: HashTable<u16>,
    hasher: FixedState,
    scratch: Vec<u64>,
}

impl ClassBuilder {
    /// For bitmaps of `rules` bits.
    pub(super) fn new(rules: usize) -> Self {
        let summary_words = rules.div_ceil(64).div_ceil(64);
        let classes = Classes {
            summary_words,
            ..Classes::default()
        };
        Self {
            classes,
            known: HashTable::new(),
            hasher: FixedState::default(),
            scratch: Vec::new(),
        }
    }

    /// The class of a bitmap given as all of its words.
    pub(super) fn class(&mut self, bitmap: &[u64]) -> u16 {
        let Self {
            classes,
            known,
            hasher,
            scratch,
        } = self;
        scratch.clear();
        scratch.resize(classes.summary_words, 0);
        for (index, word) in bitmap.iter().enumerate().filter(|(_, word)| **word != 0) {
            if let Some(summary) = scratch.get_mut(index / 64) {
                *summary |= 1 << (index % 64);
            }
            scratch.push(*word);
        }
        let hash = hasher.hash_one(&*scratch);
        let same = |class: &u16| stored(classes, *class).starts_with(scratch);
        if let Some(class) = known.find(hash, same) {
            return *class;
        }
        let class = classes.offsets.len() as u16;
        classes.offsets.push(classes.words.len() as u32);
        classes.words.extend_from_slice(scratch);
        known.insert_unique(hash, class, |class| hasher.hash_one(own(classes, *class)));
        class
    }

    /// Different bitmaps so far.
    pub(super) fn len(&self) -> usize {
        self.classes.offsets.len()
    }

    /// Bytes of the bitmaps so far.
    pub(super) fn bytes(&self) -> usize {
        (self.classes.words.len() + self.classes.offsets.len()) * size_of::<u64>()
    }

    /// The classes, without spare memory.
    pub(super) fn finish(mut self) -> Classes {
        self.classes.words.shrink_to_fit();
        self.classes.offsets.shrink_to_fit();
        self.classes
    }
}

/// From the beginning of a class's bitmap on. Equal summaries mean equally many words, so a common beginning is equality.
fn stored(classes: &Classes, class: u16) -> &[u64] {
    let offset = classes
        .offsets
        .get(usize::from(class))
        .map_or(classes.words.len(), |o| *o as usize);
    classes.words.get(offset..).unwrap_or(&[])
}

/// A class's bitmap and nothing behind it.
fn own(classes: &Classes, class: u16) -> &[u64] {
    let block = stored(classes, class);
    let end = classes
        .offsets
        .get(usize::from(class) + 1)
        .map(|next| *next as usize);
    let length = end.map_or(block.len(), |end| end + block.len() - classes.words.len());
    block.get(..length).unwrap_or(block)
}
