//! Writes and the mirror on a store that misbehaves: lost answers, lost requests, lost watch events.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;
use std::time::Duration;

use anet_api::resource::{NetworkCreate, Requests};
use anet_controller::core::admit::join::{JoinToken, UsedToken};
use anet_controller::core::admit::{Answer, Asked, Caller, idempotency, network, project};
use anet_controller::core::events::EventKind;
use anet_controller::core::fabric::{Effect, Now};
use anet_controller::core::mirror::Cluster;
use anet_controller::core::{keys, record};
use anet_controller::driver::Driver;
use anet_controller::follow;
use anet_controller::sweep;
use anet_controller::timer::{MachineTimer, Sleep, Timer};
use anet_packet::addr::Vni;
use anet_plan::Settings;
use anet_store::Store;
use anet_store::clock::ManualClock;
use anet_store::model::{DeliveryFault, ModelStore, ReadFault, Script, TransactionFault};
use tokio::sync::mpsc::UnboundedReceiver;

/// The machine's time, and pauses that do not take as long as they say.
#[derive(Debug, Default)]
struct Hasty(MachineTimer);

impl Timer for Hasty {
    fn now(&self) -> Now {
        self.0.now()
    }

    fn sleep(&self, time: Duration) -> Sleep<'_> {
        self.0.sleep(time / 100)
    }

    fn random(&self) -> u64 {
        self.0.random()
    }
}

fn caller() -> Caller {
    Caller {
        project: Some("blue".parse().unwrap()),
        admin: true,
    }
}

/// A controller's inside, which has not read its store.
fn unread(store: Arc<dyn Store>, timer: Arc<dyn Timer>) -> (Driver, UnboundedReceiver<Effect>) {
    let vnis = (Vni::new(1).unwrap(), Vni::new(1_000).unwrap());
    Driver::new(store, timer, Settings::default(), vnis, |_| {})
}

/// One that follows its store.
async fn driver(store: Arc<dyn Store>, timer: Arc<dyn Timer>) -> Arc<Driver> {
    let (driver, _effects) = unread(store, timer);
    let driver = Arc::new(driver);
    let loaded = follow::load(&driver).await.unwrap();
    let following = driver.clone();
    tokio::spawn(async move { follow::follow(&following, loaded).await });
    driver
}

/// One on a store with a script of faults, with one project.
async fn scripted(timer: Arc<dyn Timer>) -> (Arc<Driver>, Script, ModelStore) {
    let truth = ModelStore::new(ManualClock::default());
    let script = Script::default();
    let store = Arc::new(truth.client_with(script.clone()));
    let cluster = record::encode(&Cluster {
        cluster: "faults".to_owned(),
        incarnation: 1,
    });
    store.put(keys::CLUSTER.to_vec(), cluster.unwrap()).await.unwrap();
    let driver = driver(store, timer).await;
    let asked = Asked::Create(Requests::One(anet_api::resource::ProjectCreate {
        id: Some("blue".parse().unwrap()),
        name: "blue".to_owned(),
        description: String::new(),
    }));
    let made = driver.write(None, |state, draw| {
        project::admit(state.mirror(), &caller(), asked.clone(), draw)
    });
    assert_eq!(made.await.unwrap().status, 201);
    (driver, script, truth)
}

async fn make_network(driver: &Driver, key: Option<&str>) -> Result<Answer, anet_api::ApiError> {
    let asked = Asked::Create(Requests::One(NetworkCreate {
        name: "n".to_owned(),
        description: String::new(),
        project_id: None,
        admin_state_up: true,
        mtu: None,
        segmentation_id: None,
    }));
    let keyed = key.map(|key| idempotency::keyed(&caller(), key, "POST", "/v2.0/networks", b"{}").unwrap());
    let write = driver.write(keyed.as_ref(), |state, draw| {
        network::admit(state.mirror(), &caller(), asked.clone(), draw)
    });
    write.await
}

fn networks(driver: &Driver) -> usize {
    driver.state().mirror().intent().networks.len()
}

fn told(driver: &Driver, kind: EventKind) -> bool {
    driver.state().events().since(0).any(|event| event.kind == kind)
}

fn run(test: impl AsyncFnOnce(Arc<Driver>, Script, ModelStore)) {
    run_with(Arc::new(MachineTimer::default()), test);
}

fn run_with(timer: Arc<dyn Timer>, test: impl AsyncFnOnce(Arc<Driver>, Script, ModelStore)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (driver, script, truth) = scripted(timer).await;
        tokio::time::timeout(Duration::from_secs(60), test(driver, script, truth))
            .await
            .unwrap();
    });
}

#[test]
fn a_write_whose_answer_is_lost_is_done_once_and_answered() {
    run(async |driver, script, _| {
        for fault in [
            TransactionFault::LostAfter,
            TransactionFault::LostBefore,
            TransactionFault::Refused,
        ] {
            let before = networks(&driver);
            script.transaction(fault);
            assert_eq!(
                make_network(&driver, None).await.unwrap().status,
                201,
                "{fault:?}"
            );
            assert_eq!(networks(&driver), before + 1, "{fault:?}");
        }
    });
}

