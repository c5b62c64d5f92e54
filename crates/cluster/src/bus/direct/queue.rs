//! What waits to be sent: bounded by count and bytes.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use prost::bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::MESSAGE_MAXIMUM;
use super::codec::Frame;
use super::error::SendError;
use super::settings::Settings;
use super::stream::Held;

/// A message and its share of the room.
type Waiting = (Bytes, OwnedSemaphorePermit);

/// The sending half of a stream. Dropping it ends this direction after what was sent; better close with a reason.
#[derive(Debug)]
pub struct Sender {
    waiting: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    bytes_maximum: usize,
    farewell: Arc<OnceLock<String>>,
    /// Tells the connection that this half is still held, and this half when the connection is over.
    connection: watch::Receiver<()>,
    /// Tells the connection that it has to end soon.
    closing: Arc<Notify>,
    grace: Duration,
}

/// The other end of the queue, that the connection takes from.
#[derive(Debug)]
pub(super) struct Outgoing {
    waiting: mpsc::Receiver<Waiting>,
    farewell: Arc<OnceLock<String>>,
    ended: bool,
}

pub(super) fn queue(settings: &Settings, held: &Held) -> (Sender, Outgoing) {
    let (sender, receiver) = mpsc::channel(settings.queue_messages.max(1));
    let farewell = Arc::new(OnceLock::new());
    let bytes_maximum = settings.queue_room();
    let outgoing = Outgoing {
        waiting: receiver,
        farewell: Arc::clone(&farewell),
        ended: false,
    };
    let room = Arc::new(Semaphore::new(bytes_maximum));
    (
        Sender {
            waiting: sender,
            room,
            bytes_maximum,
            farewell,
            connection: held.ended.clone(),
            closing: Arc::clone(&held.closing),
            grace: settings.grace,
        },
        outgoing,
    )
}

impl Sender {
    /// Takes the message for sending, or says at once why not. Taken does not mean arrived.
    pub fn try_send(&self, message: Bytes) -> Result<(), SendError> {
        let share = share(&message)?;
        let Ok(place) = self.waiting.try_reserve() else {
            return Err(self.full_or_ended());
        };
        let Ok(permit) = Arc::clone(&self.room).try_acquire_many_owned(share) else {
            drop(place);
            return Err(self.full_or_ended());
        };
        place.send((message, permit));
        Ok(())
    }

    /// Waits until there is room. A call that is given up has sent nothing.
    pub async fn send(&self, message: Bytes) -> Result<(), SendError> {
        let share = share(&message)?;
        let place = self.waiting.reserve().await.map_err(|_| SendError::Ended)?;
        let room = Arc::clone(&self.room).acquire_many_owned(share);
        // While this waits for bytes, nothing but the end of the connection can keep it waiting for ever.
        let permit = tokio::select! {
            permit = room => permit.map_err(|_| SendError::Ended)?,
            () = self.waiting.closed() => return Err(SendError::Ended),
        };
        place.send((message, permit));
        Ok(())
    }

    /// Messages and bytes that wait.
    pub fn waiting(&self) -> (usize, usize) {
        let messages = self.waiting.max_capacity() - self.waiting.capacity();
        (
            messages,
            self.bytes_maximum.saturating_sub(self.room.available_permits()),
        )
    }

    /// Whether the stream has ended.
    pub fn is_ended(&self) -> bool {
        self.waiting.is_closed()
    }

    /// Sends what waits, then the reason, then nothing more. Returns when the connection is over, or after a second of grace; then it is cut,
    /// whether the other side has read everything or not, and whoever receives here hears of it.
    pub async fn close(self, reason: &str) {
        let Self {
            waiting,
            farewell,
            mut connection,
            closing,
            grace,
            ..
        } = self;
        let _ = farewell.set(reason.to_owned());
        drop(waiting);
        closing.notify_one();
        // Either outcome is an end: the time is a bound, not a failure.
        let _ = tokio::time::timeout(grace, connection.changed()).await;
    }

    fn full_or_ended(&self) -> SendError {
        let (messages, bytes) = self.waiting();
        if self.is_ended() {
            SendError::Ended
        } else {
            SendError::Full { messages, bytes }
        }
    }
}

/// The room that a message takes; an empty one takes some too.
fn share(message: &Bytes) -> Result<u32, SendError> {
    let length = message.len();
    match u32::try_from(length) {
        Ok(share) if length <= MESSAGE_MAXIMUM => Ok(share.max(1)),
        _ => Err(SendError::TooLarge { length }),
    }
}

impl tokio_stream::Stream for Outgoing {
    type Item = Frame;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Frame>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.waiting.poll_recv(context).map(|taken| match taken {
            Some((message, _)) => Some(Frame::Message(message)),
            None => {
                self.ended = true;
                self.farewell.get().cloned().map(Frame::Farewell)
            }
        })
    }
}
