//! A watch on a model store, with all that can happen to it.

use std::time::Duration;

use crate::clock::Clock;
use crate::engine::next_batch;
use crate::error::StoreError;
use crate::model::client::{ModelClient, unavailable};
use crate::model::faults::DeliveryFault;
use crate::record::{Event, Revision};
use crate::store::{Answer, WatchBatch, WatchRequest, Watcher};

/// A watch that is under way.
#[derive(Debug)]
pub(super) struct ModelWatcher {
    client: ModelClient,
    /// `from` moves on with what was handed over.
    request: WatchRequest,
    /// The newest revision for which a fault was asked: each is asked for once.
    asked: Revision,
    /// What is being handed over later than it came, and when.
    delayed: Option<(Duration, WatchBatch)>,
    progress: bool,
    ended: Option<StoreError>,
}

impl ModelWatcher {
    pub(super) fn new(client: ModelClient, request: WatchRequest) -> Self {
        Self {
            client,
            asked: request.from - 1,
            request,
            delayed: None,
            progress: false,
            ended: None,
        }
    }

    /// What can be handed over now, if anything.
    fn poll(&mut self) -> Option<Result<WatchBatch, StoreError>> {
        if let Some(error) = &self.ended {
            return Some(Err(error.clone()));
        }
        let step = self.step();
        if let Some(Err(error)) = &step {
            self.ended = Some(error.clone());
        }
        step
    }

    fn step(&mut self) -> Option<Result<WatchBatch, StoreError>> {
        if let Err(error) = self.client.check_cut() {
            return Some(Err(error));
        }
        if let Some((at, _)) = &self.delayed {
            let due = self.client.store().clock().now() >= *at;
            return due.then(|| self.delayed.take().map(|(_, batch)| Ok(batch)))?;
        }
        loop {
            let found = next_batch(&self.client.store().settled().tables, &self.request);
            let batch = match found {
                Ok(Some(batch)) => batch,
                Ok(None) => return self.say_progress(self.request.from - 1),
                Err(error) => return Some(Err(error)),
            };
            let Some(batch) = first_revision(batch, &mut self.request.from) else {
                continue;
            };
            match self.deliver(batch) {
                Delivery::Now(batch) => return Some(Ok(batch)),
                Delivery::Never => {}
                Delivery::Later => return None,
                Delivery::End(error) => return Some(Err(error)),
            }
        }
    }

    fn say_progress(&mut self, revision: Revision) -> Option<Result<WatchBatch, StoreError>> {
        let events = Vec::new();
        std::mem::take(&mut self.progress).then_some(Ok(WatchBatch { revision, events }))
    }

    /// Lets the fault of this revision happen, once. `request.from` stands behind the revision already.
    fn deliver(&mut self, batch: WatchBatch) -> Delivery {
        if batch.revision <= self.asked {
            return Delivery::Now(batch);
        }
        self.asked = batch.revision;
        let fault = self.client.faults().delivery(batch.revision);
        match fault {
            DeliveryFault::None => Delivery::Now(batch),
            DeliveryFault::Lost => Delivery::Never,
            DeliveryFault::Repeated => {
                self.request.from = batch.revision;
                Delivery::Now(batch)
            }
            DeliveryFault::Rewound(by) => {
                self.request.from = batch.revision.saturating_sub(by).max(1);
                Delivery::Now(batch)
            }
            DeliveryFault::Delayed(delay) => {
                self.delayed = Some((self.client.store().clock().now() + delay, batch));
                Delivery::Later
            }
            DeliveryFault::Broken => Delivery::End(unavailable("the watch broke")),
            DeliveryFault::Overtaken => {
                self.client.store().settled().compact_all();
                self.request.from = batch.revision;
                Delivery::Never
            }
        }
    }
}

enum Delivery {
    Now(WatchBatch),
    Never,
    Later,
    End(StoreError),
}

/// Only the first revision of a batch, since each may have a fault of its own; `from` moves behind what was looked at. `None` where
/// nothing in it is for the watcher.
fn first_revision(batch: WatchBatch, from: &mut Revision) -> Option<WatchBatch> {
    let Some(revision) = batch.events.first().map(|event| event.revision) else {
        *from = batch.revision + 1;
        return None;
    };
    *from = revision + 1;
    let of_revision = |event: &Event| event.revision == revision;
    let events = batch.events.into_iter().take_while(of_revision).collect();
    Some(WatchBatch { revision, events })
}

impl Watcher for ModelWatcher {
    fn next(&mut self) -> Answer<'_, WatchBatch> {
        Box::pin(async move {
            let clock = self.client.store().clock().clone();
            clock.until(|| self.poll()).await
        })
    }

    fn request_progress(&mut self) {
        self.progress = true;
    }
}
