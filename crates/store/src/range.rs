//! Ranges of keys, and reading them.

use std::num::NonZeroUsize;
use std::ops::Bound;

use crate::record::{Key, KeyValue, Revision};

/// Keys from a first one on, up to and without an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    start: Key,
    end: Option<Key>,
}

impl KeyRange {
    /// Every key.
    pub const fn all() -> Self {
        Self {
            start: Vec::new(),
            end: None,
        }
    }

    /// One key.
    pub fn key(key: impl Into<Key>) -> Self {
        let start = key.into();
        let end = Some(after(&start));
        Self { start, end }
    }

    /// The keys that begin with these bytes.
    pub fn prefix(prefix: impl Into<Key>) -> Self {
        let start = prefix.into();
        let end = after_prefix(&start);
        Self { start, end }
    }

    /// The keys from `start` on that come before `end`. None, where `end` is not behind `start`.
    pub fn between(start: impl Into<Key>, end: impl Into<Key>) -> Self {
        Self {
            start: start.into(),
            end: Some(end.into()),
        }
    }

    /// The first key that is in the range if it exists.
    pub fn start(&self) -> &[u8] {
        &self.start
    }

    /// The first key behind the range; `None` where it goes to the end.
    pub fn end(&self) -> Option<&[u8]> {
        self.end.as_deref()
    }

    /// True for a key of the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_slice() && self.end.as_deref().is_none_or(|end| key < end)
    }

    /// The part of the range behind a key.
    pub fn after(&self, key: &[u8]) -> Self {
        Self {
            start: after(key).max(self.start.clone()),
            end: self.end.clone(),
        }
    }

    /// True where no key can be in it.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// The bounds as the standard library's maps want them. Only for a range that is not empty: they panic.
    pub(crate) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let end = self.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        (Bound::Included(self.start.as_slice()), end)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.start.len() + self.end.as_ref().map_or(0, Vec::len)
    }
}

/// The key right behind this one.
fn after(key: &[u8]) -> Key {
    [key, &[0]].concat()
}

/// The first key behind all that begin with `prefix`.
fn after_prefix(prefix: &[u8]) -> Option<Key> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// How fresh an answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// Not older than any write that was acknowledged before the reading began.
    #[default]
    Linearizable,
    /// Whatever the nearest member has. May be old; may be older than the last such answer. There also when no
    /// majority is.
    Stale,
}

/// A reading of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeRequest {
    /// Which keys.
    pub range: KeyRange,
    /// At most so many; `None` for all.
    pub limit: Option<NonZeroUsize>,
    /// As of this revision; `None` for now.
    pub revision: Option<Revision>,
    /// How fresh.
    pub reading: Reading,
}

impl RangeRequest {
    /// All of a range, now, linearizably.
    pub const fn new(range: KeyRange) -> Self {
        Self {
            range,
            limit: None,
            revision: None,
            reading: Reading::Linearizable,
        }
    }

    /// At most so many keys; 0 for all.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = NonZeroUsize::new(limit);
        self
    }

    /// As of a revision.
    pub const fn at(mut self, revision: Revision) -> Self {
        self.revision = Some(revision);
        self
    }

    /// An old answer will do.
    pub const fn stale(mut self) -> Self {
        self.reading = Reading::Stale;
        self
    }

    /// The request for the next page, as of the same revision; `None` where `answer` was the last one.
    pub fn next_page(&self, answer: &RangeAnswer) -> Option<Self> {
        let last = answer.entries.last().filter(|_| answer.more)?;
        Some(Self {
            range: self.range.after(&last.key),
            revision: Some(answer.revision),
            ..self.clone()
        })
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeAnswer {
    /// The revision as of which this is the content: the one asked for, or the store's when it was read.
    pub revision: Revision,
    /// The keys in their order.
    pub entries: Vec<KeyValue>,
    /// True where the limit cut something off.
    pub more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_what_begins_with_it_and_nothing_else() {
        let range = KeyRange::prefix(*b"a\xff");
        assert!(range.contains(b"a\xff") && range.contains(b"a\xff\xff\x01"));
        assert!(!range.contains(b"a\xfe\xff") && !range.contains(b"b"));
        assert_eq!(range.end(), Some(b"b".as_slice()));
        assert_eq!(KeyRange::prefix(*b"\xff\xff").end(), None);
        assert!(KeyRange::prefix(*b"").contains(b"\0"));
    }

    #[test]
    fn one_key_is_a_range_of_one() {
        let range = KeyRange::key(*b"k");
        assert!(range.contains(b"k") && !range.contains(b"k\0") && !range.contains(b"j"));
        assert!(range.after(b"k").is_empty() && !range.after(b"a").is_empty());
        assert!(KeyRange::between(*b"b", *b"a").is_empty() && KeyRange::between(*b"b", *b"b").is_empty());
    }

    #[test]
    fn the_next_page_begins_behind_the_last_key_at_the_same_revision() {
        let request = RangeRequest::new(KeyRange::prefix(*b"k")).limit(1);
        let entry = KeyValue {
            key: b"k1".to_vec(),
            value: Vec::new(),
            create_revision: 2,
            mod_revision: 2,
            version: 1,
            lease: None,
        };
        let answer = |more| RangeAnswer {
            revision: 7,
            entries: vec![entry.clone()],
            more,
        };
        let next = request.next_page(&answer(true)).unwrap();
        assert_eq!((next.range.start(), next.revision), (b"k1\0".as_slice(), Some(7)));
        assert_eq!(request.next_page(&answer(false)), None);
    }
}
