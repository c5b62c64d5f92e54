//! Frames on their way in: datagrams are read many at a time, merged where they are one TCP stream, and get an outer
//! header in front.
//!
//! A read gives messages; a message is one datagram, or (UDP_GRO) a row of equally long ones. Datagrams that travel
//! alone land in the head of a buffer without a copy. A row lands in this queue's own area and is handed out from
//! there, merged or one by one, over as many calls as it takes: no buffer of a pool is kept between calls.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use anet_memory::buffer::{Buffer, Pool};

use super::message::{Address, CONTROL_LEN, Control, number};
use super::outer::Outer;
use super::readiness::Readiness;
use super::row::{Message, next_of_row, single};
use super::socket::Socket;
use super::{Lease, UplinkSockets};
use crate::port::{PortError, ReceiveCounters, ReceiveQueue};

/// The most messages asked for in one read.
const MESSAGES: usize = 32;
/// The fewest: a read describes each to the kernel, whether it comes or not.
const MESSAGES_MIN: usize = 4;
/// Bytes that a read should not bring more of: they are worked on while they are in the processor's cache.
const READ_BYTES: usize = 128 * 1024;
/// Bytes of area per message: more than the longest UDP payload.
const AREA_BYTES: usize = 64 * 1024;

/// What a read is described with; written anew before each.
struct Description {
    headers: Box<[libc::mmsghdr]>,
    slices: Box<[[libc::iovec; 2]]>,
}

// SAFETY: the raw pointers are only followed by the kernel, during the call that `UplinkReceive::read_messages` makes
// right after it has written them.
unsafe impl Send for Description {}

/// The receiving side of the uplink.
pub(super) struct UplinkReceive {
    sockets: Arc<UplinkSockets>,
    queue: usize,
    area: Box<[u8]>,
    addresses: Box<[Address]>,
    controls: Box<[Control]>,
    description: Description,
    /// The messages of the last read, by their place in the area; `None` once handed out.
    messages: Vec<Option<Message>>,
    /// Messages to ask for in the next read.
    wanted: usize,
    counters: ReceiveCounters,
    readiness: Readiness,
    _lease: Lease,
}

impl UplinkReceive {
    pub fn new(sockets: Arc<UplinkSockets>, queue: usize, lease: Lease) -> Result<Self, PortError> {
        let socket = socket_of(&sockets, queue)?.as_raw_fd();
        let readiness = Readiness::of(socket).map_err(|error| sockets.receive_error(error))?;
        Ok(Self {
            sockets,
            queue,
            // Backed by memory only where a row of datagrams has ever been.
            area: vec![0; MESSAGES * AREA_BYTES].into_boxed_slice(),
            addresses: vec![Address::EMPTY; MESSAGES].into_boxed_slice(),
            controls: vec![Control::EMPTY; MESSAGES].into_boxed_slice(),
            description: Description {
                headers: vec![EMPTY_HEADER; MESSAGES].into_boxed_slice(),
                slices: vec![[EMPTY_SLICE; 2]; MESSAGES].into_boxed_slice(),
            },
            messages: Vec::with_capacity(MESSAGES),
            wanted: MESSAGES_MIN,
            counters: ReceiveCounters::default(),
            readiness,
            _lease: lease,
        })
    }

    /// Hands out what earlier reads left, at most `max` packets.
    fn hand_out_rows(&mut self, pool: &Pool, burst: &mut Vec<Buffer>, max: usize) -> usize {
        let mut used = 0;
        for place in 0..self.messages.len() {
            while used < max
                && let Some(mut message) = self.messages.get(place).copied().flatten()
            {
                let row = row(&self.area, place);
                let handed = next_of_row(row, &mut message, pool, None);
                self.messages[place] = (message.done < message.len).then_some(message);
                self.book(handed, burst);
                used += 1;
            }
        }
        used
    }

