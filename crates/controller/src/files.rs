//! The data folder: what is in it, and how its files are written.
//!
//! | file | what |
//! |---|---|
//! | `store.redb` | the truth |
//! | `authority.pem`, `ca.pem` | the cluster's own certificate authority, and its certificate alone |
//! | `controller.toml` | what `init` was told, as `run` begins with it |
//! | `tokens.json` | who may ask: hashes of tokens |
//! | `client.json` | for the CLI: address, certificate, the administrator's token |

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::StartError;

/// Where a controller's data is unless something else is said.
pub const DATA: &str = "/var/lib/anet/controller";

/// A data folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at a path, which need not be there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The store.
    pub fn store(&self) -> PathBuf {
        self.0.join("store.redb")
    }

    /// The settings.
    pub fn configuration(&self) -> PathBuf {
        self.0.join("controller.toml")
    }

    /// The tokens.
    pub fn tokens(&self) -> PathBuf {
        self.0.join("tokens.json")
    }

    /// For the CLI.
    pub fn client(&self) -> PathBuf {
        self.0.join("client.json")
    }

    /// True where a controller's data, or some of it, is here.
    pub fn is_made(&self) -> Result<bool, StartError> {
        Ok(is_there(&self.store())? || is_there(&self.tokens())?)
    }

    /// An error where there is none of it.
    pub fn must_be_made(&self) -> Result<(), StartError> {
        match self.is_made()? {
            true => Ok(()),
            false => Err(StartError::NotMade(self.0.clone())),
        }
    }

    /// Makes the folder, for its owner only.
    pub fn create(&self) -> Result<(), StartError> {
        let made = fs::create_dir_all(&self.0).and_then(|()| {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&self.0, fs::Permissions::from_mode(0o700))
        });
        made.map_err(|source| StartError::file(&self.0, "be made", source))
    }
}

/// Whether something is there. Who may not look has not found nothing.
pub fn is_there(path: &Path) -> Result<bool, StartError> {
    path.try_exists()
        .map_err(|source| StartError::file(path, "be looked for", source))
}

/// Reads a text file.
pub fn read(path: &Path) -> Result<String, StartError> {
    fs::read_to_string(path).map_err(|source| StartError::file(path, "be read", source))
}

/// Writes a file for its owner only: whole or not at all, and on the disk when this returns.
pub fn write(path: &Path, text: &str) -> Result<(), StartError> {
    write_whole(path, text).map_err(|source| StartError::file(path, "be written", source))
}

fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}
