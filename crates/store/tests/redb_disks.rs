//! What the redb store makes of restarts, losses of power, full and failing disks.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anet_store::clock::ManualClock;
use anet_store::redb::{Options, RedbStore};
use anet_store::{
    Compare, KeyRange, Operation, RangeRequest, Store, StoreError, Transaction, WatchRequest, list,
};
use support::{Disk, Folder, runtime};

/// Both keys or none.
fn pair(number: u32) -> Transaction {
    let value = vec![b'x'; 300];
    Transaction::new()
        .when(Compare::Absent(format!("request/{number}").into()))
        .then(Operation::put(format!("a/{number:04}"), value.clone()))
        .then(Operation::put(format!("b/{number:04}"), value))
        .then(Operation::put(format!("request/{number}"), ""))
        .then(Operation::put("counter", number.to_string()))
}

fn open(disk: &Disk) -> RedbStore {
    RedbStore::open_medium(Arc::new(disk.clone()), Options::default()).unwrap()
}

/// Which pairs are there; each whole.
async fn pairs(store: &RedbStore) -> Vec<u32> {
    let names = |prefix: &'static str| async move {
        let listing = list(store, &KeyRange::prefix(prefix), 7).await.unwrap();
        let numbers = listing.entries.into_iter().map(|entry| {
            let key = String::from_utf8(entry.key).unwrap();
            key[2..].parse::<u32>().unwrap()
        });
        numbers.collect::<Vec<u32>>()
    };
    let found = names("a/").await;
    assert_eq!(found, names("b/").await, "whole or not at all");
    found
}

struct Chance(u64);

impl Chance {
    fn coin(&mut self) -> bool {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        self.0 >> 63 == 1
    }
}

#[test]
fn a_restart_keeps_everything() {
    let folder = Folder::new();
    let path = folder.path().join("store");
    let all = || RangeRequest::new(KeyRange::all());
    let (content, past, from, lease) = runtime().block_on(async {
        let store = RedbStore::create(&path, Options::default()).unwrap();
        let from = store.put(b"a".to_vec(), b"1".to_vec()).await.unwrap();
        store.put(b"a".to_vec(), b"2".to_vec()).await.unwrap();
        store.compact(from).await.unwrap();
        let lease = store.grant(Duration::from_secs(60)).await.unwrap();
        let leased = Operation::put_leased("leased", "", lease.id);
        let transaction = Transaction::new().then(leased).then(Operation::delete("a"));
        store.transact(transaction).await.unwrap();
        let content = store.range(all()).await.unwrap();
        (content, store.range(all().at(from)).await.unwrap(), from, lease)
    });
    runtime().block_on(async {
        let store = RedbStore::open(&path, Options::default()).unwrap();
        assert_eq!(store.range(all()).await.unwrap(), content);
        assert_eq!(store.range(all().at(from)).await.unwrap(), past);
        let refused = store.range(all().at(from - 1)).await;
        assert_eq!(
            refused,
            Err(StoreError::Compacted {
                asked: from - 1,
                compacted: from
            })
        );
        let request = WatchRequest::new(KeyRange::all(), from + 1).with_previous();
        let batch = store.watch(request).await.unwrap().next().await.unwrap();
        assert_eq!(batch.events.len(), 3);
        assert_eq!(store.keep_alive(lease.id).await, Ok(lease.ttl));
        assert!(
            store.grant(lease.ttl).await.unwrap().id > lease.id,
            "no name twice"
        );
        let next = store.put(b"a".to_vec(), b"3".to_vec()).await.unwrap();
        assert_eq!(next, content.revision + 1);
    });
}

