//! How records are written: integers in little-endian order, lengths before bytes, and before each record a checksum of the key and
//! the record, so that a record that went bad, or that stands under another key, is found when it is read.

use sha2::{Digest, Sha256};

use crate::engine::Position;
use crate::record::{Event, Key, KeyValue, LeaseId, Revision};

/// Bytes of the checksum: the first of a SHA-256.
const CHECKSUM: usize = 8;

/// What is wrong with a record.
pub(super) type Wrong = &'static str;

/// A record with its checksum.
pub(super) fn seal(key: &[u8], body: &[u8]) -> Vec<u8> {
    [&checksum(key, body), body].concat()
}

/// The record behind its checksum.
pub(super) fn unseal<'a>(key: &[u8], record: &'a [u8]) -> Result<&'a [u8], Wrong> {
    let (sum, body) = record.split_at_checked(CHECKSUM).ok_or("a record is cut off")?;
    match sum == checksum(key, body) {
        true => Ok(body),
        false => Err("a record's checksum is wrong"),
    }
}

fn checksum(key: &[u8], body: &[u8]) -> [u8; CHECKSUM] {
    let digest = Sha256::new()
        .chain_update((key.len() as u64).to_le_bytes())
        .chain_update(key)
        .chain_update(body)
        .finalize();
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&digest[..CHECKSUM]);
    sum
}

/// Reads a record from its beginning.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Wrong> {
        let (head, tail) = self.0.split_at_checked(count).ok_or("a record is too short")?;
        self.0 = tail;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, Wrong> {
        Ok(self.bytes(1)?[0])
    }

    fn number(&mut self) -> Result<u64, Wrong> {
        let mut number = [0; 8];
        number.copy_from_slice(self.bytes(8)?);
        Ok(u64::from_le_bytes(number))
    }

    fn text(&mut self) -> Result<Vec<u8>, Wrong> {
        let length = usize::try_from(self.number()?).map_err(|_| "a length is too large")?;
        Ok(self.bytes(length)?.to_vec())
    }

    fn end(&self) -> Result<(), Wrong> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err("a record is too long"),
        }
    }
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Everything of an entry but its key.
fn put_entry(out: &mut Vec<u8>, entry: &KeyValue) {
    let lease = entry.lease.map_or(0, |lease| lease.0);
    for number in [entry.create_revision, entry.mod_revision, entry.version, lease] {
        put_number(out, number);
    }
    put_text(out, &entry.value);
}

fn take_entry(fields: &mut Fields<'_>, key: &[u8]) -> Result<KeyValue, Wrong> {
    Ok(KeyValue {
        key: key.to_vec(),
        create_revision: fields.number()?,
        mod_revision: fields.number()?,
        version: fields.number()?,
        lease: Some(fields.number()?).filter(|lease| *lease > 0).map(LeaseId),
        value: fields.text()?,
    })
}

/// The record of a key.
pub(super) fn encode_entry(entry: &KeyValue) -> Vec<u8> {
    let mut body = Vec::with_capacity(entry.value.len() + 40);
    put_entry(&mut body, entry);
    seal(&entry.key, &body)
}

/// What [`encode_entry`] wrote.
pub(super) fn decode_entry(key: &[u8], record: &[u8]) -> Result<KeyValue, Wrong> {
    let mut fields = Fields(unseal(key, record)?);
    let entry = take_entry(&mut fields, key)?;
    fields.end().map(|()| entry)
}

const HAS_NOW: u8 = 1;
const HAS_PREVIOUS: u8 = 2;

/// The record of a revision's events.
pub(super) fn encode_events(revision: Revision, events: &[Event]) -> Vec<u8> {
    let mut body = Vec::new();
    for event in events {
        let now = event.now.as_ref().map_or(0, |_| HAS_NOW);
        let previous = event.previous.as_ref().map_or(0, |_| HAS_PREVIOUS);
        body.push(now | previous);
        put_text(&mut body, &event.key);
        for entry in event.now.iter().chain(&event.previous) {
            put_entry(&mut body, entry);
        }
    }
    seal(&revision.to_be_bytes(), &body)
}

/// What [`encode_events`] wrote.
pub(super) fn decode_events(revision: Revision, record: &[u8]) -> Result<Vec<Event>, Wrong> {
    let mut fields = Fields(unseal(&revision.to_be_bytes(), record)?);
    let mut events = Vec::new();
    while !fields.0.is_empty() {
        let flags = fields.byte()?;
        let key = fields.text()?;
        let mut entry = |flag| match flags & flag {
            0 => Ok(None),
            _ => take_entry(&mut fields, &key).map(Some),
        };
        let (now, previous) = (entry(HAS_NOW)?, entry(HAS_PREVIOUS)?);
        events.push(Event {
            revision,
            key,
            now,
            previous,
        });
    }
    Ok(events)
}

