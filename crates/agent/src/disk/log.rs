//! A file of records, each with its checksum: what is added costs as much as it is long.
//!
//! ```text
//! 16 bytes  "aNETlog1" and the kind of the file, filled up with zeros
//! then for each record: 4 bytes length (big-endian), SHA-256 of length and content, content
//! ```
//! A record that ends early, or the last one with a wrong checksum, was being written when the machine stopped: it is cut off.
//! A wrong checksum before others is damage.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::DiskError;

const MAGIC: &[u8; 8] = b"aNETlog1";
const HEADER: usize = 16;
const RECORD_HEADER: usize = 4 + 32;
/// The longest record.
const RECORD_MAXIMUM: usize = 64 << 20;

/// A file of records that is open for adding to it.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    kind: [u8; 8],
    file: File,
    /// Up to here it is good.
    length: u64,
    /// It was put in the place of another one, and a loss of power may bring that one back.
    loose: bool,
}

/// What a file had.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The records that are good, in order.
    pub records: Vec<Vec<u8>>,
    /// Where the last good one ends.
    pub good: u64,
    /// Bytes behind it.
    pub rest: u64,
    /// What is wrong with them, where they are more than one unfinished record.
    pub damage: Option<String>,
}

/// Takes the records out of a file's bytes.
pub fn read(bytes: &[u8], kind: [u8; 8]) -> Found {
    let mut found = Found::default();
    match bytes.split_at_checked(HEADER) {
        Some((header, _)) if header[..8] == MAGIC[..] && header[8..] == kind => {}
        _ => {
            found.rest = bytes.len() as u64;
            let what = "it does not begin as such a file does".to_owned();
            found.damage = (!bytes.is_empty()).then_some(what);
            return found;
        }
    }
    let mut at = HEADER;
    while let Some((record, end)) = record(bytes, at) {
        match record {
            Ok(content) => found.records.push(content.to_vec()),
            Err(()) => {
                let is_last = end == bytes.len();
                let what = format!("the record at byte {at} has a wrong checksum");
                found.damage = (!is_last).then_some(what);
                break;
            }
        }
        at = end;
    }
    found.good = at as u64;
    found.rest = (bytes.len() - at) as u64;
    found
}

/// The record at a place and where it ends: its content, or nothing where the checksum is wrong. `None` where there is none
/// that ends within the bytes.
fn record(bytes: &[u8], at: usize) -> Option<(Result<&[u8], ()>, usize)> {
    let (header, rest) = bytes.get(at..)?.split_at_checked(RECORD_HEADER)?;
    let length = u32::from_be_bytes(header.first_chunk().copied()?) as usize;
    let content = rest.get(..length)?;
    let right = length <= RECORD_MAXIMUM && header[4..] == checksum(content);
    Some((right.then_some(content).ok_or(()), at + RECORD_HEADER + length))
}

fn checksum(content: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(length_of(content));
    hash.update(content);
    hash.finalize().into()
}

fn length_of(content: &[u8]) -> [u8; 4] {
    u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes()
}

/// The bytes of records, ready to be written.
fn framed<'a>(contents: impl IntoIterator<Item = &'a [u8]>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for content in contents {
        if content.len() > RECORD_MAXIMUM {
            let what = format!(
                "a record of {} bytes is too long: at most {RECORD_MAXIMUM}",
                content.len()
            );
            return Err(io::Error::other(what));
        }
        bytes.extend(length_of(content));
        bytes.extend(checksum(content));
        bytes.extend(content);
    }
    Ok(bytes)
}

