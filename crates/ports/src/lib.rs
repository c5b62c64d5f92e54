//! Packet input and output behind one [`port::Port`] trait.
//!
//! Back ends: `memory` (in-process queues for tests and instruction counts), `pcap` (capture files), `kernel` (TAP,
//! AF_PACKET, VXLAN uplink; needs nothing but Linux), `dpdk` (any DPDK device, where DPDK is). They move bursts of buffers and know nothing of pipelines,
//! plans, or who is behind a port.

pub mod dpdk;
pub mod kernel;
pub mod memory;
pub mod pcap;
pub mod port;

pub use port::{
    Capabilities, Disposition, Link, Port, PortError, ReceiveCounters, ReceiveQueue, TransmitOutcome,
    TransmitQueue,
};
