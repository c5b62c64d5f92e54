//! What the daemon says: one line each on stderr.

use std::fmt;
use std::io::Write;

/// Writes `anet-controller: TEXT`. Where stderr is gone, nothing happens.
pub fn line(text: impl fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "anet-controller: {text}");
}
