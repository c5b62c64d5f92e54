//! What the cases share.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::error::StoreError;
use crate::range::{KeyRange, RangeAnswer, RangeRequest};
use crate::record::{Event, Key, Revision};
use crate::store::{Store, WatchRequest, Watcher};
use crate::testing::Subject;
use crate::transaction::{Operation, Transaction, TransactionAnswer};

/// The part of the store that a case uses: keys that begin with its name.
#[derive(Debug, Clone)]
pub(super) struct Corner {
    pub store: Arc<dyn Store>,
    prefix: &'static str,
}

impl Corner {
    /// The keys of a case, all deleted.
    pub async fn of(subject: &dyn Subject, prefix: &'static str) -> Self {
        let corner = Self {
            store: subject.store(),
            prefix,
        };
        corner
            .run(Transaction::new().then(Operation::DeleteRange(corner.all())))
            .await;
        corner
    }

    pub fn key(&self, name: impl AsRef<[u8]>) -> Key {
        [self.prefix.as_bytes(), b"/", name.as_ref()].concat()
    }

    pub fn all(&self) -> KeyRange {
        KeyRange::prefix(self.key(""))
    }

    pub fn put_of(&self, name: &str, value: &str) -> Operation {
        Operation::put(self.key(name), value)
    }

    pub async fn put(&self, name: &str, value: &str) -> Revision {
        let put = self.store.put(self.key(name), value.into());
        put.await.expect("a put is done")
    }

    pub async fn delete(&self, name: &str) -> Revision {
        let transaction = Transaction::new().then(Operation::delete(self.key(name)));
        self.run(transaction).await.revision
    }

    pub async fn run(&self, transaction: Transaction) -> TransactionAnswer {
        let answer = self.store.transact(transaction).await;
        answer.expect("a legal transaction is run")
    }

    pub async fn refused(&self, transaction: Transaction) -> StoreError {
        let before = self.revision().await;
        let error = self
            .store
            .transact(transaction)
            .await
            .expect_err("it is to be refused");
        assert_eq!(
            self.revision().await,
            before,
            "a refused transaction writes nothing"
        );
        error
    }

    pub async fn revision(&self) -> Revision {
        self.range(RangeRequest::new(self.all()).limit(1)).await.revision
    }

    pub async fn range(&self, request: RangeRequest) -> RangeAnswer {
        self.store.range(request).await.expect("a range is read")
    }

    /// What is there now, as `name=value` in the order of the keys.
    pub async fn content(&self) -> String {
        self.shown(&self.range(RangeRequest::new(self.all())).await)
    }

    pub fn shown(&self, answer: &RangeAnswer) -> String {
        let entries = answer.entries.iter();
        let texts: Vec<String> = entries
            .map(|entry| format!("{}={}", self.name(&entry.key), text(&entry.value)))
            .collect();
        texts.join(" ")
    }

    fn name(&self, key: &[u8]) -> String {
        text(
            key.strip_prefix(self.key("").as_slice())
                .expect("a key of the case"),
        )
    }

    pub async fn watch(&self, from: Revision) -> Box<dyn Watcher> {
        self.watch_with(WatchRequest::new(self.all(), from)).await
    }

    pub async fn watch_with(&self, request: WatchRequest) -> Box<dyn Watcher> {
        self.store.watch(request).await.expect("a watch begins")
    }

    /// The next events of a watch, `count` at least, and each as `revision:name=value` or `revision:name-`.
    pub async fn events(&self, watcher: &mut dyn Watcher, count: usize) -> Vec<String> {
        let events = next_events(watcher, count).await;
        events.iter().map(|event| self.shown_event(event)).collect()
    }

    pub fn shown_event(&self, event: &Event) -> String {
        let name = self.name(&event.key);
        match &event.now {
            Some(entry) => format!("{}:{name}={}", event.revision, text(&entry.value)),
            None => format!("{}:{name}-", event.revision),
        }
    }
}

/// The next events of a watch, `count` at least.
pub(super) async fn next_events(watcher: &mut dyn Watcher, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < count {
        let batch = watcher.next().await.expect("a watch goes on");
        let last = batch.events.last().map_or(0, |event| event.revision);
        assert!(last <= batch.revision, "a batch is of the past");
        events.extend(batch.events);
    }
    events
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Polls a future once; `None` where it waits.
pub(super) fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
