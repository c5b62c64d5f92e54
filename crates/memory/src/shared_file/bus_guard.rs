//! Survives the truncation of a mapped file: zero pages where the file's were taken away.
//!
//! A touch of a mapped page that its file no longer has raises SIGBUS, which ends a process. The handler here looks
//! whether the address lies in a guarded range, and if so maps a zero page there and notes the hit; everything else
//! goes to the handler that was installed before. It uses nothing but atomics and system calls, as a handler must.

use std::io;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Mappings that can be guarded at one time. A process has one or two; tests have some more.
const PLACES: usize = 64;

struct Place {
    taken: AtomicBool,
    from: AtomicUsize,
    to: AtomicUsize,
    hit: AtomicBool,
}

static PLACE: [Place; PLACES] = [const {
    Place {
        taken: AtomicBool::new(false),
        from: AtomicUsize::new(0),
        to: AtomicUsize::new(0),
        hit: AtomicBool::new(false),
    }
}; PLACES];

/// Bytes of a page, for the handler, which should ask nobody; 0 where no handler is installed.
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// What SIGBUS did before.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// A range of addresses under guard, until dropped.
#[derive(Debug)]
pub(super) struct Guard {
    place: usize,
}

impl Guard {
    /// Guards `bytes` from `base` on: a mapping of whole pages. `None` where all places are taken or the system takes
    /// no handler: the mapping then works, unguarded.
    pub(super) fn over(base: usize, bytes: usize) -> Option<Self> {
        install().ok()?;
        let place = PLACE.iter().position(|p| !p.taken.swap(true, Ordering::AcqRel))?;
        PLACE[place].hit.store(false, Ordering::Relaxed);
        PLACE[place].to.store(base + bytes, Ordering::Relaxed);
        PLACE[place].from.store(base, Ordering::Release);
        Some(Self { place })
    }

    /// True where a page was missing.
    pub(super) fn hit(&self) -> bool {
        PLACE[self.place].hit.load(Ordering::Relaxed)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        PLACE[self.place].to.store(0, Ordering::Relaxed);
        PLACE[self.place].from.store(0, Ordering::Relaxed);
        PLACE[self.place].taken.store(false, Ordering::Release);
    }
}

fn install() -> io::Result<()> {
    static DONE: OnceLock<Option<i32>> = OnceLock::new();
    let failed = DONE.get_or_init(|| {
        PAGE.store(crate::region::page_bytes(), Ordering::Relaxed);
        let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: a zeroed sigaction is a legal one; the handler has the three-argument form that SA_SIGINFO asks for
        // and uses only what a handler may. SA_ONSTACK leaves the runtime's alternate stack in use.
        let (result, previous) = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_bus_error as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&mut action.sa_mask);
            let result = libc::sigaction(libc::SIGBUS, &action, previous.as_mut_ptr());
            (result, previous.assume_init())
        };
        _ = PREVIOUS.set(previous);
        (result != 0).then(|| io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL))
    });
    failed.map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
}

extern "C" fn on_bus_error(signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo to a handler that was installed with SA_SIGINFO.
    let address = unsafe { (*info).si_addr() } as usize;
    let inside =
        |p: &&Place| (p.from.load(Ordering::Acquire)..p.to.load(Ordering::Relaxed)).contains(&address);
    if let Some(place) = PLACE.iter().find(inside) {
        place.hit.store(true, Ordering::Relaxed);
        if fill(address) {
            return;
        }
    }
    hand_on(signal);
}

/// Maps a zero page over the one that `address` lies in.
fn fill(address: usize) -> bool {
    let page = PAGE.load(Ordering::Relaxed);
    let base = address & !(page - 1);
    // SAFETY: the page lies in a mapping of whole pages that its owner keeps while it is guarded; its file has nothing
    // there any more, so nothing is lost by mapping zeros over it.
    let mapped = unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        libc::mmap(base as *mut libc::c_void, page, protection, flags, -1, 0)
    };
    mapped != libc::MAP_FAILED
}

/// Puts the previous handler back and returns: the fault repeats and is theirs.
fn hand_on(signal: i32) {
    // SAFETY: re-installs what the system gave us, or the default action, which needs no handler.
    unsafe {
        match PREVIOUS.get() {
            Some(previous) => libc::sigaction(signal, previous, std::ptr::null_mut()),
            None => libc::signal(signal, libc::SIG_DFL) as i32,
        };
    }
}