impl Log {
    /// Opens the file, or makes it, and answers what it has. What is not good is cut off; a damaged file is kept under another
    /// name before that.
    pub fn open(
        path: &Path,
        kind: [u8; 8],
        told: &mut Vec<String>,
    ) -> Result<(Self, Vec<Vec<u8>>), DiskError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(DiskError::of("read", path, error)),
        };
        let found = read(&bytes, kind);
        if let Some(damage) = &found.damage {
            let aside = super::set_aside(path, &bytes)?;
            told.push(format!(
                "{} is damaged ({damage}): it is kept as {}, and what was good of it is used",
                path.display(),
                aside.display()
            ));
        } else if found.rest > 0 {
            let rest = found.rest;
            told.push(format!(
                "the last {rest} bytes of {} are cut off: they were being written when the machine or the agent stopped",
                path.display()
            ));
        }
        if found.good == 0 || found.rest > 0 {
            let records = found.records.iter().map(Vec::as_slice);
            super::replace(
                path,
                &whole(kind, records).map_err(|e| DiskError::of("write", path, e))?,
            )?;
        }
        let log = Self::at_end(path, kind)?;
        if let Err(error) = log.file.sync_all() {
            told.push(format!("{} cannot be synced: {error}", path.display()));
        }
        Ok((log, found.records))
    }

    fn at_end(path: &Path, kind: [u8; 8]) -> Result<Self, DiskError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).mode(0o600).open(path);
        let file = file.map_err(|error| DiskError::of("open", path, error))?;
        let length = file
            .metadata()
            .map_err(|error| DiskError::of("look at", path, error))?
            .len();
        Ok(Self {
            path: path.to_owned(),
            kind,
            file,
            length,
            loose: false,
        })
    }

    /// Adds records, all or none of them; they are there also after a loss of power when this returns.
    pub fn append<'a>(&mut self, contents: impl IntoIterator<Item = &'a [u8]>) -> Result<(), DiskError> {
        if std::mem::take(&mut self.loose) {
            super::sync_folder_of(&self.path).inspect_err(|_| self.loose = true)?;
        }
        let failed = |error| DiskError::of("add to", &self.path, error);
        let bytes = framed(contents).map_err(failed)?;
        // What an attempt before this one left behind goes.
        let there = self.file.metadata().map_err(failed)?.len();
        if there > self.length {
            self.file.set_len(self.length).map_err(failed)?;
        }
        self.file.write_all_at(&bytes, self.length).map_err(failed)?;
        self.file.sync_data().map_err(failed)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Replaces all records.
    pub fn replace<'a>(&mut self, contents: impl IntoIterator<Item = &'a [u8]>) -> Result<(), DiskError> {
        let bytes = whole(self.kind, contents).map_err(|error| DiskError::of("write", &self.path, error))?;
        self.put_in_place(&bytes)?;
        super::sync_folder_of(&self.path)?;
        self.loose = false;
        Ok(())
    }

    /// From here on the new file is the one that is added to, whatever comes of the rest.
    fn put_in_place(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        super::put_in_place(&self.path, bytes)?;
        *self = Self::at_end(&self.path, self.kind)?;
        self.loose = true;
        Ok(())
    }

    /// Bytes of the file.
    pub const fn length(&self) -> u64 {
        self.length
    }
}

fn whole<'a>(kind: [u8; 8], contents: impl IntoIterator<Item = &'a [u8]>) -> io::Result<Vec<u8>> {
    Ok([&MAGIC[..], &kind[..], &framed(contents)?].concat())
}

/// Reads a file of at most so many bytes.
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::other(format!("it is longer than {limit} bytes"))),
        false => Ok(bytes),
    }
}

/// Writes a whole file and syncs it.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::Index;

    const KIND: [u8; 8] = *b"test\0\0\0\0";

    fn bytes_of(records: &[Vec<u8>]) -> Vec<u8> {
        whole(KIND, records.iter().map(Vec::as_slice)).unwrap()
    }

    fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn records_are_read_as_written(records in records()) {
            let bytes = bytes_of(&records);
            let found = read(&bytes, KIND);
            prop_assert_eq!((found.good, found.rest, found.damage), (bytes.len() as u64, 0, None));
            prop_assert_eq!(found.records, records);
        }

        #[test]
        fn a_file_that_was_cut_has_its_whole_records_and_no_damage(records in records(), at: Index) {
            let bytes = bytes_of(&records);
            let cut = at.index(bytes.len() + 1).max(HEADER);
            let found = read(&bytes[..cut], KIND);
            prop_assert_eq!(found.damage, None);
            prop_assert_eq!(found.good + found.rest, cut as u64);
            prop_assert!(records.starts_with(&found.records));
        }

        #[test]
        fn a_changed_bit_is_noticed(records in records(), at: Index, bit in 0_u8..8) {
            let mut bytes = bytes_of(&records);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let found = read(&bytes, KIND);
            prop_assert!(found.rest > 0 || found.damage.is_some());
            prop_assert!(records.starts_with(&found.records) && found.records.len() < records.len().max(1));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), genuine: bool) {
            let bytes = match genuine {
                true => [bytes_of(&[]), bytes].concat(),
                false => bytes,
            };
            let found = read(&bytes, KIND);
            prop_assert_eq!(found.good + found.rest, bytes.len() as u64);
        }
    }

    #[test]
    fn what_is_added_after_a_replacement_that_was_not_synced_is_in_the_file() {
        let folder = std::env::temp_dir().join(format!("anet-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("desired");
        let (mut log, _) = Log::open(&path, KIND, &mut Vec::new()).unwrap();
        log.append([b"old".as_slice()]).unwrap();
        // The folder could not be synced: whoever asked was told that it failed.
        let bytes = whole(KIND, [b"new".as_slice()]).unwrap();
        log.put_in_place(&bytes).unwrap();
        log.append([b"more".as_slice()]).unwrap();
        assert!(!log.loose, "what is added is there after a loss of power");
        let (_, records) = Log::open(&path, KIND, &mut Vec::new()).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(records, [b"new".to_vec(), b"more".to_vec()]);
    }
}
