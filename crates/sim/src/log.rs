//! What happened last, for whoever looks into a violation.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Display;
use std::rc::Rc;

/// Lines that are kept.
const LINES: usize = 1_000;

/// The last lines. Clones are the same log.
#[derive(Debug, Clone, Default)]
pub struct Log(Rc<RefCell<VecDeque<String>>>);

impl Log {
    /// Notes something that somebody did or said.
    pub fn note(&self, now_ms: u64, who: impl Display, what: impl Display) {
        let mut lines = self.0.borrow_mut();
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(format!("{now_ms:>8} ms {who}: {what}"));
    }

    /// All of them, oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.0.borrow().iter().cloned().collect()
    }
}
