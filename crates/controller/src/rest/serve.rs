//! Connections of the API: TLS, and bounds on their number and on everything's time.
//!
//! Whoever can reach the port may connect, so nothing here is kept for somebody who only takes: see [`places`](super::places) for who
//! has a place, and [`pace`](super::pace) for how long.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::pace::{Pace, Paced};
use super::places::{Place, Places};
use super::{Reply, answer, caller};
use crate::shared::Shared;

/// Bytes of a request's head.
const HEAD_MAXIMUM: usize = 64 * 1024;
/// The pause when the system gives no connection.
const PAUSE: Duration = Duration::from_millis(50);

/// How many, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections that have shown no valid token.
    pub strangers: usize,
    /// Connections that have.
    pub users: usize,
    /// Those of one user: of one project's members, or of its administrators.
    pub each_user: usize,
    /// For TLS.
    pub handshake: Duration,
    /// For a request's head, the wait for it included.
    pub head: Duration,
    /// For a connection to show a valid token, from its beginning.
    pub stranger: Duration,
    /// For the other side to take some bytes of an answer.
    pub write: Duration,
    /// From a request's head to the last byte of its answer.
    pub request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            strangers: 256,
            users: 1_024,
            each_user: 256,
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(30),
            stranger: Duration::from_secs(30),
            write: Duration::from_secs(10),
            request: Duration::from_secs(120),
        }
    }
}

/// What all connections share.
#[derive(Clone)]
struct Server {
    shared: Arc<Shared>,
    acceptor: TlsAcceptor,
    places: Places,
    limits: Arc<Limits>,
}

/// Serves for ever.
pub async fn serve(shared: Arc<Shared>, listener: TcpListener, tls: Arc<ServerConfig>, limits: Limits) {
    let server = Server {
        shared,
        acceptor: TlsAcceptor::from(tls),
        places: Places::new(limits.strangers, limits.users, limits.each_user),
        limits: Arc::new(limits),
    };
    let mut number = 0;
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                number += 1;
                let visit = visit(server.clone(), socket, number);
                server.places.enter(number, || tokio::spawn(visit).abort_handle());
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// A connection from its first byte to its last.
async fn visit(server: Server, socket: TcpStream, number: u64) {
    let pace = Pace::default();
    pace.stranger(Instant::now() + server.limits.stranger);
    let (write, request) = (server.limits.write, server.limits.request);
    tokio::select! {
        () = connection(&server, socket, number, &pace) => {}
        () = pace.overdue(write, request) => {}
    }
    server.places.leave(number);
}

async fn connection(server: &Server, socket: TcpStream, number: u64, pace: &Pace) {
    // Without it, small answers wait for the other side's acknowledgement.
    let _ = socket.set_nodelay(true);
    let handshake = server.acceptor.accept(socket);
    let Ok(Ok(secured)) = tokio::time::timeout(server.limits.handshake, handshake).await else {
        return;
    };
    let visitor = Arc::new(Visitor {
        server: server.clone(),
        number,
        pace: pace.clone(),
        place: Mutex::new(None),
    });
    let service = service_fn(move |request| {
        let visitor = Arc::clone(&visitor);
        async move { Ok::<_, Infallible>(visitor.asks(request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(server.limits.head)
        .max_buf_size(HEAD_MAXIMUM);
    let paced = Paced::new(secured, pace.clone());
    // What a client broke off is no news.
    let _ = builder.serve_connection(TokioIo::new(paced), service).await;
}

/// Who is on a connection.
struct Visitor {
    server: Server,
    number: u64,
    pace: Pace,
    /// Once it has shown a valid token.
    place: Mutex<Option<Place>>,
}

impl Visitor {
    async fn asks(&self, request: Request<Incoming>) -> Reply {
        self.pace.asked();
        self.look(&request);
        answer(self.server.shared.clone(), request).await
    }

    /// Gives the connection a user's place with its first valid token.
    fn look(&self, request: &Request<Incoming>) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.is_some() {
            return;
        }
        if let Ok(user) = caller(&self.server.shared, request.headers()) {
            *place = self.server.places.known(self.number, &user);
            self.pace.known();
        }
    }
}
