//! The model store misbehaves as it is told, and a careful caller comes through.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anet_store::clock::{Clock, ManualClock};
use anet_store::model::{
    Chances, DeliveryFault, LeaseFault, ModelClient, ModelStore, ReadFault, Script, Seeded, TransactionFault,
};
use anet_store::testing::block_on;
use anet_store::testing::mirror::Mirror;
use anet_store::{
    Compare, Election, KeyRange, Operation, RangeRequest, Store, StoreError, Transaction, WatchRequest,
    Watcher, list,
};

const SECOND: Duration = Duration::from_secs(1);

fn scripted() -> (ModelStore, ModelClient, Script) {
    let store = ModelStore::new(ManualClock::default());
    let script = Script::default();
    let client = store.client_with(script.clone());
    (store, client, script)
}

fn put(store: &dyn Store, key: &str, value: &str) -> u64 {
    block_on(store.put(key.into(), value.into())).unwrap()
}

fn poll<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// The revisions of the events that a watcher has now.
fn revisions(watcher: &mut dyn Watcher) -> Vec<u64> {
    let mut found = Vec::new();
    while let Some(batch) = poll(watcher.next()) {
        found.extend(batch.unwrap().events.iter().map(|event| event.revision));
    }
    found
}

#[test]
fn a_transaction_fares_as_the_script_says() {
    use TransactionFault::{ArrivesLate, LostAfter, LostBefore, Refused, Slow};
    let (store, client, script) = scripted();
    let good = store.client();
    let try_put = |key: &str| poll(client.put(key.into(), Vec::new()));
    let there = |key: &str| block_on(good.get(key.into())).unwrap().is_some();
    let faults = [Refused, LostBefore, LostAfter, ArrivesLate(SECOND)];
    faults.into_iter().for_each(|fault| {
        script.transaction(fault);
    });

    assert!(matches!(
        try_put("refused"),
        Some(Err(StoreError::Unavailable { .. }))
    ));
    assert!(!there("refused"));
    for (key, committed) in [("before", false), ("after", true), ("late", false)] {
        let error = try_put(key).unwrap().unwrap_err();
        assert!(error.may_have_committed(), "{key}");
        assert_eq!(there(key), committed, "{key}");
    }
    store.clock().advance(SECOND);
    assert!(there("late"));

    script.transaction(Slow(SECOND));
    let mut slow = pin!(client.put(b"slow".to_vec(), Vec::new()));
    assert!(poll(slow.as_mut()).is_none() && !there("slow"));
    store.clock().advance(SECOND);
    assert!(matches!(poll(slow), Some(Ok(_))) && there("slow"));
}

#[test]
fn a_retry_after_an_unknown_outcome_has_its_effect_once() {
    for fault in [
        TransactionFault::LostBefore,
        TransactionFault::LostAfter,
        TransactionFault::ArrivesLate(SECOND),
    ] {
        let (store, client, script) = scripted();
        script.transaction(fault);
        let transaction = |count: &str| {
            Transaction::new()
                .when(Compare::Absent(b"request".to_vec()))
                .then(Operation::put("request", ""))
                .then(Operation::put("value", count))
        };
        let outcome = block_on(client.transact(transaction("1")));
        assert!(outcome.unwrap_err().may_have_committed());
        block_on(client.transact(transaction("1"))).unwrap();
        put(&client, "value", "2");
        store.clock().advance(SECOND);
        let value = block_on(client.get(b"value".to_vec())).unwrap().unwrap();
        assert_eq!(
            (value.value.as_slice(), value.version),
            (b"2".as_slice(), 2),
            "{fault:?}"
        );
    }
}

#[test]
fn a_deposed_leaders_write_that_arrives_late_is_refused() {
    let (store, client, script) = scripted();
    let election = |client: &ModelClient| Election::new(std::sync::Arc::new(client.clone()), "leader");
    let lease = block_on(client.grant(SECOND)).unwrap();
    let leader = block_on(election(&client).campaign("one", lease.id)).unwrap();
    script.transaction(TransactionFault::ArrivesLate(SECOND * 3));
    let write = Transaction::new().then(Operation::put("placement", "stale"));
    let outcome = block_on(leader.fence.transact(&client, write));
    assert!(outcome.unwrap_err().may_have_committed());

    store.clock().advance(SECOND * 2);
    let other = store.client();
    let lease = block_on(other.grant(SECOND * 9)).unwrap();
    block_on(election(&other).campaign("two", lease.id)).unwrap();
    put(&other, "placement", "fresh");
    store.clock().advance(SECOND * 2);
    let value = block_on(other.get(b"placement".to_vec())).unwrap().unwrap();
    assert_eq!((value.value.as_slice(), value.version), (b"fresh".as_slice(), 1));
}

