//! A device's queues, as workers have them.

use std::cell::Cell;
use std::os::fd::RawFd;
use std::sync::{Arc, PoisonError};

use anet_memory::buffer::{Buffer, Checksum, Pool, SegmentKind, hand_over};

use super::buffer::packet_of;
use super::finish;
use super::port::Device;
use super::shim::{Packet, Shim};
use crate::{PortError, ReceiveCounters, ReceiveQueue, TransmitOutcome, TransmitQueue};

/// Packets of one call of the shim at most.
const BURST: usize = 64;

thread_local! {
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// A thread's first call makes it known to DPDK, so that it has caches of its own in every pool. Where that is refused
/// (more threads than DPDK knows) it works without them, more slowly.
#[inline]
fn register(shim: &Shim) {
    if !REGISTERED.get() {
        // SAFETY: may be called on any thread at any time.
        unsafe { (shim.register_thread)() };
        REGISTERED.set(true);
    }
}

/// The receiving side.
pub(super) struct DpdkReceive {
    device: Arc<Device>,
    queue: u16,
    packets: Box<[Packet; BURST]>,
    counters: ReceiveCounters,
    /// Packets that the shim could not take as they were.
    lost: u64,
}

// SAFETY: the pointers in `packets` are left over from the last call and never followed.
unsafe impl Send for DpdkReceive {}

impl DpdkReceive {
    pub fn new(device: Arc<Device>, queue: u16) -> Self {
        Self {
            device,
            queue,
            packets: Box::new([Packet::EMPTY; BURST]),
            counters: ReceiveCounters::default(),
            lost: 0,
        }
    }
}

impl Drop for DpdkReceive {
    fn drop(&mut self) {
        self.device.end_receiving(self.queue);
    }
}

impl ReceiveQueue for DpdkReceive {
    #[inline]
    fn receive(&mut self, _pool: &Pool, burst: &mut Vec<Buffer>, max: usize) -> Result<usize, PortError> {
        let environment = self.device.environment;
        register(environment.shim);
        let max = max.min(BURST) as u16;
        // SAFETY: the device is open as long as its queues are, this queue has one owner, and at most `max` packets
        // are written.
        let received = unsafe {
            (environment.shim.receive)(
                self.device.port,
                self.queue,
                self.packets.as_mut_ptr(),
                max,
                &raw mut self.lost,
            )
        };
        let (lender, role) = (environment.lender(), self.device.role);
        let received = received.min(BURST as u16);
        let packets = &self.packets[..usize::from(received)];
        self.counters.bytes += packets.iter().map(Packet::len).sum::<u64>();
        // SAFETY: the shim has just handed them out, and no buffer is made of one twice.
        burst.extend(
            packets
                .iter()
                .map(|packet| unsafe { lender.buffer(packet, role) }),
        );
        self.counters.packets += u64::from(received);
        Ok(usize::from(received))
    }

    fn wait_descriptor(&self) -> Option<RawFd> {
        None
    }

    fn counters(&self) -> ReceiveCounters {
        self.counters
    }

    /// The device counts for all of its queues: the first one tells.
    fn refresh_counters(&mut self) {
        self.counters.dropped_pool_exhausted = self.lost;
        if self.queue == 0 {
            let statistics = self.device.statistics();
            self.counters.dropped_by_system = statistics.missed;
            self.counters.dropped_pool_exhausted += statistics.no_buffer;
            self.counters.dropped_bad_length = statistics.errors;
        }
    }
}

/// What waits to be sent together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batch {
    /// Frames, one packet each.
    Frames,
    /// The packets of one large segment.
    Segment,
}

/// The sending side.
pub(super) struct DpdkTransmit {
    device: Arc<Device>,
    queue: u16,
    /// Ready to go: each a frame, or all of them one large segment.
    packets: Vec<Packet>,
    bytes: u64,
}

// SAFETY: between calls there are no packets.
unsafe impl Send for DpdkTransmit {}

