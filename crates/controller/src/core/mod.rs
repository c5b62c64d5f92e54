//! The controller without I/O, clock and threads: what it decides, and nothing of how it is reached.
//!
//! [`keys`] and [`record`] say how things are kept; [`mirror`] has them in memory, with every host's plan; [`admit`] turns requests into
//! transactions; [`session`] speaks with one host's agent, [`fabric`] with all of them; [`trace`] puts hosts' traces together;
//! [`events`] remembers what happened.

pub mod admit;
pub mod events;
pub mod fabric;
pub mod index;
pub mod intervals;
pub mod join_text;
pub mod keys;
pub mod mirror;
pub mod record;
mod revisions;
pub mod session;
mod share;
pub mod trace;

/// Name and version, as others see it.
pub const SOFTWARE: &str = concat!("anet-controller ", env!("CARGO_PKG_VERSION"));
