//! A store in memory, for tests and simulation: etcd's meaning and limits, and every misbehaviour that is asked for.
//!
//! [`ModelStore`] is the truth; each [`ModelClient`] is one process's way to it, with [`Faults`] of its own: none, a [`Script`],
//! or [`Seeded`] chance. Time is a [`ManualClock`]. There is no thread and no hidden state: the same calls in the same order give the
//! same answers, on any executor.

mod client;
mod faults;
mod script;
mod seeded;
mod state;
mod watcher;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use client::ModelClient;
pub use faults::{DeliveryFault, Faults, LeaseFault, NoFaults, ReadFault, TransactionFault};
pub use script::Script;
pub use seeded::{Chances, Seeded};

use crate::clock::ManualClock;
use crate::engine::{MemoryTables, Tables, compact, trim};
use crate::error::StoreError;
use crate::record::Revision;
use state::State;

/// The shared truth. Clones are the same store.
#[derive(Debug, Clone)]
pub struct ModelStore {
    clock: ManualClock,
    state: Arc<Mutex<State>>,
}

/// A copy of everything a store held.
#[derive(Debug, Clone)]
pub struct ModelBackup(MemoryTables);

impl ModelStore {
    /// An empty store that lives by this clock.
    pub fn new(clock: ManualClock) -> Self {
        Self {
            clock,
            state: Arc::default(),
        }
    }

    /// The clock.
    pub const fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// No lease is granted for less, as etcd's election time-out has it.
    pub fn set_minimum_ttl(&self, ttl: Duration) {
        self.state().minimum_ttl = ttl;
    }

    /// A way to the store that behaves.
    pub fn client(&self) -> ModelClient {
        self.client_with(NoFaults)
    }

    /// A way to the store with faults.
    pub fn client_with(&self, faults: impl Faults + 'static) -> ModelClient {
        ModelClient::new(self.clone(), Box::new(faults))
    }

    /// The newest revision.
    pub fn revision(&self) -> Revision {
        self.settled().tables.position().revision
    }

    /// Forgets history up to a revision, behind everybody's back.
    pub fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.change(|state| compact(&mut state.tables, revision))
    }

    /// Forgets the oldest history while there are more than so many events.
    pub fn keep_events(&self, events: u64) -> Result<(), StoreError> {
        self.change(|state| trim(&mut state.tables, events, u64::MAX))
    }

    /// A copy of everything.
    pub fn backup(&self) -> ModelBackup {
        ModelBackup(self.settled().tables.clone())
    }

    /// Replaces everything by a copy, so that revisions go back. Leases have their whole time again; writes that were on
    /// their way are lost.
    pub fn restore(&self, backup: &ModelBackup) {
        self.change(|state| state.restore(backup.0.clone(), &self.clock));
    }

    /// The state, with all that was due by now done.
    fn settled(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.settle(&self.clock);
        state
    }

    /// Changes the state, and wakes whoever may wait for it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let outcome = change(&mut self.settled());
        self.clock.wake();
        outcome
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
