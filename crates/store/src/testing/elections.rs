//! Cases: elections and fences.

use std::time::Duration;

use crate::election::{Election, Fenced};
use crate::error::{RequestError, StoreError};
use crate::record::Lease;
use crate::testing::Subject;
use crate::testing::support::Corner;
use crate::transaction::{Compare, Transaction};

const TTL: Duration = Duration::from_secs(3);

async fn grant(corner: &Corner) -> Lease {
    corner.store.grant(TTL).await.expect("a lease is granted")
}

fn election(corner: &Corner) -> Election {
    Election::new(corner.store.clone(), corner.key("leader"))
}

/// Who comes second waits, and sees at once when the place is free.
pub async fn one_leads_and_the_next_follows_when_it_resigns(subject: &dyn Subject) {
    let corner = Corner::of(subject, "resigns").await;
    let election = election(&corner);
    let (one, two) = (grant(&corner).await, grant(&corner).await);
    let first = election.campaign("one", one.id).await.expect("nobody else leads");
    assert_eq!(election.leader().await, Ok(Some(first.clone())));
    assert_eq!(election.try_campaign("two", two.id).await, Ok(None));
    let (second, resigned) = tokio::join!(election.campaign("two", two.id), election.resign(&first));
    assert_eq!(resigned, Ok(()));
    let second = second.expect("the place is free");
    assert_eq!(
        (second.value.as_slice(), second.lease),
        (b"two".as_slice(), Some(two.id))
    );
    assert!(second.fence.revision() > first.fence.revision());
    // Resigning late takes nobody else's place.
    assert_eq!(election.resign(&first).await, Ok(()));
    assert_eq!(election.leader().await, Ok(Some(second)));
}

/// Without a keep-alive the next one leads.
pub async fn a_leadership_ends_with_its_lease(subject: &dyn Subject) {
    let corner = Corner::of(subject, "expires").await;
    let election = election(&corner);
    let one = grant(&corner).await;
    let first = election.campaign("one", one.id).await.expect("nobody else leads");
    subject.pass(one.ttl + TTL).await;
    assert_eq!(election.leader().await, Ok(None));
    let refused = election.campaign("one", one.id).await;
    assert_eq!(refused, Err(StoreError::NoLease(one.id)));
    let two = grant(&corner).await;
    let second = election.campaign("two", two.id).await.expect("the place is free");
    assert_ne!(second.fence, first.fence);
}

/// Also where the paused one leads again by then, under a later leadership.
pub async fn the_late_write_of_a_paused_leader_is_refused(subject: &dyn Subject) {
    let corner = Corner::of(subject, "paused").await;
    let election = election(&corner);
    let store = corner.store.as_ref();
    let write = |value: &str| Transaction::new().then(corner.put_of("a", value));
    let one = grant(&corner).await;
    let first = election.campaign("one", one.id).await.expect("nobody else leads");
    let early = first.fence.transact(store, write("early")).await;
    assert!(matches!(early, Ok(Fenced::Ran(answer)) if answer.succeeded()));

    subject.pass(one.ttl + TTL).await;
    let late = first.fence.transact(store, write("nobody leads")).await;
    assert_eq!(late, Ok(Fenced::Deposed));
    let two = grant(&corner).await;
    let second = election.campaign("two", two.id).await.expect("the place is free");
    let late = first.fence.transact(store, write("another leads")).await;
    assert_eq!(late, Ok(Fenced::Deposed));
    let plain = corner.run(write("by hand").when(first.fence.compare())).await;
    assert!(!plain.succeeded());

    assert_eq!(election.resign(&second).await, Ok(()));
    let again = election.campaign("two", two.id).await.expect("the place is free");
    let late = second.fence.transact(store, write("an earlier time")).await;
    assert_eq!(late, Ok(Fenced::Deposed));
    assert_eq!(
        corner
            .store
            .get(corner.key("a"))
            .await
            .map(|a| a.map(|a| a.value)),
        Ok(Some(b"early".to_vec()))
    );
    let now = again.fence.transact(store, write("now")).await;
    assert!(matches!(now, Ok(Fenced::Ran(answer)) if answer.succeeded()));
}

/// And what cannot be fenced is not sent.
pub async fn a_failed_compare_is_not_a_lost_leadership(subject: &dyn Subject) {
    let corner = Corner::of(subject, "own-compare").await;
    let lease = grant(&corner).await;
    let leader = election(&corner).campaign("one", lease.id).await;
    let fence = leader.expect("nobody else leads").fence;
    let transaction = Transaction::new()
        .when(Compare::Exists(corner.key("a")))
        .then(corner.put_of("b", "1"))
        .otherwise(crate::Operation::get(corner.key("a")));
    let ran = fence.transact(corner.store.as_ref(), transaction).await;
    let Ok(Fenced::Ran(answer)) = ran else {
        panic!("the leadership stands: {ran:?}")
    };
    assert!(!answer.succeeded());
    assert_eq!(answer.results, [crate::OperationResult::Got(None)]);

    let unfenced = Transaction::new().otherwise(corner.put_of("a", "1"));
    let refused = fence.transact(corner.store.as_ref(), unfenced).await;
    assert_eq!(refused, Err(StoreError::Request(RequestError::UnfencedWrite)));
}

/// At once who leads, then each change.
pub async fn an_observer_sees_who_leads(subject: &dyn Subject) {
    let corner = Corner::of(subject, "observer").await;
    let election = election(&corner);
    let mut observer = election.observe();
    assert_eq!(observer.next().await, Ok(None));
    let one = grant(&corner).await;
    let (seen, leader) = tokio::join!(observer.next(), election.campaign("one", one.id));
    assert_eq!(seen, leader.clone().map(Some));
    let leader = leader.expect("nobody else leads");
    let (seen, resigned) = tokio::join!(observer.next(), election.resign(&leader));
    assert_eq!((seen, resigned), (Ok(None), Ok(())));
    let leader = election.campaign("one", one.id).await;
    observer.look_again();
    assert_eq!(observer.next().await, leader.map(Some));
}

/// So that it can be asked at each keep-alive, and after an unknown outcome.
pub async fn a_second_campaign_of_the_leader_finds_itself(subject: &dyn Subject) {
    let corner = Corner::of(subject, "itself").await;
    let election = election(&corner);
    let lease = grant(&corner).await;
    let first = election.try_campaign("one", lease.id).await;
    assert!(matches!(first, Ok(Some(_))));
    let revision = corner.revision().await;
    assert_eq!(election.try_campaign("one", lease.id).await, first);
    assert_eq!(corner.revision().await, revision);
}
