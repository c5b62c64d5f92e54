//! Why a figure could not be measured.

use std::io;

/// See the module's page.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The machine lacks something.
    #[error("{0}")]
    Missing(String),
    /// A program that was started did not do its work.
    #[error("{program} failed: {what}")]
    Program {
        /// Which.
        program: String,
        /// Its last words.
        what: String,
    },
    /// What was measured is not what should have happened, so the figure would mean nothing.
    #[error("the measurement is void: {0}")]
    Void(String),
    /// A file or a system call.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl BenchError {
    /// For `map_err` of a system call.
    pub fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System {
            what: what.into(),
            source,
        }
    }
}

/// Ends a measurement that is void unless `holds`.
pub fn require(holds: bool, what: impl FnOnce() -> String) -> Result<(), BenchError> {
    if holds {
        Ok(())
    } else {
        Err(BenchError::Void(what()))
    }
}
