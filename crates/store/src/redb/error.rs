//! Why a store's file cannot be opened, and what redb's errors mean to a caller.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::StoreError;
use crate::redb::FORMAT;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody has it open.
    #[error("{} is in use by another process: stop that one first", .0.display())]
    Locked(PathBuf),
    /// It was to be made new.
    #[error("{} is there already: open it, or move it away to begin anew", .0.display())]
    Exists(PathBuf),
    /// It was to be opened.
    #[error("{} is not there: create the store first, or restore it from a backup", .0.display())]
    Missing(PathBuf),
    /// A newer version wrote it.
    #[error(
        "{} has format {found}, this version knows formats up to {FORMAT}: start the newer version, or restore a backup from \
         before the upgrade",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Something else's file.
    #[error("{} is not a store of this program: check the path", .0.display())]
    Foreign(PathBuf),
    /// What is in the file is not what was written there.
    #[error(
        "{} is damaged ({what}): keep a copy of the file, and restore the last backup",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The operating system refuses.
    #[error("{} cannot be opened: {source}{}", path.display(), remedy(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => ": run as the user who owns it, or give that user the right to",
        io::ErrorKind::StorageFull => ": make room on the disk",
        _ => "",
    }
}

impl OpenError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => OpenError::Missing(path),
            io::ErrorKind::AlreadyExists => OpenError::Exists(path),
            _ => OpenError::Io { path, source },
        }
    }

    pub(super) fn damaged(path: &Path, what: impl ToString) -> Self {
        OpenError::Damaged {
            path: path.to_owned(),
            what: what.to_string(),
        }
    }

    pub(super) fn of_database(path: &Path, error: redb::DatabaseError) -> Self {
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen => OpenError::Locked(path.to_owned()),
            redb::DatabaseError::Storage(redb::StorageError::Io(source)) => match source.kind() {
                // So redb says that the file does not begin as its own do, or ends too early.
                io::ErrorKind::InvalidData => OpenError::Foreign(path.to_owned()),
                io::ErrorKind::UnexpectedEof => OpenError::damaged(path, "it is cut off"),
                _ => OpenError::io(path, source),
            },
            redb::DatabaseError::UpgradeRequired(_) => OpenError::Foreign(path.to_owned()),
            other => OpenError::damaged(path, other),
        }
    }
}

/// What a failure of redb's means to a caller. Whatever it was, the transaction it happened in is dropped.
pub(super) fn of_redb(path: &Path, error: impl Into<redb::Error>) -> StoreError {
    let path = path.to_owned();
    match error.into() {
        redb::Error::Io(source) if is_full(&source) => StoreError::Full { path },
        redb::Error::Io(source) => StoreError::Unavailable {
            reason: format!("{}: {source}", path.display()),
        },
        error @ (redb::Error::PreviousIo | redb::Error::DatabaseClosed) => StoreError::Unavailable {
            reason: format!("{}: {error}", path.display()),
        },
        error => StoreError::Damaged {
            path,
            what: error.to_string(),
        },
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
