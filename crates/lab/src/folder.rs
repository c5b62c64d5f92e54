//! A temporary folder that goes away by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::LabError;

pub(crate) const PREFIX: &str = "anet-lab-";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder `anet-lab-PID-N` in the system's temporary folder, removed with its content when dropped.
/// With `ANET_LAB_KEEP` set in the environment it stays, for a look at logs.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A new, empty folder.
    pub fn new() -> Result<Self, LabError> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("{PREFIX}{}-{number}", std::process::id()));
        // A run with the same process id may have been killed long ago.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).map_err(LabError::io(format!("make folder {}", path.display())))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it, which need not exist.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file in it: beside it first and then moved, so that a reader sees the old or the new one, whole.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf, LabError> {
        let path = self.file(name);
        let fresh = self.file(&format!(".{name}.new"));
        let written = fs::write(&fresh, content).and_then(|()| fs::rename(&fresh, &path));
        written.map_err(LabError::io(format!("write {}", path.display())))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::env::var_os("ANET_LAB_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_content() {
        let folder = Folder::new().unwrap();
        let path = folder.path().to_owned();
        let file = folder.write("plan.yaml", "networks: {}\n").unwrap();
        assert_eq!(fs::read_to_string(file).unwrap(), "networks: {}\n");
        assert_eq!(
            fs::read_dir(&path).unwrap().count(),
            1,
            "no half-written file is left"
        );
        drop(folder);
        assert!(!path.exists());
    }
}
