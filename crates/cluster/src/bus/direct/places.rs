//! The server's bounded places: for peers that have not proved who they are, and for those that have.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use super::error::BusError;
use crate::trust::Fingerprint;

/// Those who have connected and not yet proved anything. A newcomer takes the place of the one that has waited longest: an honest peer needs its
/// place for milliseconds, one that says nothing loses it first.
#[derive(Clone, Debug)]
pub(super) struct Strangers {
    most: usize,
    waiting: Arc<Mutex<VecDeque<(u64, AbortHandle)>>>,
}

impl Strangers {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            waiting: Arc::default(),
        }
    }

    /// Takes a place for the task `number`, then starts it; the one that has waited longest is ended where there is no place.
    pub(super) fn enter(&self, number: u64, start: impl FnOnce() -> AbortHandle) {
        // The lock is held while the task starts: it cannot leave before it has entered.
        let mut waiting = lock(&self.waiting);
        waiting.retain(|(_, task)| !task.is_finished());
        let longest = if waiting.len() < self.most {
            None
        } else {
            waiting.pop_front()
        };
        if let Some((_, task)) = longest {
            task.abort();
        }
        waiting.push_back((number, start()));
    }

    /// The task `number` has found out who its peer is, or that it will not.
    pub(super) fn leave(&self, number: u64) {
        lock(&self.waiting).retain(|(waiting, _)| *waiting != number);
    }
}

/// Those who have proved who they are.
#[derive(Clone, Debug)]
pub(super) struct Members {
    most: usize,
    most_per_peer: usize,
    present: Arc<Mutex<BTreeMap<Fingerprint, usize>>>,
}

impl Members {
    pub(super) fn new(most: usize, most_per_peer: usize) -> Self {
        Self {
            most,
            most_per_peer,
            present: Arc::default(),
        }
    }

    /// A place, as long as it is held.
    pub(super) fn enter(&self, peer: Fingerprint) -> Result<Place, BusError> {
        let mut present = lock(&self.present);
        let all: usize = present.values().sum();
        let crowded = |reason: String| Err(BusError::Crowded { reason });
        if all >= self.most {
            return crowded(format!(
                "there are {all} connections, at most {} are allowed",
                self.most
            ));
        }
        let of_peer = present.entry(peer).or_insert(0);
        if *of_peer >= self.most_per_peer {
            return crowded(format!(
                "this peer has {of_peer} connections, at most {} are allowed",
                self.most_per_peer
            ));
        }
        *of_peer += 1;
        Ok(Place {
            members: self.clone(),
            peer,
        })
    }
}

/// A member's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    members: Members,
    peer: Fingerprint,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut present = lock(&self.members.present);
        if let Some(count) = present.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                present.remove(&self.peer);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_bounded_in_all_and_each() {
        let members = Members::new(3, 2);
        let (one, two) = (Fingerprint::from_bytes([1; 32]), Fingerprint::from_bytes([2; 32]));
        let first = members.enter(one).unwrap();
        let _second = members.enter(one).unwrap();
        assert!(
            members
                .enter(one)
                .unwrap_err()
                .to_string()
                .contains("this peer has 2 connections")
        );
        let _third = members.enter(two).unwrap();
        assert!(
            members
                .enter(two)
                .unwrap_err()
                .to_string()
                .contains("there are 3 connections")
        );
        drop(first);
        assert!(members.enter(one).is_ok());
    }
}
