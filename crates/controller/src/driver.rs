//! What keeps a controller's core going: the store, the state behind one short lock, and time by way of a [`Timer`].
//!
//! The daemon drives it by the machine's time, the simulator by its own; what stands here, in [`crate::follow`] and in
//! [`crate::admit_loop`] is the only copy of it. So it must not ask the machine for time or chance by itself, nor begin tasks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anet_api::ApiError;
use anet_model::intent::HostId;
use anet_packet::addr::Vni;
use anet_plan::Settings;
use anet_store::{KeyRange, LeaseId, RangeRequest, Revision, Store, StoreError};
use tokio::sync::{Notify, mpsc, watch};

use crate::core::events::{Event, EventKind};
use crate::core::fabric::{Effect, Fabric, Now};
use crate::core::keys;
use crate::timer::Timer;

/// How long a request waits for the mirror to have what the store has.
const CATCH_UP: Duration = Duration::from_secs(5);
/// After this time the follower is told that something is missing.
const SOON: Duration = Duration::from_millis(300);

/// A controller's core with its store, in time.
#[derive(Debug)]
pub struct Driver {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Time and chance.
    pub timer: Arc<dyn Timer>,
    /// Who hears of each event.
    log: fn(&Event),
    /// The first and the last VNI that is given to networks that ask for none.
    pub(crate) vnis: (Vni, Vni),
    /// One write at a time: the next one is admitted on what this one leaves.
    pub(crate) writer: tokio::sync::Mutex<()>,
    /// The lease that idempotency keys vanish with, and since when, in milliseconds.
    pub(crate) lease: tokio::sync::Mutex<Option<(LeaseId, u64)>>,
    /// Wakes the follower: the mirror seems to be behind.
    pub(crate) behind: Notify,
    state: Mutex<Fabric>,
    effects: mpsc::UnboundedSender<Effect>,
    revision: watch::Sender<Revision>,
}

impl Driver {
    /// One that has not read its store yet, and the effects that are to be carried out.
    pub fn new(
        store: Arc<dyn Store>,
        timer: Arc<dyn Timer>,
        settings: Settings,
        vnis: (Vni, Vni),
        log: fn(&Event),
    ) -> (Self, mpsc::UnboundedReceiver<Effect>) {
        // Each session has a bounded number of changesets under way, so that this queue is bounded by them.
        let (effects, carried_out) = mpsc::unbounded_channel();
        let driver = Self {
            store,
            timer,
            log,
            vnis,
            writer: tokio::sync::Mutex::new(()),
            lease: tokio::sync::Mutex::new(None),
            behind: Notify::new(),
            state: Mutex::new(Fabric::new(settings)),
            effects,
            revision: watch::Sender::new(0),
        };
        (driver, carried_out)
    }

    /// What the time is.
    pub fn now(&self) -> Now {
        self.timer.now()
    }

    /// What comes of something within a time; `None` where nothing does.
    pub async fn within<T>(&self, time: Duration, what: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = what => Some(done),
            () = self.timer.sleep(time) => None,
        }
    }

    /// The state. Held for moments only, and never while something is waited for.
    pub fn state(&self) -> MutexGuard<'_, Fabric> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, hands on what follows from that, in order, and tells the log of what is told.
    pub fn act<T>(&self, change: impl FnOnce(&mut Fabric, Now) -> (Vec<Effect>, T)) -> T {
        let now = self.now();
        let mut state = self.state();
        let told = state.events().last();
        let (effects, result) = change(&mut state, now);
        for effect in effects {
            // Fails only while the controller ends.
            let _ = self.effects.send(effect);
        }
        let revision = state.mirror().revision();
        let events: Vec<Event> = state.events().since(told).cloned().collect();
        drop(state);
        events.iter().for_each(self.log);
        self.revision
            .send_if_modified(|known| std::mem::replace(known, revision) != revision);
        result
    }

    /// Tells of something.
    pub fn tell(&self, kind: EventKind, host: Option<&HostId>, message: impl Into<String>) {
        self.act(|state, now| (Vec::new(), state.tell(now, kind, host, message)));
    }

    /// Tells of a refusal; those of one subject are merged.
    pub fn refuse(&self, subject: &str, message: impl Into<String>) {
        self.act(|state, now| (Vec::new(), state.refuse(now, subject, message)));
    }

    /// Waits until the mirror has a revision.
    pub async fn reach(&self, revision: Revision) -> Result<(), ApiError> {
        let mut known = self.revision.subscribe();
        if *known.borrow_and_update() >= revision {
            return Ok(());
        }
        let has = |known: &Revision| *known >= revision;
        if self.within(SOON, known.wait_for(has)).await.is_some() {
            return Ok(());
        }
        self.behind.notify_one();
        match self.within(CATCH_UP, known.wait_for(has)).await {
            Some(_) => Ok(()),
            None => Err(ApiError::unavailable(
                "The controller does not keep up with its store: try again.",
            )),
        }
    }

    /// Waits until the mirror has all that was written before now; answers the revision that the store is at.
    pub async fn catch_up(&self) -> Result<Revision, ApiError> {
        let (counter, revision) = self.counter().await.map_err(|error| of_store(&error))?;
        self.reach(counter).await?;
        self.act(|state, _| {
            state.mirror_mut().advance(counter, revision);
            (Vec::new(), ())
        });
        Ok(revision)
    }

    /// The revision of the newest write, and that of the store, linearizably.
    pub async fn counter(&self) -> Result<(Revision, Revision), StoreError> {
        let request = RangeRequest::new(KeyRange::key(keys::COUNTER));
        let answer = self.store.range(request).await?;
        let counter = answer.entries.first().map_or(0, |entry| entry.mod_revision);
        Ok((counter, answer.revision))
    }
}

/// What a client hears of a store's trouble.
pub fn of_store(error: &StoreError) -> ApiError {
    match error {
        StoreError::Damaged { .. } => ApiError::internal(error.to_string()),
        StoreError::OutcomeUnknown { .. } => ApiError::unavailable(format!(
            "It is unknown whether the change was made ({error}): look, or send it again with the same Idempotency-Key."
        )),
        error => ApiError::unavailable(error.to_string()),
    }
}
