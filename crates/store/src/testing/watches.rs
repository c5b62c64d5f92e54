//! Cases: watches.

use crate::error::{RequestError, StoreError};
use crate::range::KeyRange;
use crate::store::WatchRequest;
use crate::testing::Subject;
use crate::testing::support::{Corner, next_events, poll_once, text};
use crate::transaction::{Operation, Transaction};

/// From a revision of the past on, everything, in order.
pub async fn what_was_comes_in_order(subject: &dyn Subject) {
    let corner = Corner::of(subject, "order").await;
    corner.put("a", "0").await;
    let from = corner.put("a", "1").await;
    corner.put("b", "1").await;
    corner.delete("a").await;
    corner.put("a", "2").await;
    let mut watcher = corner.watch(from).await;
    let events = corner.events(watcher.as_mut(), 4).await;
    let expected = [
        format!("{from}:a=1"),
        format!("{}:b=1", from + 1),
        format!("{}:a-", from + 2),
        format!("{}:a=2", from + 3),
    ];
    assert_eq!(events, expected);
}

/// A watcher that has seen all waits, and wakes.
pub async fn what_comes_is_waited_for(subject: &dyn Subject) {
    let corner = Corner::of(subject, "live").await;
    let mut watcher = corner.watch(corner.revision().await + 1).await;
    for round in 0..3 {
        let value = round.to_string();
        let (events, revision) = tokio::join!(corner.events(watcher.as_mut(), 1), corner.put("a", &value));
        assert_eq!(events, [format!("{revision}:a={value}")]);
    }
}

/// The events of a transaction share a revision and a batch, in the order of its operations.
pub async fn a_revision_comes_whole(subject: &dyn Subject) {
    let corner = Corner::of(subject, "whole").await;
    corner.put("old", "1").await;
    let operations = ["c", "a", "b"].map(|name| corner.put_of(name, "1"));
    let transaction = operations
        .into_iter()
        .fold(Transaction::new(), Transaction::then)
        .then(Operation::delete(corner.key("old")));
    let revision = corner.run(transaction).await.revision;
    let mut watcher = corner.watch(revision).await;
    let batch = watcher.next().await.expect("a watch goes on");
    let shown: Vec<String> = batch
        .events
        .iter()
        .map(|event| corner.shown_event(event))
        .collect();
    let expected = ["c=1", "a=1", "b=1", "old-"].map(|change| format!("{revision}:{change}"));
    assert_eq!(shown, expected);
    let made = batch.events.first().and_then(|event| event.now.as_ref());
    let made = made.expect("c was made");
    assert_eq!(
        (made.create_revision, made.mod_revision, made.version),
        (revision, revision, 1)
    );
}

/// Not what is beside it, also where the two are written at once.
pub async fn only_the_range_comes(subject: &dyn Subject) {
    let corner = Corner::of(subject, "only").await;
    let from = corner.revision().await + 1;
    corner.put("a/1", "1").await;
    corner.put("b/1", "1").await;
    let both = Transaction::new()
        .then(corner.put_of("b/2", "2"))
        .then(corner.put_of("a/2", "2"));
    corner.run(both).await;
    let request = WatchRequest::new(KeyRange::prefix(corner.key("a/")), from);
    let mut watcher = corner.watch_with(request).await;
    let events = corner.events(watcher.as_mut(), 2).await;
    assert_eq!(events, [format!("{from}:a/1=1"), format!("{}:a/2=2", from + 2)]);
}

/// And else not.
pub async fn what_was_before_comes_where_asked(subject: &dyn Subject) {
    let corner = Corner::of(subject, "previous").await;
    let from = corner.put("a", "1").await;
    corner.put("a", "2").await;
    corner.delete("a").await;
    let request = WatchRequest::new(corner.all(), from).with_previous();
    let mut watcher = corner.watch_with(request).await;
    let events = next_events(watcher.as_mut(), 3).await;
    let previous = events.iter().map(|event| event.previous.as_ref());
    let previous: Vec<Option<String>> = previous
        .map(|entry| entry.map(|entry| text(&entry.value)))
        .collect();
    assert_eq!(previous, [None, Some("1".to_owned()), Some("2".to_owned())]);

    let mut watcher = corner.watch(from).await;
    let events = next_events(watcher.as_mut(), 3).await;
    assert!(events.iter().all(|event| event.previous.is_none()));
}

/// What comes before it is not shown.
pub async fn a_watch_can_begin_in_the_future(subject: &dyn Subject) {
    let corner = Corner::of(subject, "later").await;
    let from = corner.revision().await + 3;
    let mut watcher = corner.watch(from).await;
    for value in ["1", "2", "3", "4"] {
        corner.put("a", value).await;
    }
    let events = corner.events(watcher.as_mut(), 2).await;
    assert_eq!(events, [format!("{from}:a=3"), format!("{}:a=4", from + 1)]);
}

