//! Datagrams on their way out: gathered from headers and payload slices, joined into trains, sent in few calls.
//!
//! Consecutive datagrams of one route and one size become a *train*: one message that the kernel cuts behind its
//! whole UDP and IP layer (UDP_SEGMENT). Only the last datagram of a train may be shorter. Nothing here knows what a
//! datagram holds.

use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;

use super::message::{Address, Control};
use super::socket::Socket;

/// Bytes of UDP payload that one message may have, over IPv4 and IPv6 alike.
const TRAIN_BYTES_MAX: usize = 65_507;
/// Datagrams in a train: the kernel's UDP_MAX_SEGMENTS, 64 before Linux 6.9 and 128 since.
const TRAIN_DATAGRAMS_MAX: u16 = 64;
/// Slices in a message: the kernel's UIO_MAXIOV.
const SLICES_MAX: usize = 1024;
/// Slices under way before they must be sent.
const SLICES: usize = 4 * SLICES_MAX;
/// Messages under way before they must be sent.
const MESSAGES: usize = 64;
/// Bytes of headers written for datagrams under way before they must be sent: those of about 1,000 packets.
const HEADER_BYTES: usize = 128 * 1024;
/// TTL of the sockets: what a message need not say.
pub(super) const TIME_TO_LIVE: u8 = 64;

/// Where a datagram goes, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    /// Which of the sockets sends it.
    pub socket: usize,
    /// To whom.
    pub destination: SocketAddr,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// TTL or hop limit.
    pub time_to_live: u8,
}

/// What became of frames that could not be sent. A large segment is one, counted as lost
/// with the message that it begins in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sent {
    /// Longer than the path to their destination allows.
    pub too_big: u32,
    /// The socket's or device's queue was full.
    pub full: u32,
    /// No route, no neighbour, forbidden by a filter, or anything else that the kernel refused.
    pub refused: u32,
    /// ICMP errors that came back for earlier datagrams. None of those under way was lost by them.
    pub icmp_errors: u32,
    /// Trains that had to be sent as single datagrams, because the kernel or device did not take them whole.
    pub trains_cut: u32,
    /// The last refusal.
    pub error: Option<i32>,
}

#[derive(Debug, Clone, Copy)]
struct Train {
    route: Route,
    first_slice: usize,
    slices: usize,
    bytes: usize,
    /// Bytes of each datagram but the last.
    size: usize,
    datagrams: u16,
    /// How many frames begin in it: a large segment is one frame and many datagrams.
    frames: u32,
    /// A short datagram was the last.
    is_closed: bool,
}

/// The memory of a queue: allocated once.
pub(super) struct Storage {
    /// `iov_base` of a header is its offset in `headers` until it is sent.
    slices: Vec<libc::iovec>,
    /// Which slices are headers.
    header_slices: Vec<u32>,
    headers: Box<[u8]>,
    headers_used: usize,
    trains: Vec<Train>,
    addresses: Box<[Address]>,
    controls: Box<[Control]>,
    messages: Vec<libc::mmsghdr>,
    /// False once a device has refused trains.
    joins: bool,
}

// SAFETY: the raw pointers in `slices` and `messages` are only followed in `Outgoing::flush`, on the thread that put
// them in; between bursts both are empty (`Outgoing` empties them when it is dropped).
unsafe impl Send for Storage {}

impl Storage {
    /// Empty. `joins` says whether the kernel has UDP_SEGMENT.
    pub fn new(joins: bool) -> Self {
        Self {
            slices: Vec::with_capacity(SLICES),
            header_slices: Vec::with_capacity(SLICES),
            headers: vec![0; HEADER_BYTES].into_boxed_slice(),
            headers_used: 0,
            trains: Vec::with_capacity(MESSAGES),
            addresses: vec![Address::EMPTY; MESSAGES].into_boxed_slice(),
            controls: vec![Control::EMPTY; MESSAGES].into_boxed_slice(),
            messages: Vec::with_capacity(MESSAGES),
            joins,
        }
    }

    fn clear(&mut self) {
        self.slices.clear();
        self.header_slices.clear();
        self.headers_used = 0;
        self.trains.clear();
        self.messages.clear();
    }
}

/// A datagram has more slices than a message can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManySlices;

/// Datagrams of one burst: `'f` is how long the frames they are slices of stay where they are.
pub(super) struct Outgoing<'q, 'f> {
    storage: &'q mut Storage,
    sockets: &'q [Socket],
    sent: Sent,
    frames_begun: u32,
    frames: PhantomData<&'f [u8]>,
}

impl<'q, 'f> Outgoing<'q, 'f> {
    /// An empty queue.
    pub fn new(storage: &'q mut Storage, sockets: &'q [Socket]) -> Self {
        storage.clear();
        Self {
            storage,
            sockets,
            sent: Sent::default(),
            frames_begun: 0,
            frames: PhantomData,
        }
    }

