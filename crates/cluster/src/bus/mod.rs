//! Streams of opaque messages between nodes.
//!
//! [`direct`] is a connection from one node to another. What a message means, and what to do when a stream ends, is the callers' business;
//! [`Backoff`] says how long to wait before the next try.

mod backoff;
pub mod direct;

pub use backoff::Backoff;
