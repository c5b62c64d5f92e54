//! Cases: transactions.

use crate::error::{RequestError, StoreError};
use crate::range::KeyRange;
use crate::testing::Subject;
use crate::testing::support::Corner;
use crate::transaction::{Branch, Compare, Operation, OperationResult, Transaction};

/// All that a key knows about itself.
pub async fn a_put_is_read_back_with_its_revisions(subject: &dyn Subject) {
    let corner = Corner::of(subject, "read-back").await;
    let made = corner.put("a", "1").await;
    let written = corner.put("a", "2").await;
    assert_eq!(written, made + 1);
    let entry = corner.store.get(corner.key("a")).await.unwrap_or_default();
    let entry = entry.expect("the key is there");
    assert_eq!(entry.key, corner.key("a"));
    assert_eq!(entry.value, b"2");
    assert_eq!((entry.create_revision, entry.mod_revision), (made, written));
    assert_eq!((entry.version, entry.lease), (2, None));
    assert_eq!(corner.store.get(corner.key("b")).await, Ok(None));
}

/// A transaction that changes nothing has no revision of its own; one that changes much has one.
pub async fn only_writes_move_the_revision_and_by_one(subject: &dyn Subject) {
    let corner = Corner::of(subject, "revisions").await;
    let before = corner.revision().await;
    let silent = [
        Transaction::new(),
        Transaction::new().then(Operation::get(corner.key("a"))),
        Transaction::new().then(Operation::delete(corner.key("a"))),
        Transaction::new().then(Operation::DeleteRange(corner.all())),
        Transaction::new()
            .when(Compare::Exists(corner.key("a")))
            .then(corner.put_of("a", "1")),
    ];
    for transaction in silent {
        assert_eq!(
            corner.run(transaction.clone()).await.revision,
            before,
            "{transaction:?}"
        );
    }
    let many = Transaction::new()
        .then(corner.put_of("a", "1"))
        .then(corner.put_of("b", "2"));
    assert_eq!(corner.run(many).await.revision, before + 1);
    assert_eq!(corner.revision().await, before + 1);
    // The same value again is a write.
    assert_eq!(corner.put("a", "1").await, before + 2);
}

/// Each compare, on a key that is there and on one that is not.
pub async fn compares_mean_what_they_do_in_etcd(subject: &dyn Subject) {
    let corner = Corner::of(subject, "compares").await;
    let made = corner.put("a", "1").await;
    let written = corner.put("a", "2").await;
    let (there, missing) = (corner.key("a"), corner.key("b"));
    let checks = [
        (Compare::Exists(there.clone()), true),
        (Compare::Exists(missing.clone()), false),
        (Compare::Absent(there.clone()), false),
        (Compare::Absent(missing.clone()), true),
        (Compare::ModRevision(there.clone(), written), true),
        (Compare::ModRevision(there.clone(), made), false),
        (Compare::ModRevision(missing.clone(), 0), true),
        (Compare::ModRevision(missing.clone(), written), false),
        (Compare::CreateRevision(there.clone(), made), true),
        (Compare::CreateRevision(there.clone(), written), false),
        (Compare::CreateRevision(missing.clone(), 0), true),
        (Compare::Value(there.clone(), b"2".to_vec()), true),
        (Compare::Value(there.clone(), b"1".to_vec()), false),
        (Compare::Value(missing.clone(), Vec::new()), false),
        (Compare::NoneIn(corner.all()), false),
        (Compare::NoneIn(KeyRange::prefix(missing.clone())), true),
        (Compare::NoneIn(KeyRange::between(there, missing)), false),
    ];
    for (compare, holds) in checks {
        let answer = corner.run(Transaction::new().when(compare.clone())).await;
        assert_eq!(answer.succeeded(), holds, "{compare:?}");
        let with_another = Transaction::new()
            .when(Compare::Exists(corner.key("a")))
            .when(compare.clone());
        assert_eq!(
            corner.run(with_another).await.succeeded(),
            holds,
            "all must hold: {compare:?}"
        );
    }
}

/// A compare never sees a write of its own transaction.
pub async fn compares_look_at_what_was_before(subject: &dyn Subject) {
    let corner = Corner::of(subject, "before").await;
    let transaction = Transaction::new()
        .when(Compare::Absent(corner.key("a")))
        .then(corner.put_of("a", "1"))
        .otherwise(corner.put_of("a", "2"));
    assert!(corner.run(transaction.clone()).await.succeeded());
    assert!(!corner.run(transaction).await.succeeded());
    assert_eq!(corner.content().await, "a=2");
}

