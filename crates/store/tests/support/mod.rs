//! What the tests of the redb store share: folders, and disks that fail in the ways disks do.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use anet_store::redb::Medium;
use redb::{Builder, Database, DatabaseError, StorageBackend};

/// A runtime with one thread and its blocking threads.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// A folder that goes away with its value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("anet-store-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

/// A disk in memory that knows what is synced and what is only written.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
pub struct Content {
    /// What a reader sees.
    pub bytes: Vec<u8>,
    /// What is left after a loss of power, whatever happens.
    synced: Vec<u8>,
    /// Written since the last sync: place and bytes, or a new length.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// The size at which it is full.
    pub room: Option<usize>,
    /// Writes that still work, if they are counted.
    pub writes_left: Option<u64>,
    /// Syncs that still work, if they are counted.
    pub syncs_left: Option<u64>,
    /// After one failure of a counted write or sync all is well again.
    pub once: bool,
    /// Where set, it cannot be opened.
    pub gone: bool,
}

impl Disk {
    pub fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap()
    }

    /// A disk with these bytes.
    pub fn with(bytes: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.content().synced.clone_from(&bytes);
        disk.content().bytes = bytes;
        disk
    }

    /// What may be left after a loss of power: what was synced, and of what was written since whatever `survives` picks,
    /// in part or whole.
    pub fn after_power_loss(&self, mut survives: impl FnMut() -> bool) -> Self {
        let content = self.content();
        let mut bytes = content.synced.clone();
        // The length survives where it grew: file systems keep it apart.
        if content.bytes.len() > bytes.len() {
            bytes.resize(content.bytes.len(), 0);
        }
        for (at, data) in &content.unsynced {
            for (index, block) in data.chunks(512).enumerate() {
                let start = at + index * 512;
                if survives() && start + block.len() <= bytes.len() {
                    bytes[start..start + block.len()].copy_from_slice(block);
                }
            }
        }
        Self::with(bytes)
    }
}

fn spend(left: &mut Option<u64>, once: bool, kind: io::ErrorKind) -> io::Result<()> {
    match left {
        Some(0) => {
            *left = left.filter(|_| !once);
            Err(kind.into())
        }
        Some(left) => {
            *left -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let content = self.content();
        let found = content.bytes.get(at..at + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap();
        let mut content = self.content();
        if content.room.is_some_and(|room| length > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        content.bytes.resize(length, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut content = self.content();
        let once = content.once;
        spend(&mut content.syncs_left, once, io::ErrorKind::Other)?;
        let Content {
            bytes,
            synced,
            unsynced,
            ..
        } = &mut *content;
        synced.clone_from(bytes);
        unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let mut content = self.content();
        let once = content.once;
        spend(&mut content.writes_left, once, io::ErrorKind::StorageFull)?;
        content.bytes[at..at + data.len()].copy_from_slice(data);
        content.unsynced.push((at, data.to_vec()));
        Ok(())
    }
}

impl Medium for Disk {
    fn path(&self) -> &Path {
        Path::new("disk")
    }

    fn is_new(&self) -> bool {
        self.content().bytes.is_empty()
    }

    fn open(&self, builder: &Builder) -> Result<Database, DatabaseError> {
        if self.content().gone {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        }
        builder.create_with_backend(self.clone())
    }
}

/// A disk in memory that works.
pub type InMemory = Disk;
