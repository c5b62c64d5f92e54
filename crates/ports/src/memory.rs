//! Ports without a device: for tests, and for counting instructions.
//!
//! Two kinds: a [`pair`], whose other end a test holds, frame by frame; and a [`replay`], which hands out copies of the
//! same frames over and over without allocating, and swallows and counts what is sent.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use anet_memory::buffer::{Buffer, Meta, Pool};
use anet_memory::prefetch;

use crate::{Capabilities, Port, PortError, ReceiveCounters, ReceiveQueue, TransmitOutcome, TransmitQueue};

/// A port that takes everything: unfinished checksums, segments of every kind.
pub const EVERYTHING: Capabilities = Capabilities {
    checksum: true,
    segment_tcp_v4: true,
    segment_tcp_v6: true,
    segment_udp: true,
    max_segment: 65_549,
    mtu: 1500,
};

/// A frame on the far side of a port: bytes that are nobody's buffer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
    /// What travels beside the bytes. `ingress` means nothing here.
    pub meta: Meta,
}

impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            meta: Meta::default(),
        }
    }
}

/// The far side of a [`pair`]: what a guest would be.
#[derive(Debug)]
pub struct Peer {
    into_port: Sender<Frame>,
    out_of_port: Receiver<Frame>,
}

impl Peer {
    /// Puts a frame before the port's receive queue. False where the queue is gone.
    pub fn send(&self, frame: impl Into<Frame>) -> bool {
        self.into_port.send(frame.into()).is_ok()
    }

    /// The next frame that the port sent, where there is one.
    pub fn receive(&self) -> Option<Frame> {
        self.out_of_port.try_recv().ok()
    }

    /// All frames that the port has sent and nobody took yet.
    pub fn receive_all(&self) -> Vec<Frame> {
        self.out_of_port.try_iter().collect()
    }
}

/// A port and its far side, with one receive queue.
pub fn pair(name: &str, capabilities: Capabilities) -> (MemoryPort, Peer) {
    let (into_port, input) = channel();
    let (output, out_of_port) = channel();
    let queue: Box<dyn ReceiveQueue> = Box::new(Inlet {
        input,
        counters: ReceiveCounters::default(),
    });
    let port = MemoryPort::new(name, capabilities, vec![Some(queue)], Outlet::Keep(output));
    (
        port,
        Peer {
            into_port,
            out_of_port,
        },
    )
}

/// A port that replays and counts. One receive queue for each set of frames in `sets`; each hands out its frames in order
/// and from the beginning again, `laps` times or (`None`) for ever. An empty set is a silent queue.
pub fn replay(
    name: &str,
    capabilities: Capabilities,
    sets: &[Vec<Frame>],
    laps: Option<u64>,
) -> (MemoryPort, Swallowed) {
    let queue =
        |set: &Vec<Frame>| -> Option<Box<dyn ReceiveQueue>> { Some(Box::new(Replay::new(set, laps))) };
    let swallowed = Swallowed::default();
    let outlet = Outlet::Count {
        swallowed: swallowed.clone(),
        next: 0,
    };
    (
        MemoryPort::new(name, capabilities, sets.iter().map(queue).collect(), outlet),
        swallowed,
    )
}

