//! Indexes given to ids: dense, and used again once their owner is gone.

use std::collections::{BTreeMap, BTreeSet};

/// A dense numbering of ids.
pub(super) struct Indexes<K> {
    by_id: BTreeMap<K, u32>,
    free: Vec<u32>,
    next: u32,
}

impl<K> Default for Indexes<K> {
    fn default() -> Self {
        Self {
            by_id: BTreeMap::new(),
            free: Vec::new(),
            next: 0,
        }
    }
}

impl<K: Ord + Clone> Indexes<K> {
    pub(super) fn get(&self, id: &K) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// The index of an id, a new one where it has none.
    pub(super) fn assign(&mut self, id: &K) -> u32 {
        if let Some(index) = self.get(id) {
            return index;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        self.by_id.insert(id.clone(), index);
        index
    }

    /// Takes the index back.
    pub(super) fn release(&mut self, id: &K) -> Option<u32> {
        let index = self.by_id.remove(id)?;
        self.free.push(index);
        Some(index)
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        let gone: Vec<K> = self.by_id.keys().filter(|id| !keep(id)).cloned().collect();
        for id in gone {
            self.release(&id);
        }
    }

    /// The numbering of those that are to be kept, each with the index that it has; all others are free. Two that have the
    /// same one, which should not be, are told apart.
    pub(super) fn only(&self, keep: impl Fn(&K) -> bool) -> Self {
        let mut kept = Self::default();
        let mut taken = BTreeSet::new();
        for (id, index) in self.iter().filter(|(id, _)| keep(id)) {
            if taken.insert(index) {
                kept.by_id.insert(id.clone(), index);
            }
        }
        kept.next = taken.last().map_or(0, |last| last + 1);
        kept.free = (0..kept.next).filter(|index| !taken.contains(index)).collect();
        kept
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, u32)> {
        self.by_id.iter().map(|(id, index)| (id, *index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_kept_keep_their_index_and_the_others_are_free() {
        let mut indexes = Indexes::default();
        let given: Vec<u32> = ["c", "a", "b", "d"].iter().map(|id| indexes.assign(id)).collect();
        assert_eq!(given, [0, 1, 2, 3]);
        let mut kept = indexes.only(|id| ["b", "c"].contains(id));
        assert_eq!(
            (kept.get(&"c"), kept.get(&"b"), kept.get(&"a")),
            (Some(0), Some(2), None)
        );
        let mut new = ["e", "f", "g"].map(|id| kept.assign(&id));
        new.sort_unstable();
        assert_eq!(new, [1, 3, 4]);
    }
}
