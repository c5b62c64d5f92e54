//! What a worker counts. Each worker writes its own; anybody may read them, relaxed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anet_packet::Malformed;

use crate::interface::Interface;
use crate::verdict::DropReason;

/// A number that one thread adds to and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the owner may call it (a plain load and store, no locked instruction).
    #[inline]
    pub fn add(&self, n: u64) {
        self.0
            .store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// The value now, or a moment ago.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Of one interface.
#[derive(Debug)]
pub struct InterfaceCounters {
    /// Packets received.
    pub received_packets: Counter,
    /// Bytes received.
    pub received_bytes: Counter,
    /// Packets sent to it.
    pub sent_packets: Counter,
    /// Bytes sent to it.
    pub sent_bytes: Counter,
    /// Packets it could not take (its queue was full, it was gone).
    pub send_drops: Counter,
    /// Packets that came in by it and were dropped, by reason.
    pub drops: [Counter; DropReason::COUNT],
}

impl Default for InterfaceCounters {
    fn default() -> Self {
        Self {
            received_packets: Counter::default(),
            received_bytes: Counter::default(),
            sent_packets: Counter::default(),
            sent_bytes: Counter::default(),
            send_drops: Counter::default(),
            drops: std::array::from_fn(|_| Counter::default()),
        }
    }
}

/// Of one worker.
#[derive(Debug)]
pub struct WorkerCounters {
    ports: Box<[OnceLock<Box<InterfaceCounters>>]>,
    /// The underlay.
    pub uplink: InterfaceCounters,
    /// Packets whose flow was in the cache and fresh.
    pub hits: Counter,
    /// Packets that went through the pipeline.
    pub misses: Counter,
    /// Packets whose flow was in the cache and no longer fresh.
    pub revalidations: Counter,
    /// Of those: the rules alone were asked; the others went through the pipeline.
    pub rechecks: Counter,
    /// Packets that ended at this host: answered or taken note of.
    pub consumed: Counter,
    /// Replies made (ARP, ND, DHCP, ICMP).
    pub replies: Counter,
    /// Head-end copies made.
    pub copies: Counter,
    /// Malformed frames, by what is wrong with them.
    pub malformed: [Counter; Malformed::ALL.len()],
    /// Bursts that panicked.
    pub panics: Counter,
}

impl Default for WorkerCounters {
    fn default() -> Self {
        Self {
            ports: (0..Interface::MAX_PORTS).map(|_| OnceLock::new()).collect(),
            uplink: InterfaceCounters::default(),
            hits: Counter::default(),
            misses: Counter::default(),
            revalidations: Counter::default(),
            rechecks: Counter::default(),
            consumed: Counter::default(),
            replies: Counter::default(),
            copies: Counter::default(),
            malformed: std::array::from_fn(|_| Counter::default()),
            panics: Counter::default(),
        }
    }
}

impl WorkerCounters {
    /// The counters of a port or the uplink. The first use of a port's allocates them.
    #[inline]
    pub fn interface(&self, interface: Interface) -> &InterfaceCounters {
        match self.ports.get(interface.get() as usize) {
            Some(port) => port.get_or_init(Box::default),
            None => &self.uplink,
        }
    }

    /// The counters of a port that has been used.
    pub fn port(&self, index: u32) -> Option<&InterfaceCounters> {
        self.ports.get(index as usize)?.get().map(AsRef::as_ref)
    }
}
