//! Why there is no stream, or no longer: one line each.

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use crate::trust::TrustError;

use super::MESSAGE_MAXIMUM;

/// Why a stream could not be had, or has ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BusError {
    /// The other side closed the stream and said why.
    #[error("closed by the other side: {reason}")]
    Closed {
        /// What it said.
        reason: String,
    },
    /// The connection broke, or the other side went away without a word.
    #[error("connection lost: {reason}")]
    Lost {
        /// What is known about it.
        reason: String,
    },
    /// A message is larger than any may be.
    #[error("a message is larger than {MESSAGE_MAXIMUM} bytes: {detail}")]
    TooLarge {
        /// What was found.
        detail: String,
    },
    /// The other side speaks something else.
    #[error("the other side does not speak this protocol: {reason}")]
    Protocol {
        /// What was found.
        reason: String,
    },
    /// The other side's certificate cannot be trusted here.
    #[error(transparent)]
    Peer(#[from] TrustError),
    /// The other side does not trust our certificate.
    #[error("refused by the other side: {reason}")]
    Refused {
        /// Why, as far as it says.
        reason: String,
    },
    /// Something took too long.
    #[error("no {what} within {} ms", .limit.as_millis())]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
    },
    /// No TCP connection.
    #[error("cannot connect: {reason}")]
    Connect {
        /// What the operating system says.
        reason: String,
    },
    /// An endpoint's text is not `HOST:PORT`, or its name leads nowhere.
    #[error("cannot find the address: {reason}")]
    Resolve {
        /// What is wrong.
        reason: String,
    },
    /// None of several endpoints could be used.
    #[error("{}", listed(.attempts))]
    Unreachable {
        /// Each endpoint with what happened there.
        attempts: Vec<(String, BusError)>,
    },
    /// The server cannot listen.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        reason: String,
    },
    /// The server has no place left.
    #[error("no place left: {reason}")]
    Crowded {
        /// Which bound was met.
        reason: String,
    },
}

fn listed(attempts: &[(String, BusError)]) -> String {
    match attempts {
        [] => "there is no endpoint to connect to".to_owned(),
        _ => attempts
            .iter()
            .map(|(endpoint, error)| format!("{endpoint}: {error}"))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

/// Why a message was not taken for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// Too much is waiting: the other side reads too slowly.
    #[error("the other side reads too slowly: {messages} messages with {bytes} bytes are waiting")]
    Full {
        /// Messages that wait.
        messages: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// The message is larger than any may be.
    #[error("the message has {length} bytes, at most {MESSAGE_MAXIMUM} are allowed")]
    TooLarge {
        /// Its length.
        length: usize,
    },
    /// The stream has ended; the receiver says why.
    #[error("the stream has ended")]
    Ended,
}