#[test]
fn a_campaign_of_unknown_outcome_settles_by_reading() {
    for fault in [TransactionFault::LostBefore, TransactionFault::LostAfter] {
        let (_store, client, script) = scripted();
        let lease = block_on(client.grant(SECOND)).unwrap();
        script.transaction(fault);
        let election = Election::new(std::sync::Arc::new(client.clone()), "leader");
        let leader = block_on(election.campaign("one", lease.id)).unwrap();
        assert_eq!(leader.lease, Some(lease.id), "{fault:?}");
        assert_eq!(block_on(election.leader()), Ok(Some(leader)));
    }
}

#[test]
fn a_reading_fares_as_the_script_says() {
    let (store, client, script) = scripted();
    let first = put(&client, "a", "1");
    put(&client, "a", "2");
    let request = || RangeRequest::new(KeyRange::all());
    let value = |request: RangeRequest| {
        let answer = block_on(client.range(request)).unwrap();
        (answer.revision, answer.entries[0].value.clone())
    };
    script.read(ReadFault::Refused);
    let refused = block_on(client.range(request()));
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })));

    // Old answers are for those who allow them only.
    script.read(ReadFault::Old(1)).read(ReadFault::Old(1));
    assert_eq!(value(request()), (first + 1, b"2".to_vec()));
    assert_eq!(value(request().stale()), (first, b"1".to_vec()));
    script.read(ReadFault::Old(99));
    assert_eq!(block_on(client.range(request().stale())).unwrap().entries, []);

    // Slow, and of the time when it answers: linearizable all the same.
    script.read(ReadFault::Slow(SECOND));
    let mut slow = pin!(client.range(request()));
    assert!(poll(slow.as_mut()).is_none());
    put(&client, "a", "3");
    store.clock().advance(SECOND);
    let answer = poll(slow).unwrap().unwrap();
    assert_eq!(answer.entries[0].value, b"3");
}

#[test]
fn a_watch_fares_as_the_script_says() {
    let check = |fault: DeliveryFault, expected: &[u64]| {
        let (store, client, script) = scripted();
        let from = store.revision() + 1;
        script.delivery(from + 2, fault);
        let mut watcher = block_on(client.watch(WatchRequest::new(KeyRange::all(), from))).unwrap();
        for _ in 0..5 {
            put(&client, "a", "1");
        }
        let expected: Vec<u64> = expected.iter().map(|offset| from + offset).collect();
        assert_eq!(revisions(watcher.as_mut()), expected, "{fault:?}");
        (store, watcher)
    };
    check(DeliveryFault::None, &[0, 1, 2, 3, 4]);
    check(DeliveryFault::Lost, &[0, 1, 3, 4]);
    check(DeliveryFault::Repeated, &[0, 1, 2, 2, 3, 4]);
    check(DeliveryFault::Rewound(1), &[0, 1, 2, 1, 2, 3, 4]);
    let (store, mut watcher) = check(DeliveryFault::Delayed(SECOND), &[0, 1]);
    store.clock().advance(SECOND);
    assert_eq!(
        revisions(watcher.as_mut()).len(),
        3,
        "the delayed one and what waited behind it"
    );
}

#[test]
fn a_watch_that_breaks_or_is_overtaken_says_so_and_stays_so() {
    for fault in [DeliveryFault::Broken, DeliveryFault::Overtaken] {
        let (store, client, script) = scripted();
        let from = put(&client, "a", "1") + 1;
        script.delivery(from, fault);
        let mut watcher = block_on(client.watch(WatchRequest::new(KeyRange::all(), from))).unwrap();
        let last = put(&client, "a", "2");
        let error = block_on(watcher.next()).unwrap_err();
        match fault {
            DeliveryFault::Broken => assert!(matches!(error, StoreError::Unavailable { .. })),
            _ => assert_eq!(
                error,
                StoreError::Compacted {
                    asked: from,
                    compacted: last
                }
            ),
        }
        assert_eq!(block_on(watcher.next()).unwrap_err(), error);
        // A new listing goes on from there.
        let listing = block_on(list(&client, &KeyRange::all(), 10)).unwrap();
        assert_eq!((listing.revision, listing.entries.len()), (store.revision(), 1));
    }
}

