//! What is said of sessions that do not come about: each line once, until something is different.
//!
//! An agent that is sent away comes back every few seconds, for as long as nobody does anything about it. What it hears then is news once.

use std::collections::BTreeSet;

/// What was said in the attempt before, and in this one.
#[derive(Debug, Default)]
pub struct Told {
    before: BTreeSet<String>,
    now: BTreeSet<String>,
}

impl Told {
    /// A stream is open: the next attempt at a session begins.
    pub fn attempt(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }

    /// There is a session: whatever is said after it is news.
    pub fn in_session(&mut self) {
        self.before.clear();
        self.now.clear();
    }

    /// True for a line that was said neither in this attempt nor in the one before.
    pub fn is_news(&mut self, line: &str) -> bool {
        self.now.insert(line.to_owned()) && !self.before.contains(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_attempt_says_is_said_once() {
        let mut told = Told::default();
        let mut said: Vec<&str> = Vec::new();
        let mut attempt = |told: &mut Told, lines: &[&'static str]| {
            told.attempt();
            said.extend(lines.iter().filter(|line| told.is_news(line)));
        };
        for _ in 0..3 {
            attempt(
                &mut told,
                &["another agent is at work", "another agent is at work"],
            );
        }
        attempt(&mut told, &["this host was deleted"]);
        attempt(&mut told, &["another agent is at work"]);
        told.in_session();
        attempt(&mut told, &["another agent is at work"]);
        let (copy, deleted) = ("another agent is at work", "this host was deleted");
        assert_eq!(said, [copy, deleted, copy, copy]);
    }
}
