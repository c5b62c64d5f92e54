//! An open stream, and its receiving half.

use std::error::Error;
use std::net::SocketAddr;

use prost::bytes::Bytes;
use tokio::sync::watch;
use tonic::{Code, Status, Streaming};

use super::codec::{Frame, readable};
use super::error::BusError;
use super::queue::Sender;
use super::wire::Trouble;
use crate::trust::PeerIdentity;

/// An open stream with a peer that has proved who it is. Sender and receiver may live in different tasks.
#[derive(Debug)]
pub struct Stream {
    /// Who the other side is.
    pub peer: PeerIdentity,
    /// Where it is.
    pub address: SocketAddr,
    /// To it.
    pub sender: Sender,
    /// From it.
    pub receiver: Receiver,
}

/// The receiving half of a stream.
#[derive(Debug)]
pub struct Receiver {
    incoming: Streaming<Frame>,
    end: Option<BusError>,
    trouble: Trouble,
    /// Tells the connection that this half is still held.
    _connection: watch::Receiver<()>,
}

impl Receiver {
    pub(super) fn new(incoming: Streaming<Frame>, trouble: Trouble, connection: watch::Receiver<()>) -> Self {
        Self {
            incoming,
            end: None,
            trouble,
            _connection: connection,
        }
    }

    /// The next message, or how the stream ended, and that again each time. A call that is given up has lost nothing.
    pub async fn receive(&mut self) -> Result<Bytes, BusError> {
        if let Some(end) = &self.end {
            return Err(end.clone());
        }
        let end = match self.incoming.message().await {
            Ok(Some(Frame::Message(message))) => return Ok(message),
            Ok(Some(Frame::Farewell(reason))) => BusError::Closed { reason },
            Ok(None) => BusError::Lost {
                reason: "the other side ended the stream without saying why".to_owned(),
            },
            Err(status) => explained(&status, &self.trouble),
        };
        self.end = Some(end.clone());
        Err(end)
    }
}

/// What a status means, with what is known about the connection.
pub(super) fn explained(status: &Status, trouble: &Trouble) -> BusError {
    let detail = || readable(status.message().as_bytes());
    match (status.code(), status.source(), trouble.text()) {
        (Code::OutOfRange, ..) => BusError::TooLarge { detail: detail() },
        (_, _, Some(text)) => BusError::Lost {
            reason: readable(text.as_bytes()),
        },
        (_, Some(source), _) => BusError::Lost {
            reason: readable(deepest(source).to_string().as_bytes()),
        },
        (Code::ResourceExhausted, ..) => BusError::Crowded { reason: detail() },
        (Code::Internal | Code::Unimplemented | Code::Unknown, ..) => BusError::Protocol { reason: detail() },
        _ => BusError::Lost { reason: detail() },
    }
}

/// The error that the others only wrap.
pub(super) fn deepest<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut found = error;
    while let Some(source) = found.source() {
        found = source;
    }
    found
}
