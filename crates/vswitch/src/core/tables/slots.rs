//! Witness slots: ranges for ports and stations, single ones for networks.

use std::collections::BTreeMap;

/// A range of witness slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u32,
    pub(super) count: u32,
}

/// Gives out ranges, in powers of two, and takes them back. Who takes one back has bumped it.
pub(super) struct Slots {
    free: BTreeMap<u32, Vec<u32>>,
    next: u32,
}

impl Default for Slots {
    /// Slot 0 is the one that never changes.
    fn default() -> Self {
        Self {
            free: BTreeMap::new(),
            next: 1,
        }
    }
}

impl Slots {
    /// At least `wanted` slots.
    pub(super) fn take(&mut self, wanted: u32) -> Range {
        let count = wanted.next_power_of_two();
        let first = self.free.get_mut(&count).and_then(Vec::pop).unwrap_or_else(|| {
            self.next += count;
            self.next - count
        });
        Range { first, count }
    }

    pub(super) fn give_back(&mut self, range: Range) {
        self.free.entry(range.count).or_default().push(range.first);
    }

    /// Slots there are, given out or not.
    pub(super) fn len(&self) -> u32 {
        self.next
    }
}
