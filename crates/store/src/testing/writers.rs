//! Cases: several writers at once.

use crate::error::StoreError;
use crate::list::list;
use crate::record::KeyValue;
use crate::store::WatchRequest;
use crate::testing::Subject;
use crate::testing::mirror::Mirror;
use crate::testing::support::{Corner, text};
use crate::transaction::{Compare, Operation, Transaction};

/// A unique key: an address, a MAC, a name.
pub async fn of_two_who_want_one_key_one_gets_it(subject: &dyn Subject) {
    let corner = Corner::of(subject, "unique").await;
    for round in 0..10 {
        let name = format!("address-{round}");
        let claim = |who: &str| {
            let transaction = Transaction::new()
                .when(Compare::Absent(corner.key(&name)))
                .then(corner.put_of(&name, who))
                .then(corner.put_of(&format!("object-{round}-{who}"), "1"));
            corner.run(transaction)
        };
        let (one, two) = tokio::join!(claim("one"), claim("two"));
        assert_ne!(one.succeeded(), two.succeeded(), "exactly one wins");
        let winner = if one.succeeded() { "one" } else { "two" };
        let owner = corner.store.get(corner.key(&name)).await.unwrap_or_default();
        assert_eq!(owner.map(|entry| text(&entry.value)), Some(winner.to_owned()));
    }
    let objects = corner.content().await;
    assert_eq!(objects.matches("object-").count(), 10, "the loser wrote nothing");
}

async fn increment(corner: &Corner, times: u32) -> Result<(), StoreError> {
    for _ in 0..times {
        loop {
            let found: Option<KeyValue> = corner.store.get(corner.key("counter")).await?;
            let count: u64 = found
                .as_ref()
                .map_or(Ok(0), |entry| text(&entry.value).parse())
                .expect("a number");
            let revision = found.map_or(0, |entry| entry.mod_revision);
            let transaction = Transaction::new()
                .when(Compare::ModRevision(corner.key("counter"), revision))
                .then(corner.put_of("counter", &(count + 1).to_string()));
            if corner.store.transact(transaction).await?.succeeded() {
                break;
            }
        }
    }
    Ok(())
}

/// Read, compare, write: what everyone else does to the store.
pub async fn no_increment_is_lost(subject: &dyn Subject) {
    let corner = Corner::of(subject, "increments").await;
    let done = tokio::join!(
        increment(&corner, 10),
        increment(&corner, 10),
        increment(&corner, 10),
        increment(&corner, 10)
    );
    assert_eq!(done, (Ok(()), Ok(()), Ok(()), Ok(())));
    assert_eq!(corner.content().await, "counter=40");
}

/// The way in which a write of unknown outcome is sent again.
pub async fn an_idempotency_key_works_once(subject: &dyn Subject) {
    let corner = Corner::of(subject, "idempotency").await;
    let transaction = Transaction::new()
        .when(Compare::Absent(corner.key("request-1")))
        .then(corner.put_of("request-1", "done"))
        .then(corner.put_of("a", "1"))
        .otherwise(Operation::get(corner.key("request-1")));
    assert!(corner.run(transaction.clone()).await.succeeded());
    corner.put("a", "2").await;
    assert!(!corner.run(transaction).await.succeeded());
    assert_eq!(corner.content().await, "a=2 request-1=done");
}

/// Wherever between the writes the listing happens.
pub async fn a_listing_and_a_watch_behind_it_miss_nothing(subject: &dyn Subject) {
    let corner = Corner::of(subject, "no-gap").await;
    for step in 0..12 {
        corner.put(&format!("k{}", step % 5), &step.to_string()).await;
        let listing = list(corner.store.as_ref(), &corner.all(), 2).await;
        let listing = listing.expect("a listing is read");
        let request = WatchRequest::new(corner.all(), listing.revision + 1);
        let mut watcher = corner.watch_with(request).await;
        let mut mirror = Mirror::of(listing);
        corner.delete(&format!("k{}", (step + 3) % 5)).await;
        let last = corner.put("k9", &step.to_string()).await;
        while mirror.revision() < last {
            mirror.take(&watcher.next().await.expect("a watch goes on"));
        }
        let now = list(corner.store.as_ref(), &corner.all(), 3).await;
        assert_eq!(mirror.entries(), now.expect("a listing is read").entries);
    }
}
