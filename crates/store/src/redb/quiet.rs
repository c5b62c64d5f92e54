//! Panics of redb on what it did not write: caught, and not printed, since they become an error that says more.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// True while this thread's panics are not to be printed.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What came of some work; `None` where it panicked. Other threads' panics are told as ever.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let told = take_hook();
        set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                told(panic);
            }
        }));
    });
    let before = QUIET.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(before);
    done.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_nothing_and_leaves_nothing_behind() {
        assert_eq!(caught(|| 7), Some(7));
        assert_eq!(caught(|| [0_u8; 0][std::hint::black_box(0)]), None);
        assert!(!QUIET.get());
        let nested = caught(|| {
            assert_eq!(caught(|| [0_u8; 0][std::hint::black_box(0)]), None);
            QUIET.get()
        });
        assert_eq!(nested, Some(true));
    }
}