#[test]
fn a_request_that_arrives_late_as_well_makes_nothing_more() {
    run(async |driver, script, truth| {
        script.transaction(TransactionFault::ArrivesLate(Duration::from_secs(1)));
        assert_eq!(make_network(&driver, Some("k")).await.unwrap().status, 201);
        truth.clock().advance(Duration::from_secs(2));
        let again = make_network(&driver, Some("k")).await.unwrap();
        assert_eq!(again.status, 201);
        driver.catch_up().await.unwrap();
        assert_eq!(networks(&driver), 1);
    });
}

#[test]
fn a_lost_watch_event_is_found_be_it_the_last_one() {
    run(async |driver, script, truth| {
        script.delivery(truth.revision() + 1, DeliveryFault::Lost);
        assert_eq!(
            make_network(&driver, None).await.unwrap().status,
            201,
            "nothing comes behind it"
        );
        assert_eq!(networks(&driver), 1, "and a read behind the answer sees it");
        assert!(told(&driver, EventKind::WatchRepaired));
    });
}

#[test]
fn a_broken_or_overtaken_watch_is_begun_anew() {
    run(async |driver, script, truth| {
        for fault in [
            DeliveryFault::Broken,
            DeliveryFault::Overtaken,
            DeliveryFault::Repeated,
            DeliveryFault::Rewound(3),
        ] {
            let before = networks(&driver);
            script.delivery(truth.revision() + 1, fault);
            assert_eq!(
                make_network(&driver, None).await.unwrap().status,
                201,
                "{fault:?}"
            );
            assert_eq!(networks(&driver), before + 1, "{fault:?}");
        }
    });
}

#[test]
fn a_store_that_does_not_answer_is_a_503_and_nothing_is_half_done() {
    run(async |driver, script, _| {
        for _ in 0..20 {
            script.transaction(TransactionFault::Refused);
        }
        let error = make_network(&driver, None).await.unwrap_err();
        assert_eq!(error.status, 503, "{}", error.message);
        assert_eq!(networks(&driver), 0);
        script.read(ReadFault::Refused);
        assert_eq!(driver.catch_up().await.unwrap_err().status, 503);
    });
}

/// A controller on the same store whose mirror never hears of anything.
async fn deaf(truth: &ModelStore) -> Driver {
    let (deaf, _effects) = unread(Arc::new(truth.client()), Arc::new(Hasty::default()));
    follow::load(&deaf).await.unwrap();
    deaf
}

/// "Try again" would make a second one.
#[test]
fn what_is_written_is_answered_as_done_though_the_mirror_does_not_keep_up() {
    run(async |driver, _, truth| {
        let deaf = deaf(&truth).await;
        assert_eq!(make_network(&deaf, None).await.unwrap().status, 201);
        driver.catch_up().await.unwrap();
        assert_eq!(networks(&driver), 1);
        assert_eq!(
            deaf.catch_up().await.unwrap_err().status,
            503,
            "and no read is answered without it"
        );
    });
}

#[test]
fn what_may_be_written_is_not_answered_as_if_it_were_not() {
    run(async |driver, script, _| {
        script.transaction(TransactionFault::LostAfter);
        // The follower reads too.
        for _ in 0..16 {
            script.read(ReadFault::Refused);
        }
        let error = make_network(&driver, None).await.unwrap_err();
        assert_eq!(error.status, 503);
        assert!(
            error.message.contains("unknown whether the change was made"),
            "{}",
            error.message
        );
        while driver.catch_up().await.is_err() {}
        assert_eq!(networks(&driver), 1);
    });
}

#[test]
fn two_controllers_on_one_store_decide_one_after_the_other() {
    run(async |driver, _, truth| {
        let second = self::driver(Arc::new(truth.client()), Arc::new(MachineTimer::default())).await;
        let (first, other) = tokio::join!(make_network(&driver, Some("k")), make_network(&second, Some("k")));
        assert_eq!(
            first.unwrap(),
            other.unwrap(),
            "one key, one answer, whichever controller"
        );
        driver.catch_up().await.unwrap();
        second.catch_up().await.unwrap();
        assert_eq!((networks(&driver), networks(&second)), (1, 1));
        assert!(driver.mint(1).await.unwrap() && second.mint(1).await.unwrap());
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
    run(async |driver, _, _| {
        let now_s = driver.now().wall_ms / 1_000;
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
            driver.store.put(key.clone(), value.clone()).await.unwrap();
        }
        assert_eq!(sweep::once(&driver).await.unwrap(), 2);
        for (key, value) in kept {
            assert_eq!(driver.store.get(key).await.unwrap().unwrap().value, value);
        }
        for (key, _) in gone {
            assert_eq!(driver.store.get(key).await.unwrap(), None);
        }
        assert_eq!(sweep::once(&driver).await.unwrap(), 0);
        assert_eq!(
            make_network(&driver, None).await.unwrap().status,
            201,
            "writes go on"
        );
    });
}

#[test]
fn a_new_incarnation_is_written_however_long_the_store_is_away() {
    run_with(Arc::new(Hasty::default()), async |driver, script, _| {
        for _ in 0..40 {
            script.transaction(TransactionFault::Refused);
        }
        driver.begin_anew(1).await;
        assert_eq!(driver.state().mirror().cluster().incarnation, 2);
        assert!(told(&driver, EventKind::Refused), "it is told that hosts wait");
    });
}