    /// What is pushed next, until this is called again, belongs to one frame.
    pub fn begin_frame(&mut self) {
        self.frames_begun += 1;
    }

    /// Takes a datagram: `header_len` bytes that `write_header` writes, then the slices of `payload`.
    pub fn push(
        &mut self,
        route: Route,
        header_len: usize,
        write_header: impl FnOnce(&mut [u8]),
        payload: impl Iterator<Item = &'f [u8]> + Clone,
    ) -> Result<(), TooManySlices> {
        let slices = payload.clone().count() + usize::from(header_len > 0);
        if slices > SLICES_MAX || header_len > HEADER_BYTES {
            return Err(TooManySlices);
        }
        let is_full = self.storage.slices.len() + slices > SLICES
            || self.storage.headers_used + header_len > HEADER_BYTES
            || self.storage.trains.len() == MESSAGES;
        if is_full {
            self.flush();
        }
        let first_slice = self.storage.slices.len();
        if header_len > 0 {
            self.push_header(header_len, write_header);
        }
        let mut bytes = header_len;
        for slice in payload {
            bytes += slice.len();
            self.storage.slices.push(libc::iovec {
                iov_base: slice.as_ptr().cast_mut().cast(),
                iov_len: slice.len(),
            });
        }
        self.join_or_start(route, first_slice, slices, bytes);
        Ok(())
    }

    fn push_header(&mut self, len: usize, write: impl FnOnce(&mut [u8])) {
        let storage = &mut *self.storage;
        let offset = storage.headers_used;
        if let Some(room) = storage.headers.get_mut(offset..offset + len) {
            write(room);
        }
        storage.headers_used += len;
        storage.header_slices.push(storage.slices.len() as u32);
        storage.slices.push(libc::iovec {
            iov_base: std::ptr::without_provenance_mut(offset),
            iov_len: len,
        });
    }

    fn join_or_start(&mut self, route: Route, first_slice: usize, slices: usize, bytes: usize) {
        let joins = self.storage.joins;
        let frames = std::mem::take(&mut self.frames_begun);
        match self.storage.trains.last_mut() {
            Some(train)
                if joins
                    && !train.is_closed
                    && bytes > 0
                    && bytes <= train.size
                    && train.route == route
                    && train.datagrams < TRAIN_DATAGRAMS_MAX
                    && train.bytes + bytes <= TRAIN_BYTES_MAX
                    && train.slices + slices <= SLICES_MAX =>
            {
                train.slices += slices;
                train.bytes += bytes;
                train.datagrams += 1;
                train.frames += frames;
                train.is_closed = bytes < train.size;
            }
            _ => self.storage.trains.push(Train {
                route,
                first_slice,
                slices,
                bytes,
                size: bytes,
                datagrams: 1,
                frames,
                is_closed: bytes == 0,
            }),
        }
    }

    /// Sends all that is left and says what became of everything since the queue was made.
    pub fn finish(mut self) -> Sent {
        self.flush();
        self.sent
    }

    /// Sends all that is waiting.
    pub fn flush(&mut self) {
        self.point_at_headers();
        let mut from = 0;
        while let Some(train) = self.storage.trains.get(from) {
            let socket = train.route.socket;
            let group = self.storage.trains[from..]
                .iter()
                .take_while(|t| t.route.socket == socket)
                .count();
            self.send_group(socket, from..from + group);
            from += group;
        }
        self.storage.clear();
    }

    /// From here until the storage is cleared nobody writes headers, so that the pointers stay valid.
    fn point_at_headers(&mut self) {
        let storage = &mut *self.storage;
        let base = storage.headers.as_ptr();
        for &at in &storage.header_slices {
            if let Some(slice) = storage.slices.get_mut(at as usize) {
                slice.iov_base = base.wrapping_add(slice.iov_base.addr()).cast_mut().cast();
            }
        }
        storage.header_slices.clear();
    }

    fn send_group(&mut self, socket: usize, trains: std::ops::Range<usize>) {
        let Some(socket) = self.sockets.get(socket) else {
            return;
        };
        let mut next = trains.start;
        while next < trains.end {
            match self.send_trains(socket, next..trains.end) {
                Ok(taken) => next += taken.max(1),
                Err(error) => {
                    let train = self.storage.trains[next];
                    self.send_again(socket, train, error);
                    next += 1;
                }
            }
        }
    }

