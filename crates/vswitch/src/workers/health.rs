//! How a port's packets treat the workers: those that keep panicking them are not looked at for a while.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::clock::SECOND;

/// Panics within [`WINDOW`] that close a port.
pub const PANICS: u32 = 3;
/// See [`PANICS`], in nanoseconds.
pub const WINDOW: u64 = 10 * SECOND;
/// How long a port is closed, in nanoseconds.
pub const QUARANTINE: u64 = 10 * SECOND;

/// Of one port. Written by the worker that receives from it, read by the control thread.
#[derive(Debug, Default)]
pub struct PortHealth {
    panics: AtomicU32,
    first_panic: AtomicU64,
    closed_until: AtomicU64,
}

impl PortHealth {
    /// A burst of the port panicked a worker at `now` (nanoseconds). True where the port is closed from now on.
    pub fn panicked(&self, now: u64) -> bool {
        let since = now.saturating_sub(self.first_panic.load(Ordering::Relaxed));
        let mut panics = self.panics.load(Ordering::Relaxed);
        if panics == 0 || since > WINDOW {
            panics = 0;
            self.first_panic.store(now, Ordering::Relaxed);
        }
        panics += 1;
        let closed = panics >= PANICS;
        if closed {
            self.closed_until.store(now + QUARANTINE, Ordering::Relaxed);
        }
        self.panics
            .store(if closed { 0 } else { panics }, Ordering::Relaxed);
        closed
    }

    /// True where the port's packets are not looked at.
    #[inline]
    pub fn is_closed(&self, now: u64) -> bool {
        self.closed_until.load(Ordering::Relaxed) > now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_panics_in_a_row_close_a_port_for_a_while() {
        let health = PortHealth::default();
        assert!(!health.panicked(SECOND) && !health.panicked(2 * SECOND));
        assert!(!health.is_closed(2 * SECOND));
        assert!(health.panicked(3 * SECOND));
        assert!(health.is_closed(3 * SECOND) && health.is_closed(12 * SECOND));
        assert!(!health.is_closed(13 * SECOND));
    }

    #[test]
    fn rare_panics_never_close_it() {
        let health = PortHealth::default();
        for n in 0..20 {
            assert!(!health.panicked(SECOND + n * (WINDOW + SECOND) / 2));
        }
    }
}
