//! The API's bounded places: for connections that have shown no token yet, and for those that have.
//!
//! A connection begins as a stranger's. Strangers never wait for a place: a newcomer takes the one of the stranger that came first, so that
//! who only holds connections loses them and keeps nobody out. The first valid token on a connection makes it a user's: no stranger
//! takes that place. A user has a bounded number of them; further connections of theirs are served in strangers' places.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use crate::core::admit::Caller;

/// Who holds places.
#[derive(Debug, Clone)]
pub(super) struct Places {
    strangers_most: usize,
    users_most: usize,
    each_most: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    /// In the order in which they came.
    strangers: VecDeque<(u64, AbortHandle)>,
    users: HashMap<Caller, usize>,
}

impl Places {
    /// So many strangers, so many users' connections, and so many of each user.
    pub(super) fn new(strangers: usize, users: usize, each: usize) -> Self {
        Self {
            strangers_most: strangers.max(1),
            users_most: users,
            each_most: each,
            held: Arc::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a stranger's place for the connection `number`, then starts its task; the oldest stranger goes where there is none.
    pub(super) fn enter(&self, number: u64, start: impl FnOnce() -> AbortHandle) {
        // The lock is held while the task starts: it cannot leave before it has entered.
        let mut held = self.held();
        held.strangers.retain(|(_, task)| !task.is_finished());
        let oldest = match held.strangers.len() < self.strangers_most {
            true => None,
            false => held.strangers.pop_front(),
        };
        if let Some((_, task)) = oldest {
            task.abort();
        }
        held.strangers.push_back((number, start()));
    }

    /// The connection `number` has shown a user's token; `None` where there is no user's place, and it stays a stranger's.
    pub(super) fn known(&self, number: u64, user: &Caller) -> Option<Place> {
        let mut held = self.held();
        let all: usize = held.users.values().sum();
        let own = held.users.get(user).copied().unwrap_or(0);
        if all >= self.users_most || own >= self.each_most {
            return None;
        }
        // One whose place was taken in this moment ends as soon as it waits.
        held.strangers.retain(|(stranger, _)| *stranger != number);
        held.users.insert(user.clone(), own + 1);
        Some(Place {
            places: self.clone(),
            user: user.clone(),
        })
    }

    /// The connection `number` has ended.
    pub(super) fn leave(&self, number: u64) {
        self.held().strangers.retain(|(stranger, _)| *stranger != number);
    }
}

/// A user's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    user: Caller,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
        if let Some(count) = held.users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                held.users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(project: &str) -> Caller {
        Caller {
            project: Some(project.parse().unwrap()),
            admin: false,
        }
    }

    fn waits() -> tokio::task::JoinHandle<()> {
        tokio::spawn(std::future::pending())
    }

    #[tokio::test]
    async fn the_oldest_stranger_makes_room_and_a_user_never() {
        let places = Places::new(2, 8, 8);
        let tasks: Vec<_> = (0..4).map(|_| waits()).collect();
        places.enter(0, || tasks[0].abort_handle());
        let place = places.known(0, &user("blue"));
        assert!(place.is_some());
        for number in 1..4 {
            places.enter(number, || tasks[number as usize].abort_handle());
        }
        let mut tasks = tasks.into_iter();
        let (user, oldest) = (tasks.next().unwrap(), tasks.next().unwrap());
        assert!(oldest.await.unwrap_err().is_cancelled());
        assert!(!user.is_finished() && tasks.all(|task| !task.is_finished()));
    }

    #[tokio::test]
    async fn users_are_bounded_in_all_and_each() {
        let places = Places::new(8, 3, 2);
        let (blue, red) = (user("blue"), user("red"));
        let first = places.known(1, &blue).unwrap();
        let _second = places.known(2, &blue).unwrap();
        assert!(places.known(3, &blue).is_none(), "two of each");
        let _third = places.known(4, &red).unwrap();
        assert!(places.known(5, &red).is_none(), "three in all");
        drop(first);
        assert!(places.known(6, &red).is_some());
    }
}
