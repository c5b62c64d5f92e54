//! The mirror against a store whose watch misbehaves.

use anet_model::intent::{Common, Project, ProjectId};
use anet_store::clock::ManualClock;
use anet_store::model::{DeliveryFault, ModelClient, ModelStore, Script};
use anet_store::{Compare, Operation, Store, Transaction, WatchRequest, Watcher, list};

use super::super::keys::{self, Noun};
use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn project(id: &str, name: &str) -> Transaction {
    let id = ProjectId::new(id).unwrap();
    let project = Project {
        common: Common {
            name: name.to_owned(),
            ..Common::default()
        },
    };
    let record = record::encode(&project).unwrap();
    Transaction::new()
        .then(Operation::put(keys::object(Noun::Project, &id), record))
        .then(Operation::put(keys::COUNTER, counter_value(1)))
}

async fn load(store: &dyn Store, mirror: &mut Mirror) {
    let listing = list(store, &keys::objects(), 2).await.unwrap();
    let counter = store.get(keys::COUNTER.to_vec()).await.unwrap();
    mirror.list(&listing, counter.as_ref(), None).unwrap();
}

async fn watch(store: &ModelClient, mirror: &Mirror) -> Box<dyn Watcher> {
    store
        .watch(WatchRequest::new(keys::watched(), mirror.revision() + 1))
        .await
        .unwrap()
}

fn names(mirror: &Mirror) -> Vec<&str> {
    mirror
        .intent()
        .projects
        .values()
        .map(|project| project.common.name.as_str())
        .collect()
}

#[test]
fn a_listing_and_a_watch_see_the_same() {
    runtime().block_on(async {
        let store = ModelStore::new(ManualClock::default()).client();
        let mut mirror = Mirror::new(Settings::default());
        load(&store, &mut mirror).await;
        let mut watcher = watch(&store, &mirror).await;
        for (id, name) in [("a", "1"), ("b", "2"), ("a", "3")] {
            store.transact(project(id, name)).await.unwrap();
            let batch = watcher.next().await.unwrap();
            assert!(matches!(mirror.follow(&batch).unwrap(), Followed::Applied(_)));
        }
        assert_eq!(names(&mirror), ["3", "2"]);
        let mut other = Mirror::new(Settings::default());
        load(&store, &mut other).await;
        assert_eq!(other.intent(), mirror.intent());
        assert_eq!(other.revision(), mirror.revision());
        assert_eq!(
            other.revision_of(Noun::Project, "a"),
            mirror.revision_of(Noun::Project, "a")
        );
        assert_ne!(mirror.revision_of(Noun::Project, "a"), 0);
        assert_eq!(mirror.revision_of(Noun::Project, "c"), 0);
    });
}

#[test]
fn a_revision_lost_in_the_midst_is_a_gap_and_a_listing_mends_it() {
    runtime().block_on(async {
        let truth = ModelStore::new(ManualClock::default());
        let script = Script::default();
        let store = truth.client_with(script.clone());
        let mut mirror = Mirror::new(Settings::default());
        load(&store, &mut mirror).await;
        let mut watcher = watch(&store, &mirror).await;
        script.delivery(2, DeliveryFault::Lost);
        store.transact(project("a", "1")).await.unwrap();
        store.transact(project("b", "2")).await.unwrap();
        let batch = watcher.next().await.unwrap();
        assert_eq!(mirror.follow(&batch).unwrap(), Followed::Gap);
        assert!(names(&mirror).is_empty(), "a gap changes nothing");
        load(&store, &mut mirror).await;
        assert_eq!(names(&mirror), ["1", "2"]);
    });
}

#[test]
fn the_counter_tells_of_a_lost_last_revision() {
    runtime().block_on(async {
        let truth = ModelStore::new(ManualClock::default());
        let script = Script::default();
        let store = truth.client_with(script.clone());
        let mut mirror = Mirror::new(Settings::default());
        load(&store, &mut mirror).await;
        let _watcher = watch(&store, &mirror).await;
        script.delivery(2, DeliveryFault::Lost);
        let written = store.transact(project("a", "1")).await.unwrap().revision;
        let counter = store.get(keys::COUNTER.to_vec()).await.unwrap().unwrap();
        assert!(counter.mod_revision > mirror.revision(), "so it is seen");
        mirror.advance(counter.mod_revision, written);
        assert!(mirror.revision() < written, "and not passed over");
    });
}

