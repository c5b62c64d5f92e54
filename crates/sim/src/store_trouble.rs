//! A store's faults that begin and end, for all ways to it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anet_store::Revision;
use anet_store::model::{Chances, DeliveryFault, Faults, LeaseFault, ReadFault, Seeded, TransactionFault};

/// How often it misbehaves while there is trouble, in a thousand calls.
const CHANCES: Chances = Chances {
    transactions: 60,
    reads: 30,
    deliveries: 60,
    leases: 0,
    delay: Duration::from_millis(800),
};

/// Whether there is trouble. Clones are the same switch.
#[derive(Debug, Clone, Default)]
pub struct Switch(Arc<AtomicBool>);

impl Switch {
    /// Begins or ends it.
    pub fn set(&self, troubled: bool) {
        self.0.store(troubled, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The faults of one way to the store.
#[derive(Debug)]
pub struct StoreTrouble {
    seeded: Seeded,
    switch: Switch,
}

impl StoreTrouble {
    /// Out of a seed, while the switch is on.
    pub const fn new(seed: u64, switch: Switch) -> Self {
        let seeded = Seeded::new(seed, CHANCES);
        Self { seeded, switch }
    }

    fn fault<F: Default>(&mut self, of: impl FnOnce(&mut Seeded) -> F) -> F {
        match self.switch.is_on() {
            true => of(&mut self.seeded),
            false => F::default(),
        }
    }
}

impl Faults for StoreTrouble {
    fn transaction(&mut self) -> TransactionFault {
        self.fault(Seeded::transaction)
    }

    fn read(&mut self) -> ReadFault {
        self.fault(Seeded::read)
    }

    fn delivery(&mut self, revision: Revision) -> DeliveryFault {
        self.fault(|seeded| seeded.delivery(revision))
    }

    fn lease(&mut self) -> LeaseFault {
        self.fault(Seeded::lease)
    }
}
