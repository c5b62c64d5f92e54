//! Faults one after the other, as a test writes them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::faults::{DeliveryFault, Faults, LeaseFault, ReadFault, TransactionFault};
use crate::record::Revision;

/// Faults that a test adds to while it runs. Clones are the same script. What the script says nothing about goes well.
#[derive(Debug, Clone, Default)]
pub struct Script(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    transactions: VecDeque<TransactionFault>,
    reads: VecDeque<ReadFault>,
    leases: VecDeque<LeaseFault>,
    deliveries: BTreeMap<Revision, DeliveryFault>,
}

impl Script {
    /// The next transaction that has no line yet.
    pub fn transaction(&self, fault: TransactionFault) -> &Self {
        self.lines().transactions.push_back(fault);
        self
    }

    /// The next reading that has no line yet.
    pub fn read(&self, fault: ReadFault) -> &Self {
        self.lines().reads.push_back(fault);
        self
    }

    /// The next call about a lease that has no line yet.
    pub fn lease(&self, fault: LeaseFault) -> &Self {
        self.lines().leases.push_back(fault);
        self
    }

    /// The first delivery of this revision.
    pub fn delivery(&self, revision: Revision, fault: DeliveryFault) -> &Self {
        self.lines().deliveries.insert(revision, fault);
        self
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Faults for Script {
    fn transaction(&mut self) -> TransactionFault {
        self.lines().transactions.pop_front().unwrap_or_default()
    }
    fn read(&mut self) -> ReadFault {
        self.lines().reads.pop_front().unwrap_or_default()
    }
    fn delivery(&mut self, revision: Revision) -> DeliveryFault {
        self.lines().deliveries.remove(&revision).unwrap_or_default()
    }
    fn lease(&mut self) -> LeaseFault {
        self.lines().leases.pop_front().unwrap_or_default()
    }
}
