//! Why the controller does not start, or ends: what, where, and what to do.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anet_cluster::bus::direct::BusError;
use anet_cluster::trust::TrustError;
use anet_store::StoreError;
use anet_store::redb::OpenError;

use crate::core::record::RecordError;

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file or folder cannot be used.
    #[error("{} cannot {what}: {source}{}", path.display(), hint(source))]
    File {
        /// Which.
        path: PathBuf,
        /// What was to be done with it.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A file says something that cannot be understood.
    #[error("{} is not as expected: {reason}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Nothing was made here yet.
    #[error("{} holds no controller's data: make it with `anet-controller init --data {}`", .0.display(), .0.display())]
    NotMade(PathBuf),
    /// The data is there, and nobody may ask.
    #[error(
        "{} is not there, so nobody could use the API: put it back from a backup, or make a new token with `anet-controller token --role \
         admin --data {}`",
        .0.display(), .0.parent().unwrap_or(Path::new(".")).display()
    )]
    NoTokens(PathBuf),
    /// Something is there already.
    #[error("{} holds a controller's data already: start it with `anet-controller run`, or choose another folder with --data", .0.display())]
    Made(PathBuf),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store cannot be used.
    #[error(transparent)]
    Use(#[from] StoreError),
    /// What is in the store cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Keys and certificates.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address} for {what}: {source}{}",
        port_hint(source, option)
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// For whom.
        what: &'static str,
        /// The option that says where.
        option: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The hosts' streams cannot be listened for.
    #[error(
        "the hosts' streams: {error}; if another program has the port, stop it or choose another one with --listen-hosts"
    )]
    Streams {
        /// Why.
        error: BusError,
    },
    /// A setting is wrong.
    #[error("{0}")]
    Setting(String),
}

impl StartError {
    /// About a file.
    pub fn file(path: &Path, what: &'static str, source: io::Error) -> Self {
        StartError::File {
            path: path.to_owned(),
            what,
            source,
        }
    }

    /// About what a file says.
    pub fn content(path: &Path, reason: impl ToString) -> Self {
        StartError::Content {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => ": run as the user who owns it, or give that user the right to",
        io::ErrorKind::NotFound => ": check the path",
        io::ErrorKind::StorageFull => ": make room on the disk",
        _ => "",
    }
}

fn port_hint(source: &io::Error, option: &str) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            format!(": another program has the port: stop it, or choose another one with {option}")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!(": this machine has no such address: choose one of its own with {option}")
        }
        io::ErrorKind::PermissionDenied => {
            format!(": ports below 1024 need a right of their own: choose a higher one with {option}")
        }
        _ => String::new(),
    }
}
