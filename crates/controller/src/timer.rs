//! Time and chance, as whatever runs a controller has them: the machine's own, or a simulation's.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::core::fabric::Now;

/// Something to wait for.
pub type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Time and chance.
pub trait Timer: Debug + Send + Sync {
    /// What the time is.
    fn now(&self) -> Now;

    /// Ready when so much time has passed.
    fn sleep(&self, time: Duration) -> Sleep<'_>;

    /// A number that nobody can guess: ids are made of them.
    fn random(&self) -> u64;
}

/// The machine's.
#[derive(Debug)]
pub struct MachineTimer {
    started: Instant,
}

impl Default for MachineTimer {
    fn default() -> Self {
        let started = Instant::now();
        Self { started }
    }
}

impl Timer for MachineTimer {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn sleep(&self, time: Duration) -> Sleep<'_> {
        Box::pin(tokio::time::sleep(time))
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}
