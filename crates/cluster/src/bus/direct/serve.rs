//! One connection of the server: who is it, then its one stream until the end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::AlertDescription;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::StreamExt;
use tonic::body::Body;
use tonic::{Status, Streaming};

use super::METHOD;
use super::client::{HEADERS_MAXIMUM, WINDOW};
use super::codec::{FRAME_MAXIMUM, Frame, FrameCodec};
use super::error::BusError;
use super::queue::{Outgoing, queue};
use super::server::{Arrival, Shared};
use super::stream::{Held, Receiver, Stream, deepest, halves};
use super::wire::{EndTasks, Tasks, Trouble, Watched};
use crate::trust::{PeerIdentity, TrustError, Verdict};

/// How long a refused peer may take to hear why.
const LINGER: Duration = Duration::from_millis(300);

/// Somebody who has connected.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) number: u64,
    pub(super) socket: TcpStream,
    pub(super) address: SocketAddr,
}

/// From a connection's first byte to its last.
pub(super) async fn receive_visitor(visitor: Visitor, shared: Shared) {
    let (address, number) = (visitor.address, visitor.number);
    let limit = shared.settings.handshake_timeout;
    let known = timeout(limit, handshake(visitor.socket, &shared)).await;
    shared.strangers.leave(number);
    let known = known.unwrap_or(Err(BusError::Timeout {
        what: "TLS handshake",
        limit,
    }));
    let served = match known {
        Ok((secured, peer)) => serve(secured, peer, address, &shared).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        // Nobody waits for a refusal: where there is no room, it is forgotten.
        let _ = shared.arrivals.try_send(Arrival::Refused { address, error });
    }
}

async fn handshake(
    socket: TcpStream,
    shared: &Shared,
) -> Result<(TlsStream<TcpStream>, PeerIdentity), BusError> {
    socket.set_nodelay(true).map_err(|error| BusError::Lost {
        reason: error.to_string(),
    })?;
    let (config, verdict) = shared.tls.session()?;
    match TlsAcceptor::from(config).accept(socket).into_fallible().await {
        Err((error, socket)) => {
            linger(socket).await;
            Err(why(&error, &verdict, shared))
        }
        Ok(secured) if secured.get_ref().1.alpn_protocol() != Some(b"h2") => Err(BusError::Protocol {
            reason: "it does not offer HTTP/2".to_owned(),
        }),
        Ok(secured) => match verdict.get() {
            Some(Ok(peer)) => Ok((secured, peer.clone())),
            _ => Err(TrustError::NoCertificate {
                cluster: shared.tls.identity().cluster().to_owned(),
            }
            .into()),
        },
    }
}

/// A socket that is closed with bytes unread is reset, and a reset may overtake the alert that says why.
async fn linger(mut socket: TcpStream) {
    let _ = socket.shutdown().await;
    let drained = async {
        let mut buffer = [0; 4096];
        for _ in 0..16 {
            if !matches!(socket.read(&mut buffer).await, Ok(count) if count > 0) {
                break;
            }
        }
    };
    let _ = timeout(LINGER, drained).await;
}

fn why(error: &std::io::Error, verdict: &Verdict, shared: &Shared) -> BusError {
    if let Some(Err(refusal)) = verdict.get() {
        return refusal.clone().into();
    }
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        Some(rustls::Error::NoCertificatesPresented) => TrustError::NoCertificate {
            cluster: shared.tls.identity().cluster().to_owned(),
        }
        .into(),
        Some(rustls::Error::AlertReceived(alert)) => BusError::Refused {
            reason: distrusted(*alert, shared.tls.identity().cluster()),
        },
        Some(other) => BusError::Protocol {
            reason: other.to_string(),
        },
        None => BusError::Lost {
            reason: error.to_string(),
        },
    }
}

/// Whoever hangs up for the server's certificate has shown none of its own: which cluster it is of is not known.
fn distrusted(alert: AlertDescription, cluster: &str) -> String {
    let told = format!("it does not trust this server's certificate (TLS alert {alert:?})");
    match alert {
        AlertDescription::UnknownCA => format!(
            "{told}: it is no member of cluster `{cluster}`, or was one before this cluster's authority was made anew; point it at the \
             controllers of its own cluster, or empty its data folder and join it to this one with a new token"
        ),
        AlertDescription::CertificateExpired => {
            format!("{told}: its clock says that the certificate is not valid now; compare the clocks")
        }
        _ => told,
    }
}

