//! A direct stream between two nodes: messages of bytes in both directions, in order, over one TLS connection.
//!
//! It is gRPC (HTTP/2, method `/anet.bus.v1.Bus/Stream`), so that proxies and tools know it. One connection carries one stream. Both sides
//! show certificates ([`crate::trust`]); who the peer is, its certificate alone says.
//!
//! # Bounds
//! A message is at most [`MESSAGE_MAXIMUM`] bytes and never compressed. What waits to be sent is bounded by count and bytes: [`Sender::try_send`]
//! says [`SendError::Full`] and nobody's slowness costs the sender memory. A peer that has not proved who it is gets a few
//! seconds and one of a bounded number of places; when those run out, the one that has waited longest loses its place.
//!
//! # Ends
//! A side closes with a reason ([`Sender::close`]) that the other gets as [`BusError::Closed`]. A peer that died is noticed at once when its
//! machine says so, else by unanswered pings after about 4 s.

mod client;
mod codec;
mod error;
#[cfg(test)]
mod hostile;
mod places;
mod queue;
mod serve;
mod server;
mod settings;
mod stream;
mod wire;

pub use client::connect;
pub use error::{BusError, SendError};
pub use queue::Sender;
pub use server::{Arrival, Server};
pub use settings::Settings;
pub use stream::{Receiver, Stream};

/// The longest message, in bytes.
pub const MESSAGE_MAXIMUM: usize = 16 * 1024 * 1024;

/// The one method there is.
const METHOD: &str = "/anet.bus.v1.Bus/Stream";