/// Dropping a wait loses nothing.
pub async fn a_wait_can_be_given_up(subject: &dyn Subject) {
    let corner = Corner::of(subject, "given-up").await;
    let from = corner.revision().await + 1;
    let mut watcher = corner.watch(from).await;
    assert!(poll_once(watcher.next()).is_none(), "nothing has happened yet");
    let mut seen = Vec::new();
    for round in 0..5 {
        corner.put("a", &round.to_string()).await;
        // Whether a first poll has the events at once is the back end's business.
        if let Some(batch) = poll_once(watcher.next()) {
            seen.extend(batch.expect("a watch goes on").events);
        }
    }
    let rest = 5 - seen.len();
    seen.extend(next_events(watcher.as_mut(), rest).await);
    let shown: Vec<String> = seen.iter().map(|event| corner.shown_event(event)).collect();
    let expected: Vec<String> = (0..5)
        .map(|round| format!("{}:a={round}", from + round))
        .collect();
    assert_eq!(shown, expected);
}

/// Also where other keys moved the revision on.
pub async fn progress_is_said_where_asked(subject: &dyn Subject) {
    let corner = Corner::of(subject, "progress").await;
    let from = corner.put("a", "1").await;
    let request = WatchRequest::new(KeyRange::key(corner.key("a")), from);
    let mut watcher = corner.watch_with(request).await;
    assert_eq!(corner.events(watcher.as_mut(), 1).await, [format!("{from}:a=1")]);
    let now = corner.put("b", "1").await;
    loop {
        watcher.request_progress();
        let batch = watcher.next().await.expect("a watch goes on");
        assert!(batch.events.is_empty() && batch.revision <= now);
        if batch.revision == now {
            break;
        }
    }
    let (events, revision) = tokio::join!(corner.events(watcher.as_mut(), 1), corner.put("a", "2"));
    assert_eq!(events, [format!("{revision}:a=2")]);
}

/// With the revision behind which there is history.
pub async fn compacted_history_is_refused(subject: &dyn Subject) {
    let corner = Corner::of(subject, "refused").await;
    let first = corner.put("a", "1").await;
    let second = corner.put("a", "2").await;
    let third = corner.put("a", "3").await;
    assert_eq!(corner.store.compact(second).await, Ok(()));
    let refused = match corner.store.watch(WatchRequest::new(corner.all(), first)).await {
        Ok(mut watcher) => watcher.next().await.expect_err("there is a gap"),
        Err(error) => error,
    };
    let expected = StoreError::Compacted {
        asked: first,
        compacted: second,
    };
    assert_eq!(refused, expected);
    let mut watcher = corner.watch(third).await;
    assert_eq!(corner.events(watcher.as_mut(), 1).await, [format!("{third}:a=3")]);
}

/// From the compacted revision itself: refused, or complete.
pub async fn the_edge_of_history_is_refused_or_whole(subject: &dyn Subject) {
    let corner = Corner::of(subject, "edge").await;
    corner.put("a", "1").await;
    let second = corner.put("a", "2").await;
    corner.put("a", "3").await;
    assert_eq!(corner.store.compact(second).await, Ok(()));
    let mut watcher = match corner.store.watch(WatchRequest::new(corner.all(), second)).await {
        Ok(watcher) => watcher,
        Err(error) => return assert!(matches!(error, StoreError::Compacted { .. })),
    };
    let mut shown = Vec::new();
    while shown.len() < 2 {
        match watcher.next().await {
            Ok(batch) => shown.extend(batch.events.iter().map(|event| corner.shown_event(event))),
            Err(error) => return assert!(matches!(error, StoreError::Compacted { .. }) && shown.is_empty()),
        }
    }
    assert_eq!(shown, [format!("{second}:a=2"), format!("{}:a=3", second + 1)]);
}

/// Which of the two depends on how far a back end sends ahead.
pub async fn a_watcher_that_is_overtaken_hears_of_it_or_misses_nothing(subject: &dyn Subject) {
    let corner = Corner::of(subject, "overtaken").await;
    let from = corner.revision().await + 1;
    let mut watcher = corner.watch(from).await;
    for value in 0..20 {
        corner.put("a", &value.to_string()).await;
    }
    let compacted = from + 10;
    assert_eq!(corner.store.compact(compacted).await, Ok(()));
    let mut next = from;
    while next < from + 20 {
        match watcher.next().await {
            Ok(batch) => {
                for event in batch.events {
                    assert_eq!(event.revision, next, "no gap that is not said");
                    next += 1;
                }
            }
            Err(error) => {
                assert!(
                    matches!(error, StoreError::Compacted { compacted: found, .. } if found == compacted)
                );
                assert!(next <= compacted, "what is there is not refused");
                return;
            }
        }
    }
}

/// A caller that forgot to list first hears so.
pub async fn zero_is_no_revision_to_watch_from(subject: &dyn Subject) {
    let corner = Corner::of(subject, "zero").await;
    let refused = corner.store.watch(WatchRequest::new(corner.all(), 0)).await;
    let expected = StoreError::Request(RequestError::WatchFromZero);
    assert_eq!(refused.map(drop), Err(expected));
}
