//! The side that connects.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::AlertDescription;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::body::Body;

use super::METHOD;
use super::codec::{FRAME_MAXIMUM, FrameCodec};
use super::error::BusError;
use super::queue::queue;
use super::settings::Settings;
use super::stream::{Halves, Receiver, Stream, deepest, explained, halves};
use super::wire::{EndTasks, Tasks, Trouble, Watched};
use crate::trust::{ClientTls, PeerIdentity};

/// Window of one stream, in bytes: what may be on its way unread.
pub(super) const WINDOW: u32 = 1024 * 1024;
/// The longest headers that are read.
pub(super) const HEADERS_MAXIMUM: u32 = 16 * 1024;

/// Opens a stream with the first of `endpoints` (`HOST:PORT`) that can be reached and proves to be what `tls` expects. Trying again later is
/// the caller's business.
pub async fn connect<E: AsRef<str>>(
    endpoints: &[E],
    tls: &ClientTls,
    settings: &Settings,
) -> Result<Stream, BusError> {
    let mut attempts = Vec::new();
    for endpoint in endpoints.iter().map(AsRef::as_ref) {
        match connect_endpoint(endpoint, tls, settings).await {
            Ok(stream) => return Ok(stream),
            Err(error) => attempts.push((endpoint.to_owned(), error)),
        }
    }
    Err(BusError::Unreachable { attempts })
}

