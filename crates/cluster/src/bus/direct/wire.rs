//! The bytes under HTTP/2, watched for what the layers above forget to tell: TLS alerts, and how the connection ended. And the
//! tasks that HTTP/2 starts, so that cutting a connection ends them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// The first thing that went wrong with a connection's bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble(Arc<OnceLock<Found>>);

#[derive(Debug)]
struct Found {
    text: String,
    tls: Option<rustls::Error>,
}

impl Trouble {
    fn note(&self, error: &io::Error) {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            .cloned();
        // Only the first counts: what follows is its consequence.
        let _ = self.0.set(Found {
            text: error.to_string(),
            tls,
        });
    }

    /// Something that was found above the bytes.
    pub(super) fn note_text(&self, text: String) {
        let _ = self.0.set(Found { text, tls: None });
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.0.get().map(|found| found.text.as_str())
    }

    pub(super) fn tls(&self) -> Option<&rustls::Error> {
        self.0.get().and_then(|found| found.tls.as_ref())
    }
}

/// A stream of bytes whose troubles are noted.
#[derive(Debug)]
pub(super) struct Watched<S> {
    inner: S,
    trouble: Trouble,
}

impl<S> Watched<S> {
    pub(super) fn new(inner: S, trouble: Trouble) -> Self {
        Self { inner, trouble }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let room = buffer.remaining();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        match &polled {
            Poll::Ready(Err(error)) => self.trouble.note(error),
            Poll::Ready(Ok(())) if room > 0 && buffer.filled().len() == before => self
                .trouble
                .note_text("the other side closed the connection".to_owned()),
            _ => {}
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Starts HTTP/2's tasks, knows when they have ended, and ends them with the connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    handles: Arc<Mutex<Vec<AbortHandle>>>,
    running: watch::Sender<usize>,
}

impl Tasks {
    /// Until none is running.
    pub(super) async fn ended(&self) {
        // The sender is here, so that the wait cannot fail.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        self.running.send_modify(|running| *running += 1);
        let counted = Counted(self.running.clone());
        let handle = tokio::spawn(async move {
            let _counted = counted;
            task.await;
        });
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.retain(|handle| !handle.is_finished());
        handles.push(handle.abort_handle());
    }
}

/// A task that runs, until it is dropped.
struct Counted(watch::Sender<usize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

/// Ends the tasks when the connection's own task ends, however it does.
#[derive(Debug)]
pub(super) struct EndTasks(pub(super) Tasks);

impl Drop for EndTasks {
    fn drop(&mut self) {
        let mut handles = self.0.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.drain(..).for_each(|handle| handle.abort());
    }
}
