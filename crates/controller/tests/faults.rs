//! Writes and the mirror on a store that misbehaves: lost answers, lost requests, lost watch events.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anet_api::resource::{NetworkCreate, Requests};
use anet_cluster::trust::Authority;
use anet_controller::configuration::{Configuration, Options};
use anet_controller::core::admit::join::{JoinToken, UsedToken};
use anet_controller::core::admit::{Answer, Asked, Caller, idempotency, network, project};
use anet_controller::core::events::EventKind;
use anet_controller::core::mirror::Cluster;
use anet_controller::core::{keys, record};
use anet_controller::follow;
use anet_controller::shared::Shared;
use anet_controller::sweep;
use anet_controller::tokens::Tokens;
use anet_store::Store;
use anet_store::clock::ManualClock;
use anet_store::model::{DeliveryFault, ModelStore, ReadFault, Script, TransactionFault};
use support::Folder;

fn caller() -> Caller {
    Caller {
        project: Some("blue".parse().unwrap()),
        admin: true,
    }
}

/// A controller's inside on a store with a script of faults, following it, with one project.
async fn shared(folder: &Folder) -> (Arc<Shared>, Script, ModelStore) {
    let truth = ModelStore::new(ManualClock::default());
    let script = Script::default();
    let store = Arc::new(truth.client_with(script.clone()));
    let cluster = record::encode(&Cluster {
        cluster: "faults".to_owned(),
        incarnation: 1,
    });
    store.put(keys::CLUSTER.to_vec(), cluster.unwrap()).await.unwrap();
    let tokens = folder.0.join("tokens.json");
    std::fs::write(&tokens, "{}").unwrap();
    let (shared, _effects) = Shared::new(
        store,
        Configuration::new(folder.0.clone(), Options::default()).unwrap(),
        Tokens::open(&tokens).unwrap(),
        Authority::generate("faults", SystemTime::now()).unwrap(),
    );
    let loaded = follow::load(&shared).await.unwrap();
    let following = shared.clone();
    tokio::spawn(async move { follow::follow(&following, loaded).await });
    let asked = Asked::Create(Requests::One(anet_api::resource::ProjectCreate {
        id: Some("blue".parse().unwrap()),
        name: "blue".to_owned(),
        description: String::new(),
    }));
    let made = shared.write(None, |state, draw| {
        project::admit(state.mirror(), &caller(), asked.clone(), draw)
    });
    assert_eq!(made.await.unwrap().status, 201);
    (shared, script, truth)
}

async fn make_network(shared: &Shared, key: Option<&str>) -> Result<Answer, anet_api::ApiError> {
    let asked = Asked::Create(Requests::One(NetworkCreate {
        name: "n".to_owned(),
        description: String::new(),
        project_id: None,
        admin_state_up: true,
        mtu: None,
        segmentation_id: None,
    }));
    let keyed = key.map(|key| idempotency::keyed(&caller(), key, "POST", "/v2.0/networks", b"{}").unwrap());
    let write = shared.write(keyed.as_ref(), |state, draw| {
        network::admit(state.mirror(), &caller(), asked.clone(), draw)
    });
    write.await
}

fn networks(shared: &Shared) -> usize {
    shared.state().mirror().intent().networks.len()
}

fn told(shared: &Shared, kind: EventKind) -> bool {
    shared.state().events().since(0).any(|event| event.kind == kind)
}

fn run(name: &str, test: impl AsyncFnOnce(Arc<Shared>, Script, ModelStore)) {
    let folder = Folder::new(name);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (shared, script, truth) = shared(&folder).await;
        tokio::time::timeout(Duration::from_secs(60), test(shared, script, truth))
            .await
            .unwrap();
    });
}

#[test]
fn a_write_whose_answer_is_lost_is_done_once_and_answered() {
    run("lost-after", async |shared, script, _| {
        for fault in [
            TransactionFault::LostAfter,
            TransactionFault::LostBefore,
            TransactionFault::Refused,
        ] {
            let before = networks(&shared);
            script.transaction(fault);
            assert_eq!(
                make_network(&shared, None).await.unwrap().status,
                201,
                "{fault:?}"
            );
            assert_eq!(networks(&shared), before + 1, "{fault:?}");
        }
    });
}

#[test]
fn a_request_that_arrives_late_as_well_makes_nothing_more() {
    run("late", async |shared, script, truth| {
        script.transaction(TransactionFault::ArrivesLate(Duration::from_secs(1)));
        assert_eq!(make_network(&shared, Some("k")).await.unwrap().status, 201);
        truth.clock().advance(Duration::from_secs(2));
        let again = make_network(&shared, Some("k")).await.unwrap();
        assert_eq!(again.status, 201);
        shared.catch_up().await.unwrap();
        assert_eq!(networks(&shared), 1);
    });
}

#[test]
fn a_lost_watch_event_is_found_be_it_the_last_one() {
    run("lost-event", async |shared, script, truth| {
        script.delivery(truth.revision() + 1, DeliveryFault::Lost);
        assert_eq!(
            make_network(&shared, None).await.unwrap().status,
            201,
            "nothing comes behind it"
        );
        assert_eq!(networks(&shared), 1, "and a read behind the answer sees it");
        assert!(told(&shared, EventKind::WatchRepaired));
    });
}

