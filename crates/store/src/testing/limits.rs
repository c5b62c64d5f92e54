//! Cases: the limits, at their edge and one beyond.

use crate::error::{RequestError, StoreError};
use crate::range::RangeRequest;
use crate::testing::Subject;
use crate::testing::support::Corner;
use crate::transaction::{Compare, OPERATIONS_MAXIMUM, Operation, REQUEST_BYTES_MAXIMUM, Transaction};

/// 128 of each list, at once; never 129 of one.
pub async fn operations_at_the_edge(subject: &dyn Subject) {
    let corner = Corner::of(subject, "operations").await;
    let full = |count: usize| {
        (0..count).fold(Transaction::new(), |transaction, index| {
            let name = format!("k{index:03}");
            transaction
                .when(Compare::Absent(corner.key(&name)))
                .then(corner.put_of(&name, "1"))
                .otherwise(corner.put_of(&name, "2"))
        })
    };
    assert!(corner.run(full(OPERATIONS_MAXIMUM)).await.succeeded());
    assert!(!corner.run(full(OPERATIONS_MAXIMUM)).await.succeeded());
    let answer = corner.range(RangeRequest::new(corner.all())).await;
    assert_eq!(answer.entries.len(), OPERATIONS_MAXIMUM);
    assert!(answer.entries.iter().all(|entry| entry.value == b"2"));

    let one_more = full(OPERATIONS_MAXIMUM + 1);
    let lists = [
        Transaction {
            compares: one_more.compares,
            ..Transaction::default()
        },
        Transaction {
            then: one_more.then,
            ..Transaction::default()
        },
        Transaction {
            otherwise: one_more.otherwise,
            ..Transaction::default()
        },
    ];
    let found = OPERATIONS_MAXIMUM + 1;
    for transaction in lists {
        let error = corner.refused(transaction).await;
        assert_eq!(
            error,
            StoreError::Request(RequestError::TooManyOperations { found })
        );
    }
}

/// 1 MiB, and not a byte more.
pub async fn bytes_at_the_edge(subject: &dyn Subject) {
    let corner = Corner::of(subject, "bytes").await;
    let of_size = |bytes: usize| {
        let plain = Transaction::new().then(corner.put_of("big", ""));
        let value = vec![0xa5; bytes - plain.bytes()];
        Transaction::new().then(Operation::put(corner.key("big"), value))
    };
    let largest = of_size(REQUEST_BYTES_MAXIMUM);
    assert_eq!(largest.bytes(), REQUEST_BYTES_MAXIMUM);
    let Some(Operation::Put { value, .. }) = largest.then.first().cloned() else {
        panic!("it is a put")
    };
    corner.run(largest).await;
    let entry = corner.store.get(corner.key("big")).await.unwrap_or_default();
    assert_eq!(entry.map(|entry| entry.value), Some(value));

    let found = REQUEST_BYTES_MAXIMUM + 1;
    let error = corner.refused(of_size(found)).await;
    assert_eq!(error, StoreError::Request(RequestError::TooLarge { found }));
}

/// In any place.
pub async fn empty_keys_are_refused(subject: &dyn Subject) {
    let corner = Corner::of(subject, "empty").await;
    let empty = [
        Transaction::new().when(Compare::Exists(Vec::new())),
        Transaction::new().then(Operation::put("", "1")),
        Transaction::new().then(Operation::delete("")),
        Transaction::new().otherwise(Operation::get("")),
    ];
    for transaction in empty {
        let error = corner.refused(transaction.clone()).await;
        assert_eq!(
            error,
            StoreError::Request(RequestError::EmptyKey),
            "{transaction:?}"
        );
    }
}

/// Keys are bytes, in the order of bytes; a value may be empty.
pub async fn any_bytes_can_be_a_key(subject: &dyn Subject) {
    let corner = Corner::of(subject, "any").await;
    let names: [&[u8]; 6] = [b"", b"\0", b"\0\0", b"\x01", b"\x7f\xff", b"\xff\xff\0"];
    for name in names.iter().rev() {
        let put = corner.store.put(corner.key(name), Vec::new());
        put.await.expect("any bytes are a key");
    }
    let answer = corner.range(RangeRequest::new(corner.all())).await;
    let found: Vec<Vec<u8>> = answer.entries.into_iter().map(|entry| entry.key).collect();
    let expected: Vec<Vec<u8>> = names.iter().map(|name| corner.key(name)).collect();
    assert_eq!(found, expected);
}