async fn connect_endpoint(endpoint: &str, tls: &ClientTls, settings: &Settings) -> Result<Stream, BusError> {
    let found = within(
        settings.connect_timeout,
        "answer from the name service",
        tokio::net::lookup_host(endpoint),
    )
    .await?;
    let addresses = found.map_err(|error| BusError::Resolve {
        reason: error.to_string(),
    })?;
    let mut last = BusError::Resolve {
        reason: "the name has no address".to_owned(),
    };
    for address in addresses {
        match connect_address(address, tls, settings).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_address(
    address: SocketAddr,
    tls: &ClientTls,
    settings: &Settings,
) -> Result<Stream, BusError> {
    let connected = within(
        settings.connect_timeout,
        "TCP connection",
        TcpStream::connect(address),
    )
    .await?;
    let refused = |error: std::io::Error| BusError::Connect {
        reason: error.to_string(),
    };
    let socket = connected.map_err(refused)?;
    socket.set_nodelay(true).map_err(refused)?;
    let handshake = handshake(socket, address, tls);
    let (secured, peer) = within(settings.handshake_timeout, "TLS handshake", handshake).await??;
    within(
        settings.handshake_timeout,
        "stream",
        open(secured, address, peer, tls, settings),
    )
    .await?
}

async fn within<F: Future>(limit: Duration, what: &'static str, future: F) -> Result<F::Output, BusError> {
    timeout(limit, future)
        .await
        .map_err(|_| BusError::Timeout { what, limit })
}

async fn handshake(
    socket: TcpStream,
    address: SocketAddr,
    tls: &ClientTls,
) -> Result<(TlsStream<TcpStream>, PeerIdentity), BusError> {
    let (config, verdict) = tls.session()?;
    let connected = TlsConnector::from(config)
        .connect(ServerName::IpAddress(address.ip().into()), socket)
        .await;
    match (connected, verdict.get()) {
        (_, Some(Err(error))) => Err(error.clone().into()),
        (Ok(_), None) => Err(BusError::Protocol {
            reason: "it showed no certificate".to_owned(),
        }),
        (Ok(secured), Some(Ok(_))) if secured.get_ref().1.alpn_protocol() != Some(b"h2") => {
            Err(BusError::Protocol {
                reason: "it does not speak HTTP/2".to_owned(),
            })
        }
        (Ok(secured), Some(Ok(peer))) => Ok((secured, peer.clone())),
        (Err(error), _) => {
            let tls_error = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>());
            Err(tls_error.map_or_else(
                || BusError::Lost {
                    reason: error.to_string(),
                },
                |found| told(found, tls),
            ))
        }
    }
}

async fn open(
    secured: TlsStream<TcpStream>,
    address: SocketAddr,
    peer: PeerIdentity,
    tls: &ClientTls,
    settings: &Settings,
) -> Result<Stream, BusError> {
    let (trouble, tasks) = (Trouble::default(), Tasks::default());
    let end_tasks = EndTasks(tasks.clone());
    let bytes = TokioIo::new(Watched::new(secured, trouble.clone()));
    let (requests, connection) =
        builder(tasks.clone(), settings)
            .handshake(bytes)
            .await
            .map_err(|error| {
                failed(&trouble, tls, || BusError::Lost {
                    reason: deepest(&error).to_string(),
                })
            })?;
    let (halves, held) = halves();
    let (sender, outgoing) = queue(settings, &held);
    let driver = Driver {
        halves,
        trouble: trouble.clone(),
        requests: requests.clone(),
        tasks: tasks.clone(),
        grace: settings.grace,
    };
    tokio::spawn(async move {
        let _end_tasks = end_tasks;
        driver.drive(connection).await;
    });
    let origin = http::Uri::from_static("https://anet");
    let mut grpc = tonic::client::Grpc::with_origin(Once(requests), origin)
        .max_decoding_message_size(FRAME_MAXIMUM)
        .max_encoding_message_size(FRAME_MAXIMUM);
    let path = http::uri::PathAndQuery::from_static(METHOD);
    let response = grpc
        .streaming(tonic::Request::new(outgoing), path, FrameCodec)
        .await;
    let incoming = response
        .map_err(|status| failed(&trouble, tls, || explained(&status, &trouble)))?
        .into_inner();
    Ok(Stream {
        peer,
        address,
        sender,
        receiver: Receiver::new(incoming, trouble, held),
    })
}

fn builder(tasks: Tasks, settings: &Settings) -> hyper::client::conn::http2::Builder<Tasks> {
    let mut builder = hyper::client::conn::http2::Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(HEADERS_MAXIMUM)
        .keep_alive_interval(settings.ping_interval)
        .keep_alive_timeout(settings.ping_timeout)
        .keep_alive_while_idle(true);
    builder
}

/// What keeps a connection going.
struct Driver {
    halves: Halves,
    trouble: Trouble,
    /// As long as somebody could make a request, HTTP/2 keeps the connection.
    requests: SendRequest<Body>,
    tasks: Tasks,
    grace: Duration,
}

impl Driver {
    /// Until the connection ends by itself, or both halves are given up.
    async fn drive<C: Future>(self, connection: C) {
        let Self {
            mut halves,
            trouble,
            requests,
            tasks,
            grace,
        } = self;
        tokio::select! {
            _ = connection => {}
            () = halves.given_up(&trouble, grace) => {
                drop(requests);
                let _ = timeout(grace, tasks.ended()).await;
            }
        }
    }
}

/// The reason as TLS told it, if it did.
fn failed(trouble: &Trouble, tls: &ClientTls, otherwise: impl FnOnce() -> BusError) -> BusError {
    trouble.tls().map_or_else(otherwise, |error| told(error, tls))
}

/// What an alert of the other side says about us.
fn told(error: &rustls::Error, tls: &ClientTls) -> BusError {
    let rustls::Error::AlertReceived(alert) = error else {
        return BusError::Protocol {
            reason: error.to_string(),
        };
    };
    let us = tls.identity();
    let reason = match alert {
        AlertDescription::CertificateExpired => match tls.own_validity() {
            Err(error) => error.to_string(),
            Ok(()) => format!(
                "it takes the certificate of {us} for expired or not yet valid, which by this machine's clock it is not: compare the clocks"
            ),
        },
        AlertDescription::UnknownCA => format!(
            "the certificate of {us} was not issued by its cluster's authority: join this machine to that cluster, or connect to the right one"
        ),
        AlertDescription::AccessDenied => format!("{us} is not of a role and cluster that it accepts here"),
        AlertDescription::CertificateRequired => "it wants a certificate and got none".to_owned(),
        other => format!("TLS alert {other:?}"),
    };
    BusError::Refused { reason }
}

/// A connection, as the gRPC library wants to see it.
struct Once(SendRequest<Body>);

impl tonic::codegen::Service<http::Request<Body>> for Once {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