#[test]
fn a_broken_or_overtaken_watch_is_begun_anew() {
    run("broken", async |shared, script, truth| {
        for fault in [
            DeliveryFault::Broken,
            DeliveryFault::Overtaken,
            DeliveryFault::Repeated,
            DeliveryFault::Rewound(3),
        ] {
            let before = networks(&shared);
            script.delivery(truth.revision() + 1, fault);
            assert_eq!(
                make_network(&shared, None).await.unwrap().status,
                201,
                "{fault:?}"
            );
            assert_eq!(networks(&shared), before + 1, "{fault:?}");
        }
    });
}

#[test]
fn a_store_that_does_not_answer_is_a_503_and_nothing_is_half_done() {
    run("unavailable", async |shared, script, _| {
        for _ in 0..20 {
            script.transaction(TransactionFault::Refused);
        }
        let error = make_network(&shared, None).await.unwrap_err();
        assert_eq!(error.status, 503, "{}", error.message);
        assert_eq!(networks(&shared), 0);
        script.read(ReadFault::Refused);
        assert_eq!(shared.catch_up().await.unwrap_err().status, 503);
    });
}

/// A controller on the same store whose mirror never hears of anything.
async fn deaf(folder: &Folder, truth: &ModelStore) -> Arc<Shared> {
    let tokens = folder.0.join("tokens.json");
    std::fs::write(&tokens, "{}").unwrap();
    let (deaf, _effects) = Shared::new(
        Arc::new(truth.client()),
        Configuration::new(folder.0.clone(), Options::default()).unwrap(),
        Tokens::open(&tokens).unwrap(),
        Authority::generate("faults", SystemTime::now()).unwrap(),
    );
    follow::load(&deaf).await.unwrap();
    deaf
}

/// "Try again" would make a second one.
#[test]
fn what_is_written_is_answered_as_done_though_the_mirror_does_not_keep_up() {
    run("deaf", async |shared, _, truth| {
        let folder = Folder::new("deaf-second");
        let deaf = deaf(&folder, &truth).await;
        assert_eq!(make_network(&deaf, None).await.unwrap().status, 201);
        shared.catch_up().await.unwrap();
        assert_eq!(networks(&shared), 1);
        assert_eq!(
            deaf.catch_up().await.unwrap_err().status,
            503,
            "and no read is answered without it"
        );
    });
}

#[test]
fn what_may_be_written_is_not_answered_as_if_it_were_not() {
    run("unknown", async |shared, script, _| {
        script.transaction(TransactionFault::LostAfter);
        // The follower reads too.
        for _ in 0..16 {
            script.read(ReadFault::Refused);
        }
        let error = make_network(&shared, None).await.unwrap_err();
        assert_eq!(error.status, 503);
        assert!(
            error.message.contains("unknown whether the change was made"),
            "{}",
            error.message
        );
        while shared.catch_up().await.is_err() {}
        assert_eq!(networks(&shared), 1);
    });
}

#[test]
fn two_controllers_on_one_store_decide_one_after_the_other() {
    run("two", async |shared, _, truth| {
        let folder = Folder::new("two-second");
        let tokens = folder.0.join("tokens.json");
        std::fs::write(&tokens, "{}").unwrap();
        let (second, _effects) = Shared::new(
            Arc::new(truth.client()),
            Configuration::new(folder.0.clone(), Options::default()).unwrap(),
            Tokens::open(&tokens).unwrap(),
            Authority::generate("faults", SystemTime::now()).unwrap(),
        );
        let loaded = follow::load(&second).await.unwrap();
        let following = second.clone();
        tokio::spawn(async move { follow::follow(&following, loaded).await });
        let (first, other) = tokio::join!(make_network(&shared, Some("k")), make_network(&second, Some("k")));
        assert_eq!(
            first.unwrap(),
            other.unwrap(),
            "one key, one answer, whichever controller"
        );
        shared.catch_up().await.unwrap();
        second.catch_up().await.unwrap();
        assert_eq!((networks(&shared), networks(&second)), (1, 1));
        assert!(shared.mint(1).await.unwrap() && second.mint(1).await.unwrap());
        second.catch_up().await.unwrap();
        assert_eq!(
            second.state().mirror().cluster().incarnation,
            2,
            "begun anew once"
        );
    });
}

#[test]
fn join_tokens_leave_the_store_a_week_after_their_end_or_use() {
    run("sweep", async |shared, _, _| {
        let now_s = shared.now().wall_ms / 1_000;
        let day = 86_400;
        let token = |expires_at| {
            record::encode(&JoinToken {
                host: None,
                expires_at,
            })
            .unwrap()
        };
        let used = |used_at| {
            let host = "h1".parse().unwrap();
            record::encode(&UsedToken { host, used_at }).unwrap()
        };
        let kept = [
            (keys::join_token("good"), token(now_s + day)),
            (keys::join_token("ended"), token(now_s - day)),
            (keys::used_token("lately"), used(now_s - day)),
            (keys::join_token("damaged"), b"x".to_vec()),
        ];
        let gone = [
            (keys::join_token("old"), token(now_s - 8 * day)),
            (keys::used_token("old"), used(now_s - 8 * day)),
        ];
        for (key, value) in kept.iter().chain(&gone) {
            shared.store.put(key.clone(), value.clone()).await.unwrap();
        }
        assert_eq!(sweep::once(&shared).await.unwrap(), 2);
        for (key, value) in kept {
            assert_eq!(shared.store.get(key).await.unwrap().unwrap().value, value);
        }
        for (key, _) in gone {
            assert_eq!(shared.store.get(key).await.unwrap(), None);
        }
        assert_eq!(sweep::once(&shared).await.unwrap(), 0);
        assert_eq!(
            make_network(&shared, None).await.unwrap().status,
            201,
            "writes go on"
        );
    });
}