/// The answer says which list ran, with a result for each of its operations.
pub async fn the_second_list_runs_where_a_compare_fails(subject: &dyn Subject) {
    let corner = Corner::of(subject, "second-list").await;
    let transaction = Transaction::new()
        .when(Compare::Exists(corner.key("a")))
        .then(corner.put_of("wrong", "1"))
        .otherwise(corner.put_of("right", "1"))
        .otherwise(Operation::get(corner.key("a")));
    let answer = corner.run(transaction).await;
    assert_eq!(answer.branch, Branch::Otherwise);
    assert_eq!(answer.results, [OperationResult::Put, OperationResult::Got(None)]);
    assert_eq!(corner.content().await, "right=1");
}

/// Reads and deletes see what the operations before them did, at the revision that it will have.
pub async fn operations_see_those_before_them(subject: &dyn Subject) {
    let corner = Corner::of(subject, "in-order").await;
    corner.put("a", "1").await;
    let before = corner.put("b", "1").await;
    let transaction = Transaction::new()
        .then(Operation::Range(corner.all(), None))
        .then(Operation::delete(corner.key("a")))
        .then(corner.put_of("c", "2"))
        .then(Operation::Range(corner.all(), std::num::NonZeroUsize::new(1)))
        .then(Operation::get(corner.key("c")))
        .then(Operation::DeleteRange(KeyRange::between(
            corner.key("a"),
            corner.key("c"),
        )));
    let answer = corner.run(transaction).await;
    assert_eq!(answer.revision, before + 1);
    let [
        OperationResult::Range(first),
        OperationResult::Deleted(1),
        OperationResult::Put,
        OperationResult::Range(second),
        OperationResult::Got(Some(got)),
        OperationResult::Deleted(1),
    ] = answer.results.as_slice()
    else {
        panic!("unexpected results: {:?}", answer.results)
    };
    assert_eq!(corner.shown(first), "a=1 b=1");
    assert_eq!((corner.shown(second).as_str(), second.more), ("b=1", true));
    assert_eq!((got.mod_revision, got.version), (before + 1, 1));
    assert_eq!(corner.content().await, "c=2");
}

/// Deleting says how many; what is made again is a new key.
pub async fn a_key_made_again_begins_anew(subject: &dyn Subject) {
    let corner = Corner::of(subject, "anew").await;
    let first = corner.put("a", "1").await;
    corner.put("b", "1").await;
    let answer = corner
        .run(Transaction::new().then(Operation::DeleteRange(corner.all())))
        .await;
    assert_eq!(answer.results, [OperationResult::Deleted(2)]);
    let again = corner.put("a", "2").await;
    let entry = corner.store.get(corner.key("a")).await.unwrap_or_default();
    let entry = entry.expect("the key is there");
    assert!(again > first);
    assert_eq!((entry.create_revision, entry.version), (again, 1));
}

/// As in etcd, so that the order within a branch never matters for what is there in the end.
pub async fn a_key_is_written_once_in_a_branch(subject: &dyn Subject) {
    let corner = Corner::of(subject, "once").await;
    let a = || corner.put_of("a", "1");
    let repeated = [
        Transaction::new().then(a()).then(a()),
        Transaction::new().otherwise(a()).otherwise(a()),
        Transaction::new()
            .then(a())
            .then(Operation::delete(corner.key("a"))),
        Transaction::new()
            .then(Operation::delete(corner.key("a")))
            .then(a()),
        Transaction::new()
            .then(Operation::DeleteRange(corner.all()))
            .then(a()),
    ];
    for transaction in repeated {
        let error = corner.refused(transaction.clone()).await;
        let expected = StoreError::Request(RequestError::RepeatedKey(corner.key("a")));
        assert_eq!(error, expected, "{transaction:?}");
    }
    let legal = Transaction::new()
        .then(a())
        .then(Operation::delete(corner.key("b")))
        .then(Operation::DeleteRange(KeyRange::prefix(corner.key("b"))))
        .otherwise(a());
    assert!(corner.run(legal).await.succeeded());
}
