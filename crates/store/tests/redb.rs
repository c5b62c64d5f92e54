//! The redb store passes the suite.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anet_store::Store;
use anet_store::clock::ManualClock;
use anet_store::redb::{Options, RedbStore};
use anet_store::testing::histories::{self, Step};
use anet_store::testing::{Running, Subject};

mod support;

use support::{Folder, InMemory, runtime};

struct Embedded {
    store: RedbStore,
    clock: ManualClock,
}

impl Embedded {
    fn new(open: impl FnOnce(Options) -> RedbStore) -> Self {
        let clock = ManualClock::default();
        let options = Options {
            clock: Arc::new(clock.clone()),
            ..Options::default()
        };
        Self {
            store: open(options),
            clock,
        }
    }
}

impl Subject for Embedded {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    fn pass(&self, time: Duration) -> Running<'_> {
        Box::pin(async move {
            self.clock.advance(time);
            self.store.expire_leases().await.expect("leases expire");
        })
    }
}

fn run(case: for<'a> fn(&'a dyn Subject) -> Running<'a>) {
    let folder = Folder::new();
    let path = folder.path().join("store");
    let subject = Embedded::new(|options| RedbStore::create(path, options).expect("a new store"));
    runtime().block_on(case(&subject));
}

anet_store::conformance!(run);

#[test]
fn random_histories_agree_with_the_reference() {
    let runtime = runtime();
    histories::check(60, |steps| {
        let medium = Arc::new(InMemory::default());
        let subject = Embedded::new(|options| RedbStore::open_medium(medium, options).expect("a new store"));
        runtime.block_on(histories::follow(&subject, steps));
    });
}

/// A store that is started again with every other call.
struct Restarting {
    disk: InMemory,
    state: Mutex<(Option<RedbStore>, u32)>,
}

impl Subject for Restarting {
    fn store(&self) -> Arc<dyn Store> {
        let (store, calls) = &mut *self.state.lock().expect("no panic before");
        *calls += 1;
        if *calls % 2 == 0 {
            *store = None;
        }
        let open = || {
            let medium = Arc::new(self.disk.clone());
            RedbStore::open_medium(medium, Options::default()).expect("a sound store")
        };
        Arc::new(store.get_or_insert_with(open).clone())
    }

    fn pass(&self, _time: Duration) -> Running<'_> {
        Box::pin(async {})
    }
}

#[test]
fn random_histories_with_restarts_agree_with_the_reference() {
    let runtime = runtime();
    histories::check(30, |steps| {
        // A restart gives each lease its whole time again: no time in these.
        let timeless = steps.iter().filter(|step| !matches!(step, Step::Pass(_)));
        let steps: Vec<Step> = timeless.cloned().collect();
        let subject = Restarting {
            disk: InMemory::default(),
            state: Mutex::default(),
        };
        runtime.block_on(histories::follow(&subject, &steps));
    });
}