impl DpdkTransmit {
    pub fn new(device: Arc<Device>, queue: u16) -> Self {
        Self {
            device,
            queue,
            packets: Vec::with_capacity(2 * BURST),
            bytes: 0,
        }
    }

    #[inline]
    fn push(&mut self, packet: Packet) {
        self.bytes += packet.len();
        self.packets.push(packet);
    }

    /// True where the frame can go as it is.
    #[inline]
    fn is_finished(&self, frame: &Buffer) -> bool {
        frame.origin() == self.device.environment.origin()
            && frame.meta.segmentation.kind == SegmentKind::None
            && !matches!(frame.meta.checksum, Checksum::Partial { .. })
    }

    /// A frame that is not of this back end, or has something left to do.
    #[cold]
    fn finish(&mut self, frame: Buffer, outcome: &mut TransmitOutcome) {
        let device = self.device.clone();
        let Some(pool) = device.pool() else { return };
        let target = finish::Target {
            pool,
            origin: device.environment.origin(),
            role: device.role,
            frame_max: device.frame_max,
        };
        let is_segment = frame.meta.segmentation.kind != SegmentKind::None;
        if is_segment {
            self.flush(outcome, Batch::Frames);
        }
        let before = self.packets.len();
        match target.finish(frame, &mut |buffer| self.push(packet_of(buffer))) {
            Ok(()) if is_segment => self.flush(outcome, Batch::Segment),
            Ok(()) => {}
            Err(refused) => {
                self.take_back(before);
                match refused {
                    finish::Refused::Unsupported => outcome.dropped_unsupported += 1,
                    finish::Refused::NoBuffer => outcome.dropped_full += 1,
                }
            }
        }
    }

    /// Of a frame that cannot go as a whole nothing goes.
    fn take_back(&mut self, before: usize) {
        for packet in self.packets.drain(before..) {
            self.bytes -= packet.len();
            // SAFETY: made of a buffer a moment ago and known to nobody else.
            unsafe { (self.device.environment.shim.release)(packet.slot, packet.chain) };
        }
    }

    fn flush(&mut self, outcome: &mut TransmitOutcome, batch: Batch) {
        let count = self.packets.len() as u16;
        if count == 0 {
            return;
        }
        let (queue, shared) = self.device.transmit_queue_of(self.queue);
        let held = shared.map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner));
        // SAFETY: the device is open as long as its queues are, this queue is ours alone (at least while the lock is
        // held), the packets were buffers of the lender and are the shim's from here on.
        let sent = unsafe {
            (self.device.environment.shim.transmit)(self.device.port, queue, self.packets.as_ptr(), count)
        };
        drop(held);
        let (frames, whole) = match batch {
            Batch::Frames => (count, sent),
            Batch::Segment => (1, u16::from(sent == count)),
        };
        outcome.sent += u32::from(whole);
        outcome.dropped_full += u32::from(frames - whole);
        if sent < count {
            let lost = self.packets.iter().skip(usize::from(sent));
            self.bytes -= lost.map(Packet::len).sum::<u64>();
        }
        outcome.sent_bytes += self.bytes;
        self.bytes = 0;
        self.packets.clear();
    }
}

impl Drop for DpdkTransmit {
    fn drop(&mut self) {
        self.device.end_transmitting(self.queue);
    }
}

impl TransmitQueue for DpdkTransmit {
    fn transmit(&mut self, burst: &mut Vec<Buffer>) -> TransmitOutcome {
        register(self.device.environment.shim);
        let mut outcome = TransmitOutcome::default();
        let all = burst.len();
        hand_over(burst, all, |frame| {
            if !self.is_finished(&frame) {
                self.finish(frame, &mut outcome);
            } else if frame.len() > self.device.frame_max {
                outcome.dropped_unsupported += 1;
            } else {
                self.push(packet_of(frame));
            }
            if self.packets.len() >= BURST {
                self.flush(&mut outcome, Batch::Frames);
            }
        });
        self.flush(&mut outcome, Batch::Frames);
        outcome
    }
}
