//! What all tasks of a running controller share: the store, the state behind one short lock, and the streams.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anet_api::ApiError;
use anet_cluster::trust::Authority;
use anet_model::intent::HostId;
use anet_store::{KeyRange, LeaseId, RangeRequest, Revision, Store, StoreError};
use anet_wire::control::trace::TraceReport;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::configuration::Configuration;
use crate::core::events::EventKind;
use crate::core::fabric::{Effect, Fabric, Now};
use crate::core::keys;
use crate::log;
use crate::tokens::Tokens;

/// How long a request waits for the mirror to have what the store has.
const CATCH_UP: Duration = Duration::from_secs(5);

/// A controller.
#[derive(Debug)]
pub struct Shared {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// How it is set up.
    pub configuration: Configuration,
    /// Who may ask.
    pub tokens: Tokens,
    /// Signs hosts' certificates.
    pub authority: Authority,
    /// One write at a time: the next one is admitted on what this one leaves.
    pub writer: tokio::sync::Mutex<()>,
    /// The lease that idempotency keys vanish with, and since when.
    pub lease: tokio::sync::Mutex<Option<(LeaseId, Instant)>>,
    /// Traces that wait for an answer.
    pub traces: Mutex<HashMap<u64, oneshot::Sender<Result<TraceReport, String>>>>,
    /// Wakes the follower: the mirror seems to be behind.
    pub behind: Notify,
    state: Mutex<Fabric>,
    effects: mpsc::UnboundedSender<Effect>,
    revision: watch::Sender<Revision>,
    started: Instant,
}

impl Shared {
    /// A controller that has not read its store yet, and the effects that are to be carried out.
    pub fn new(
        store: Arc<dyn Store>,
        configuration: Configuration,
        tokens: Tokens,
        authority: Authority,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Effect>) {
        // Each session has a bounded number of changesets under way, so that this queue is bounded by them.
        let (effects, carried_out) = mpsc::unbounded_channel();
        let settings = anet_plan::Settings {
            lease_s: configuration.lease_s,
            ..anet_plan::Settings::default()
        };
        let shared = Self {
            store,
            configuration,
            tokens,
            authority,
            writer: tokio::sync::Mutex::new(()),
            lease: tokio::sync::Mutex::new(None),
            traces: Mutex::default(),
            behind: Notify::new(),
            state: Mutex::new(Fabric::new(settings)),
            effects,
            revision: watch::Sender::new(0),
            started: Instant::now(),
        };
        (Arc::new(shared), carried_out)
    }

    /// What the time is.
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// The state. Held for moments only, and never while something is waited for.
    pub fn state(&self) -> MutexGuard<'_, Fabric> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, hands on what follows from that, in order, and writes what is told into the log.
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
        let lines: Vec<String> = state.events().since(told).map(ToString::to_string).collect();
        drop(state);
        lines.iter().for_each(log::line);
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
        let soon = Duration::from_millis(300);
        if tokio::time::timeout(soon, known.wait_for(|known| *known >= revision))
            .await
            .is_ok()
        {
            return Ok(());
        }
        self.behind.notify_one();
        match tokio::time::timeout(CATCH_UP, known.wait_for(|known| *known >= revision)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(ApiError::unavailable(
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
