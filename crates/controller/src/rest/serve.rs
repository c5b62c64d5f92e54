//! Connections of the API: TLS, and bounds on their number and on everything's time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use super::answer;
use crate::shared::Shared;

/// Connections at a time.
const CONNECTIONS: usize = 1_024;
/// How long TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a request's head may take, the wait for it included.
const HEAD: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const HEAD_MAXIMUM: usize = 64 * 1024;
/// The pause when the system gives no connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves for ever.
pub async fn serve(shared: Arc<Shared>, listener: TcpListener, tls: Arc<ServerConfig>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let acceptor = TlsAcceptor::from(tls);
    loop {
        // Who finds no place waits in the system's queue.
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((socket, _)) => {
                tokio::spawn(connection(shared.clone(), socket, acceptor.clone(), place));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn connection(
    shared: Arc<Shared>,
    socket: TcpStream,
    acceptor: TlsAcceptor,
    place: OwnedSemaphorePermit,
) {
    // Without it, small answers wait for the other side's acknowledgement.
    let _ = socket.set_nodelay(true);
    let Ok(Ok(secured)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(socket)).await else {
        return;
    };
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answer(shared, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_MAXIMUM);
    // What a client broke off is no news.
    let _ = builder.serve_connection(TokioIo::new(secured), service).await;
    drop(place);
}