#[test]
fn bounded_history_overtakes_a_watcher() {
    let (store, client, _) = scripted();
    let mut watcher = block_on(client.watch(WatchRequest::new(KeyRange::all(), 2))).unwrap();
    for _ in 0..10 {
        put(&client, "a", "1");
    }
    store.keep_events(4).unwrap();
    let error = block_on(watcher.next()).unwrap_err();
    assert_eq!(
        error,
        StoreError::Compacted {
            asked: 2,
            compacted: 7
        }
    );
    let kept = block_on(client.watch(WatchRequest::new(KeyRange::all(), 8)));
    assert_eq!(revisions(kept.unwrap().as_mut()), [8, 9, 10, 11]);
}

#[test]
fn leases_are_granted_longer_than_asked() {
    let (store, client, script) = scripted();
    store.set_minimum_ttl(SECOND * 2);
    assert_eq!(block_on(client.grant(SECOND)).unwrap().ttl, SECOND * 2);
    script
        .lease(LeaseFault::Longer(SECOND * 3))
        .lease(LeaseFault::Refused);
    let lease = block_on(client.grant(SECOND)).unwrap();
    assert_eq!(lease.ttl, SECOND * 5);
    assert!(matches!(
        block_on(client.keep_alive(lease.id)),
        Err(StoreError::Unavailable { .. })
    ));
    let leased = Operation::put_leased("a", "1", lease.id);
    block_on(client.transact(Transaction::new().then(leased))).unwrap();
    store.clock().advance(SECOND * 5 - Duration::from_nanos(1));
    assert!(block_on(client.get(b"a".to_vec())).unwrap().is_some());
    store.clock().advance(Duration::from_nanos(1));
    assert_eq!(block_on(client.get(b"a".to_vec())), Ok(None));
}

#[test]
fn a_lease_that_expires_wakes_a_watcher_that_waits() {
    let (store, client, _) = scripted();
    let lease = block_on(client.grant(SECOND)).unwrap();
    let leased = Operation::put_leased("a", "1", lease.id);
    let revision = block_on(client.transact(Transaction::new().then(leased)))
        .unwrap()
        .revision;
    let mut watcher = block_on(client.watch(WatchRequest::new(KeyRange::all(), revision + 1))).unwrap();
    let clock = store.clock().clone();
    let batch = block_on(async {
        let (batch, ()) = tokio::join!(watcher.next(), async { clock.advance(SECOND) });
        batch.unwrap()
    });
    assert_eq!(batch.events[0].now, None);
}

#[test]
fn a_cut_way_sends_nothing_and_heals() {
    let (store, client, _) = scripted();
    let from = put(&client, "a", "1") + 1;
    let mut watcher = block_on(client.watch(WatchRequest::new(KeyRange::all(), from))).unwrap();
    client.set_cut(true);
    let unavailable = |error: StoreError| assert!(matches!(error, StoreError::Unavailable { .. }));
    unavailable(block_on(client.put(b"a".to_vec(), b"2".to_vec())).unwrap_err());
    unavailable(block_on(client.get(b"a".to_vec())).unwrap_err());
    unavailable(block_on(client.grant(SECOND)).unwrap_err());
    unavailable(block_on(watcher.next()).unwrap_err());
    assert_eq!(put(&store.client(), "a", "3"), from, "others get through");
    client.set_cut(false);
    assert_eq!(block_on(client.get(b"a".to_vec())).unwrap().unwrap().value, b"3");
}

#[test]
fn a_restored_store_is_behind_those_who_knew_it() {
    let (store, client, _) = scripted();
    let lease = block_on(client.grant(SECOND)).unwrap();
    let leased = Operation::put_leased("leased", "1", lease.id);
    block_on(client.transact(Transaction::new().then(leased))).unwrap();
    let old = put(&client, "a", "old");
    let backup = store.backup();
    let new = put(&client, "a", "new");
    store.clock().advance(SECOND / 2);
    store.restore(&backup);
    assert_eq!(store.revision(), old);
    let ahead = block_on(client.range(RangeRequest::new(KeyRange::all()).at(new)));
    assert_eq!(
        ahead,
        Err(StoreError::FutureRevision {
            asked: new,
            revision: old
        })
    );
    store.clock().advance(SECOND / 2);
    assert!(
        block_on(client.get(b"leased".to_vec())).unwrap().is_some(),
        "its whole time again"
    );
    store.clock().advance(SECOND / 2);
    assert_eq!(block_on(client.get(b"leased".to_vec())), Ok(None));
}

