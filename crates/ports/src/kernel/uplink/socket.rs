//! A UDP socket of the uplink: options, and the calls that move many datagrams at a time.
//!
//! All `unsafe` of its system calls is here.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::message::Address;

/// Bytes of queue asked for on each side of a socket; without CAP_NET_ADMIN the system's limit caps it.
const QUEUE_BYTES: i32 = 4 << 20;

/// A bound, unconnected UDP socket that never blocks.
#[derive(Debug)]
pub(super) struct Socket {
    inner: UdpSocket,
    local: SocketAddr,
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Receives all that comes to its address.
    Receive,
    /// Receives its share of the flows that come to an address: one of several such sockets.
    ReceiveShare,
    /// Sends only.
    Send,
}

impl Socket {
    /// A socket bound to `address` (port 0: any free one) in this thread's network namespace.
    pub fn bind(address: SocketAddr, role: Role) -> io::Result<Self> {
        let mut socket = Self {
            inner: UdpSocket::from(open(address)?),
            local: address,
        };
        if role == Role::ReceiveShare {
            socket.set(libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        }
        let (bytes, len) = Address::of(address);
        // SAFETY: `bytes` holds a socket address of `len` bytes, which the kernel only reads.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), bytes.bytes.as_ptr().cast(), len) };
        if bound != 0 {
            return Err(io::Error::last_os_error());
        }
        socket.local = socket.inner.local_addr()?;
        match role {
            Role::Receive | Role::ReceiveShare => socket.set_queue(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
            Role::Send => {
                socket.set_queue(libc::SO_SNDBUFFORCE, libc::SO_SNDBUF);
                socket.receive_nothing()?;
            }
        }
        Ok(socket)
    }

    fn set_queue(&self, forced: i32, polite: i32) {
        if self.set(libc::SOL_SOCKET, forced, QUEUE_BYTES).is_err() {
            // Less is not an error: bursts are lost sooner, and counted.
            let _ = self.set(libc::SOL_SOCKET, polite, QUEUE_BYTES);
        }
    }

    /// Nobody reads a sending socket: a filter keeps strangers from filling its queue with memory.
    fn receive_nothing(&self) -> io::Result<()> {
        // BPF: return 0, "keep no byte of it".
        let mut program = [libc::sock_filter {
            code: 0x06,
            jt: 0,
            jf: 0,
            k: 0,
        }];
        let filter = libc::sock_fprog {
            len: 1,
            filter: program.as_mut_ptr(),
        };
        self.set_bytes(
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size_of_val(&filter),
        )
    }

    /// The address it is bound to, port included.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sets an option whose value is a number.
    pub fn set(&self, level: i32, name: i32, value: i32) -> io::Result<()> {
        self.set_bytes(level, name, (&raw const value).cast(), size_of::<i32>())
    }

    fn set_bytes(&self, level: i32, name: i32, value: *const libc::c_void, len: usize) -> io::Result<()> {
        // SAFETY: every caller in this file passes a pointer to `len` bytes that outlive the call, and the kernel
        // only reads them (and, for a filter, the program it points to, which outlives the call as well).
        let result = unsafe { libc::setsockopt(self.inner.as_raw_fd(), level, name, value, len as u32) };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// Sends datagrams, and says how many the kernel took: fewer where one failed. An error is the first one's.
    ///
    /// # Safety
    /// Every pointer in `messages` is null with length 0, or valid for reads of its length during the call.
    pub unsafe fn send_many(&self, messages: &mut [libc::mmsghdr]) -> io::Result<usize> {
        let count = messages.len() as u32;
        // SAFETY: the array is valid for its length; what it points to is the caller's promise.
        let sent = unsafe {
            libc::sendmmsg(
                self.inner.as_raw_fd(),
                messages.as_mut_ptr(),
                count,
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Receives datagrams, and says how many came; 0 where none waits.
    ///
    /// # Safety
    /// Every pointer in `messages` is valid for writes of its length during the call, and nobody else uses that
    /// memory meanwhile.
    pub unsafe fn receive_many(&self, messages: &mut [libc::mmsghdr]) -> io::Result<usize> {
        let count = messages.len() as u32;
        let (flags, no_timeout) = (libc::MSG_DONTWAIT, std::ptr::null_mut());
        // SAFETY: the array is valid for its length; what it points to is the caller's promise.
        let received = unsafe {
            libc::recvmmsg(
                self.inner.as_raw_fd(),
                messages.as_mut_ptr(),
                count,
                flags,
                no_timeout,
            )
        };
        match usize::try_from(received) {
            Ok(received) => Ok(received),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                error => Err(error),
            },
        }
    }
}

/// A datagram socket of the address's family, not bound yet.
fn open(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: a system call without pointers.
    let descriptor = unsafe { libc::socket(family, kind, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}