    /// Reads at most `max` messages (1 to [`MESSAGES`]) and hands out what fits into `max` packets.
    fn read(&mut self, pool: &Pool, burst: &mut Vec<Buffer>, max: usize) -> Result<usize, PortError> {
        let mut heads = [const { None }; MESSAGES];
        let mut wanted = 0;
        for head in heads.iter_mut().take(max) {
            *head = pool.take();
            wanted += usize::from(head.is_some());
        }
        // With an empty pool packets are taken off the socket all the same: they would keep the worker awake.
        let count = self.read_messages(&mut heads[..if wanted == 0 { max } else { wanted }])?;
        self.messages.clear();
        self.messages.resize(count, None);
        let (mut used, mut bytes) = (0, 0);
        for (place, head) in heads.into_iter().take(count).enumerate() {
            let Some(header) = self.description.headers.get(place) else {
                continue;
            };
            let Some(head) = head else {
                self.counters.dropped_pool_exhausted += 1;
                continue;
            };
            let header = *header;
            bytes += header.msg_len as usize;
            used += self.hand_out(place, head, &header, pool, burst, max - used);
        }
        self.adapt(count, bytes);
        Ok(used)
    }

    /// Asks for twice of what came, but not for more than [`READ_BYTES`] of it, as far as can be known.
    fn adapt(&mut self, count: usize, bytes: usize) {
        let fits = READ_BYTES * count.max(1) / bytes.max(1);
        self.wanted = (count * 2).min(fits).clamp(MESSAGES_MIN, MESSAGES);
    }

    fn read_messages(&mut self, heads: &mut [Option<Buffer>]) -> Result<usize, PortError> {
        let Description { headers, slices } = &mut self.description;
        let areas = self.area.chunks_exact_mut(AREA_BYTES);
        let names = self.addresses.iter_mut().zip(&mut *self.controls);
        let parts = heads
            .iter_mut()
            .zip(areas)
            .zip(names)
            .zip(&mut **slices)
            .zip(&mut **headers);
        for ((((head, area), (address, control)), slices), header) in parts {
            let head = head.as_mut().map_or(&mut [][..], |head| head.tail_mut());
            // The head's bytes can so be copied in front of the rest: a row is in one piece then.
            let area = area.get_mut(head.len()..).unwrap_or_default();
            slices[0] = libc::iovec {
                iov_base: head.as_mut_ptr().cast(),
                iov_len: head.len(),
            };
            slices[1] = libc::iovec {
                iov_base: area.as_mut_ptr().cast(),
                iov_len: area.len(),
            };
            header.msg_hdr.msg_name = address.bytes.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = Address::LEN_MAX;
            header.msg_hdr.msg_iov = slices.as_mut_ptr();
            header.msg_hdr.msg_iovlen = slices.len();
            header.msg_hdr.msg_control = control.bytes.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL_LEN;
        }
        let socket = socket_of(&self.sockets, self.queue)?;
        let headers = headers.get_mut(..heads.len()).unwrap_or_default();
        // SAFETY: each header points to an address, a control block, slices and a part of the area, all four `self`'s
        // and borrowed here, and to a head's tail, borrowed through `heads`; no two overlap.
        let received = unsafe { socket.receive_many(headers) };
        received.or_else(|error| self.absorb(error))
    }

    /// Errors that ICMP messages leave on a socket are nobody's fault here.
    fn absorb(&self, error: io::Error) -> Result<usize, PortError> {
        match error.raw_os_error() {
            Some(libc::EINTR) => Ok(0),
            Some(
                libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EMSGSIZE | libc::EPROTO,
            ) => {
                self.sockets.counters.add_icmp_error();
                Ok(0)
            }
            _ => Err(self.sockets.receive_error(error)),
        }
    }

