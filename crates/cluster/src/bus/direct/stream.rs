//! An open stream, and its receiving half.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prost::bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;
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

/// The receiving half of a stream. After it is dropped, what arrives is thrown away.
#[derive(Debug)]
pub struct Receiver {
    /// Always there until this is dropped.
    incoming: Option<Streaming<Frame>>,
    end: Option<BusError>,
    trouble: Trouble,
    given_up: Option<oneshot::Sender<Streaming<Frame>>>,
    /// Tells the connection that this half is still held.
    _connection: watch::Receiver<()>,
}

impl Receiver {
    pub(super) fn new(incoming: Streaming<Frame>, trouble: Trouble, connection: Held) -> Self {
        let Held { ended, given_up, .. } = connection;
        Self {
            incoming: Some(incoming),
            end: None,
            trouble,
            given_up: Some(given_up),
            _connection: ended,
        }
    }

    /// The next message, or how the stream ended, and that again each time. A call that is given up has lost nothing.
    pub async fn receive(&mut self) -> Result<Bytes, BusError> {
        if let Some(end) = &self.end {
            return Err(end.clone());
        }
        let next = match &mut self.incoming {
            Some(incoming) => incoming.message().await,
            None => Ok(None),
        };
        let end = match (next, self.trouble.text()) {
            (Ok(Some(Frame::Message(message))), _) => return Ok(message),
            (Ok(Some(Frame::Farewell(reason))), _) => BusError::Closed { reason },
            (Ok(None), Some(trouble)) => BusError::Lost {
                reason: ended_by(trouble),
            },
            (Ok(None), None) => BusError::Lost {
                reason: "the other side ended the stream without saying why".to_owned(),
            },
            (Err(status), _) => explained(&status, &self.trouble),
        };
        self.end = Some(end.clone());
        Err(end)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let (Some(incoming), Some(given_up)) = (self.incoming.take(), self.given_up.take()) {
            // Without a connection nobody wants it.
            let _ = given_up.send(incoming);
        }
    }
}

/// What a stream's halves hold of their connection.
#[derive(Debug)]
pub(super) struct Held {
    /// Changes when the connection has ended.
    pub(super) ended: watch::Receiver<()>,
    /// Told when the sending half closes.
    pub(super) closing: Arc<Notify>,
    given_up: oneshot::Sender<Streaming<Frame>>,
}

/// What a connection knows of its stream's halves.
#[derive(Debug)]
pub(super) struct Halves {
    ended: watch::Sender<()>,
    closing: Arc<Notify>,
    given_up: oneshot::Receiver<Streaming<Frame>>,
}

pub(super) fn halves() -> (Halves, Held) {
    let (ended, held) = watch::channel(());
    let (sender, given_up) = oneshot::channel();
    let closing = Arc::new(Notify::new());
    let halves = Halves {
        ended,
        closing: Arc::clone(&closing),
        given_up,
    };
    (
        halves,
        Held {
            ended: held,
            closing,
            given_up: sender,
        },
    )
}

impl Halves {
    /// Until the connection has to end: both halves are given up, or one has closed and the time of `grace` for the other side is over.
    pub(super) async fn given_up(&mut self, trouble: &Trouble, grace: Duration) {
        let Self {
            ended,
            closing,
            given_up,
        } = self;
        let closed = async {
            closing.notified().await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            () = both_given_up(ended, given_up, grace) => {}
            () = closed => trouble.note_text("closed here".to_owned()),
        }
    }
}

/// Until both are given up and what was sent last has gone out: the other side has ended its direction too, or `grace` is over. An incoming
/// direction that is just dropped would reset the stream, and the reset overtake what was sent.
async fn both_given_up(
    ended: &watch::Sender<()>,
    given_up: &mut oneshot::Receiver<Streaming<Frame>>,
    grace: Duration,
) {
    let mut drained = std::pin::pin!(async {
        if let Ok(mut incoming) = given_up.await {
            while let Ok(Some(_)) = incoming.message().await {}
        }
    });
    tokio::select! {
        () = &mut drained => ended.closed().await,
        () = ended.closed() => {
            let _ = timeout(grace, drained).await;
        }
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
            reason: ended_by(&deepest(source).to_string()),
        },
        (Code::ResourceExhausted, ..) => BusError::Crowded { reason: detail() },
        (Code::Internal | Code::Unimplemented | Code::Unknown, ..) => BusError::Protocol { reason: detail() },
        _ => BusError::Lost { reason: detail() },
    }
}

/// What HTTP/2 says of an end without any trouble of the bytes below. When pings are not answered it just lets go of the connection, and streams
/// find a broken pipe.
fn ended_by(text: &str) -> String {
    let silent = text.ends_with("broken pipe") || text.ends_with("timed out");
    if silent {
        "the other side does not answer any more".to_owned()
    } else {
        readable(text.as_bytes())
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
