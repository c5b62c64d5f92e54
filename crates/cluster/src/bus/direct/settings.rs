//! How long, how many, how much.

use std::time::Duration;

/// Bounds and intervals of streams. The defaults are for a fabric's streams; tests use shorter ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For a TCP connection to come about, per address.
    pub connect_timeout: Duration,
    /// For TLS, and again for the stream to be opened.
    pub handshake_timeout: Duration,
    /// How often a peer is asked whether it lives.
    pub ping_interval: Duration,
    /// How long it may take to answer.
    pub ping_timeout: Duration,
    /// For what was sent last, and the reason of an end, to get out before the connection is cut.
    pub grace: Duration,
    /// Messages that may wait to be sent, of one stream.
    pub queue_messages: usize,
    /// Bytes that may wait to be sent, of one stream; at least one message of the largest size.
    pub queue_bytes: usize,
    /// Server: peers that have not yet proved who they are.
    pub handshakes: usize,
    /// Server: connections of peers that have.
    pub connections: usize,
    /// Server: connections of one peer (one key).
    pub connections_per_peer: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            handshake_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(1),
            ping_timeout: Duration::from_secs(3),
            grace: Duration::from_secs(1),
            queue_messages: 1_024,
            queue_bytes: 2 * super::MESSAGE_MAXIMUM,
            handshakes: 256,
            connections: 4_096,
            connections_per_peer: 4,
        }
    }
}

impl Settings {
    /// The bound on waiting bytes as it is used: room for the largest message, and no more than a count of permits can say.
    pub(super) fn queue_room(&self) -> usize {
        self.queue_bytes
            .clamp(super::MESSAGE_MAXIMUM, u32::MAX as usize >> 1)
    }
}
