//! What must never happen.

use std::fmt;

/// Something that must hold did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One.
pub fn violation(what: impl Into<String>) -> Violation {
    Violation(what.into())
}
