//! Time as an argument.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// A clock that never goes back. Wall time has no part in the store.
pub trait Clock: std::fmt::Debug + Send + Sync {
    /// The time since some moment that stays the same for the life of the clock.
    fn now(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A clock that stands until it is moved. Clones are the same clock.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    now: Duration,
    wakers: Vec<Waker>,
}

impl ManualClock {
    /// Moves the clock on, and wakes whoever waits for time or for what is tied to this clock.
    pub fn advance(&self, by: Duration) {
        self.waiting().now += by;
        self.wake();
    }

    /// Ready when the clock has come to `at`.
    pub async fn reach(&self, at: Duration) {
        self.until(|| (self.now() >= at).then_some(())).await;
    }

    /// Ready when `condition` gives something. It is asked when the clock moves and whenever [`ManualClock::wake`] is called.
    pub(crate) async fn until<T>(&self, mut condition: impl FnMut() -> Option<T>) -> T {
        poll_fn(|context| {
            // First the waker, then the look: what happens in between wakes.
            self.register(context.waker());
            condition().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Something else happened that someone may wait for.
    pub(crate) fn wake(&self) {
        let wakers = std::mem::take(&mut self.waiting().wakers);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn register(&self, waker: &Waker) {
        let mut waiting = self.waiting();
        if !waiting.wakers.iter().any(|other| other.will_wake(waker)) {
            waiting.wakers.push(waker.clone());
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        self.waiting().now
    }
}
