//! What has to be put back also when the run fails or is interrupted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anet_lab::{on_stop, standing, sweep_own};

type Work = Box<dyn FnOnce() + Send>;

static PENDING: Mutex<Vec<(u64, Work)>> = Mutex::new(Vec::new());
static NEXT: AtomicU64 = AtomicU64::new(0);
/// Held while something is put back, so that the program does not end meanwhile.
static AT_WORK: Mutex<()> = Mutex::new(());

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
        lock(&PENDING).push((number, Box::new(work)));
        Self { number }
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let _at_work = lock(&AT_WORK);
        let mut all = lock(&PENDING);
        let found = all.iter().position(|(number, _)| *number == self.number);
        let work = found.map(|index| all.remove(index).1);
        drop(all);
        if let Some(work) = work {
            work();
        }
    }
}

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts everything back, the last thing first.
fn undo_all() {
    let _at_work = lock(&AT_WORK);
    let all = std::mem::take(&mut *lock(&PENDING));
    all.into_iter().rev().for_each(|(_, work)| work());
}

/// On Ctrl-C and its like, what runs in our namespaces ends, everything is put back, and the program ends.
pub fn on_signals() {
    let caught = on_stop(|_| {
        standing::stop_making();
        sweep_own();
        undo_all();
        std::process::exit(130);
    });
    if let Err(error) = caught {
        eprintln!("signals cannot be caught ({error}): Ctrl-C would leave things behind");
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::atomic::AtomicUsize;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

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

    #[test]
    fn what_is_started_is_ended_by_its_signals() {
        on_signals();
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        let patience = Instant::now() + Duration::from_secs(5);
        while child.try_wait().unwrap().is_none() && Instant::now() < patience {
            sleep(Duration::from_millis(5));
        }
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        assert!(ended.is_some(), "SIGTERM is blocked in it");
    }
}
