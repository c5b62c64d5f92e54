//! Figures on memory ports: the data path that ships, frames from memory, in this process.
//!
//! Frames are laid out beforehand in the order in which they are played, so that getting them costs the same for a thousand
//! flows and for a million, and nothing is allocated while they are. What is timed is
//! [`Worker::process`](anet_datapath::burst::Worker::process): from a burst of received packets to their egress lists.

pub mod fabric;
pub mod hit;
pub mod instructions;
pub mod lane;
pub mod random;
pub mod rule_change;
pub mod scaling;
pub mod traffic;
pub mod work;
