//! Where networks are defined: admission, planning, sessions with the hosts; the daemon `anet-controller`.
//!
//! [`core`] decides, without I/O, clock or threads. Around it, in whatever time [`timer`] is of: [`driver`] holds it and its store, [`follow`]
//! keeps its mirror as the store is, [`admit_loop`] is the one way by which anything is written. Around that, the daemon: [`streams`] are
//! the hosts', [`rest`] is the API. Nothing here knows what a packet is.

pub mod admit_loop;
pub mod command;
pub mod configuration;
pub mod core;
pub mod driver;
pub mod error;
pub mod files;
pub mod follow;
mod log;
pub mod rest;
pub mod shared;
pub mod streams;
pub mod sweep;
pub mod timer;
pub mod tokens;
