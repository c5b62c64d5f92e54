//! A packet socket's packets: one scattering receive, one gathering send each.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anet_memory::buffer::{Buffer, Pool, Slab};

use super::packet::Device;
use super::scatter::Scatter;
use super::tap_queue::{PIECES, SHORTEST};
use super::vnet_header::{self, SHORT_BYTES};
use crate::{PortError, ReceiveCounters, ReceiveQueue, TransmitOutcome, TransmitQueue};

/// Control message and flags of linux/if_packet.h.
const PACKET_AUXDATA: libc::c_int = 8;
const PACKET_STATISTICS: libc::c_int = 6;
const VLAN_VALID: u32 = 1 << 4;
const VLAN_TPID_VALID: u32 = 1 << 6;
/// IEEE 802.1Q's own Ethernet type.
const VLAN_TYPE: u16 = 0x8100;
const VLAN_BYTES: usize = 4;
/// Bytes of the two addresses in front of a VLAN tag.
const ADDRESS_BYTES: usize = 12;

/// `struct tpacket_auxdata`: what the kernel says beside a packet.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct AuxiliaryData {
    status: u32,
    len: u32,
    captured: u32,
    mac: u16,
    network: u16,
    vlan_tag: u16,
    vlan_type: u16,
}

/// Room for one control message with auxiliary data, aligned as control messages must be.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// One received packet, as the kernel tells it.
struct Received {
    len: usize,
    truncated: bool,
    vlan: Option<[u8; VLAN_BYTES]>,
}

/// What became of one receive.
enum Arrival {
    Packet(Buffer),
    Dropped,
    Nothing,
}

/// The receiving side.
pub(super) struct PacketReceive {
    device: Arc<Device>,
    counters: ReceiveCounters,
    /// The port's note that this queue is given out.
    given_out: Arc<AtomicBool>,
}

impl PacketReceive {
    pub(super) fn new(device: Arc<Device>, given_out: Arc<AtomicBool>) -> Self {
        Self {
            device,
            counters: ReceiveCounters::default(),
            given_out,
        }
    }

    fn read(&mut self, pool: &Pool, spare: &mut Option<Slab>) -> Result<Arrival, PortError> {
        let Some(mut place) = Scatter::take(pool, spare) else {
            return self.discard();
        };
        let mut header = [0; SHORT_BYTES];
        let (head, chain) = place.room();
        let pieces = [&mut header[..], head, chain];
        let received = match receive(self.device.socket.as_raw_fd(), pieces) {
            Ok(received) => received,
            Err(error) => {
                place.abandon(spare);
                return self.nothing(error);
            }
        };
        let Some(len) = received
            .len
            .checked_sub(SHORT_BYTES)
            .filter(|len| *len >= SHORTEST && !received.truncated)
        else {
            let counter = if received.truncated && !place.has_slab() {
                &mut self.counters.dropped_pool_exhausted
            } else {
                &mut self.counters.dropped_bad_length
            };
            *counter += 1;
            place.abandon(spare);
            return Ok(Arrival::Dropped);
        };
        let Some(buffer) = place.finish(len, spare) else {
            self.counters.dropped_bad_length += 1;
            return Ok(Arrival::Dropped);
        };
        Ok(self.accept(buffer, &header, received.vlan))
    }

    fn accept(
        &mut self,
        mut buffer: Buffer,
        header: &[u8; SHORT_BYTES],
        vlan: Option<[u8; VLAN_BYTES]>,
    ) -> Arrival {
        let Ok(meta) = vnet_header::parse(header, buffer.len(), buffer.head().len()) else {
            self.counters.dropped_bad_offload += 1;
            return Arrival::Dropped;
        };
        buffer.meta = meta;
        if vlan.is_some_and(|tag| !insert_vlan(&mut buffer, tag)) {
            self.counters.dropped_bad_length += 1;
            return Arrival::Dropped;
        }
        self.counters.packets += 1;
        self.counters.bytes += buffer.len() as u64;
        Arrival::Packet(buffer)
    }

