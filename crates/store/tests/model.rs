//! The model store passes the suite, and misbehaves as it is told.

use std::sync::Arc;
use std::time::Duration;

use anet_store::Store;
use anet_store::clock::ManualClock;
use anet_store::model::ModelStore;
use anet_store::testing::{Running, Subject, block_on, histories};

struct Model(ModelStore);

impl Model {
    fn new() -> Self {
        Self(ModelStore::new(ManualClock::default()))
    }
}

impl Subject for Model {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.client())
    }

    fn pass(&self, time: Duration) -> Running<'_> {
        self.0.clock().advance(time);
        Box::pin(async {})
    }
}

fn run(case: for<'a> fn(&'a dyn Subject) -> Running<'a>) {
    block_on(case(&Model::new()));
}

anet_store::conformance!(run);

#[test]
fn random_histories_agree_with_the_reference() {
    histories::check(300, |steps| block_on(histories::follow(&Model::new(), steps)));
}
