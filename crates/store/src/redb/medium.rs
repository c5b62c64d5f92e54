//! What a database lies on.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::redb::Options;
use crate::redb::database::Database;
use crate::redb::error::OpenError;

/// Something that a database can be opened on, again and again: after a failed write that is done at once.
pub trait Medium: Debug + Send + Sync {
    /// What messages call it.
    fn path(&self) -> &Path;

    /// True where there is nothing on it and a store is to be made.
    fn is_new(&self) -> bool;

    /// Opens it.
    fn open(&self, builder: &redb::Builder) -> Result<redb::Database, redb::DatabaseError>;
}

/// A file.
#[derive(Debug)]
pub(super) struct FileMedium {
    path: PathBuf,
    /// Only then is an empty file made a database: else it is somebody's mistake.
    empty: bool,
}

impl FileMedium {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            empty: false,
        }
    }

    /// Makes a store beside its place and moves it there when it is whole.
    pub(super) fn create(path: &Path, options: &Options) -> Result<(), OpenError> {
        if fs::exists(path).map_err(|source| OpenError::io(path, source))? {
            return Err(OpenError::Exists(path.to_owned()));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let beside = PathBuf::from(name);
        let io = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        // What an earlier attempt left behind.
        if fs::exists(&beside).map_err(io)? {
            fs::remove_file(&beside).map_err(io)?;
        }
        make_private(&beside).map_err(io)?;
        let medium = Self {
            path: beside.clone(),
            empty: true,
        };
        drop(Database::open(Arc::new(medium), options.clone())?);
        // A link and not a move: it never replaces what somebody else has put there meanwhile.
        fs::hard_link(&beside, path).map_err(|source| OpenError::io(path, source))?;
        fs::remove_file(&beside).map_err(io)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(io)?;
        folder.sync_all().map_err(io)
    }
}

fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map(drop)
}

impl Medium for FileMedium {
    fn path(&self) -> &Path {
        &self.path
    }

    fn is_new(&self) -> bool {
        self.empty
    }

    fn open(&self, builder: &redb::Builder) -> Result<redb::Database, redb::DatabaseError> {
        match self.empty {
            true => builder.create(&self.path),
            false => builder.open(&self.path),
        }
    }
}
