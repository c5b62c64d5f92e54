//! Cases: leases.

use std::time::Duration;

use crate::error::StoreError;
use crate::record::{Lease, LeaseId};
use crate::testing::Subject;
use crate::testing::support::Corner;
use crate::transaction::{Compare, Operation, Transaction};

const ASKED: Duration = Duration::from_secs(4);
const SHORT: Duration = Duration::from_millis(100);

async fn grant(corner: &Corner) -> Lease {
    let lease = corner.store.grant(ASKED).await.expect("a lease is granted");
    assert!(lease.ttl >= ASKED, "never shorter than asked");
    lease
}

async fn put(corner: &Corner, name: &str, lease: Lease) {
    let put = Operation::put_leased(corner.key(name), "leased", lease.id);
    corner.run(Transaction::new().then(put)).await;
}

/// Fractions of a second are rounded up; each lease has a name of its own.
pub async fn a_lease_lives_as_long_as_asked(subject: &dyn Subject) {
    let corner = Corner::of(subject, "long").await;
    let store = &corner.store;
    let (first, second) = (store.grant(SHORT).await, store.grant(SHORT).await);
    let (first, second) = (first.expect("granted"), second.expect("granted"));
    assert!(first.ttl >= SHORT && first.ttl.subsec_nanos() == 0);
    assert_ne!(first.id, second.id);
    let lease = grant(&corner).await;
    put(&corner, "a", lease).await;
    subject.pass(ASKED - SHORT).await;
    assert_eq!(corner.content().await, "a=leased");
    let entry = corner.store.get(corner.key("a")).await.unwrap_or_default();
    assert_eq!(entry.and_then(|entry| entry.lease), Some(lease.id));
}

/// Watchers see it as deletes.
pub async fn keys_vanish_with_their_lease_at_one_revision(subject: &dyn Subject) {
    let corner = Corner::of(subject, "vanish").await;
    let lease = grant(&corner).await;
    corner.put("stays", "1").await;
    put(&corner, "b", lease).await;
    put(&corner, "a", lease).await;
    let before = corner.revision().await;
    let mut watcher = corner.watch(before + 1).await;
    // A store may take its time to notice; it may not forget.
    subject.pass(lease.ttl + ASKED).await;
    assert_eq!(corner.content().await, "stays=1");
    let revision = before + 1;
    assert_eq!(corner.revision().await, revision);
    let events = corner.events(watcher.as_mut(), 2).await;
    assert_eq!(events, [format!("{revision}:a-"), format!("{revision}:b-")]);
    let gone = corner.store.keep_alive(lease.id).await;
    assert_eq!(gone, Err(StoreError::NoLease(lease.id)));
    let gone = corner.store.revoke(lease.id).await;
    assert_eq!(gone, Err(StoreError::NoLease(lease.id)));
}

/// For as long as somebody does it.
pub async fn a_lease_that_is_kept_alive_stays(subject: &dyn Subject) {
    let corner = Corner::of(subject, "kept").await;
    let lease = grant(&corner).await;
    put(&corner, "a", lease).await;
    for _ in 0..4 {
        subject.pass(lease.ttl / 2).await;
        let ttl = corner.store.keep_alive(lease.id).await;
        assert!(ttl.is_ok_and(|ttl| ttl >= ASKED));
    }
    assert_eq!(corner.content().await, "a=leased");
    subject.pass(lease.ttl + ASKED).await;
    assert_eq!(corner.content().await, "");
}

/// At once, and a second time is an error.
pub async fn a_revoked_lease_takes_its_keys_along(subject: &dyn Subject) {
    let corner = Corner::of(subject, "revoked").await;
    let (lease, empty) = (grant(&corner).await, grant(&corner).await);
    put(&corner, "a", lease).await;
    put(&corner, "b", lease).await;
    let before = corner.revision().await;
    assert_eq!(corner.store.revoke(lease.id).await, Ok(()));
    assert_eq!(corner.revision().await, before + 1);
    assert_eq!(corner.store.revoke(empty.id).await, Ok(()));
    assert_eq!(corner.revision().await, before + 1, "no key, no revision");
    assert_eq!(corner.content().await, "");
    let again = corner.store.revoke(lease.id).await;
    assert_eq!(again, Err(StoreError::NoLease(lease.id)));
}

/// A put without the lease, or with another one, or a delete and a put.
pub async fn a_key_leaves_its_lease_when_it_is_written_anew(subject: &dyn Subject) {
    let corner = Corner::of(subject, "leaves").await;
    let (lease, other) = (grant(&corner).await, grant(&corner).await);
    for name in ["free", "moved", "again", "held"] {
        put(&corner, name, lease).await;
    }
    corner.put("free", "now").await;
    put(&corner, "moved", other).await;
    corner.delete("again").await;
    corner.put("again", "now").await;
    put(&corner, "held", lease).await;
    assert_eq!(corner.store.revoke(lease.id).await, Ok(()));
    assert_eq!(corner.content().await, "again=now free=now moved=leased");
    assert_eq!(corner.store.revoke(other.id).await, Ok(()));
    assert_eq!(corner.content().await, "again=now free=now");
}

/// The lease of a branch that does not run is not asked for.
pub async fn without_a_lease_nothing_is_written(subject: &dyn Subject) {
    let corner = Corner::of(subject, "without").await;
    let lease = grant(&corner).await;
    assert_eq!(corner.store.revoke(lease.id).await, Ok(()));
    for missing in [lease.id, LeaseId(0x7fff_ffff_ffff)] {
        let transaction = Transaction::new()
            .then(corner.put_of("a", "1"))
            .then(Operation::put_leased(corner.key("b"), "1", missing));
        assert_eq!(
            corner.refused(transaction.clone()).await,
            StoreError::NoLease(missing)
        );
        let not_run = transaction.when(Compare::Exists(corner.key("never")));
        assert!(!corner.run(not_run).await.succeeded());
    }
    assert_eq!(corner.content().await, "");
}
