//! The one face of packet input and output: ports, their queues, and what can become of a burst.
//!
//! A [`Port`] belongs to the control thread. It gives out queues, which belong to workers: each receive queue to one
//! worker at a time, and a transmit queue of its own to every worker, all of them usable at once. Nothing is shared
//! between the two sides but the kernel's (or device's) own handle, so no lock is either. Queues may be moved to another
//! thread; buffers may not.

use std::io;
use std::os::fd::RawFd;

use anet_memory::buffer::{Buffer, Pool};

/// What a port does for a packet that is sent, and takes off one that is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Finishes [`Checksum::Partial`](anet_memory::buffer::Checksum) packets (or passes that state on).
    pub checksum: bool,
    /// Takes TCP segments over IPv4 whole.
    pub segment_tcp_v4: bool,
    /// Takes TCP segments over IPv6 whole.
    pub segment_tcp_v6: bool,
    /// Takes UDP datagram trains whole.
    pub segment_udp: bool,
    /// Longest frame that it takes where it is segmented, in bytes with the Ethernet header.
    pub max_segment: u32,
    /// Longest IP packet of an ordinary frame, in bytes without the Ethernet header.
    pub mtu: u32,
}

impl Capabilities {
    /// A port that takes finished packets of this MTU only.
    pub const fn plain(mtu: u32) -> Self {
        Self {
            checksum: false,
            segment_tcp_v4: false,
            segment_tcp_v6: false,
            segment_udp: false,
            max_segment: 0,
            mtu,
        }
    }
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It passes (an interface is down, memory is short): leave the port in place, ask again later, not at once.
    RetryLater,
    /// The device is gone for good: drop the queues, report it, open the port anew when the device is back.
    Detach,
}

/// Why a port cannot be opened, or its queue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The interface was deleted, or its descriptor is dead.
    #[error("port {port}: its interface is gone ({source}); attach it again when the interface is back")]
    Gone {
        /// The port's name.
        port: String,
        /// What the system said.
        source: io::Error,
    },
    /// The interface exists and is down.
    #[error("port {port}: its interface is down; set it up (`ip link set {port} up`) and packets flow again")]
    Down {
        /// The port's name.
        port: String,
    },
    /// The system refused something: what was tried, and what to do about it.
    #[error("port {port}: {what}: {source}; {advice}")]
    Refused {
        /// The port's name.
        port: String,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
        /// What to do next.
        advice: &'static str,
    },
    /// The port has no such queue, or it was given out already.
    #[error(
        "port {port}: receive queue {queue} does not exist or is in use; a queue has one owner at a time"
    )]
    NoQueue {
        /// The port's name.
        port: String,
        /// The queue's number.
        queue: usize,
    },
    /// A user-space device, its driver or their environment refused: what, and what to do about it.
    #[error("port {port}: {what}")]
    Device {
        /// The port's name.
        port: String,
        /// What was refused and what to do next.
        what: String,
    },
    /// A setting that is not legal, or that this kind of port has not.
    #[error("port {port}: {what}")]
    Invalid {
        /// The port's name.
        port: String,
        /// What is wrong with it.
        what: String,
    },
}

impl PortError {
    /// What to do about it.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Gone { .. } => Disposition::Detach,
            _ => Disposition::RetryLater,
        }
    }
}

/// What a receive queue has seen since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReceiveCounters {
    /// Packets handed over (a large segment is one).
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Dropped: the pool had no buffer or no slab.
    pub dropped_pool_exhausted: u64,
    /// Dropped: offload header with values that cannot be (checksum or segment positions outside the packet).
    pub dropped_bad_offload: u64,
    /// Dropped: longer than a buffer can hold, or shorter than an Ethernet header.
    pub dropped_bad_length: u64,
    /// Lost in front of this queue, where the back end can tell (a socket's full receive queue).
    pub dropped_by_system: u64,
}

/// Where packets come in. One worker's at a time.
pub trait ReceiveQueue: Send {
    /// Appends at most `max` packets to `burst` and says how many; 0 where none is waiting. Never blocks. An error
    /// leaves what was received before it in the burst. A packet that is dropped here is in [`ReceiveQueue::counters`]
    /// and counts against `max`, so the call is bounded.
    fn receive(&mut self, pool: &Pool, burst: &mut Vec<Buffer>, max: usize) -> Result<usize, PortError>;

    /// A descriptor that becomes readable when packets wait; `None` where the queue must be polled.
    fn wait_descriptor(&self) -> Option<RawFd>;

    /// What it has seen.
    fn counters(&self) -> ReceiveCounters;

    /// Asks the system for what it lost in front of this queue, so that [`ReceiveQueue::counters`] has it. A system
    /// call: for once a second, not for every burst.
    fn refresh_counters(&mut self) {}
}

/// What became of a burst that was to be sent.
#[derive(Debug, Default)]
#[must_use]
pub struct TransmitOutcome {
    /// Packets taken by the device (a large segment is one).
    pub sent: u32,
    /// Bytes of them.
    pub sent_bytes: u64,
    /// Dropped: the device's queue was full.
    pub dropped_full: u32,
    /// Dropped: longer than the device takes, or of a segment or checksum kind that it does not take.
    pub dropped_unsupported: u32,
    /// Dropped: the device is down or gone, or it refused the packet: see `error`.
    pub dropped_error: u32,
    /// The last error, for the owner to act on.
    pub error: Option<PortError>,
}

impl TransmitOutcome {
    /// Packets that were not sent.
    pub fn dropped(&self) -> u32 {
        self.dropped_full + self.dropped_unsupported + self.dropped_error
    }
}

/// Where packets go out. Each worker has its own.
pub trait TransmitQueue: Send {
    /// Sends the burst and empties it: what cannot be sent now is dropped and counted, never waited for.
    fn transmit(&mut self, burst: &mut Vec<Buffer>) -> TransmitOutcome;
}

/// How the interface behind a port is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// True where it is set up: packets can pass.
    pub up: bool,
    /// Its MTU in bytes, which others may change too.
    pub mtu: u32,
}

/// A place where packets come in and go out, as the control thread holds it.
pub trait Port: Send {
    /// Its name, for messages: the interface's where it has one.
    fn name(&self) -> &str;

    /// What it does for packets. May change with [`Port::set_mtu`].
    fn capabilities(&self) -> Capabilities;

    /// How its interface is doing now: for the control thread, to be asked about once a second. An MTU that has changed is
    /// in [`Port::capabilities`] afterwards. [`PortError::Gone`] where the interface is.
    fn link(&mut self) -> Result<Link, PortError> {
        Ok(Link {
            up: true,
            mtu: self.capabilities().mtu,
        })
    }

    /// How many receive queues it has.
    fn receive_queues(&self) -> usize {
        1
    }

    /// Receive queue number `queue`, once; again after the one given out was dropped, where the back end can tell.
    fn receive_queue(&mut self, queue: usize) -> Result<Box<dyn ReceiveQueue>, PortError>;

    /// One more transmit queue.
    fn transmit_queue(&mut self) -> Result<Box<dyn TransmitQueue>, PortError>;

    /// Sets the interface's MTU (68 to 65,535 bytes), where the port has an interface of its own.
    fn set_mtu(&mut self, mtu: u32) -> Result<(), PortError> {
        let what = format!("an MTU of {mtu} cannot be set on this kind of port");
        Err(PortError::Invalid {
            port: self.name().to_owned(),
            what,
        })
    }

    /// Tells the guest behind the port whether it has a link; no effect where that cannot be told.
    fn set_carrier(&mut self, _up: bool) -> Result<(), PortError> {
        Ok(())
    }
}