/// The record of a lease: the seconds that it lives.
pub(super) fn encode_lease(lease: LeaseId, seconds: u64) -> Vec<u8> {
    seal(&lease.0.to_be_bytes(), &seconds.to_le_bytes())
}

/// What [`encode_lease`] wrote.
pub(super) fn decode_lease(lease: LeaseId, record: &[u8]) -> Result<u64, Wrong> {
    let mut fields = Fields(unseal(&lease.0.to_be_bytes(), record)?);
    let seconds = fields.number()?;
    fields.end().map(|()| seconds)
}

/// The key under which it is noted that a key belongs to a lease.
pub(super) fn attachment(lease: LeaseId, key: &[u8]) -> Vec<u8> {
    [&lease.0.to_be_bytes(), key].concat()
}

/// The lease and the key of an attachment.
pub(super) fn of_attachment(attachment: &[u8]) -> Result<(LeaseId, Key), Wrong> {
    let (lease, key) = attachment.split_at_checked(8).ok_or("an attachment is cut off")?;
    let mut number = [0; 8];
    number.copy_from_slice(lease);
    Ok((LeaseId(u64::from_be_bytes(number)), key.to_vec()))
}

/// Where the store stands, and how many commits there have been.
pub(super) fn encode_position(position: &Position, commits: u64) -> Vec<u8> {
    let mut body = Vec::new();
    for number in [
        position.revision,
        position.compacted,
        position.keys,
        position.events,
        position.event_bytes,
        position.last_lease,
        commits,
    ] {
        put_number(&mut body, number);
    }
    seal(b"position", &body)
}

/// What [`encode_position`] wrote.
pub(super) fn decode_position(record: &[u8]) -> Result<(Position, u64), Wrong> {
    let mut fields = Fields(unseal(b"position", record)?);
    let position = Position {
        revision: fields.number()?,
        compacted: fields.number()?,
        keys: fields.number()?,
        events: fields.number()?,
        event_bytes: fields.number()?,
        last_lease: fields.number()?,
    };
    let commits = fields.number()?;
    fields.end().map(|()| (position, commits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: &[u8], lease: Option<u64>) -> KeyValue {
        KeyValue {
            key: b"k".to_vec(),
            value: value.to_vec(),
            create_revision: 3,
            mod_revision: 9,
            version: 4,
            lease: lease.map(LeaseId),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for entry in [entry(b"", None), entry(b"value", Some(7))] {
            assert_eq!(decode_entry(b"k", &encode_entry(&entry)), Ok(entry));
        }
        let event = |now, previous| Event {
            revision: 9,
            key: b"k".to_vec(),
            now,
            previous,
        };
        let events = [
            event(Some(entry(b"1", None)), None),
            event(Some(entry(b"2", Some(1))), Some(entry(b"1", None))),
            event(None, Some(entry(b"2", None))),
        ];
        assert_eq!(decode_events(9, &encode_events(9, &events)), Ok(events.to_vec()));
        let position = Position {
            keys: 5,
            ..Position::default()
        };
        assert_eq!(decode_position(&encode_position(&position, 8)), Ok((position, 8)));
        assert_eq!(decode_lease(LeaseId(4), &encode_lease(LeaseId(4), 60)), Ok(60));
        assert_eq!(
            of_attachment(&attachment(LeaseId(4), b"k")),
            Ok((LeaseId(4), b"k".to_vec()))
        );
    }

    #[test]
    fn what_went_bad_is_found() {
        let record = encode_entry(&entry(b"value", Some(7)));
        for bit in 0..record.len() * 8 {
            let mut bad = record.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_entry(b"k", &bad).is_err(), "bit {bit}");
        }
        for length in 0..record.len() {
            assert!(decode_entry(b"k", &record[..length]).is_err(), "cut to {length}");
        }
        assert!(decode_entry(b"other", &record).is_err());
        assert!(decode_events(8, &encode_events(9, &[])).is_err());
    }

    #[test]
    fn a_record_with_a_good_checksum_and_bad_content_is_an_error() {
        let mut body = Vec::new();
        put_entry(&mut body, &entry(b"value", None));
        body[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(
            decode_entry(b"k", &seal(b"k", &body)).is_err(),
            "a length beyond everything"
        );
        assert!(decode_events(1, &seal(&1u64.to_be_bytes(), &[HAS_NOW])).is_err());
        assert!(decode_lease(LeaseId(1), &seal(&1u64.to_be_bytes(), &[0; 9])).is_err());
        assert!(of_attachment(b"short").is_err());
    }
}
