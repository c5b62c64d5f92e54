//! Witnesses: what a flow's verdict rests on.

/// A slot and the generation it had when a verdict was made. A flow holds two: one for its source side (the rule that
/// let it out of its port, or the remote station that it came from), one for its destination side (the rule that let it
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

/// What a generation grows by when an object changes; a changed rule adds 1.
const OBJECT_STEP: u32 = 1 << 8;

/// Generations by slot. Slot 0 is never bumped.
#[derive(Debug, Clone)]
pub struct Witnesses {
    generations: Vec<u32>,
    changes: u64,
}

impl Default for Witnesses {
    fn default() -> Self {
        Self {
            generations: vec![0],
            changes: 0,
        }
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

    /// True where nothing has changed since, or nothing but rules has (fewer than 256 times), not the port or station itself.
    #[inline]
    pub fn only_rules_changed(&self, witness: Witness) -> bool {
        let now = self.generations.get(witness.slot as usize);
        now.is_some_and(|generation| generation / OBJECT_STEP == witness.generation / OBJECT_STEP)
    }

    /// Bumps so far; both kinds count.
    #[inline]
    pub fn changes(&self) -> u64 {
        self.changes
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

    /// A rule changed.
    pub(super) fn bump_rule(&mut self, slot: u32) {
        self.advance(slot, 1, 1);
    }

    /// The objects themselves changed.
    pub(super) fn bump(&mut self, first: u32, count: u32) {
        self.advance(first, count, OBJECT_STEP);
    }

    fn advance(&mut self, first: u32, count: u32, step: u32) {
        self.changes = self.changes.wrapping_add(1);
        let first = first.max(1) as usize;
        let last = first.saturating_add(count as usize).min(self.generations.len());
        for generation in self.generations.iter_mut().take(last).skip(first) {
            *generation = generation.wrapping_add(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_rules_is_told_from_a_change_of_the_object() {
        let mut witnesses = Witnesses::default();
        witnesses.grow(4);
        let known = witnesses.witness(2);
        assert!(witnesses.is_fresh(known) && witnesses.only_rules_changed(known));
        for _ in 1..OBJECT_STEP {
            witnesses.bump_rule(2);
            assert!(!witnesses.is_fresh(known) && witnesses.only_rules_changed(known));
        }
        witnesses.bump_rule(2);
        assert!(
            !witnesses.only_rules_changed(known),
            "more changes of rules than can be counted are taken for the other"
        );
        let known = witnesses.witness(2);
        witnesses.bump(1, 2);
        witnesses.bump_rule(2);
        assert!(!witnesses.is_fresh(known) && !witnesses.only_rules_changed(known));
        let never = witnesses.witness(9);
        assert!(!witnesses.is_fresh(never) && !witnesses.only_rules_changed(never));
        assert!(witnesses.is_fresh(Witness::ALWAYS));
    }
}