    /// Hands out a message that was just read; the rest of a row waits in the area for the next call.
    fn hand_out(
        &mut self,
        place: usize,
        mut head: Buffer,
        header: &libc::mmsghdr,
        pool: &Pool,
        burst: &mut Vec<Buffer>,
        max: usize,
    ) -> usize {
        let Some(mut message) = self.describe(place, header) else {
            self.counters.dropped_bad_length += 1;
            return 1;
        };
        let area = &mut self.area[place * AREA_BYTES..][..message.len.min(AREA_BYTES)];
        let in_head = message.len.min(head.tailroom());
        if message.stride >= message.len && max > 0 {
            let handed = single(&message, head, in_head, &area[in_head..], pool);
            self.book(handed, burst);
            return 1;
        }
        area[..in_head].copy_from_slice(&head.tail_mut()[..in_head]);
        let (mut used, mut head) = (0, Some(head));
        while used < max && message.done < message.len {
            let handed = next_of_row(area, &mut message, pool, head.take());
            book(&mut self.counters, handed, burst);
            used += 1;
        }
        self.messages[place] = (message.done < message.len).then_some(message);
        used
    }

    /// What came with a message; `None` where it was cut off or has no source.
    fn describe(&mut self, place: usize, header: &libc::mmsghdr) -> Option<Message> {
        let source = self.addresses.get(place)?.to_socket_address();
        let control = self.controls.get(place)?;
        let socket = socket_of(&self.sockets, self.queue).ok()?;
        let len = header.msg_len as usize;
        let destination = socket.local();
        let outer = Outer {
            source: source?,
            destination,
            traffic_class: 0,
            time_to_live: 0,
        };
        let mut message = Message {
            outer,
            len,
            stride: len,
            done: 0,
        };
        for (level, kind, value) in control.messages(header.msg_hdr.msg_controllen) {
            let value = number(value).unwrap_or(0);
            match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_TOS) | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    message.outer.traffic_class = value as u8;
                }
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    message.outer.time_to_live = value as u8;
                }
                (libc::SOL_UDP, libc::UDP_GRO) => message.stride = usize::try_from(value).unwrap_or(0).max(1),
                // The kernel's counter of datagrams that found the queue full; it has 32 bits.
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    self.counters.dropped_by_system = u64::from(value as u32);
                }
                _ => (),
            }
        }
        let is_whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0 && len <= AREA_BYTES;
        is_whole.then_some(message)
    }

    fn book(&mut self, handed: Option<Buffer>, burst: &mut Vec<Buffer>) {
        book(&mut self.counters, handed, burst);
    }
}

fn book(counters: &mut ReceiveCounters, handed: Option<Buffer>, burst: &mut Vec<Buffer>) {
    match handed {
        Some(packet) => {
            counters.packets += 1;
            counters.bytes += packet.len() as u64;
            burst.push(packet);
        }
        None => counters.dropped_pool_exhausted += 1,
    }
}

impl ReceiveQueue for UplinkReceive {
    fn receive(&mut self, pool: &Pool, burst: &mut Vec<Buffer>, max: usize) -> Result<usize, PortError> {
        let before = burst.len();
        let used = self.hand_out_rows(pool, burst, max);
        let read = match max - used {
            0 => Ok(0),
            room => self.read(pool, burst, room.min(self.wanted)),
        };
        self.readiness.set_rows(self.messages.iter().any(Option::is_some));
        read.map(|_| burst.len() - before)
    }

    fn wait_descriptor(&self) -> Option<RawFd> {
        Some(self.readiness.as_raw_fd())
    }

    fn counters(&self) -> ReceiveCounters {
        self.counters
    }
}

fn socket_of(sockets: &UplinkSockets, queue: usize) -> Result<&Socket, PortError> {
    sockets.receive.get(queue).ok_or_else(|| PortError::NoQueue {
        port: sockets.name.clone(),
        queue,
    })
}

const EMPTY_SLICE: libc::iovec = libc::iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};

const EMPTY_HEADER: libc::mmsghdr = libc::mmsghdr {
    msg_hdr: libc::msghdr {
        msg_name: std::ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: std::ptr::null_mut(),
        msg_iovlen: 0,
        msg_control: std::ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    },
    msg_len: 0,
};

fn row(area: &[u8], place: usize) -> &[u8] {
    area.get(place * AREA_BYTES..(place + 1) * AREA_BYTES)
        .unwrap_or_default()
}