    /// Takes a packet off the socket for which there is no buffer, so that a full pool cannot keep the worker awake.
    #[cold]
    fn discard(&mut self) -> Result<Arrival, PortError> {
        match receive(
            self.device.socket.as_raw_fd(),
            [&mut [0; SHORT_BYTES + SHORTEST][..], &mut [], &mut []],
        ) {
            Ok(_) => {
                self.counters.dropped_pool_exhausted += 1;
                Ok(Arrival::Dropped)
            }
            Err(error) => self.nothing(error),
        }
    }

    #[inline]
    fn nothing(&mut self, error: io::Error) -> Result<Arrival, PortError> {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Arrival::Nothing),
            _ => Err(self.device.diagnose("receive a packet", error)),
        }
    }
}

impl ReceiveQueue for PacketReceive {
    fn receive(&mut self, pool: &Pool, burst: &mut Vec<Buffer>, max: usize) -> Result<usize, PortError> {
        let (mut spare, before) = (None, burst.len());
        for _ in 0..max {
            match self.read(pool, &mut spare)? {
                Arrival::Packet(buffer) => burst.push(buffer),
                Arrival::Dropped => {}
                Arrival::Nothing => break,
            }
        }
        Ok(burst.len() - before)
    }

    fn wait_descriptor(&self) -> Option<RawFd> {
        Some(self.device.socket.as_raw_fd())
    }

    fn counters(&self) -> ReceiveCounters {
        self.counters
    }

    fn refresh_counters(&mut self) {
        self.counters.dropped_by_system += u64::from(lost(self.device.socket.as_raw_fd()));
    }
}

impl Drop for PacketReceive {
    fn drop(&mut self) {
        self.given_out.store(false, Ordering::Release);
    }
}

/// Puts a tag that the kernel took off back behind the addresses. False where there is no room.
fn insert_vlan(buffer: &mut Buffer, tag: [u8; VLAN_BYTES]) -> bool {
    if buffer.head().len() < ADDRESS_BYTES || buffer.prepend(VLAN_BYTES).is_err() {
        return false;
    }
    let head = buffer.head_mut();
    head.copy_within(VLAN_BYTES..VLAN_BYTES + ADDRESS_BYTES, 0);
    head[ADDRESS_BYTES..ADDRESS_BYTES + VLAN_BYTES].copy_from_slice(&tag);
    true
}

/// Packets that the socket's full queue has lost since the last time it was asked.
fn lost(socket: RawFd) -> u32 {
    let mut statistics = [0_u32; 2];
    let mut bytes = size_of_val(&statistics) as libc::socklen_t;
    // SAFETY: the kernel writes at most `bytes` bytes, which is how long `statistics` (packets, drops) is.
    let asked = unsafe {
        let place = statistics.as_mut_ptr().cast();
        libc::getsockopt(socket, libc::SOL_PACKET, PACKET_STATISTICS, place, &raw mut bytes)
    };
    if asked == 0 { statistics[1] } else { 0 }
}

