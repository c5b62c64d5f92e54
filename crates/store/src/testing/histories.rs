//! Random histories, on the store and on a reference side by side.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use crate::error::StoreError;
use crate::range::{KeyRange, RangeRequest};
use crate::record::{Event, Key, LeaseId, Revision};
use crate::store::{Store, WatchRequest};
use crate::testing::Subject;
use crate::testing::reference::Reference;
use crate::transaction::{Compare, Operation, Transaction};

/// One thing that happens. Revisions are told by how far they lie back, leases by their turn.
#[derive(Debug, Clone)]
pub enum Step {
    /// A transaction; its leases' ids and its compares' revisions are meant as said above.
    Transact(Transaction),
    /// A reading.
    Range(KeyRange, usize, u64),
    /// A lease of so many seconds.
    Grant(u64),
    /// A lease begins anew.
    KeepAlive(u64),
    /// A lease ends.
    Revoke(u64),
    /// So many seconds pass.
    Pass(u64),
    /// History is forgotten up to a revision.
    Compact(u64),
}

/// Runs `cases` random histories. `run` makes an empty store, hands it to [`follow`] with the steps, and waits for the end.
pub fn check(cases: u32, run: impl Fn(&[Step])) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&vec(step(), 1..40), |steps| {
        run(&steps);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Runs the steps on a store that is empty, and compares each answer, and in the end the whole history, with the reference's.
///
/// The subject is asked for its store before each step: it may be another way to the same one, or the same one started again, as long as
/// leases keep their times.
pub async fn follow(subject: &dyn Subject, steps: &[Step]) {
    let first = current(subject.store().as_ref()).await;
    let mut run = Run {
        reference: Reference::new(first),
        first,
        compacted: first,
        leases: Vec::new(),
    };
    for step in steps {
        run.step(subject, subject.store().as_ref(), step).await;
        let revision = current(subject.store().as_ref()).await;
        assert_eq!(revision, run.reference.revision(), "after {step:?}");
    }
    run.compare_history(subject.store().as_ref()).await;
}

async fn current(store: &dyn Store) -> Revision {
    let request = RangeRequest::new(KeyRange::all()).limit(1);
    store.range(request).await.expect("a range is read").revision
}

struct Run {
    reference: Reference,
    first: Revision,
    compacted: Revision,
    leases: Vec<LeaseId>,
}

impl Run {
    async fn step(&mut self, subject: &dyn Subject, store: &dyn Store, step: &Step) {
        match step {
            Step::Transact(template) => {
                let transaction = self.fill(template);
                let expected = match transaction.check() {
                    Ok(()) => self.reference.transact(&transaction).map_err(StoreError::NoLease),
                    Err(error) => Err(error.into()),
                };
                assert_eq!(
                    store.transact(transaction.clone()).await,
                    expected,
                    "{transaction:?}"
                );
            }
            Step::Range(range, limit, back) => self.compare_range(store, range, *limit, *back).await,
            Step::Grant(seconds) => {
                let lease = store.grant(Duration::from_secs(*seconds)).await;
                let lease = lease.expect("a lease is granted");
                self.reference.grant(lease.id, lease.ttl);
                self.leases.push(lease.id);
            }
            Step::KeepAlive(turn) => {
                let lease = self.lease(*turn);
                let kept = store.keep_alive(lease).await.is_ok();
                assert_eq!(kept, self.reference.keep_alive(lease));
            }
            Step::Revoke(turn) => {
                let lease = self.lease(*turn);
                let revoked = store.revoke(lease).await.is_ok();
                assert_eq!(revoked, self.reference.revoke(lease));
            }
            Step::Pass(seconds) => {
                let time = Duration::from_secs(*seconds);
                subject.pass(time).await;
                self.reference.pass(time);
            }
            Step::Compact(back) => {
                let revision = self.back(*back);
                assert_eq!(store.compact(revision).await, Ok(()));
                self.compacted = self.compacted.max(revision);
            }
        }
    }

    async fn compare_range(&self, store: &dyn Store, range: &KeyRange, limit: usize, back: u64) {
        let asked = self.back(back);
        let request = RangeRequest::new(range.clone()).limit(limit).at(asked);
        let found = store.range(request).await;
        if asked < self.compacted {
            let compacted = self.compacted;
            assert_eq!(found, Err(StoreError::Compacted { asked, compacted }));
        } else {
            assert_eq!(found, Ok(self.reference.range(range, limit, asked)));
        }
    }

    /// All that is not compacted, by watching and by reading each revision.
    async fn compare_history(&self, store: &dyn Store) {
        let expected = self.reference.events_from(self.compacted + 1);
        let request = WatchRequest::new(KeyRange::all(), self.compacted + 1).with_previous();
        let mut watcher = store.watch(request).await.expect("a watch begins");
        let mut found: Vec<Event> = Vec::new();
        while found.len() < expected.len() {
            found.extend(watcher.next().await.expect("a watch goes on").events);
        }
        assert_eq!(found, expected);
        for revision in self.compacted..=self.reference.revision() {
            self.compare_range(store, &KeyRange::all(), 0, self.reference.revision() - revision)
                .await;
        }
    }

    fn back(&self, by: u64) -> Revision {
        self.reference.revision().saturating_sub(by).max(self.first)
    }

    /// A lease that was granted, or one that never was.
    fn lease(&self, turn: u64) -> LeaseId {
        let turn = usize::try_from(turn).expect("small");
        self.leases.get(turn).copied().unwrap_or(LeaseId(0x7fff_ffff))
    }

    fn fill(&self, template: &Transaction) -> Transaction {
        let mut filled = template.clone();
        for compare in &mut filled.compares {
            if let Compare::ModRevision(_, revision) | Compare::CreateRevision(_, revision) = compare {
                *revision = self.reference.revision().saturating_sub(*revision);
            }
        }
        for operation in filled.then.iter_mut().chain(&mut filled.otherwise) {
            if let Operation::Put {
                lease: Some(lease), ..
            } = operation
            {
                *lease = self.lease(lease.0);
            }
        }
        filled
    }
}

fn key() -> impl Strategy<Value = Key> {
    select(vec!["a", "aa", "b", "c", "d"]).prop_map(|key| key.as_bytes().to_vec())
}

fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        Just(KeyRange::all()),
        key().prop_map(KeyRange::key),
        key().prop_map(KeyRange::prefix),
        (key(), key()).prop_map(|(start, end)| KeyRange::between(start, end)),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), vec(any::<u8>(), 1..3)]
}

