//! Where networks are defined: admission, planning, sessions with the hosts; the daemon `anet-controller`.
//!
//! [`core`] decides, without I/O, clock or threads.

pub mod core;