/// Receives one packet into the pieces, in order.
fn receive(socket: RawFd, pieces: [&mut [u8]; 3]) -> io::Result<Received> {
    let mut control = Control([0; 64]);
    let mut vectors = pieces.map(|piece| libc::iovec {
        iov_base: piece.as_mut_ptr().cast(),
        iov_len: piece.len(),
    });
    // SAFETY: a zeroed msghdr is a legal one: it is plain data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = vectors.len() as _;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    // SAFETY: vectors and control room are what the message says, exclusive, and outlive the call.
    let len = unsafe { libc::recvmsg(socket, &raw mut message, libc::MSG_DONTWAIT) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    let truncated = message.msg_flags & libc::MSG_TRUNC != 0;
    Ok(Received {
        len,
        truncated,
        vlan: vlan_beside(&message),
    })
}

/// The VLAN tag that the kernel tells beside the packet, as it was in it.
fn vlan_beside(message: &libc::msghdr) -> Option<[u8; VLAN_BYTES]> {
    // SAFETY: the message is one that recvmsg filled in, and its control room is still there.
    let first = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: where it is not null it points to a whole header inside the control room.
    let header = unsafe { first.as_ref() }?;
    // SAFETY: computes a length.
    let expected = unsafe { libc::CMSG_LEN(size_of::<AuxiliaryData>() as u32) } as usize;
    let is_auxiliary = header.cmsg_level == libc::SOL_PACKET && header.cmsg_type == PACKET_AUXDATA;
    if !is_auxiliary || (header.cmsg_len as usize) < expected {
        return None;
    }
    // SAFETY: the message holds at least as many bytes (checked), of plain data, at any alignment.
    let data = unsafe { libc::CMSG_DATA(first).cast::<AuxiliaryData>().read_unaligned() };
    if data.status & VLAN_VALID == 0 {
        return None;
    }
    let kind = if data.status & VLAN_TPID_VALID == 0 {
        VLAN_TYPE
    } else {
        data.vlan_type
    };
    let ([a, b], [c, d]) = (kind.to_be_bytes(), data.vlan_tag.to_be_bytes());
    Some([a, b, c, d])
}

/// The sending side.
pub(super) struct PacketTransmit {
    device: Arc<Device>,
}

impl PacketTransmit {
    pub(super) fn new(device: Arc<Device>) -> Self {
        Self { device }
    }

    fn send(&self, buffer: &Buffer, outcome: &mut TransmitOutcome) {
        let Some(sent) = vnet_header::format(buffer).ok().and_then(|header| {
            let short: &[u8; SHORT_BYTES] = header.first_chunk()?;
            gather(self.device.socket.as_raw_fd(), short, buffer)
        }) else {
            outcome.dropped_unsupported += 1;
            return;
        };
        match sent {
            Ok(()) => {
                outcome.sent += 1;
                outcome.sent_bytes += buffer.len() as u64;
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => outcome.dropped_full += 1,
                Some(libc::EINVAL | libc::EMSGSIZE) => outcome.dropped_unsupported += 1,
                _ => {
                    outcome.dropped_error += 1;
                    outcome.error = Some(self.device.diagnose("send a packet", error));
                }
            },
        }
    }
}

/// Sends one packet; `None` where it has more pieces than a call takes.
fn gather(socket: RawFd, header: &[u8; SHORT_BYTES], buffer: &Buffer) -> Option<io::Result<()>> {
    let vector = |bytes: &[u8]| libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut vectors = [vector(&[]); PIECES];
    (vectors[0], vectors[1]) = (vector(header), vector(buffer.head()));
    let mut used = 2;
    for slice in buffer.chain_slices() {
        *vectors.get_mut(used)? = vector(slice);
        used += 1;
    }
    // SAFETY: a zeroed msghdr is a legal one: it is plain data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = used as _;
    loop {
        // SAFETY: the vectors point to bytes that are borrowed for the call, which only reads them.
        let sent = unsafe { libc::sendmsg(socket, &raw const message, libc::MSG_DONTWAIT) };
        if sent >= 0 {
            return Some(Ok(()));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Some(Err(error));
        }
    }
}

impl TransmitQueue for PacketTransmit {
    fn transmit(&mut self, burst: &mut Vec<Buffer>) -> TransmitOutcome {
        let mut outcome = TransmitOutcome::default();
        for buffer in burst.drain(..) {
            // What failed for one packet fails for the next: no system call each to find that out.
            match outcome.error {
                None => self.send(&buffer, &mut outcome),
                Some(_) => outcome.dropped_error += 1,
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_memory::buffer::Checksum;

    #[test]
    fn a_tag_goes_back_behind_the_addresses_and_moves_the_checksum() {
        let pool = Pool::default();
        let frame: Vec<u8> = (0..60).collect();
        let mut buffer = pool.copy_from(&frame).unwrap();
        buffer.meta.checksum = Checksum::Partial { start: 34, offset: 6 };
        assert!(insert_vlan(&mut buffer, [0x81, 0, 0, 42]));
        assert_eq!(buffer.head()[..12], frame[..12]);
        assert_eq!(buffer.head()[12..16], [0x81, 0, 0, 42]);
        assert_eq!(buffer.head()[16..], frame[12..]);
        assert_eq!(buffer.meta.checksum, Checksum::Partial { start: 38, offset: 6 });
        assert!(!insert_vlan(&mut pool.copy_from(&[0; 11]).unwrap(), [0; 4]));
    }
}
