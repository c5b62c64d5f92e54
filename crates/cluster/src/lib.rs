//! How nodes stay together: streams of opaque messages between them, and the trust that those rest on.
//!
//! - [`trust`]: who is who. A certificate authority of the cluster's own, certificates that name a node's role, TLS settings
//!   that accept nothing else, signed envelopes.
//! - [`bus`]: bidirectional streams of opaque messages over mutually authenticated TLS.
//!
//! Nothing here may know what a message means, nor of networks, plans and users' requests.

pub mod bus;
pub mod trust;

pub use prost::bytes::Bytes;
