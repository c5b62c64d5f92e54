//! When the receiving side has something to hand out: its socket is readable, or a row is left from the last read.
//!
//! A row can be longer than what a caller takes at a time. The socket knows nothing of what was read already, so the
//! descriptor that workers wait for is a set of two: the socket, and a note of our own.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use crate::kernel::wait::{Waiter, Waker};

/// The token of the socket; nobody asks for it.
const SOCKET: u64 = 0;

/// See the module's page.
#[derive(Debug)]
pub(super) struct Readiness {
    waiter: Waiter,
    waker: Waker,
    has_rows: bool,
    tokens: Vec<u64>,
}

impl Readiness {
    /// Of the socket `socket`, which must outlive it.
    pub fn of(socket: RawFd) -> io::Result<Self> {
        let waiter = Waiter::new()?;
        waiter.add(socket, SOCKET)?;
        let waker = waiter.waker();
        Ok(Self {
            waiter,
            waker,
            has_rows: false,
            tokens: Vec::with_capacity(2),
        })
    }

    /// Says whether rows are left. A system call where that changes, which is where a row is longer than a burst.
    pub fn set_rows(&mut self, has_rows: bool) {
        if has_rows == self.has_rows {
            return;
        }
        self.has_rows = has_rows;
        if has_rows {
            self.waker.wake();
        } else {
            // Takes the note away. An error could only come of a closed descriptor, and would wake once too often.
            let _ = self.waiter.wait(Some(Duration::ZERO), &mut self.tokens);
        }
    }
}

impl AsRawFd for Readiness {
    fn as_raw_fd(&self) -> RawFd {
        self.waiter.as_raw_fd()
    }
}
