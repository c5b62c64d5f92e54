//! Reads everything and holds it against itself: each record's checksum, and that counts, revisions and leases add up, so that a record
//! that is missing is found as well as one that went bad.

use redb::{ReadableTable, ReadableTableMetadata};

use crate::engine::{Tables, event_bytes};
use crate::error::StoreError;
use crate::record::{KeyValue, LeaseId};
use crate::redb::codec;
use crate::redb::tables::ReadView;

/// Fails with the first thing that is wrong.
pub(super) fn verify(view: &ReadView<'_>) -> Result<(), StoreError> {
    verify_keys(view)?;
    verify_history(view)?;
    verify_leases(view)
}

fn expect(view: &ReadView<'_>, holds: bool, wrong: codec::Wrong) -> Result<(), StoreError> {
    view.checked(holds.then_some(()).ok_or(wrong))
}

fn verify_keys(view: &ReadView<'_>) -> Result<(), StoreError> {
    let (mut count, mut leased) = (0, 0);
    for found in view.keys.iter().map_err(|error| view.failed(error))? {
        let (key, record) = found.map_err(|error| view.failed(error))?;
        let entry = view.checked(codec::decode_entry(key.value(), record.value()))?;
        verify_entry(view, &entry)?;
        count += 1;
        leased += u64::from(entry.lease.is_some());
    }
    expect(view, count == view.position().keys, "keys are missing")?;
    let attached = view.attached.len().map_err(|error| view.failed(error))?;
    expect(view, leased == attached, "keys and leases do not fit together")
}

fn verify_entry(view: &ReadView<'_>, entry: &KeyValue) -> Result<(), StoreError> {
    let ordered =
        entry.create_revision <= entry.mod_revision && entry.mod_revision <= view.position().revision;
    expect(view, ordered, "a key is newer than the store")?;
    let Some(lease) = entry.lease else {
        return Ok(());
    };
    let attachment = codec::attachment(lease, &entry.key);
    let attached = view.attached.get(attachment.as_slice());
    let attached = attached.map_err(|error| view.failed(error))?.is_some();
    expect(view, attached, "keys and leases do not fit together")
}

/// No revision is missing between the compacted one and the newest.
fn verify_history(view: &ReadView<'_>) -> Result<(), StoreError> {
    let position = view.position();
    let mut next = position.compacted.max(1) + 1;
    let (mut events, mut bytes) = (0, 0);
    for found in view.history.iter().map_err(|error| view.failed(error))? {
        let (revision, record) = found.map_err(|error| view.failed(error))?;
        let of_revision = view.checked(codec::decode_events(revision.value(), record.value()))?;
        expect(view, revision.value() == next, "history has a gap")?;
        next += 1;
        events += of_revision.len() as u64;
        bytes += of_revision.iter().map(event_bytes).sum::<u64>();
    }
    expect(
        view,
        next == position.revision + 1,
        "the newest history is missing",
    )?;
    let agree = events == position.events && bytes == position.event_bytes;
    expect(view, agree, "events are missing")
}

fn verify_leases(view: &ReadView<'_>) -> Result<(), StoreError> {
    let leases = view.all_leases()?;
    let known = |lease: &(LeaseId, _)| lease.0.0 <= view.position().last_lease;
    expect(view, leases.iter().all(known), "a lease is newer than the store")?;
    for found in view.attached.iter().map_err(|error| view.failed(error))? {
        let (attachment, _) = found.map_err(|error| view.failed(error))?;
        let (lease, _) = view.checked(codec::of_attachment(attachment.value()))?;
        expect(view, view.lease(lease)?.is_some(), "a lease is missing")?;
    }
    Ok(())
}
