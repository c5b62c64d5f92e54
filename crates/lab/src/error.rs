//! What can go wrong in a lab.

use std::io;
use std::time::Duration;

/// Why a part of a lab could not be made or did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A program could not be started at all.
    #[error("cannot start `{program}`: {source}; `scripts/install-packages` installs what the lab needs")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it wrote to standard error, or to standard output where that is empty.
        output: String,
    },
    /// Something did not come up in time.
    #[error("{what}: not there after {waited:.1?}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
    },
    /// A process ended that should have stayed.
    #[error("{name} ended by itself ({status}); its last words: {log}")]
    Ended {
        /// The process.
        name: String,
        /// How it ended.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// A file, socket or system call.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The file that describes a lab is wrong.
    #[error("{file}: {why}")]
    Description {
        /// The file.
        file: String,
        /// What is wrong, and where.
        why: String,
    },
    /// What was asked for cannot be done as things are.
    #[error("{0}")]
    Refused(String),
    /// The controller's API did not do what was asked.
    #[error("{what}: {why}")]
    Api {
        /// What was asked.
        what: String,
        /// What came back.
        why: String,
    },
    /// A tool said something that was not understood.
    #[error("{what}: not understood: {found}")]
    NotUnderstood {
        /// What was being read.
        what: String,
        /// The text.
        found: String,
    },
    /// A program of this workspace is not built.
    #[error("`{program}` is not beside this program: build it with `make build`, or name it in {variable}")]
    NotBuilt {
        /// Its name.
        program: String,
        /// The environment variable that names its path.
        variable: &'static str,
    },
}

impl LabError {
    /// For `map_err` on I/O: says what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> LabError {
        let what = what.into();
        move |source| LabError::Io { what, source }
    }
}
