//! Why a command did not do what it should.

use anet_api::client::ClientError;
use anet_lab::LabError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line asks for what cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// The fabric did not do it.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// A lab did not do it.
    #[error("{0}")]
    Lab(#[from] LabError),
    /// The answer could not be written.
    #[error("the answer cannot be written: {0}")]
    Output(#[from] std::io::Error),
    /// Some of several were not done.
    #[error("{0}")]
    Several(String),
}

impl CliError {
    pub(crate) const fn status(&self) -> u8 {
        match self {
            CliError::Usage(_) => 2,
            _ => 1,
        }
    }
}
