//! Witnesses: what a flow's verdict rests on.

/// A slot and the generation it had when a verdict was made. A flow holds two: one for its source side (the rule that
/// let it out of its port, or the tunnel membership it came by), one for its destination side (the rule that let it
/// in, or the remote station). A change that can alter the verdict bumps the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Witness {
    /// Index into [`Witnesses`].
    pub slot: u32,
    /// The generation seen.
    pub generation: u32,
}

impl Witness {
    /// The slot that never changes: for sides that have nothing to say.
    pub const ALWAYS: Witness = Witness {
        slot: 0,
        generation: 0,
    };

    /// As one word.
    #[inline]
    pub const fn to_word(self) -> u64 {
        (self.slot as u64) << 32 | self.generation as u64
    }

    /// From one word.
    #[inline]
    pub const fn from_word(word: u64) -> Self {
        Self {
            slot: (word >> 32) as u32,
            generation: word as u32,
        }
    }
}

/// Generations by slot. Slot 0 is never bumped.
#[derive(Debug, Clone)]
pub struct Witnesses {
    generations: Vec<u32>,
}

impl Default for Witnesses {
    fn default() -> Self {
        Self { generations: vec![0] }
    }
}

impl Witnesses {
    /// Today's witness of a slot; one that can never be fresh for a slot that does not exist.
    #[inline]
    pub fn witness(&self, slot: u32) -> Witness {
        match self.generations.get(slot as usize) {
            Some(&generation) => Witness { slot, generation },
            None => Witness {
                slot: u32::MAX,
                generation: u32::MAX,
            },
        }
    }

    /// True while nothing that bears on the witness has changed.
    #[inline]
    pub fn is_fresh(&self, witness: Witness) -> bool {
        self.generations.get(witness.slot as usize) == Some(&witness.generation)
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.generations.len()
    }

    /// Never: slot 0 is always there.
    pub fn is_empty(&self) -> bool {
        self.generations.is_empty()
    }

    pub(super) fn grow(&mut self, slots: u32) {
        let wanted = (slots as usize).max(self.generations.len());
        self.generations.resize(wanted, 0);
    }

    pub(super) fn bump(&mut self, first: u32, count: u32) {
        let first = first.max(1) as usize;
        let last = (first + count as usize).min(self.generations.len());
        for generation in self.generations.iter_mut().take(last).skip(first) {
            *generation = generation.wrapping_add(1);
        }
    }
}
