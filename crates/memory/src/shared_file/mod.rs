//! A versioned file of words that outlives the process: what a killed switch finds again when it is started anew.
//!
//! One page of header (magic, versions, sizes, their checksum, the holder's process id), then the body: words of the
//! caller's own meaning, mapped shared. The kernel keeps them when the process dies, whatever it dies of; a crash of the
//! machine may lose them (nothing is synced), which whoever keeps state here must be able to bear.
//!
//! Trouble, and what becomes of it:
//! - A file of another layout, or a damaged one, is renamed aside and a fresh one made: [`Opened::Replaced`]. At most
//!   [`KEPT`] of them are kept.
//! - Two processes never share it: it is locked (`flock`), and the error names the holder's process id.
//! - A full file system is an error at open, not a crash later: all blocks are reserved at open.
//! - Somebody who truncates it while it is mapped would end this process by SIGBUS; a guard puts zero pages in
//!   the hole instead, and [`Words::lost`](crate::words::Words::lost) says so. (File seals would forbid it, but only
//!   memory files have them, and those end with their process.)
//!
//! The body's content is hostile all the same: whoever reads it must bear any value in any word.

mod bus_guard;
mod mapping;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

pub use mapping::Mapping;

use crate::words::Words;

/// Bytes in front of the body.
const HEADER_BYTES: usize = 4096;
/// Version of the header itself.
const FORMAT: u64 = 1;
/// Words of the header that its checksum covers.
const CHECKED_WORDS: usize = 6;
/// Place of the checksum among the header's words.
const CHECKSUM_WORD: usize = 6;
/// Place of the holder's process id.
const HOLDER_WORD: usize = 7;
/// How long an open waits for a holder that is just ending.
const GRACE: Duration = Duration::from_millis(100);
/// How often it looks.
const GRACE_STEP: Duration = Duration::from_millis(5);
/// How many replaced files are kept beside the live one, the oldest name reused after that.
pub const KEPT: usize = 4;

/// What a file holds. Two layouts that differ in anything are different files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Whose file it is: eight bytes of the caller's choice.
    pub magic: [u8; 8],
    /// Version of what the words mean; to be raised with every change of meaning.
    pub version: u32,
    /// Words in front of the entries.
    pub header_words: u32,
    /// Words of an entry.
    pub entry_words: u32,
    /// Entries.
    pub capacity: u64,
}

impl Layout {
    /// Words of the body: header and entries. `None` where that is more than an address space.
    pub fn words(&self) -> Option<usize> {
        let entries = u64::from(self.entry_words).checked_mul(self.capacity)?;
        let words = usize::try_from(entries.checked_add(u64::from(self.header_words))?).ok()?;
        words
            .checked_mul(8)?
            .checked_add(HEADER_BYTES)
            .filter(|bytes| *bytes <= isize::MAX as usize)?;
        Some(words)
    }

    fn header(&self) -> [u64; CHECKED_WORDS] {
        let [version, header, entry] = [self.version, self.header_words, self.entry_words].map(u64::from);
        [
            u64::from_le_bytes(self.magic),
            FORMAT,
            version,
            header,
            entry,
            self.capacity,
        ]
    }
}

/// How the file was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// There was none (or an empty one): all words are zero.
    Fresh,
    /// It was there, with this layout: the words are as they were left.
    Found,
    /// It was there and could not be used: it was renamed, and all words are zero.
    Replaced {
        /// Why it could not be used.
        reason: String,
        /// Where it is now.
        kept_as: PathBuf,
    },
}

/// Why a shared file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SharedFileError {
    /// Another process has it.
    #[error("{path} is in use by process {pid}; stop that process, or give this one a file of its own", path = .path.display())]
    Held {
        /// The file.
        path: PathBuf,
        /// Who holds it, as the holder wrote it down; 0 where it has not yet.
        pid: u64,
    },
    /// The layout is larger than an address space.
    #[error("{path}: {capacity} entries do not fit into memory; ask for fewer", path = .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Entries asked for.
        capacity: u64,
    },
    /// Something else than a file is in its place.
    #[error("{path} is not a regular file; remove it or name another", path = .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The system refused something.
    #[error("{path}: {what}: {source}{advice}", path = .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
        /// What to do next, with its own punctuation in front.
        advice: &'static str,
    },
}

/// An open shared file: its words, and the lock on it. Both end with it.
#[derive(Debug)]
pub struct SharedFile {
    words: Words,
    layout: Layout,
    path: PathBuf,
}

impl SharedFile {
    /// Opens, or makes, the file at `path` for this process alone. Waits up to 100 ms for a holder that is just ending.
    pub fn open(path: &Path, layout: &Layout) -> Result<(Self, Opened), SharedFileError> {
        let too_large = || SharedFileError::TooLarge {
            path: path.to_owned(),
            capacity: layout.capacity,
        };
        let words = layout.words().ok_or_else(too_large)?;
        let bytes = HEADER_BYTES + words * 8;
        let mut file = lock(path)?;
        let opened = match judge(&file, path, layout, bytes)? {
            Judgement::Empty => Opened::Fresh,
            Judgement::Fits => Opened::Found,
            Judgement::Unfit(reason) => {
                let kept_as = put_aside(path)?;
                file = lock(path)?;
                Opened::Replaced { reason, kept_as }
            }
        };
        reserve(&file, path, bytes)?;
        let mapping = Mapping::new(file, bytes).map_err(|source| refused(path, "map it", source))?;
        write_header(&mapping, layout);
        let words = Words::of_file(mapping, HEADER_BYTES, words);
        Ok((
            Self {
                words,
                layout: *layout,
                path: path.to_owned(),
            },
            opened,
        ))
    }