    fn send_trains(&mut self, socket: &Socket, trains: std::ops::Range<usize>) -> io::Result<usize> {
        let storage = &mut *self.storage;
        storage.messages.clear();
        let routed = storage.trains[trains]
            .iter()
            .zip(&mut *storage.addresses)
            .zip(&mut *storage.controls);
        for ((train, address), control) in routed {
            let slices = &mut storage.slices[train.first_slice..train.first_slice + train.slices];
            storage.messages.push(message(train, slices, address, control));
        }
        // SAFETY: each message points to an address, a control block and slices in `storage`, which is borrowed for
        // the call; the slices point to headers in `storage` and to frames that live for `'f`, longer than `self`.
        unsafe { socket.send_many(&mut storage.messages) }
    }

    /// The first try for `train` failed: another where that makes sense, and the count of what is lost.
    fn send_again(&mut self, socket: &Socket, train: Train, error: io::Error) {
        let errno = error.raw_os_error().unwrap_or(0);
        match errno {
            // Left by an ICMP message for an earlier datagram: reported once, and nothing of this one was sent.
            libc::ECONNREFUSED => {
                self.sent.icmp_errors += 1;
                self.send_singly(socket, train);
            }
            // Each of them means for a train that it cannot go as such: over the path's MTU (older kernels say
            // EINVAL), or a device that computes no checksums.
            libc::EMSGSIZE | libc::EINVAL | libc::EIO if train.datagrams > 1 => {
                self.storage.joins &= errno != libc::EIO;
                self.sent.trains_cut += 1;
                self.send_singly(socket, train);
            }
            _ => self.count(errno, train.frames),
        }
    }

    /// Sends each datagram of a train as a message of its own.
    fn send_singly(&mut self, socket: &Socket, train: Train) {
        let mut first_slice = train.first_slice;
        let end = train.first_slice + train.slices;
        let (mut failed, mut errno) = (0, 0);
        while first_slice < end {
            let (mut slices, mut bytes) = (0, 0);
            // Every datagram but the last is exactly `size` long, so a boundary is never inside a slice.
            for slice in &self.storage.slices[first_slice..end] {
                slices += 1;
                bytes += slice.iov_len;
                if bytes >= train.size {
                    break;
                }
            }
            let single = Train {
                first_slice,
                slices,
                datagrams: 1,
                ..train
            };
            if let Err(error) = self.send_single(socket, &single) {
                failed += 1;
                errno = error.raw_os_error().unwrap_or(0);
            }
            first_slice += slices;
        }
        if failed > 0 {
            self.count(errno, train.frames.min(failed));
        }
    }

    fn send_single(&mut self, socket: &Socket, train: &Train) -> io::Result<usize> {
        let storage = &mut *self.storage;
        let slices = &mut storage.slices[train.first_slice..train.first_slice + train.slices];
        let (Some(address), Some(control)) = (storage.addresses.first_mut(), storage.controls.first_mut())
        else {
            return Ok(0);
        };
        // SAFETY: as in `send_trains`.
        unsafe { socket.send_many(&mut [message(train, slices, address, control)]) }
    }

    fn count(&mut self, errno: i32, frames: u32) {
        match errno {
            libc::EMSGSIZE => self.sent.too_big += frames,
            libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM => self.sent.full += frames,
            _ => {
                self.sent.refused += frames;
                self.sent.error = Some(errno);
            }
        }
    }
}

impl Drop for Outgoing<'_, '_> {
    fn drop(&mut self) {
        self.storage.clear();
    }
}

fn message(
    train: &Train,
    slices: &mut [libc::iovec],
    address: &mut Address,
    control: &mut Control,
) -> libc::mmsghdr {
    let (kernel_address, address_len) = Address::of(train.route.destination);
    *address = kernel_address;
    let control_len = write_control(train, control);
    libc::mmsghdr {
        msg_hdr: libc::msghdr {
            msg_name: address.bytes.as_mut_ptr().cast(),
            msg_namelen: address_len,
            msg_iov: slices.as_mut_ptr(),
            msg_iovlen: slices.len(),
            msg_control: control.bytes.as_mut_ptr().cast(),
            msg_controllen: control_len,
            msg_flags: 0,
        },
        msg_len: 0,
    }
}

fn write_control(train: &Train, control: &mut Control) -> usize {
    let Route {
        destination,
        traffic_class,
        time_to_live,
        ..
    } = train.route;
    let (level, class, hops) = match destination {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TOS, libc::IP_TTL),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, libc::IPV6_HOPLIMIT),
    };
    let mut len = 0;
    if traffic_class != 0 {
        len = control.push(len, level, class, &i32::from(traffic_class).to_ne_bytes());
    }
    // The kernel takes 1 to 255.
    if time_to_live != TIME_TO_LIVE && time_to_live != 0 {
        len = control.push(len, level, hops, &i32::from(time_to_live).to_ne_bytes());
    }
    if train.datagrams > 1 {
        len = control.push(
            len,
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            &(train.size as u16).to_ne_bytes(),
        );
    }
    len
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
