//! What the redb store costs on this machine's disk. By hand: `cargo run --release -p anet-store --example store_bench [FOLDER]`.
#![allow(clippy::unwrap_used, reason = "a measurement that fails has nothing to say")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anet_store::redb::{Options, RedbStore};
use anet_store::{Compare, KeyRange, Operation, Store, Transaction, WatchRequest, list};
use tokio::task::JoinSet;

const VALUE: [u8; 512] = [0x5a; 512];
const OBJECTS: u64 = 50_000;

/// What one write of the API looks like: two compares, an object, a unique key, an idempotency key, the counter.
fn api_write(writer: u64, number: u64) -> Transaction {
    let id = format!("{writer:04}/{number:08}");
    Transaction::new()
        .when(Compare::Absent(format!("address/{id}").into()))
        .when(Compare::Absent(format!("request/{id}").into()))
        .then(Operation::put(format!("object/{id}"), VALUE))
        .then(Operation::put(format!("address/{id}"), "object"))
        .then(Operation::put(format!("request/{id}"), "done"))
        .then(Operation::put("counter", id))
}

fn say(name: &str, value: f64, unit: &str) {
    println!("bench={name} value={value:.3} unit={unit}");
}

fn percentiles(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1_000.0;
    say(&format!("{name}_p50"), at(50), "ms");
    say(&format!("{name}_p99"), at(99), "ms");
}

async fn one_writer(store: &RedbStore) {
    let mut times = Vec::new();
    for number in 0..2_000 {
        let begun = Instant::now();
        store.transact(api_write(0, number)).await.unwrap();
        times.push(begun.elapsed());
    }
    say("store_transactions_1_writer", 1.0 / mean(&times), "1/s");
    percentiles("store_transaction", times);
}

fn mean(times: &[Duration]) -> f64 {
    times.iter().sum::<Duration>().as_secs_f64() / times.len() as f64
}

async fn many_writers(store: &RedbStore, writers: u64) {
    let each = 8_000 / writers;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let store = store.clone();
        tasks.spawn(async move {
            for number in 0..each {
                let key = format!("put/{writer}/{number}");
                store.put(key.into(), VALUE.to_vec()).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let rate = (writers * each) as f64 / begun.elapsed().as_secs_f64();
    say(&format!("store_puts_{writers}_writers"), rate, "1/s");
}

/// From the call of a put to its event.
async fn watching(store: &RedbStore) {
    let from = store.put(b"watched".to_vec(), Vec::new()).await.unwrap() + 1;
    let request = WatchRequest::new(KeyRange::key(*b"watched"), from);
    let mut watcher = store.watch(request).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..1_000 {
        let begun = Instant::now();
        let (batch, put) = tokio::join!(watcher.next(), store.put(b"watched".to_vec(), VALUE.to_vec()));
        assert_eq!((batch.unwrap().events.len(), put.is_ok()), (1, true));
        times.push(begun.elapsed());
    }
    percentiles("store_put_to_event", times);
}

async fn reading(store: &RedbStore) {
    let mut times = Vec::new();
    for number in 0..2_000 {
        let begun = Instant::now();
        let key = format!("object/0000/{number:08}");
        assert!(store.get(key.into()).await.unwrap().is_some());
        times.push(begun.elapsed());
    }
    percentiles("store_get", times);
}

async fn fill(store: &RedbStore) {
    let mut writes = (0..OBJECTS).map(|number| Operation::put(format!("full/{number:08}"), VALUE));
    loop {
        let then: Vec<Operation> = writes.by_ref().take(128).collect();
        if then.is_empty() {
            return;
        }
        let transaction = Transaction {
            then,
            ..Transaction::default()
        };
        store.transact(transaction).await.unwrap();
    }
}

async fn listing(store: &RedbStore) {
    let begun = Instant::now();
    let found = list(store, &KeyRange::prefix(*b"full/"), 1_000).await.unwrap();
    assert_eq!(found.entries.len() as u64, OBJECTS);
    say("store_list_50k", begun.elapsed().as_secs_f64() * 1_000.0, "ms");
}

fn opening(path: &Path, verify: bool) {
    let options = Options {
        verify,
        ..Options::default()
    };
    let begun = Instant::now();
    let store = RedbStore::open(path, options).unwrap();
    let name = if verify { "checked" } else { "unchecked" };
    let milliseconds = begun.elapsed().as_secs_f64() * 1_000.0;
    say(&format!("store_open_{name}"), milliseconds, "ms");
    drop(store);
}

fn main() {
    let folder = std::env::args()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join(format!("anet-store-bench-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build();
    let runtime = runtime.unwrap();
    let store = RedbStore::create(&path, Options::default()).unwrap();
    runtime.block_on(async {
        one_writer(&store).await;
        for writers in [1, 16, 64, 256] {
            many_writers(&store, writers).await;
        }
        watching(&store).await;
        reading(&store).await;
        fill(&store).await;
        listing(&store).await;
    });
    drop(store);
    opening(&path, true);
    opening(&path, false);
    let bytes = std::fs::metadata(&path).unwrap().len();
    say("store_file", bytes as f64 / 1_048_576.0, "MiB");
    std::fs::remove_file(&path).unwrap();
}
