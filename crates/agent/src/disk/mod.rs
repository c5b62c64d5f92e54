//! The agent's data folder: what is desired, what is applied, and what ports are attached to.
//!
//! | file | what |
//! |---|---|
//! | `identity.pem` | the host's key and certificate, and the authority's certificate |
//! | `agent.json` | the host's name, its cluster, and where its controllers are |
//! | `desired` | the controller's plan: a snapshot and the changesets since ([`log`]) |
//! | `applied` | what of it was in the data plane ([`log`]) |
//! | `attachments.json` | what ports are attached to, for people to read |
//! | `lock` | locked by the agent that runs |
//!
//! What is damaged is kept under another name, and said in one line. Nothing here knows what a changeset means.

mod attachments;
mod files;
pub mod log;

use std::path::{Path, PathBuf};

use anet_model::changeset::Changeset;
use anet_model::digest::Digest;
use anet_model::state::Cursor;
use anet_wire::codec::{decode_changeset, encode_changeset};

use crate::core::{AppliedRecord, Record, Restored};
pub use attachments::{AttachmentText, attachment_text};
pub use files::{DiskError, Folder, Joined, replace, set_aside};
use files::{put_in_place, sync_folder_of};
use log::Log;

const DESIRED: [u8; 8] = *b"desired\0";
const APPLIED: [u8; 8] = *b"applied\0";
/// Bytes of `applied` from which on it is begun anew.
const APPLIED_MAXIMUM: u64 = 64 << 10;

/// The files that change while the agent runs.
#[derive(Debug)]
pub struct Disk {
    desired: Log,
    applied: Log,
    attachments: PathBuf,
}

impl Disk {
    /// Opens them, or makes them; the lines say what was not in order.
    pub fn open(folder: &Folder) -> Result<(Self, Restored, Vec<String>), DiskError> {
        let mut told = Vec::new();
        let (desired, records) = Log::open(&folder.file("desired"), DESIRED, &mut told)?;
        let (applied, places) = Log::open(&folder.file("applied"), APPLIED, &mut told)?;
        let mut disk = Self {
            desired,
            applied,
            attachments: folder.file("attachments.json"),
        };
        let restored = Restored {
            changesets: disk.changesets(folder, &records, &mut told)?,
            applied: places.iter().rev().find_map(|bytes| applied_record(bytes)),
            attachments: attachments::read(&disk.attachments, &mut told)?,
        };
        // The process that wrote all this may have ended before it was synced: what is built on it must not be lost after that.
        if let Err(error) = sync_folder_of(&disk.attachments) {
            told.push(error.to_string());
        }
        Ok((disk, restored, told))
    }

    /// The changesets of the records, up to one that is none.
    fn changesets(
        &mut self,
        folder: &Folder,
        records: &[Vec<u8>],
        told: &mut Vec<String>,
    ) -> Result<Vec<Changeset>, DiskError> {
        let mut changesets = Vec::new();
        for (number, record) in records.iter().enumerate() {
            match decode_changeset(record) {
                Ok(changeset) => changesets.push(changeset),
                Err(error) => {
                    let aside = folder.set_aside("desired")?;
                    told.push(format!(
                        "record {number} of the plan on disk cannot be read ({error}): the file is kept as {}, and what comes before \
                         is used",
                        aside.display()
                    ));
                    self.desired
                        .replace(records[..number].iter().map(Vec::as_slice))?;
                    break;
                }
            }
        }
        Ok(changesets)
    }

    /// Writes, all of it or nothing; it is there also after a loss of power when this returns.
    pub fn write(&mut self, record: &Record) -> Result<(), DiskError> {
        match record {
            Record::Changesets(changesets) => {
                let encoded: Vec<Vec<u8>> = changesets.iter().map(encode_changeset).collect();
                self.desired.append(encoded.iter().map(Vec::as_slice))
            }
            Record::Plan(snapshot) => self.desired.replace([encode_changeset(snapshot).as_slice()]),
            Record::Applied(record) => {
                let bytes = applied_bytes(record);
                match self.applied.length() < APPLIED_MAXIMUM {
                    true => self.applied.append([bytes.as_slice()]),
                    false => self.applied.replace([bytes.as_slice()]),
                }
            }
            Record::Attachments(attachments) => attachments::write(&self.attachments, attachments),
        }
    }
}

fn applied_bytes(record: &AppliedRecord) -> Vec<u8> {
    let numbers = [record.cursor.incarnation, record.cursor.revision].map(u64::to_be_bytes);
    let digests = [record.digest, record.shown].map(Digest::to_bytes);
    [numbers.concat(), digests.concat()].concat()
}

fn applied_record(bytes: &[u8]) -> Option<AppliedRecord> {
    let (numbers, digests) = bytes.split_at_checked(16)?;
    let number = |at: usize| {
        let bytes = numbers.get(at..at + 8)?;
        bytes.try_into().ok().map(u64::from_be_bytes)
    };
    let digest = |at: usize| {
        let bytes = digests.get(at..at + 16)?;
        bytes.try_into().ok().map(Digest::from_bytes)
    };
    (digests.len() == 32).then_some(())?;
    Some(AppliedRecord {
        cursor: Cursor {
            incarnation: number(0)?,
            revision: number(8)?,
        },
        digest: digest(0)?,
        shown: digest(16)?,
    })
}

/// The path of a file beside another one.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}
