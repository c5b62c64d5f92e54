//! Re-validation has a budget: a change of rules that touches very many flows at once slows nobody down.
//!
//! When rules change, flows that rest on them are asked again at their next packet. That costs several times a hit, so a
//! worker asks [`PER_MILLISECOND`] flows in a millisecond; those beyond keep their verdict for a moment, at most until
//! [`GRACE_NS`] after the change, when all that are left are asked whatever it costs. A change that touches fewer flows
//! takes effect at once. Only changes of rules can wait: a port, a network or a station that changed cannot (see
//! [`crate::tables::Witnesses::may_wait`]).

/// Flows that are asked again in a millisecond while others wait.
pub const PER_MILLISECOND: u32 = 24;
/// How long a flow may keep its verdict after a change, in nanoseconds.
pub const GRACE_NS: u64 = 500_000_000;

const MILLISECOND_NS: u64 = 1_000_000;

/// A worker's budget.
#[derive(Debug, Default)]
pub(super) struct Postponement {
    /// The tables' count of changes when last looked at.
    changes: u64,
    /// Flows may wait until here.
    until: u64,
    millisecond: u64,
    /// Below zero: taken ahead by flows that could not wait.
    left: i32,
}

impl Postponement {
    /// Notes changes. A period of grace begins with a change, and another not before as long a time without: under
    /// steady change no flow waits for ever.
    pub(super) fn observe(&mut self, changes: u64, now: u64) {
        if changes != self.changes {
            self.changes = changes;
            if now >= self.until.saturating_add(GRACE_NS) || self.until == 0 {
                self.until = now.saturating_add(GRACE_NS);
            }
        }
    }

    /// True where a flow that may wait has to: the budget of this millisecond is spent. One that has not takes its part.
    pub(super) fn must_wait(&mut self, now: u64) -> bool {
        if now >= self.until {
            return false;
        }
        let left = self.left_at(now);
        if left > 0 {
            self.left -= 1;
        }
        left <= 0
    }

    /// A flow that could not wait was asked again: its connection had ended with the rule, for one. It takes its part too.
    pub(super) fn charge(&mut self, now: u64) {
        if now < self.until {
            // Debts of more than a few milliseconds are forgiven.
            self.left = (self.left_at(now) - 1).max(-4 * PER_MILLISECOND as i32);
        }
    }

    /// What is left in this millisecond.
    fn left_at(&mut self, now: u64) -> i32 {
        let millisecond = now / MILLISECOND_NS;
        if millisecond != self.millisecond {
            self.millisecond = millisecond;
            self.left = self.left.min(0).saturating_add(PER_MILLISECOND as i32);
        }
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_millisecond_has_its_budget_and_grace_ends() {
        let mut postponement = Postponement::default();
        let start = 5 * GRACE_NS;
        postponement.observe(1, start);
        let asked = |p: &mut Postponement, now| (0..1_000).filter(|_| !p.must_wait(now)).count();
        assert_eq!(asked(&mut postponement, start), PER_MILLISECOND as usize);
        assert_eq!(asked(&mut postponement, start), 0);
        assert_eq!(
            asked(&mut postponement, start + MILLISECOND_NS),
            PER_MILLISECOND as usize
        );
        assert_eq!(
            asked(&mut postponement, start + GRACE_NS),
            1_000,
            "all that are left, whatever it costs"
        );
    }

    #[test]
    fn under_steady_change_no_flow_waits_longer_than_the_grace() {
        let mut postponement = Postponement::default();
        let start = 5 * GRACE_NS;
        let mut waited = 0;
        for step in 0..1_000u64 {
            let now = start + step * MILLISECOND_NS;
            postponement.observe(step + 1, now);
            let someone_waits = (0..=PER_MILLISECOND).any(|_| postponement.must_wait(now));
            waited = if someone_waits { waited + 1 } else { 0 };
            assert!(
                waited <= GRACE_NS / MILLISECOND_NS,
                "flows wait since {waited} ms"
            );
        }
    }
}
