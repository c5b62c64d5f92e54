//! History: handing it to watchers, and forgetting it.

use std::ops::ControlFlow;

use crate::engine::tables::{Tables, TablesMut, event_bytes};
use crate::error::StoreError;
use crate::record::{Event, Revision};
use crate::store::{WatchBatch, WatchRequest};

/// A batch ends after the revision with which it has so many events.
const BATCH_EVENTS: usize = 512;
/// The most revisions that one call of [`trim`] forgets.
const TRIM_STEP: u64 = 1_024;

/// The events of a watch from its `from` on; without events where nothing has happened, with the revision up to which all was
/// looked through. `None` where the store has not come to `from` yet.
pub(crate) fn next_batch(
    tables: &dyn Tables,
    request: &WatchRequest,
) -> Result<Option<WatchBatch>, StoreError> {
    let position = tables.position();
    if request.from <= position.compacted {
        return Err(StoreError::Compacted {
            asked: request.from,
            compacted: position.compacted,
        });
    }
    if request.from > position.revision {
        return Ok(None);
    }
    let mut batch = WatchBatch {
        revision: position.revision,
        events: Vec::new(),
    };
    tables.history(request.from, &mut |revision, events| {
        let wanted = events.iter().filter(|event| request.range.contains(&event.key));
        batch
            .events
            .extend(wanted.map(|event| for_watcher(event, request.previous)));
        if batch.events.len() < BATCH_EVENTS {
            return ControlFlow::Continue(());
        }
        batch.revision = revision;
        ControlFlow::Break(())
    })?;
    Ok(Some(batch))
}

fn for_watcher(event: &Event, previous: bool) -> Event {
    Event {
        revision: event.revision,
        key: event.key.clone(),
        now: event.now.clone(),
        previous: event.previous.clone().filter(|_| previous),
    }
}

/// Forgets history up to and with `revision`.
pub(crate) fn compact(tables: &mut dyn TablesMut, revision: Revision) -> Result<(), StoreError> {
    let mut position = tables.position();
    if revision > position.revision {
        return Err(StoreError::FutureRevision {
            asked: revision,
            revision: position.revision,
        });
    }
    let mut doomed = Vec::new();
    tables.history(position.compacted + 1, &mut |found, events| {
        if found > revision {
            return ControlFlow::Break(());
        }
        position.events -= events.len() as u64;
        position.event_bytes -= events.iter().map(event_bytes).sum::<u64>();
        doomed.push(found);
        ControlFlow::Continue(())
    })?;
    doomed
        .into_iter()
        .try_for_each(|revision| tables.forget(revision))?;
    position.compacted = position.compacted.max(revision);
    tables.set_position(position);
    Ok(())
}

/// Forgets the oldest history while there is more than `events` or `bytes` of it, a bounded step at a time.
pub(crate) fn trim(tables: &mut dyn TablesMut, events: u64, bytes: u64) -> Result<(), StoreError> {
    let position = tables.position();
    if position.events <= events && position.event_bytes <= bytes {
        return Ok(());
    }
    let (mut kept_events, mut kept_bytes) = (position.events, position.event_bytes);
    let mut up_to = position.compacted;
    let last = position.compacted + TRIM_STEP;
    tables.history(position.compacted + 1, &mut |revision, found| {
        if (kept_events <= events && kept_bytes <= bytes) || revision > last {
            return ControlFlow::Break(());
        }
        kept_events -= found.len() as u64;
        kept_bytes -= found.iter().map(event_bytes).sum::<u64>();
        up_to = revision;
        ControlFlow::Continue(())
    })?;
    match up_to > position.compacted {
        true => compact(tables, up_to),
        false => Ok(()),
    }
}