async fn serve(
    secured: TlsStream<TcpStream>,
    peer: PeerIdentity,
    address: SocketAddr,
    shared: &Shared,
) -> Result<(), BusError> {
    let place = shared.members.enter(peer.fingerprint)?;
    let (trouble, tasks) = (Trouble::default(), Tasks::default());
    let _end_tasks = EndTasks(tasks.clone());
    let (mut halves, held) = halves();
    let door = Arc::new(Door {
        peer,
        address,
        shared: shared.clone(),
        trouble: trouble.clone(),
        held: std::sync::Mutex::new(Some(held)),
        opened: Notify::new(),
        used: AtomicBool::new(false),
    });
    let at_door = Arc::clone(&door);
    let service = service_fn(move |request| {
        let door = Arc::clone(&at_door);
        async move { Ok::<_, Infallible>(door.enter(request).await) }
    });
    let bytes = TokioIo::new(Watched::new(secured, trouble.clone()));
    let mut connection = std::pin::pin!(builder(tasks, shared).serve_connection(bytes, service));
    let limit = shared.settings.handshake_timeout;
    tokio::select! {
        ended = connection.as_mut() => return Err(unopened(ended, &trouble)),
        () = tokio::time::sleep(limit) => return Err(BusError::Timeout { what: "stream", limit }),
        () = door.opened.notified() => {}
    }
    let grace = shared.settings.grace;
    tokio::select! {
        // The receiver hears of it when the connection is dropped, which is after this.
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                trouble.note_text(deepest(&error).to_string());
            }
        }
        () = halves.given_up(&trouble, grace) => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(grace, connection).await;
        }
    }
    drop(place);
    Ok(())
}

fn unopened(ended: Result<(), hyper::Error>, trouble: &Trouble) -> BusError {
    match (ended, trouble.text()) {
        (Err(error), None) => BusError::Protocol {
            reason: deepest(&error).to_string(),
        },
        (_, Some(text)) => BusError::Lost {
            reason: text.to_owned(),
        },
        (Ok(()), None) => BusError::Lost {
            reason: "it left without opening a stream".to_owned(),
        },
    }
}

fn builder(tasks: Tasks, shared: &Shared) -> hyper::server::conn::http2::Builder<Tasks> {
    let mut builder = hyper::server::conn::http2::Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(1)
        .max_header_list_size(HEADERS_MAXIMUM)
        .keep_alive_interval(shared.settings.ping_interval)
        .keep_alive_timeout(shared.settings.ping_timeout);
    builder
}

/// Where a connection's one request comes in.
struct Door {
    peer: PeerIdentity,
    address: SocketAddr,
    shared: Shared,
    trouble: Trouble,
    held: std::sync::Mutex<Option<Held>>,
    opened: Notify,
    used: AtomicBool,
}

impl Door {
    async fn enter(self: Arc<Self>, request: http::Request<Incoming>) -> http::Response<Body> {
        if request.uri().path() != METHOD {
            return Status::unimplemented("there is no such method here").into_http();
        }
        if self.used.swap(true, Ordering::Relaxed) {
            return Status::resource_exhausted("a connection carries one stream").into_http();
        }
        tonic::server::Grpc::new(FrameCodec)
            .max_decoding_message_size(FRAME_MAXIMUM)
            .max_encoding_message_size(FRAME_MAXIMUM)
            .streaming(Opening(self), request)
            .await
    }

    /// Hands the stream to whoever accepts.
    async fn open(&self, incoming: Streaming<Frame>) -> Result<tonic::Response<Replies>, Status> {
        let held = self
            .held
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        let held = held.ok_or_else(|| Status::resource_exhausted("a connection carries one stream"))?;
        let (sender, outgoing) = queue(&self.shared.settings, &held);
        let receiver = Receiver::new(incoming, self.trouble.clone(), held);
        let stream = Stream {
            peer: self.peer.clone(),
            address: self.address,
            sender,
            receiver,
        };
        let arrived = self.shared.arrivals.send(Arrival::Stream(Box::new(stream))).await;
        arrived.map_err(|_| Status::unavailable("the server is shutting down"))?;
        self.opened.notify_one();
        Ok(tonic::Response::new(
            outgoing.map(Ok as fn(Frame) -> Result<Frame, Status>),
        ))
    }
}

type Replies = tokio_stream::adapters::Map<Outgoing, fn(Frame) -> Result<Frame, Status>>;

/// The door, as the gRPC library wants to see it.
struct Opening(Arc<Door>);

impl tonic::codegen::Service<tonic::Request<Streaming<Frame>>> for Opening {
    type Response = tonic::Response<Replies>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<Streaming<Frame>>) -> Self::Future {
        let door = Arc::clone(&self.0);
        Box::pin(async move { door.open(request.into_inner()).await })
    }
}
