//! A watch: a place in the history, and a sign that there is more of it.

use crate::engine::next_batch;
use crate::error::StoreError;
use crate::redb::reader::Reader;
use crate::store::{Answer, WatchBatch, WatchRequest, Watcher};

/// A watch that is under way. Nothing is queued for it: it reads what it has not seen.
#[derive(Debug)]
pub(super) struct RedbWatcher {
    reader: Reader,
    /// `from` moves on with what was handed over.
    request: WatchRequest,
    progress: bool,
}

impl RedbWatcher {
    pub(super) const fn new(reader: Reader, request: WatchRequest) -> Self {
        Self {
            reader,
            request,
            progress: false,
        }
    }

    async fn next_events(&mut self) -> Result<WatchBatch, StoreError> {
        loop {
            // Seen before it is read, so that a commit in between is not slept over.
            self.reader.revisions.borrow_and_update();
            let request = self.request.clone();
            let found = self
                .reader
                .read(move |tables| next_batch(tables, &request))
                .await?;
            let more = found.is_some();
            if let Some(batch) = found {
                self.request.from = batch.revision + 1;
                if !batch.events.is_empty() {
                    return Ok(batch);
                }
            }
            if std::mem::take(&mut self.progress) {
                let revision = self.request.from - 1;
                let events = Vec::new();
                return Ok(WatchBatch { revision, events });
            }
            if !more {
                self.wait().await?;
            }
        }
    }

    async fn wait(&mut self) -> Result<(), StoreError> {
        let changed = self.reader.revisions.changed().await;
        changed.map_err(|_| StoreError::Unavailable {
            reason: "the store was closed".to_owned(),
        })
    }
}

impl Watcher for RedbWatcher {
    fn next(&mut self) -> Answer<'_, WatchBatch> {
        Box::pin(self.next_events())
    }

    fn request_progress(&mut self) {
        self.progress = true;
    }
}
