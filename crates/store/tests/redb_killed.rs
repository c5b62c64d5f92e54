//! kill -9 in the midst of writes, again and again on one file: nothing that was acknowledged is lost.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anet_store::redb::{Options, RedbStore};
use anet_store::{KeyRange, Operation, Store, Transaction, list};
use support::{Folder, runtime};

const NAME: &str = "a_killed_writer_loses_nothing_acknowledged";
const PATH: &str = "ANET_STORE_TEST_CHILD";
const ROUNDS: usize = 8;

/// The numbers of the keys with a prefix, in their order.
async fn numbers(store: &RedbStore, prefix: &str) -> Vec<u64> {
    let listing = list(store, &KeyRange::prefix(prefix), 100).await.unwrap();
    let keys = listing
        .entries
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.key).into_owned());
    let mut numbers: Vec<u64> = keys.map(|key| key[prefix.len()..].parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

/// The child: four writers, each of which prints what was acknowledged.
fn write_until_killed(path: &Path) {
    let runtime = runtime();
    runtime.block_on(async {
        let store = RedbStore::open(path, Options::default()).unwrap();
        let begin = numbers(&store, "a/").await.last().map_or(0, |last| last + 1);
        let writer = |writer: u64| {
            let store = store.clone();
            async move {
                for number in (begin + writer..).step_by(4) {
                    let transaction = Transaction::new()
                        .then(Operation::put(format!("a/{number}"), vec![b'x'; 500]))
                        .then(Operation::put(format!("b/{number}"), "1"));
                    let revision = store.transact(transaction).await.unwrap().revision;
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "\nacknowledged {number} {revision} .").unwrap();
                    out.flush().unwrap();
                }
            }
        };
        tokio::join!(writer(0), writer(1), writer(2), writer(3));
    });
}

fn kill_after(path: &Path, lines: usize) -> Vec<(u64, u64)> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture"])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = Vec::new();
    for line in output.lines() {
        let line = line.unwrap();
        // The last line may have been cut by the kill: it has no full stop then.
        let words: Vec<&str> = line.split(' ').collect();
        if let ["acknowledged", number, revision, "."] = words.as_slice() {
            acknowledged.push((number.parse().unwrap(), revision.parse().unwrap()));
        }
        if acknowledged.len() == lines {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success());
    acknowledged
}

#[test]
fn a_killed_writer_loses_nothing_acknowledged() {
    if let Some(path) = env::var_os(PATH) {
        return write_until_killed(Path::new(&path));
    }
    let folder = Folder::new();
    let path = folder.path().join("store");
    drop(RedbStore::create(&path, Options::default()).unwrap());
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        acknowledged.extend(kill_after(&path, 20 + round * 37));
        runtime().block_on(async {
            let store = RedbStore::open(&path, Options::default()).unwrap();
            for (number, revision) in &acknowledged {
                let entry = store.get(format!("a/{number}").into()).await.unwrap();
                assert_eq!(
                    entry.map(|entry| entry.mod_revision),
                    Some(*revision),
                    "round {round}"
                );
            }
            let (a, b) = (numbers(&store, "a/").await, numbers(&store, "b/").await);
            assert_eq!(a, b, "whole or not at all");
        });
    }
    assert!(acknowledged.len() >= ROUNDS * 20);
}
