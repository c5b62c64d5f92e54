//! When a connection has had its time: bytes that the other side does not take, and requests whose answer does not get out.
//!
//! The stream notes what happens to it in a [`Pace`], and a watch beside the connection ends it when something is overdue. Nothing is set
//! or reset per packet; the watch sleeps until the next thing could be due.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How a connection is doing. Clones are of the same connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    doing: Arc<Mutex<Doing>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Doing {
    /// Since when the other side takes no bytes.
    stuck: Option<Instant>,
    /// When the request came whose answer is not out yet.
    asked: Option<Instant>,
    /// True where bytes were written that may not be out.
    wrote: bool,
    /// Until when it must have shown who it is.
    stranger_until: Option<Instant>,
}

impl Pace {
    fn doing(&self) -> MutexGuard<'_, Doing> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody who has to show a token until then.
    pub(super) fn stranger(&self, until: Instant) {
        self.doing().stranger_until = Some(until);
        self.changed.notify_one();
    }

    /// It has shown a token.
    pub(super) fn known(&self) {
        self.doing().stranger_until = None;
    }

    /// A request's head has come. One that comes while an answer is not out yet gets no time of its own.
    pub(super) fn asked(&self) {
        self.doing().asked.get_or_insert_with(Instant::now);
        self.changed.notify_one();
    }

    fn is_stuck(&self) {
        let mut doing = self.doing();
        if doing.stuck.is_none() {
            doing.stuck = Some(Instant::now());
            self.changed.notify_one();
        }
    }

    fn took(&self) {
        let mut doing = self.doing();
        doing.stuck = None;
        doing.wrote = true;
    }

    fn is_out(&self) {
        let mut doing = self.doing();
        doing.stuck = None;
        if std::mem::take(&mut doing.wrote) {
            doing.asked = None;
        }
    }

    /// When it is overdue, as it is now.
    fn due(&self, write: Duration, request: Duration) -> Option<Instant> {
        let doing = self.doing();
        let due = [
            doing.stuck.map(|since| since + write),
            doing.asked.map(|since| since + request),
            doing.stranger_until,
        ];
        due.into_iter().flatten().min()
    }

    /// Until something is overdue.
    pub(super) async fn overdue(&self, write: Duration, request: Duration) {
        loop {
            let changed = self.changed.notified();
            match self.due(write, request) {
                Some(due) if due <= Instant::now() => return,
                Some(due) => tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }
}

/// A stream that notes how it goes.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    pace: Pace,
}

impl<S> Paced<S> {
    pub(super) const fn new(stream: S, pace: Pace) -> Self {
        Self { stream, pace }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        match done.is_pending() {
            true => self.pace.is_stuck(),
            false => self.pace.took(),
        }
        done
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(context);
        match done.is_pending() {
            true => self.pace.is_stuck(),
            false => self.pace.is_out(),
        }
        done
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_shutdown(context);
        if done.is_pending() {
            self.pace.is_stuck();
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const LONG: Duration = Duration::from_secs(3_600);
    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn bytes_that_are_not_taken_are_overdue() {
        let (near, mut far) = tokio::io::duplex(8);
        let pace = Pace::default();
        let mut paced = Paced::new(near, pace.clone());
        paced.write_all(b"12345678").await.unwrap();
        assert_eq!(pace.due(SHORT, LONG), None, "all was taken");
        let writes = tokio::spawn(async move { paced.write_all(b"x").await });
        pace.overdue(SHORT, LONG).await;
        assert!(!writes.is_finished());
        let mut all = [0; 9];
        far.read_exact(&mut all).await.unwrap();
        writes.await.unwrap().unwrap();
        assert_eq!(pace.due(SHORT, LONG), None, "it was taken after all");
    }

    #[tokio::test]
    async fn a_request_has_its_time_until_the_answer_is_out() {
        let (near, _far) = tokio::io::duplex(8);
        let pace = Pace::default();
        let mut paced = Paced::new(near, pace.clone());
        pace.asked();
        paced.flush().await.unwrap();
        assert!(pace.due(LONG, LONG).is_some(), "nothing was said yet");
        paced.write_all(b"x").await.unwrap();
        assert!(pace.due(LONG, LONG).is_some());
        paced.flush().await.unwrap();
        assert_eq!(pace.due(LONG, LONG), None);
        pace.asked();
        pace.overdue(LONG, SHORT).await;
    }

    #[tokio::test]
    async fn a_stranger_has_its_time_until_it_is_known() {
        let pace = Pace::default();
        let until = Instant::now() + SHORT;
        pace.stranger(until);
        assert_eq!(pace.due(LONG, LONG), Some(until));
        pace.known();
        assert_eq!(pace.due(LONG, LONG), None);
        pace.stranger(until);
        pace.overdue(LONG, LONG).await;
    }
}
