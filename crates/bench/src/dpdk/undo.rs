//! What has to be put back also when the run fails or is interrupted.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anet_lab::sweep_own;
use nix::sys::signal::{SigSet, Signal};

type Work = Box<dyn FnOnce() + Send>;

static PENDING: Mutex<Vec<(u64, Work)>> = Mutex::new(Vec::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Puts something back when it is dropped, or when the program is asked to stop.
#[derive(Debug)]
#[must_use = "what is put back when this is dropped would be put back at once"]
pub struct Undo {
    number: u64,
}

impl Undo {
    /// Remembers how to put something back.
    pub fn later(work: impl FnOnce() + Send + 'static) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        pending().push((number, Box::new(work)));
        Self { number }
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let mut all = pending();
        let found = all.iter().position(|(number, _)| *number == self.number);
        let work = found.map(|index| all.remove(index).1);
        drop(all);
        if let Some(work) = work {
            work();
        }
    }
}

fn pending() -> std::sync::MutexGuard<'static, Vec<(u64, Work)>> {
    PENDING.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Puts everything back, the last thing first.
fn undo_all() {
    let all = std::mem::take(&mut *pending());
    all.into_iter().rev().for_each(|(_, work)| work());
}

/// A thread waits for Ctrl-C and its like, ends what runs in our namespaces, puts everything back and ends the program. To be
/// called before there is any other thread.
pub fn on_signals() {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    if signals.thread_block().is_err() {
        return;
    }
    std::thread::spawn(move || {
        _ = signals.wait();
        sweep_own();
        undo_all();
        std::process::exit(130);
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn each_thing_is_put_back_once() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let add = || {
            COUNT.fetch_add(1, Ordering::Relaxed);
        };
        let (first, second) = (Undo::later(add), Undo::later(add));
        drop(first);
        assert_eq!(COUNT.load(Ordering::Relaxed), 1);
        undo_all();
        assert_eq!(COUNT.load(Ordering::Relaxed), 2);
        drop(second);
        assert_eq!(COUNT.load(Ordering::Relaxed), 2, "it was put back already");
    }
}
