//! How a worker sleeps until a packet waits or somebody wakes it: epoll, and an eventfd.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The token that stands for a wake-up; no descriptor may have it.
const WAKE: u64 = u64::MAX;
/// Descriptors reported by one call: more are reported by the next.
const BATCH: usize = 64;

/// A worker's set of descriptors to wait for. Level-triggered: a descriptor that still has packets is reported again.
///
/// One whose device is gone is reported for ever: take it out ([`Waiter::remove`]) when its queue says
/// [`Disposition::Detach`](crate::Disposition::Detach).
#[derive(Debug)]
pub struct Waiter {
    epoll: OwnedFd,
    event: Arc<OwnedFd>,
    /// True where the kernel has no sleep shorter than a millisecond.
    coarse: AtomicBool,
}

/// Wakes a [`Waiter`] from any thread; a wake-up before the wait is not lost.
#[derive(Debug, Clone)]
pub struct Waker {
    event: Arc<OwnedFd>,
}

fn owned(descriptor: RawFd) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller passes what a system call has just made, so it is open and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

impl Waiter {
    /// An empty set and its wake-up.
    pub fn new() -> io::Result<Self> {
        // SAFETY: makes descriptors; no memory is involved.
        let epoll = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: as above.
        let event = Arc::new(owned(unsafe {
            libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)
        })?);
        let waiter = Self {
            epoll,
            event,
            coarse: AtomicBool::new(false),
        };
        waiter.control(libc::EPOLL_CTL_ADD, waiter.event.as_raw_fd(), WAKE)?;
        Ok(waiter)
    }

    /// A handle that wakes this set's owner.
    pub fn waker(&self) -> Waker {
        Waker {
            event: Arc::clone(&self.event),
        }
    }

    /// Waits for `descriptor` too, which is reported as `token` (any number but `u64::MAX`).
    pub fn add(&self, descriptor: RawFd, token: u64) -> io::Result<()> {
        if token == WAKE {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.control(libc::EPOLL_CTL_ADD, descriptor, token)
    }

    /// Waits for `descriptor` no more.
    pub fn remove(&self, descriptor: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, descriptor, 0)
    }

    fn control(&self, operation: i32, descriptor: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: token,
        };
        // SAFETY: `event` is read during the call only.
        match unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, descriptor, &raw mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Sleeps until a descriptor is ready, somebody wakes it, a signal comes, or `timeout` is over (`None`: for ever). The tokens of ready descriptors (or of dead ones) are put into `ready`, which is
    /// cleared first. True where it was woken.
    pub fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<u64>) -> io::Result<bool> {
        ready.clear();
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
        let count = match self.events(timeout, &mut events) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut woken = false;
        for event in events.iter().take(count) {
            match event.u64 {
                WAKE => woken = true,
                token => ready.push(token),
            }
        }
        if woken {
            self.calm();
        }
        Ok(woken)
    }

    /// How many events there are. A timeout below a millisecond is kept to where the kernel can (Linux 5.11), else rounded up.
    fn events(
        &self,
        timeout: Option<Duration>,
        events: &mut [libc::epoll_event; BATCH],
    ) -> io::Result<usize> {
        let epoll = self.epoll.as_raw_fd();
        let is_short = timeout.is_some_and(|t| !t.is_zero() && t < Duration::from_millis(20));
        if is_short && !self.coarse.load(Ordering::Relaxed) {
            let time = libc::timespec {
                tv_sec: 0,
                tv_nsec: timeout.map_or(0, |t| libc::c_long::from(t.subsec_nanos() as i32)),
            };
            let no_mask = std::ptr::null::<libc::sigset_t>();
            // SAFETY: `events` has room for BATCH events, `time` is read; both outlive the call, and no mask is given.
            let count = unsafe {
                libc::syscall(
                    libc::SYS_epoll_pwait2,
                    epoll,
                    events.as_mut_ptr(),
                    BATCH as i32,
                    &raw const time,
                    no_mask,
                    0_usize,
                )
            };
            match usize::try_from(count).map_err(|_| io::Error::last_os_error()) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    self.coarse.store(true, Ordering::Relaxed);
                }
                counted => return counted,
            }
        }
        let millis = timeout.map_or(-1, |t| {
            i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        // SAFETY: `events` has room for BATCH events, and outlives the call.
        let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), BATCH as i32, millis) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Empties the wake-up's counter.
    fn calm(&self) {
        let mut count = 0_u64;
        // SAFETY: reads 8 bytes into 8 bytes. It is non-blocking: with nothing to read nothing happens.
        unsafe { libc::read(self.event.as_raw_fd(), (&raw mut count).cast(), 8) };
    }
}

/// The set as a descriptor: readable while a wait would return at once, so one set can be waited for in another.
impl AsRawFd for Waiter {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

impl Waker {
    /// Wakes the owner, now or at its next wait. A system call; for control threads.
    pub fn wake(&self) {
        let one = 1_u64;
        // SAFETY: writes 8 bytes out of 8 bytes. A full counter (EAGAIN) means that it is awake already.
        unsafe { libc::write(self.event.as_raw_fd(), (&raw const one).cast(), 8) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::Instant;

    #[test]
    fn a_wake_up_is_not_lost_and_counts_once() {
        let waiter = Waiter::new().unwrap();
        let mut ready = vec![9];
        let waker = waiter.waker();
        waker.wake();
        waker.clone().wake();
        assert!(waiter.wait(None, &mut ready).unwrap() && ready.is_empty());
        assert!(!waiter.wait(Some(Duration::ZERO), &mut ready).unwrap());
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            waker.wake();
        });
        assert!(waiter.wait(Some(Duration::from_secs(10)), &mut ready).unwrap());
        thread.join().unwrap();
    }

    #[test]
    fn descriptors_are_told_by_their_tokens_until_removed() {
        let waiter = Waiter::new().unwrap();
        let (a, b) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        waiter.add(a.as_raw_fd(), 1).unwrap();
        waiter.add(b.as_raw_fd(), 2).unwrap();
        assert!(waiter.add(b.as_raw_fd(), u64::MAX).is_err());
        a.send_to(b"x", b.local_addr().unwrap()).unwrap();
        let mut ready = Vec::new();
        for _ in 0..2 {
            assert!(!waiter.wait(Some(Duration::from_secs(5)), &mut ready).unwrap());
            assert_eq!(ready, [2]);
        }
        waiter.remove(b.as_raw_fd()).unwrap();
        let start = Instant::now();
        assert!(!waiter.wait(Some(Duration::from_millis(5)), &mut ready).unwrap());
        assert!(ready.is_empty() && start.elapsed() >= Duration::from_millis(4));
        // A short sleep sleeps, and is short more often than not.
        let lengths = (0..50).map(|_| {
            let start = Instant::now();
            assert!(!waiter.wait(Some(Duration::from_micros(100)), &mut ready).unwrap());
            start.elapsed()
        });
        let mut lengths: Vec<Duration> = lengths.collect();
        lengths.sort();
        assert!(lengths[0] >= Duration::from_micros(100), "{lengths:?}");
        if !waiter.coarse.load(Ordering::Relaxed) {
            assert!(lengths[10] < Duration::from_millis(1), "{lengths:?}");
        }
    }
}
