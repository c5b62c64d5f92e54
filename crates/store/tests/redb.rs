//! The redb store passes the suite.

use std::sync::Arc;
use std::time::Duration;

use anet_store::Store;
use anet_store::clock::ManualClock;
use anet_store::redb::{Options, RedbStore};
use anet_store::testing::{Running, Subject, histories};

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
