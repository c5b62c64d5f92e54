//! Reading ranges, now and as of an older revision.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use crate::engine::tables::Tables;
use crate::error::StoreError;
use crate::range::{KeyRange, RangeAnswer, RangeRequest};
use crate::record::{Key, KeyValue, Revision};

/// Answers a reading.
pub(crate) fn range(tables: &dyn Tables, request: &RangeRequest) -> Result<RangeAnswer, StoreError> {
    let position = tables.position();
    // Revision 0 stands for now, as in etcd.
    let asked = request
        .revision
        .filter(|asked| *asked > 0)
        .unwrap_or(position.revision);
    if asked > position.revision {
        return Err(StoreError::FutureRevision {
            asked,
            revision: position.revision,
        });
    }
    if asked < position.compacted {
        return Err(StoreError::Compacted {
            asked,
            compacted: position.compacted,
        });
    }
    if asked == position.revision {
        return current_range(tables, &request.range, request.limit, asked);
    }
    past_range(tables, &request.range, request.limit, asked)
}

/// The range as the tables have it, said to be of `revision`.
pub(super) fn current_range(
    tables: &(impl Tables + ?Sized),
    range: &KeyRange,
    limit: Option<NonZeroUsize>,
    revision: Revision,
) -> Result<RangeAnswer, StoreError> {
    let entries = tables.scan(range, one_more(limit))?;
    Ok(cut(entries.into_iter(), limit, revision))
}

/// The range as it was: what it is, with everything that came later taken back. Costs what came later.
fn past_range(
    tables: &dyn Tables,
    range: &KeyRange,
    limit: Option<NonZeroUsize>,
    revision: Revision,
) -> Result<RangeAnswer, StoreError> {
    let mut were: BTreeMap<Key, Option<KeyValue>> = BTreeMap::new();
    tables.history(revision + 1, &mut |_, events| {
        for event in events.iter().filter(|event| range.contains(&event.key)) {
            were.entry(event.key.clone())
                .or_insert_with(|| event.previous.clone());
        }
        ControlFlow::Continue(())
    })?;
    // Each change that is taken back can remove one key at most, so that the first keys are among these.
    let enough = one_more(limit).saturating_add(were.len());
    let current = tables.scan(range, enough)?;
    let unchanged = current
        .into_iter()
        .filter(|entry| !were.contains_key(&entry.key))
        .map(|entry| (entry.key.clone(), Some(entry)))
        .collect::<Vec<_>>();
    were.extend(unchanged);
    Ok(cut(were.into_values().flatten(), limit, revision))
}

fn one_more(limit: Option<NonZeroUsize>) -> usize {
    limit.map_or(usize::MAX, |limit| limit.get().saturating_add(1))
}

fn cut(
    entries: impl Iterator<Item = KeyValue>,
    limit: Option<NonZeroUsize>,
    revision: Revision,
) -> RangeAnswer {
    let limit = limit.map_or(usize::MAX, NonZeroUsize::get);
    let mut entries: Vec<KeyValue> = entries.take(limit.saturating_add(1)).collect();
    let more = entries.len() > limit;
    entries.truncate(limit);
    RangeAnswer {
        revision,
        entries,
        more,
    }
}
