//! The connection table's file: found again after a kill, made anew after a boot or where it is damaged.

use std::path::Path;

use anet_datapath::connections::{
    Config, Connections, OpenError, Recovered, clock_of, file_layout, set_clock,
};
use anet_memory::shared_file::{Opened, SharedFile, SharedFileError};

use crate::{clock, log};

/// Locks of the table: enough for a handful of workers.
const SHARDS: usize = 64;

/// Why there is no connection table.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionFileError {
    /// The file.
    #[error("connection file {0}")]
    File(#[from] SharedFileError),
    /// What is in it.
    #[error("connection file {path}: {cause}")]
    Table {
        /// The file.
        path: String,
        /// What is wrong.
        cause: OpenError,
    },
    /// A file of another boot could not be removed.
    #[error("connection file {path} is of another boot and cannot be removed: {source}; remove it by hand")]
    Stale {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Opens the table in the file at `path`; `seed` keys its hash.
pub fn open(path: &Path, capacity: u32, seed: u64) -> Result<Connections, ConnectionFileError> {
    let layout = file_layout(capacity);
    let (mut file, mut opened) = SharedFile::open(path, &layout)?;
    if opened == Opened::Found && clock_of(file.words()) != clock::name() {
        drop(file);
        std::fs::remove_file(path).map_err(|source| ConnectionFileError::Stale {
            path: path.display().to_string(),
            source,
        })?;
        (file, opened) = SharedFile::open(path, &layout)?;
    }
    set_clock(file.words(), clock::name());
    let config = Config {
        shards: SHARDS,
        seed,
        now: clock::now(),
    };
    let (connections, recovered) =
        Connections::open(file.into_words(), config).map_err(|cause| ConnectionFileError::Table {
            path: path.display().to_string(),
            cause,
        })?;
    tell(path, &opened, recovered);
    Ok(connections)
}

fn tell(path: &Path, opened: &Opened, recovered: Recovered) {
    let path = path.display();
    match opened {
        Opened::Fresh => {}
        Opened::Found => {
            let Recovered { kept, discarded } = recovered;
            log::line(format_args!(
                "connection file {path}: {kept} connections live on, {discarded} damaged ones were discarded"
            ));
        }
        Opened::Replaced { reason, kept_as } => log::line(format_args!(
            "connection file {path} could not be used ({reason}); it is kept as {}, a new one was made",
            kept_as.display()
        )),
    }
}