#[test]
fn repeated_and_rewound_revisions_do_nothing() {
    for fault in [DeliveryFault::Repeated, DeliveryFault::Rewound(2)] {
        runtime().block_on(async {
            let truth = ModelStore::new(ManualClock::default());
            let script = Script::default();
            let store = truth.client_with(script.clone());
            let mut mirror = Mirror::new(Settings::default());
            load(&store, &mut mirror).await;
            let mut watcher = watch(&store, &mirror).await;
            script.delivery(3, fault);
            for (id, name) in [("a", "1"), ("a", "2"), ("a", "3"), ("b", "4")] {
                store.transact(project(id, name)).await.unwrap();
            }
            while mirror.revision() < 5 {
                let batch = watcher.next().await.unwrap();
                assert!(
                    matches!(mirror.follow(&batch).unwrap(), Followed::Applied(_)),
                    "{fault:?}"
                );
            }
            assert_eq!(names(&mirror), ["3", "4"]);
        });
    }
}

#[test]
fn an_object_missing_from_a_revision_is_a_gap() {
    runtime().block_on(async {
        let store = ModelStore::new(ManualClock::default()).client();
        let mut mirror = Mirror::new(Settings::default());
        load(&store, &mut mirror).await;
        let mut watcher = watch(&store, &mirror).await;
        store.transact(project("a", "1")).await.unwrap();
        let mut batch = watcher.next().await.unwrap();
        batch.events.retain(|event| event.key == keys::COUNTER);
        assert_eq!(mirror.follow(&batch).unwrap(), Followed::Gap);
    });
}

#[test]
fn what_vanished_between_two_listings_is_gone_and_a_newer_record_is_refused() {
    runtime().block_on(async {
        let store = ModelStore::new(ManualClock::default()).client();
        let mut mirror = Mirror::new(Settings::default());
        store.transact(project("a", "1")).await.unwrap();
        store.transact(project("b", "2")).await.unwrap();
        load(&store, &mut mirror).await;
        let key = keys::object(Noun::Project, &ProjectId::new("a").unwrap());
        let delete = Transaction::new()
            .when(Compare::Exists(key.clone()))
            .then(Operation::delete(key));
        store
            .transact(delete.then(Operation::put(keys::COUNTER, counter_value(1))))
            .await
            .unwrap();
        load(&store, &mut mirror).await;
        assert_eq!(names(&mirror), ["2"]);
        let key = keys::object(Noun::Project, &ProjectId::new("c").unwrap());
        store.put(key, b"\x02{}".to_vec()).await.unwrap();
        let listing = list(&store, &keys::objects(), 10).await.unwrap();
        let error = mirror.list(&listing, None, None).unwrap_err();
        assert!(
            error.to_string().contains("start the newer controller"),
            "{error}"
        );
    });
}

#[test]
fn idempotency_keys_that_expire_are_no_gap() {
    runtime().block_on(async {
        let store = ModelStore::new(ManualClock::default()).client();
        let mut mirror = Mirror::new(Settings::default());
        load(&store, &mut mirror).await;
        let mut watcher = watch(&store, &mirror).await;
        store
            .put(keys::idempotency("p", "h"), b"x".to_vec())
            .await
            .unwrap();
        store.transact(project("a", "1")).await.unwrap();
        while names(&mirror).is_empty() {
            let batch = watcher.next().await.unwrap();
            assert!(matches!(mirror.follow(&batch).unwrap(), Followed::Applied(_)));
        }
        assert_eq!(names(&mirror), ["1"]);
    });
}

#[test]
fn progress_is_not_taken_for_what_was_lost() {
    runtime().block_on(async {
        let truth = ModelStore::new(ManualClock::default());
        let script = Script::default();
        let store = truth.client_with(script.clone());
        let mut mirror = Mirror::new(Settings::default());
        load(&store, &mut mirror).await;
        let mut watcher = watch(&store, &mirror).await;
        script.delivery(2, DeliveryFault::Lost);
        let written = store.transact(project("a", "1")).await.unwrap().revision;
        store
            .put(keys::idempotency("p", "h"), b"x".to_vec())
            .await
            .unwrap();
        let batch = watcher.next().await.unwrap();
        assert!(batch.revision > written, "something else came behind it");
        mirror.follow(&batch).unwrap();
        watcher.request_progress();
        let batch = watcher.next().await.unwrap();
        mirror.follow(&batch).unwrap();
        assert!(mirror.revision() < written && !mirror.has(written));
    });
}