#[test]
fn leases_have_their_whole_time_again_after_a_restart() {
    let disk = Disk::default();
    let clock = ManualClock::default();
    let open = || {
        let options = Options {
            clock: Arc::new(clock.clone()),
            ..Options::default()
        };
        RedbStore::open_medium(Arc::new(disk.clone()), options).unwrap()
    };
    let seconds = Duration::from_secs;
    runtime().block_on(async {
        let store = open();
        let lease = store.grant(seconds(10)).await.unwrap();
        let leased = Operation::put_leased("leased", "", lease.id);
        store.transact(Transaction::new().then(leased)).await.unwrap();
        clock.advance(seconds(9));
        drop(store);
        let store = open();
        clock.advance(seconds(9));
        store.expire_leases().await.unwrap();
        assert!(store.get(b"leased".to_vec()).await.unwrap().is_some());
        clock.advance(seconds(1));
        store.expire_leases().await.unwrap();
        assert_eq!(store.get(b"leased".to_vec()).await, Ok(None));
    });
}

#[test]
fn a_lease_expires_by_itself() {
    runtime().block_on(async {
        let store = open(&Disk::default());
        let lease = store.grant(Duration::from_millis(1)).await.unwrap();
        assert_eq!(lease.ttl, Duration::from_secs(1));
        let leased = Operation::put_leased("leased", "", lease.id);
        let revision = store
            .transact(Transaction::new().then(leased))
            .await
            .unwrap()
            .revision;
        let request = WatchRequest::new(KeyRange::all(), revision + 1);
        // Nobody calls: the store has to notice.
        let batch = store.watch(request).await.unwrap().next().await.unwrap();
        assert_eq!(batch.events[0].now, None);
    });
}

#[test]
fn a_loss_of_power_at_any_write_loses_nothing_acknowledged() {
    let runtime = runtime();
    let mut chance = Chance(1);
    let mut unacknowledged_survived = 0;
    for writes in 0..120 {
        let disk = Disk::default();
        let mut acknowledged = 0;
        runtime.block_on(async {
            let store = open(&disk);
            disk.content().writes_left = Some(writes);
            while store.transact(pair(acknowledged)).await.is_ok() {
                acknowledged += 1;
            }
        });
        for _ in 0..4 {
            let left = disk.after_power_loss(|| chance.coin());
            runtime.block_on(async {
                let store = open(&left);
                let found = pairs(&store).await;
                let whole: Vec<u32> = (0..found.len() as u32).collect();
                assert_eq!(found, whole, "in order, without a hole");
                assert!(
                    found.len() as u32 >= acknowledged,
                    "after {writes} writes: {found:?}"
                );
                unacknowledged_survived += found.len() as u32 - acknowledged;
                store.transact(pair(found.len() as u32)).await.unwrap();
            });
        }
    }
    assert!(
        unacknowledged_survived < 480,
        "one at most each time: {unacknowledged_survived}"
    );
}

