//! A burst of packets through the pipeline against a published table set.
//!
//! ```text
//! burst ─▶ flow cache hit ───────────────────────────────▶ compiled rewrite ─▶ egress
//!    └──▶ miss ─▶ pipeline: decap, guard, respond, firewall out, switch, firewall in, encap | deliver
//! ```
//! Pure: no I/O, no clock, no thread; time is an argument in nanoseconds. It knows no controller and no port back
//! end. Tables are changed by operations ([`tables::TableOp`]) on two copies and read by workers without a lock.

pub mod budget;
pub mod burst;
pub mod connections;
pub mod counters;
pub mod egress;
pub mod firewall;
pub mod flow_cache;
pub mod fragments;
pub mod interface;
pub mod pipeline;
pub mod respond;
pub mod tables;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace;
pub mod verdict;
