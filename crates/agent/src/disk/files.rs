//! The data folder itself: made, locked, and its files replaced whole.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anet_cluster::trust::{Credentials, TrustError};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::beside;
use super::log::{read_bounded, write_synced};

/// How long a start waits for an agent that has just been killed to let go of the folder.
const GRACE: Duration = Duration::from_millis(500);
/// `agent.json` is short.
const JOINED_MAXIMUM: u64 = 64 << 10;

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The system refused something.
    #[error("cannot {what} {path}: {source}{remedy}", path = .path.display(), remedy = remedy(.source))]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another agent has it.
    #[error(
        "data folder {path} is in use by another agent that runs: stop that one, or give --data another folder",
        path = .path.display()
    )]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// Nobody has joined with it.
    #[error(
        "data folder {path} has no identity: join first (`anet-agent join TOKEN --tunnel-address ADDRESS --data {path}`)",
        path = .path.display()
    )]
    NotJoined {
        /// The folder.
        path: PathBuf,
    },
    /// A file does not say what it should.
    #[error("{path} cannot be understood: {reason}; put it back from a backup, or empty the folder and join again", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A newer agent wrote it.
    #[error(
        "{path} is of version {version}, and this agent reads up to {known}: start the newer agent that wrote it",
        path = .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The newest that is understood.
        known: u32,
    },
    /// Keys and certificates.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => ": run as the user who owns it, or give that user the right to",
        io::ErrorKind::NotFound => ": put it back from a backup, or empty the folder and join again",
        io::ErrorKind::StorageFull => ": make room on the disk",
        _ => "",
    }
}

impl DiskError {
    pub(super) fn of(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

/// What joining came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The host's name.
    pub host: String,
    /// Its cluster.
    pub cluster: String,
    /// `HOST:PORT` of the controllers' streams for hosts.
    pub controllers: Vec<String>,
}

/// A data folder that is ours as long as this lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Folder {
    /// Makes it where it is missing, and locks it.
    pub fn take(path: &Path) -> Result<Self, DiskError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| DiskError::of("make the data folder", path, error))?;
        let lock = path.join("lock");
        let deadline = Instant::now() + GRACE;
        loop {
            let mut options = OpenOptions::new();
            let file = options
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&lock);
            let file = file.map_err(|error| DiskError::of("open", &lock, error))?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(held) => {
                    return Ok(Self {
                        path: path.to_owned(),
                        _lock: held,
                    });
                }
                Err((_, nix::errno::Errno::EWOULDBLOCK)) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                    return Err(DiskError::Taken {
                        path: path.to_owned(),
                    });
                }
                Err((_, error)) => return Err(DiskError::of("lock", &lock, error.into())),
            }
        }
    }

    /// A file of it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Keeps a copy of a file under another name.
    pub fn set_aside(&self, name: &str) -> Result<PathBuf, DiskError> {
        let path = self.file(name);
        let bytes = std::fs::read(&path).map_err(|error| DiskError::of("read", &path, error))?;
        set_aside(&path, &bytes)
    }

    /// True where somebody has joined with it. Who may not look has not found nothing.
    pub fn is_joined(&self) -> Result<bool, DiskError> {
        let path = self.file("identity.pem");
        path.try_exists()
            .map_err(|error| DiskError::of("look for", &path, error))
    }

    /// Who we are, and where the controllers are.
    pub fn identity(&self) -> Result<(Credentials, Joined), DiskError> {
        if !self.is_joined()? {
            return Err(DiskError::NotJoined {
                path: self.path.clone(),
            });
        }
        let credentials = Credentials::load(&self.file("identity.pem"))?;
        let path = self.file("agent.json");
        let bytes =
            read_bounded(&path, JOINED_MAXIMUM).map_err(|error| DiskError::of("read", &path, error))?;
        let joined: Joined = serde_json::from_slice(&bytes).map_err(|error| DiskError::Malformed {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        let identity = credentials.identity();
        if identity.name() != joined.host || identity.cluster() != joined.cluster {
            return Err(DiskError::Malformed {
                path,
                reason: format!("it is of another host than the certificate in identity.pem ({identity})"),
            });
        }
        Ok((credentials, joined))
    }

    /// Keeps what joining came to. The identity comes last: it is what says that somebody has joined.
    pub fn keep(&self, credentials: &Credentials, joined: &Joined) -> Result<(), DiskError> {
        let path = self.file("agent.json");
        let text = serde_json::to_vec_pretty(joined).map_err(|error| DiskError::Malformed {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        replace(&path, &text)?;
        Ok(credentials.save(&self.file("identity.pem"))?)
    }
}

/// Puts bytes where `path` says, whole or not at all, durably.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    put_in_place(path, bytes)?;
    sync_folder_of(path)
}

/// Puts bytes where `path` says, whole or not at all. A loss of power may take that back until the folder is synced.
pub(super) fn put_in_place(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let fresh = beside(path, ".new");
    let written = write_synced(&fresh, bytes).and_then(|()| std::fs::rename(&fresh, path));
    if let Err(error) = written {
        // Perhaps there is no room for both.
        let _ = std::fs::remove_file(&fresh);
        return Err(DiskError::of("write", path, error));
    }
    Ok(())
}

/// Makes sure of what is where in the folder of a file.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), DiskError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| DiskError::of("sync the folder of", path, error))
}

/// Keeps the bytes of a damaged file beside it, under a name that says when.
pub fn set_aside(path: &Path, bytes: &[u8]) -> Result<PathBuf, DiskError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let aside = beside(path, &format!(".damaged-{}", since.as_secs()));
    replace(&aside, bytes)?;
    Ok(aside)
}