/// Writes by retry, watches, reads the counter, lists again where the two do not agree: under every fault at once its copy
/// is right in the end, and each increment counted once.
async fn careful_run(seed: u64) -> (String, u32) {
    let chances = Chances {
        transactions: 300,
        reads: 200,
        deliveries: 300,
        leases: 200,
        delay: SECOND,
    };
    let store = ModelStore::new(ManualClock::default());
    let client = store.client_with(Seeded::new(seed, chances));
    let mut relisted = 0;
    let (mut mirror, mut watcher) = begin(&client).await;
    for step in 0..40u32 {
        write_once(&store, &client, step).await;
        while let Some(batch) = poll(watcher.next()) {
            match batch {
                Ok(batch) => mirror.take(&batch),
                Err(_) => break,
            }
        }
        let counter = retry(&store, || client.get(b"counter".to_vec())).await.unwrap();
        let seen = mirror.entries().into_iter().find(|entry| entry.key == b"counter");
        if seen.is_none_or(|seen| seen.mod_revision != counter.mod_revision) {
            relisted += 1;
            (mirror, watcher) = begin(&client).await;
        }
    }
    // What is still on its way arrives, and has no effect any more.
    store.clock().advance(SECOND * 2);
    let truth = list(&store.client(), &KeyRange::all(), 100).await.unwrap();
    assert_eq!(mirror.entries(), truth.entries, "seed {seed}");
    let counter = store.client().get(b"counter".to_vec()).await.unwrap().unwrap();
    assert_eq!(counter.version, 40, "seed {seed}");
    (format!("{:?}", truth.entries), relisted)
}

async fn retry<'a, T>(store: &ModelStore, mut call: impl FnMut() -> anet_store::Answer<'a, T>) -> T {
    loop {
        let mut attempt = pin!(call());
        loop {
            match poll(attempt.as_mut()) {
                Some(Ok(value)) => return value,
                Some(Err(_)) => break,
                None => store.clock().advance(SECOND / 10),
            }
        }
    }
}

async fn begin(client: &ModelClient) -> (Mirror, Box<dyn Watcher>) {
    let good = client.store().client();
    let listing = list(&good, &KeyRange::all(), 7).await.unwrap();
    let request = WatchRequest::new(KeyRange::all(), listing.revision + 1);
    let watcher = retry(client.store(), || client.watch(request.clone())).await;
    (Mirror::of(listing), watcher)
}

async fn write_once(store: &ModelStore, client: &ModelClient, step: u32) {
    let transaction = Transaction::new()
        .when(Compare::Absent(format!("request/{step}").into()))
        .then(Operation::put(format!("request/{step}"), ""))
        .then(Operation::put("counter", step.to_string()))
        .then(Operation::put(format!("object/{}", step % 7), step.to_string()));
    retry(store, || client.transact(transaction.clone())).await;
}

#[test]
fn a_careful_caller_comes_through_every_fault_at_once() {
    let mut relisted = 0;
    for seed in 0..100 {
        relisted += block_on(careful_run(seed)).1;
    }
    assert!(relisted > 100, "the faults were there: {relisted}");
}

#[test]
fn a_seed_gives_the_same_run_again() {
    assert_eq!(block_on(careful_run(7)), block_on(careful_run(7)));
    assert_ne!(block_on(careful_run(7)), block_on(careful_run(8)));
}

#[test]
fn a_manual_clock_wakes_at_its_moment() {
    let clock = ManualClock::default();
    let mut wait = pin!(clock.reach(SECOND));
    assert!(poll(wait.as_mut()).is_none());
    clock.advance(SECOND / 2);
    assert!(poll(wait.as_mut()).is_none());
    clock.advance(SECOND / 2);
    assert_eq!((poll(wait), clock.now()), (Some(()), SECOND));
}
