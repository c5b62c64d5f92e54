//! What a panic says: one line on stderr, and not more than some a second.

use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock;
use crate::log;

/// Lines a second at most: hostile packets must not fill the log.
const LINES: u64 = 10;

static SECOND: AtomicU64 = AtomicU64::new(0);
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// Panics of all threads are reported in the daemon's own form from now on.
pub fn report_panics() {
    std::panic::set_hook(Box::new(report));
}

fn report(panic: &PanicHookInfo<'_>) {
    let second = clock::now() / clock::SECOND;
    if SECOND.swap(second, Ordering::Relaxed) != second {
        WRITTEN.store(0, Ordering::Relaxed);
    }
    if WRITTEN.fetch_add(1, Ordering::Relaxed) >= LINES {
        return;
    }
    let payload = panic.payload();
    let literal = payload.downcast_ref::<&str>().copied();
    let text = literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no reason given").replace('\n', " ");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a thread");
    log::line(format_args!(
        "panic in {name} at {place}: {text}; please report it, what it was about is dropped and the rest goes on"
    ));
}
