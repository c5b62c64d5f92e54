//! Files with keys in them: read within a bound, written whole or not at all, for nobody else to read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::error::TrustError;

/// No key or certificate file comes near this.
const FILE_MAXIMUM: u64 = 64 * 1024;

/// The text of a file with a key; an error if others may read it.
pub(super) fn read_private(path: &Path) -> Result<String, TrustError> {
    let file = File::open(path).map_err(failed("read", path))?;
    let mode = file
        .metadata()
        .map_err(failed("read", path))?
        .permissions()
        .mode()
        & 0o7777;
    if mode & 0o077 != 0 {
        return Err(TrustError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    read(path, &file)
}

fn read(path: &Path, file: &File) -> Result<String, TrustError> {
    let mut bytes = Vec::new();
    file.take(FILE_MAXIMUM + 1)
        .read_to_end(&mut bytes)
        .map_err(failed("read", path))?;
    let damaged = |reason: &str| TrustError::Damaged {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    if bytes.len() as u64 > FILE_MAXIMUM {
        return Err(damaged(
            "is longer than 64 KiB, so it is not a key or certificate",
        ));
    }
    String::from_utf8(bytes).map_err(|_| damaged("is not text, so it is not a key or certificate"))
}

/// Makes the folder, for its owner only, where there is none.
pub(super) fn make_folder(path: &Path) -> Result<(), TrustError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(failed("make folder", path))
}

/// Puts `text` where `path` says, whole or not at all, durably; what was there is replaced.
pub(super) fn write(path: &Path, text: &str, mode: u32) -> Result<(), TrustError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = folder.join(name);
    let written = write_draft(&draft, text, mode).and_then(|()| {
        std::fs::rename(&draft, path)?;
        File::open(folder)?.sync_all()
    });
    written.map_err(failed("write", path))
}

fn write_draft(draft: &Path, text: &str, mode: u32) -> io::Result<()> {
    // A draft that a killed process left may have any mode and content: a new file, never that one.
    match std::fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> TrustError + 'a {
    move |error| TrustError::File {
        action,
        path: path.to_owned(),
        reason: format!("{error}{}", remedy(&error)),
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => ": run as the user who owns it, or give that user the right to",
        io::ErrorKind::NotFound => ": put it back from a backup, or check the path",
        io::ErrorKind::StorageFull => ": make room on the disk",
        _ => "",
    }
}