    /// The body: header words, then entries.
    #[inline]
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// The body alone, for an owner that need not know where it lies. The lock lives as long as the words.
    pub fn into_words(self) -> Words {
        self.words
    }

    /// What the file holds.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn refused(path: &Path, what: &'static str, source: io::Error) -> SharedFileError {
    let advice = match source.raw_os_error() {
        Some(libc::ENOSPC) => "; free some space there, ask for fewer entries, or name a file elsewhere",
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => {
            "; run as root or name a file that this user may write"
        }
        Some(libc::ENOENT) => "; make its folder first",
        _ => "",
    };
    SharedFileError::Refused {
        path: path.to_owned(),
        what,
        source,
        advice,
    }
}

/// Opens and locks whatever file has this name at the end: one that was renamed in between is let go.
fn lock(path: &Path) -> Result<File, SharedFileError> {
    for _ in 0..16 {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC);
        let file = options.open(path).map_err(|source| match source.raw_os_error() {
            Some(libc::ELOOP | libc::EISDIR | libc::ENXIO) => SharedFileError::NotAFile {
                path: path.to_owned(),
            },
            _ => refused(path, "open it", source),
        })?;
        let opened = file
            .metadata()
            .map_err(|source| refused(path, "look at it", source))?;
        if !opened.is_file() {
            return Err(SharedFileError::NotAFile {
                path: path.to_owned(),
            });
        }
        if let Err(source) = lock_patiently(&file) {
            if source.kind() != io::ErrorKind::WouldBlock {
                return Err(refused(path, "lock it", source));
            }
            return Err(SharedFileError::Held {
                path: path.to_owned(),
                pid: read_word(&file, HOLDER_WORD),
            });
        }
        let named = std::fs::symlink_metadata(path);
        if named.is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino())) {
            return Ok(file);
        }
    }
    Err(refused(path, "lock it", io::ErrorKind::Interrupted.into()))
}

/// Locks the file, giving a holder that was killed a moment ago the time to let go.
fn lock_patiently(file: &File) -> io::Result<()> {
    let mut patience = GRACE;
    loop {
        // SAFETY: a lock on a descriptor that is open for the length of the call.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::WouldBlock || patience.is_zero() {
            return Err(error);
        }
        std::thread::sleep(GRACE_STEP);
        patience = patience.saturating_sub(GRACE_STEP);
    }
}

fn read_word(file: &File, word: usize) -> u64 {
    let mut bytes = [0; 8];
    match file.read_exact_at(&mut bytes, word as u64 * 8) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => 0,
    }
}

enum Judgement {
    Empty,
    Fits,
    Unfit(String),
}

fn judge(file: &File, path: &Path, layout: &Layout, bytes: usize) -> Result<Judgement, SharedFileError> {
    let size = file
        .metadata()
        .map_err(|source| refused(path, "look at it", source))?
        .len();
    if size == 0 {
        return Ok(Judgement::Empty);
    }
    let found: [u64; CHECKED_WORDS] = std::array::from_fn(|word| read_word(file, word));
    let expected = layout.header();
    let reason = if found[0] != expected[0] {
        "it is not a file of this kind".to_owned()
    } else if read_word(file, CHECKSUM_WORD) != checksum(&found) {
        "its header is damaged".to_owned()
    } else if found != expected {
        format!(
            "it has another layout: {:?} where {:?} is needed",
            &found[1..],
            &expected[1..]
        )
    } else if size != bytes as u64 {
        format!("it has {size} bytes where {bytes} are needed")
    } else {
        return Ok(Judgement::Fits);
    };
    Ok(Judgement::Unfit(reason))
}

/// FNV-1a over the words' bytes: finds damage, keeps nobody out.
fn checksum(words: &[u64]) -> u64 {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Renames the file to the first free name of `PATH.replaced-1` to `-KEPT`, or the last of them.
fn put_aside(path: &Path) -> Result<PathBuf, SharedFileError> {
    let name = |number: usize| {
        let mut name = OsString::from(path);
        name.push(format!(".replaced-{number}"));
        PathBuf::from(name)
    };
    let free = (1..=KEPT)
        .map(name)
        .find(|candidate| candidate.symlink_metadata().is_err());
    let kept_as = free.unwrap_or_else(|| name(KEPT));
    std::fs::rename(path, &kept_as).map_err(|source| refused(path, "rename it aside", source))?;
    Ok(kept_as)
}

/// Makes the file `bytes` long with all its blocks there, so that a page that is touched later cannot lack one.
fn reserve(file: &File, path: &Path, bytes: usize) -> Result<(), SharedFileError> {
    file.set_len(bytes as u64)
        .map_err(|source| refused(path, "set its size", source))?;
    // SAFETY: reserves blocks of an open descriptor; no memory is involved.
    if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, bytes as libc::off_t) } != 0 {
        let source = io::Error::last_os_error();
        // A file system that cannot reserve: the guard against SIGBUS is what is left.
        if source.raw_os_error() != Some(libc::EOPNOTSUPP) {
            _ = file.set_len(0);
            return Err(refused(path, "reserve its space", source));
        }
    }
    Ok(())
}

fn write_header(mapping: &Mapping, layout: &Layout) {
    let header = layout.header();
    for (word, value) in mapping.words().iter().zip(header) {
        word.store(value.to_le(), Relaxed);
    }
    mapping.words()[HOLDER_WORD].store(u64::from(std::process::id()).to_le(), Relaxed);
    mapping.words()[CHECKSUM_WORD].store(checksum(&header).to_le(), Relaxed);
}

#[cfg(test)]
mod tests;
