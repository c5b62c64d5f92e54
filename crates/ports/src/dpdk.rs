//! Ports through DPDK: NICs, and every test device that its drivers know.
//!
//! ```text
//!   vswitch ─▶ DpdkPort ─▶ queues ─▶ shim (C, one shared object per DPDK ABI) ─▶ DPDK
//! ```
//! Nothing of DPDK is linked: the [`shim`] is found and loaded when the first port is opened, and so one binary runs with
//! and without it. What cannot be had (no shim, no huge pages, a device string that DPDK refuses) is an error of that
//! port alone. Packets stay where the device put them: a buffer of [`anet_memory`] over an mbuf of the port's own pool.
//!
//! Queues poll; they have nothing to sleep on. Whatever a device cannot do, a checksum or the cut of a large segment,
//! is done here, in software (`finish`).

mod buffer;
mod environment;
mod error;
mod finish;
mod pool;
mod port;
mod queue;
mod shim;

pub use environment::{Environment, set_arguments};
pub use error::DpdkError;
pub use port::{DpdkPort, DpdkSettings, Role};
