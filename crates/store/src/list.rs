//! Reading a whole range in pages, as of one revision.

use crate::error::StoreError;
use crate::range::{KeyRange, RangeRequest};
use crate::record::{KeyValue, Revision};
use crate::store::Store;

/// How often a listing begins anew because compaction overtook it.
const ATTEMPTS: usize = 4;

/// All of a range at one revision. Watch from the revision behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The revision.
    pub revision: Revision,
    /// The keys in their order.
    pub entries: Vec<KeyValue>,
}

/// Lists a range linearizably, `page` keys at a time. A listing that compaction overtakes begins anew.
pub async fn list(store: &dyn Store, range: &KeyRange, page: usize) -> Result<Listing, StoreError> {
    let mut outcome = list_once(store, range, page).await;
    for _ in 1..ATTEMPTS {
        match outcome {
            Err(StoreError::Compacted { .. }) => outcome = list_once(store, range, page).await,
            _ => break,
        }
    }
    outcome
}

async fn list_once(store: &dyn Store, range: &KeyRange, page: usize) -> Result<Listing, StoreError> {
    let mut request = RangeRequest::new(range.clone()).limit(page.max(1));
    let mut entries = Vec::new();
    loop {
        let mut answer = store.range(request.clone()).await?;
        let next = request.next_page(&answer);
        entries.append(&mut answer.entries);
        match next {
            Some(next) => request = next,
            None => {
                let revision = answer.revision;
                return Ok(Listing { revision, entries });
            }
        }
    }
}