fn compare() -> impl Strategy<Value = Compare> {
    prop_oneof![
        3 => key().prop_map(Compare::Exists),
        3 => key().prop_map(Compare::Absent),
        1 => (key(), 0u64..4).prop_map(|(key, back)| Compare::ModRevision(key, back)),
        1 => (key(), 0u64..4).prop_map(|(key, back)| Compare::CreateRevision(key, back)),
        1 => (key(), value()).prop_map(|(key, value)| Compare::Value(key, value)),
        1 => range().prop_map(Compare::NoneIn),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let lease = proptest::option::weighted(0.3, (0u64..4).prop_map(LeaseId));
    prop_oneof![
        6 => (key(), value(), lease).prop_map(|(key, value, lease)| Operation::Put { key, value, lease }),
        2 => key().prop_map(Operation::Delete),
        1 => range().prop_map(Operation::DeleteRange),
        1 => key().prop_map(Operation::Get),
        1 => (range(), 0usize..3).prop_map(|(range, limit)| Operation::Range(range, NonZeroUsize::new(limit))),
    ]
}

fn transaction() -> impl Strategy<Value = Transaction> {
    (
        vec(compare(), 0..3),
        vec(operation(), 0..4),
        vec(operation(), 0..3),
    )
        .prop_map(|(compares, then, otherwise)| Transaction {
            compares,
            then: without_repeats(then),
            otherwise,
        })
}

/// Mostly legal: a second put of a key is left out of the first list, though not of the second.
fn without_repeats(operations: Vec<Operation>) -> Vec<Operation> {
    let mut seen = BTreeSet::new();
    let mut operations = operations;
    operations.retain(|operation| match operation {
        Operation::Put { key, .. } => seen.insert(key.clone()),
        _ => true,
    });
    operations
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => transaction().prop_map(Step::Transact),
        3 => (range(), 0usize..4, 0u64..12).prop_map(|(range, limit, back)| Step::Range(range, limit, back)),
        2 => (1u64..6).prop_map(Step::Grant),
        1 => (0u64..4).prop_map(Step::KeepAlive),
        1 => (0u64..4).prop_map(Step::Revoke),
        2 => (1u64..4).prop_map(Step::Pass),
        1 => (0u64..10).prop_map(Step::Compact),
    ]
}