/// What a replaying port's transmit queues have swallowed so far.
#[derive(Debug, Clone, Default)]
pub struct Swallowed {
    /// A place for each queue, so that workers write to lines of their own.
    places: Arc<[Place; 16]>,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Place {
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Swallowed {
    /// Packets.
    pub fn packets(&self) -> u64 {
        self.places
            .iter()
            .map(|place| place.packets.load(Ordering::Relaxed))
            .sum()
    }

    /// Bytes.
    pub fn bytes(&self) -> u64 {
        self.places
            .iter()
            .map(|place| place.bytes.load(Ordering::Relaxed))
            .sum()
    }
}

/// Where a port's transmit queues lead.
enum Outlet {
    Keep(Sender<Frame>),
    Count { swallowed: Swallowed, next: usize },
}

/// A port without a device: see [`pair`] and [`replay`].
pub struct MemoryPort {
    name: String,
    capabilities: Capabilities,
    queues: Vec<Option<Box<dyn ReceiveQueue>>>,
    outlet: Outlet,
}

impl MemoryPort {
    fn new(
        name: &str,
        capabilities: Capabilities,
        queues: Vec<Option<Box<dyn ReceiveQueue>>>,
        outlet: Outlet,
    ) -> Self {
        Self {
            name: name.to_owned(),
            capabilities,
            queues,
            outlet,
        }
    }
}

impl Port for MemoryPort {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive_queues(&self) -> usize {
        self.queues.len()
    }

    fn receive_queue(&mut self, queue: usize) -> Result<Box<dyn ReceiveQueue>, PortError> {
        let found = self.queues.get_mut(queue).and_then(Option::take);
        found.ok_or_else(|| PortError::NoQueue {
            port: self.name.clone(),
            queue,
        })
    }

    fn transmit_queue(&mut self) -> Result<Box<dyn TransmitQueue>, PortError> {
        Ok(match &mut self.outlet {
            Outlet::Keep(output) => Box::new(KeepingQueue {
                output: output.clone(),
            }),
            Outlet::Count { swallowed, next } => {
                let place = *next % swallowed.places.len();
                *next += 1;
                Box::new(CountingQueue {
                    swallowed: swallowed.clone(),
                    place,
                })
            }
        })
    }

    fn set_mtu(&mut self, mtu: u32) -> Result<(), PortError> {
        self.capabilities.mtu = mtu;
        Ok(())
    }
}

/// Copies `bytes` into a buffer of the pool, or counts that there is none.
#[inline]
fn land(bytes: &[u8], meta: Meta, pool: &Pool, counters: &mut ReceiveCounters) -> Option<Buffer> {
    let Some(mut buffer) = pool.copy_from(bytes) else {
        counters.dropped_pool_exhausted += 1;
        return None;
    };
    buffer.meta = meta;
    counters.packets += 1;
    counters.bytes += bytes.len() as u64;
    Some(buffer)
}

/// The receive queue of a pair.
struct Inlet {
    input: Receiver<Frame>,
    counters: ReceiveCounters,
}

impl ReceiveQueue for Inlet {
    fn receive(&mut self, pool: &Pool, burst: &mut Vec<Buffer>, max: usize) -> Result<usize, PortError> {
        let before = burst.len();
        for frame in self.input.try_iter().take(max) {
            burst.extend(land(&frame.bytes, frame.meta, pool, &mut self.counters));
        }
        Ok(burst.len() - before)
    }

    fn wait_descriptor(&self) -> Option<RawFd> {
        None
    }

    fn counters(&self) -> ReceiveCounters {
        self.counters
    }
}

/// How many frames ahead a replay fetches, so that a large set costs its queue no waiting for memory.
const AHEAD: usize = 8;

/// The receive queue of a replay: the frames lie in one piece of memory.
struct Replay {
    bytes: Vec<u8>,
    frames: Vec<(u32, u32, Meta)>,
    next: usize,
    laps_left: Option<u64>,
    counters: ReceiveCounters,
}

impl Replay {
    fn new(set: &[Frame], laps: Option<u64>) -> Self {
        let (mut bytes, mut frames) = (Vec::new(), Vec::with_capacity(set.len()));
        for frame in set {
            frames.push((bytes.len() as u32, frame.bytes.len() as u32, frame.meta));
            bytes.extend_from_slice(&frame.bytes);
        }
        let laps_left = if set.is_empty() { Some(0) } else { laps };
        Self {
            bytes,
            frames,
            next: 0,
            laps_left,
            counters: ReceiveCounters::default(),
        }
    }

    #[inline]
    fn advance(&mut self) {
        self.next += 1;
        if self.next == self.frames.len() {
            self.next = 0;
            self.laps_left = self.laps_left.map(|laps| laps - 1);
        }
    }
}

impl ReceiveQueue for Replay {
    fn receive(&mut self, pool: &Pool, burst: &mut Vec<Buffer>, max: usize) -> Result<usize, PortError> {
        let before = burst.len();
        for _ in 0..max {
            if self.laps_left == Some(0) {
                break;
            }
            if let Some((start, _, _)) = self.frames.get(self.next + AHEAD) {
                prefetch::read(&self.bytes, *start as usize);
            }
            let (start, len, meta) = self.frames[self.next];
            let bytes = &self.bytes[start as usize..][..len as usize];
            burst.extend(land(bytes, meta, pool, &mut self.counters));
            self.advance();
        }
        Ok(burst.len() - before)
    }

    fn wait_descriptor(&self) -> Option<RawFd> {
        None
    }

    fn counters(&self) -> ReceiveCounters {
        self.counters
    }
}

/// The transmit queue of a pair.
struct KeepingQueue {
    output: Sender<Frame>,
}

impl TransmitQueue for KeepingQueue {
    fn transmit(&mut self, burst: &mut Vec<Buffer>) -> TransmitOutcome {
        let mut outcome = TransmitOutcome::default();
        for buffer in burst.drain(..) {
            let frame = Frame {
                bytes: buffer.to_vec(),
                meta: buffer.meta,
            };
            outcome.sent += 1;
            outcome.sent_bytes += buffer.len() as u64;
            // A test that has dropped its peer does not want to know.
            _ = self.output.send(frame);
        }
        outcome
    }
}

/// The transmit queue of a replay.
struct CountingQueue {
    swallowed: Swallowed,
    place: usize,
}

impl TransmitQueue for CountingQueue {
    #[inline]
    fn transmit(&mut self, burst: &mut Vec<Buffer>) -> TransmitOutcome {
        let bytes = burst.iter().map(|buffer| buffer.len() as u64).sum();
        let outcome = TransmitOutcome {
            sent: burst.len() as u32,
            sent_bytes: bytes,
            ..TransmitOutcome::default()
        };
        burst.clear();
        let place = &self.swallowed.places[self.place];
        place
            .packets
            .fetch_add(u64::from(outcome.sent), Ordering::Relaxed);
        place.bytes.fetch_add(bytes, Ordering::Relaxed);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_memory::buffer::{Checksum, PoolSettings};

    #[test]
    fn a_pair_carries_frames_and_what_is_beside_them() {
        let (mut port, peer) = pair("p", EVERYTHING);
        let (mut input, mut output) = (port.receive_queue(0).unwrap(), port.transmit_queue().unwrap());
        let meta = Meta {
            checksum: Checksum::Valid,
            ..Meta::default()
        };
        let long = Frame {
            bytes: vec![7; 9000],
            meta,
        };
        assert!(peer.send(long.clone()) && peer.send(vec![1; 60]));
        let (pool, mut burst) = (Pool::default(), Vec::new());
        assert_eq!(input.receive(&pool, &mut burst, 1).unwrap(), 1);
        assert_eq!(input.receive(&pool, &mut burst, 8).unwrap(), 1);
        assert_eq!(output.transmit(&mut burst).sent, 2);
        assert_eq!(peer.receive_all(), [long, vec![1; 60].into()]);
        assert!(peer.receive().is_none() && burst.is_empty());
        assert!(port.receive_queue(0).is_err() && port.receive_queue(1).is_err());
    }

    #[test]
    fn a_replay_goes_round_as_often_as_it_should() {
        let set: Vec<Frame> = (0..20).map(|i| vec![i; 60].into()).collect();
        let (mut port, swallowed) = replay("r", EVERYTHING, &[set, vec![]], Some(3));
        assert_eq!(port.receive_queues(), 2);
        let (mut input, mut silent) = (port.receive_queue(0).unwrap(), port.receive_queue(1).unwrap());
        let mut outputs = [port.transmit_queue().unwrap(), port.transmit_queue().unwrap()];
        let (pool, mut burst, mut seen) = (Pool::default(), Vec::new(), Vec::new());
        while input.receive(&pool, &mut burst, 7).unwrap() > 0 {
            seen.extend(burst.iter().map(|buffer| buffer.head()[59]));
            assert_eq!(outputs[seen.len() % 2].transmit(&mut burst).dropped(), 0);
        }
        let expected: Vec<u8> = (0..3).flat_map(|_| 0..20).collect();
        assert_eq!(
            (seen, swallowed.packets(), swallowed.bytes()),
            (expected, 60, 3600)
        );
        assert_eq!(silent.receive(&pool, &mut burst, 7).unwrap(), 0);
    }

    #[test]
    fn an_empty_pool_is_counted() {
        let (mut port, peer) = pair("p", EVERYTHING);
        let mut input = port.receive_queue(0).unwrap();
        (0..5).for_each(|_| _ = peer.send(vec![1; 60]));
        let pool = Pool::new(PoolSettings {
            buffers: 2,
            slabs: 0,
            ..PoolSettings::default()
        })
        .unwrap();
        let mut burst = Vec::new();
        assert_eq!(input.receive(&pool, &mut burst, 8).unwrap(), 2);
        assert_eq!(
            (input.counters().packets, input.counters().dropped_pool_exhausted),
            (2, 3)
        );
    }
}
