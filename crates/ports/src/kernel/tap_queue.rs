//! A TAP's packets: one scattering read, one gathering write each.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anet_memory::buffer::{Buffer, Pool, Slab};

use super::scatter::Scatter;
use super::tap::Device;
use super::vnet_header::{self, LONG_BYTES};
use crate::{PortError, ReceiveCounters, ReceiveQueue, TransmitOutcome, TransmitQueue};

/// Pieces of one packet that a write gathers: header, head, and a foreign chain's segments.
pub(super) const PIECES: usize = 40;
/// Shortest frame: an Ethernet header.
pub(super) const SHORTEST: usize = 14;

/// Bytes after which a burst ends: what was read is written while it is still in a core's second-level cache, which is
/// 1 to 2 MiB and is shared with the sender's and the receiver's own copies. The rest is reported by the next wait.
const BURST_BYTES: usize = 128 * 1024;

/// What became of one read.
enum Arrival {
    Packet(Buffer),
    Dropped,
    Nothing,
}

/// The receiving side.
pub(super) struct TapReceive {
    device: Arc<Device>,
    counters: ReceiveCounters,
    /// The port's note that this queue is given out.
    given_out: Arc<AtomicBool>,
}

impl TapReceive {
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
        let mut header = [0; LONG_BYTES];
        let (head, chain) = place.room();
        let room = head.len() + chain.len();
        let mut pieces = [
            IoSliceMut::new(&mut header),
            IoSliceMut::new(head),
            IoSliceMut::new(chain),
        ];
        let read = loop {
            match (&self.device.file).read_vectored(&mut pieces) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let len = match read {
            Ok(len) => len,
            Err(error) => {
                place.abandon(spare);
                if error.kind() == ErrorKind::WouldBlock {
                    return Ok(Arrival::Nothing);
                }
                return Err(self.device.diagnose("read a packet", error));
            }
        };
        let Some(len) = len.checked_sub(LONG_BYTES).filter(|len| *len >= SHORTEST) else {
            place.abandon(spare);
            self.counters.dropped_bad_length += 1;
            return Ok(Arrival::Dropped);
        };
        if len >= room {
            // As much as there was room for: the kernel has cut the rest off.
            let counter = if place.has_slab() {
                &mut self.counters.dropped_bad_length
            } else {
                &mut self.counters.dropped_pool_exhausted
            };
            *counter += 1;
            place.abandon(spare);
            return Ok(Arrival::Dropped);
        }
        Ok(self.accept(place, &header, len, spare))
    }

    #[inline]
    fn accept(
        &mut self,
        place: Scatter,
        header: &[u8; LONG_BYTES],
        len: usize,
        spare: &mut Option<Slab>,
    ) -> Arrival {
        let Some(mut buffer) = place.finish(len, spare) else {
            self.counters.dropped_bad_length += 1;
            return Arrival::Dropped;
        };
        let short = header
            .first_chunk()
            .expect("the long header begins with the short one");
        let Ok(meta) = vnet_header::parse(short, len, buffer.head().len()) else {
            self.counters.dropped_bad_offload += 1;
            return Arrival::Dropped;
        };
        buffer.meta = meta;
        self.counters.packets += 1;
        self.counters.bytes += len as u64;
        Arrival::Packet(buffer)
    }

    /// Takes a packet off the device for which there is no buffer, so that a full pool cannot keep the worker awake.
    #[cold]
    fn discard(&mut self) -> Result<Arrival, PortError> {
        match (&self.device.file).read(&mut [0; LONG_BYTES + SHORTEST]) {
            Ok(_) => {
                self.counters.dropped_pool_exhausted += 1;
                Ok(Arrival::Dropped)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Ok(Arrival::Nothing)
            }
            Err(error) => Err(self.device.diagnose("read a packet", error)),
        }
    }
}

impl ReceiveQueue for TapReceive {
    fn receive(&mut self, pool: &Pool, burst: &mut Vec<Buffer>, max: usize) -> Result<usize, PortError> {
        let (mut spare, before) = (None, burst.len());
        let mut bytes = 0;
        for _ in 0..max {
            match self.read(pool, &mut spare)? {
                Arrival::Packet(buffer) => {
                    bytes += buffer.len();
                    burst.push(buffer);
                    if bytes >= BURST_BYTES {
                        break;
                    }
                }
                Arrival::Dropped => {}
                Arrival::Nothing => break,
            }
        }
        Ok(burst.len() - before)
    }

    fn wait_descriptor(&self) -> Option<RawFd> {
        Some(self.device.file.as_raw_fd())
    }

    fn counters(&self) -> ReceiveCounters {
        self.counters
    }
}

impl Drop for TapReceive {
    fn drop(&mut self) {
        self.given_out.store(false, Ordering::Release);
    }
}

/// The sending side.
pub(super) struct TapTransmit {
    device: Arc<Device>,
}

impl TapTransmit {
    pub(super) fn new(device: Arc<Device>) -> Self {
        Self { device }
    }

    fn write(&self, buffer: &Buffer, outcome: &mut TransmitOutcome) {
        let Ok(header) = vnet_header::format(buffer) else {
            outcome.dropped_unsupported += 1;
            return;
        };
        let mut pieces = [IoSlice::new(&[]); PIECES];
        (pieces[0], pieces[1]) = (IoSlice::new(&header), IoSlice::new(buffer.head()));
        let mut used = 2;
        for slice in buffer.chain_slices() {
            let Some(piece) = pieces.get_mut(used) else {
                outcome.dropped_unsupported += 1;
                return;
            };
            *piece = IoSlice::new(slice);
            used += 1;
        }
        let written = loop {
            match (&self.device.file).write_vectored(&pieces[..used]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                written => break written,
            }
        };
        match written {
            Ok(_) => {
                outcome.sent += 1;
                outcome.sent_bytes += buffer.len() as u64;
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => outcome.dropped_full += 1,
                Some(libc::EINVAL | libc::EMSGSIZE | libc::EFAULT) => outcome.dropped_unsupported += 1,
                _ => {
                    outcome.dropped_error += 1;
                    outcome.error = Some(self.device.diagnose("write a packet", error));
                }
            },
        }
    }
}

impl TransmitQueue for TapTransmit {
    fn transmit(&mut self, burst: &mut Vec<Buffer>) -> TransmitOutcome {
        let mut outcome = TransmitOutcome::default();
        for buffer in burst.drain(..) {
            // What failed for one packet fails for the next: no system call each to find that out.
            match outcome.error {
                None => self.write(&buffer, &mut outcome),
                Some(_) => outcome.dropped_error += 1,
            }
        }
        outcome
    }
}