#[test]
fn a_full_disk_is_an_error_and_nothing_is_half_done() {
    let disk = Disk::default();
    runtime().block_on(async {
        let store = open(&disk);
        let room = disk.content().bytes.len() + 200_000;
        disk.content().room = Some(room);
        let mut done = 0;
        let error = loop {
            match store.transact(pair(done)).await {
                Ok(_) => done += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        assert!(error.to_string().contains("make room"));
        let whole: Vec<u32> = (0..done).collect();
        assert_eq!(pairs(&store).await, whole, "it can still be read");
        let again = store.transact(pair(done)).await.unwrap_err();
        assert!(matches!(again, StoreError::Full { .. }), "{again}");

        disk.content().room = None;
        store.transact(pair(done)).await.unwrap();
        assert_eq!(pairs(&store).await.len() as u32, done + 1);
    });
}

/// What a caller hears about a transaction during which the disk fails; and it is what is there.
fn fail_during_a_commit(prepare: impl FnOnce(&Disk)) -> Result<(), StoreError> {
    let disk = Disk::default();
    runtime().block_on(async {
        let store = open(&disk);
        store.transact(pair(0)).await.unwrap();
        prepare(&disk);
        let outcome = store.transact(pair(1)).await;
        disk.content().syncs_left = None;
        disk.content().writes_left = None;
        // The first request after the disk is well again opens the file.
        let next = store.transact(pair(2)).await.unwrap();
        let there = pairs(&store).await.contains(&1);
        match &outcome {
            Ok(_) => assert!(there),
            Err(error) => assert!(error.may_have_committed() || !there, "{error}"),
        }
        let versions = 2 + u64::from(there);
        let counter = store.get(b"counter".to_vec()).await.unwrap().unwrap();
        assert_eq!((counter.version, counter.mod_revision), (versions, next.revision));
        outcome.map(drop)
    })
}

/// At each write and each sync of a commit, for a moment or for longer.
#[test]
fn a_failed_write_or_sync_is_told_as_it_is() {
    let (mut unknown, mut not_done) = ([0; 2], [0; 2]);
    for point in 0..24 {
        for (of_sync, once) in [(false, false), (false, true), (true, false), (true, true)] {
            let outcome = fail_during_a_commit(|disk| {
                let mut content = disk.content();
                content.once = once;
                match of_sync {
                    true => content.syncs_left = Some(point),
                    false => content.writes_left = Some(point),
                }
            });
            match outcome {
                Err(error) if error.may_have_committed() => unknown[usize::from(once)] += 1,
                Err(_) => not_done[usize::from(once)] += 1,
                Ok(()) => {}
            }
        }
    }
    assert!(
        unknown[0] > 1,
        "a file that cannot be opened says nothing: {unknown:?}"
    );
    assert_eq!(
        unknown[1], 1,
        "only the last sync leaves a commit that is there and may not last"
    );
    assert!(
        not_done[1] > 1,
        "else the file says that nothing was done: {not_done:?}"
    );
}

#[test]
fn what_was_done_unheard_is_taken_care_of() {
    let disk = Disk::default();
    let clock = ManualClock::default();
    let options = Options {
        clock: Arc::new(clock.clone()),
        ..Options::default()
    };
    let second = Duration::from_secs(1);
    runtime().block_on(async {
        let store = RedbStore::open_medium(Arc::new(disk.clone()), options).unwrap();
        // The second sync of a commit is its last.
        disk.content().once = true;
        disk.content().syncs_left = Some(1);
        let unknown = store.grant(second).await.unwrap_err();
        assert!(unknown.may_have_committed(), "{unknown}");
        let unheard = anet_store::LeaseId(1);
        let leased = Operation::put_leased("leased", "", unheard);
        let revision = store
            .transact(Transaction::new().then(leased))
            .await
            .unwrap()
            .revision;
        let request = WatchRequest::new(KeyRange::all(), revision + 1);
        let mut watcher = store.watch(request).await.unwrap();
        disk.content().syncs_left = Some(1);
        let (batch, put) = tokio::join!(watcher.next(), store.put(b"a".to_vec(), Vec::new()));
        assert!(put.unwrap_err().may_have_committed());
        assert_eq!(
            batch.unwrap().events[0].key,
            b"a",
            "what can be read is told to watchers"
        );
        clock.advance(second);
        store.expire_leases().await.unwrap();
        assert_eq!(
            store.get(b"leased".to_vec()).await,
            Ok(None),
            "the lease has an end"
        );
    });
}

#[test]
fn a_disk_that_goes_away_is_said_and_comes_back() {
    let disk = Disk::default();
    runtime().block_on(async {
        let store = open(&disk);
        store.transact(pair(0)).await.unwrap();
        let mut watcher = {
            let from = store
                .range(RangeRequest::new(KeyRange::all()))
                .await
                .unwrap()
                .revision
                + 1;
            store
                .watch(WatchRequest::new(KeyRange::all(), from))
                .await
                .unwrap()
        };
        disk.content().syncs_left = Some(0);
        disk.content().gone = true;
        let unknown = store.transact(pair(1)).await.unwrap_err();
        assert!(unknown.may_have_committed(), "{unknown}");
        let error = store.transact(pair(1)).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
        let error = store.get(b"counter".to_vec()).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");

        disk.content().syncs_left = None;
        disk.content().gone = false;
        // The retry has its effect once, whatever became of the first attempt.
        store.transact(pair(1)).await.unwrap();
        assert_eq!(pairs(&store).await, [0, 1]);
        let batch = watcher.next().await.unwrap();
        assert_eq!(batch.events.len(), 4, "the watch goes on");
    });
}

#[test]
fn history_is_bounded_and_a_watcher_that_is_overtaken_hears_so() {
    let options = Options {
        history_events: 20,
        ..Options::default()
    };
    runtime().block_on(async {
        let store = RedbStore::open_medium(Arc::new(Disk::default()), options).unwrap();
        let mut watcher = store.watch(WatchRequest::new(KeyRange::all(), 2)).await.unwrap();
        let mut last = 0;
        for number in 0..50 {
            last = store.put(b"a".to_vec(), vec![number]).await.unwrap();
        }
        let compacted = last - 20;
        let error = watcher.next().await.unwrap_err();
        assert_eq!(error, StoreError::Compacted { asked: 2, compacted });
        let kept = WatchRequest::new(KeyRange::all(), compacted + 1);
        let batch = store.watch(kept).await.unwrap().next().await.unwrap();
        assert_eq!(batch.events.len(), 20);
    });
    let options = Options {
        history_bytes: 10_000,
        ..Options::default()
    };
    runtime().block_on(async {
        let store = RedbStore::open_medium(Arc::new(Disk::default()), options).unwrap();
        let mut last = 0;
        for _ in 0..20 {
            last = store.put(b"a".to_vec(), vec![0; 1_000]).await.unwrap();
        }
        // Each event holds what was and what is: four of them are within the bound.
        let old = RangeRequest::new(KeyRange::all()).at(last - 5);
        assert!(matches!(
            store.range(old).await,
            Err(StoreError::Compacted { .. })
        ));
        let kept = RangeRequest::new(KeyRange::all()).at(last - 4);
        assert!(store.range(kept).await.is_ok());
    });
}

#[test]
fn many_writers_share_commits_and_lose_nothing() {
    let disk = Disk::default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    let (writers, each) = (32, 8);
    runtime.block_on(async {
        let store = open(&disk);
        let before = 1_000_000;
        disk.content().syncs_left = Some(before);
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..writers {
            let store = store.clone();
            tasks.spawn(async move {
                for number in 0..each {
                    store.transact(pair(writer * each + number)).await.unwrap();
                }
            });
        }
        tasks.join_all().await;
        let total = writers * each;
        assert_eq!(pairs(&store).await.len() as u32, total);
        let counter = store.get(b"counter".to_vec()).await.unwrap().unwrap();
        assert_eq!(counter.version, u64::from(total));
        let syncs = before - disk.content().syncs_left.unwrap();
        assert!(syncs < u64::from(total), "{syncs} syncs for {total} transactions");
    });
}

/// The disk answers nobody until the first value is dropped.
fn hold(disk: &Disk) -> (mpsc::Sender<()>, thread::JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel::<()>();
    let (held, holds) = mpsc::channel();
    let disk = disk.clone();
    let thread = thread::spawn(move || {
        let _content = disk.content();
        held.send(()).unwrap();
        let _dropped = receiver.recv();
    });
    holds.recv().unwrap();
    (sender, thread)
}

#[test]
fn a_slow_disk_does_not_hold_up_the_executor() {
    let disk = Disk::default();
    runtime().block_on(async {
        let store = open(&disk);
        let slow = {
            let (holding, released) = hold(&disk);
            let put = tokio::spawn({
                let store = store.clone();
                async move { store.put(b"a".to_vec(), Vec::new()).await }
            });
            let read = tokio::spawn({
                let store = store.clone();
                async move { store.get(b"b".to_vec()).await }
            });
            // While the disk answers nobody, this thread runs on.
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            assert!(!put.is_finished());
            drop(holding);
            released.join().unwrap();
            (put, read)
        };
        assert!(slow.0.await.unwrap().is_ok());
        assert_eq!(slow.1.await.unwrap(), Ok(None));
    });
}
