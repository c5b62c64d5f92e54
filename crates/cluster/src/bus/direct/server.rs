//! The side that is connected to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::error::BusError;
use super::places::{Members, Strangers};
use super::serve::{Visitor, receive_visitor};
use super::settings::Settings;
use super::stream::Stream;
use crate::trust::ServerTls;

/// Streams and refusals that may wait to be looked at. When refusals find no room they are forgotten; streams wait.
const ARRIVALS: usize = 64;
/// The pause when the operating system gives no connection (out of descriptors, say).
const PAUSE: Duration = Duration::from_millis(50);

/// Who came.
#[derive(Debug)]
pub enum Arrival {
    /// A peer that has proved who it is, with its stream.
    Stream(Box<Stream>),
    /// A connection that led to no stream.
    Refused {
        /// From where.
        address: SocketAddr,
        /// Why.
        error: BusError,
    },
}

/// Listens for peers. Dropping it ends listening; open streams live on.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    arrivals: mpsc::Receiver<Arrival>,
    listening: JoinHandle<()>,
}

/// What all connections of one server share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) tls: ServerTls,
    pub(super) settings: Arc<Settings>,
    pub(super) strangers: Strangers,
    pub(super) members: Members,
    pub(super) arrivals: mpsc::Sender<Arrival>,
}

impl Server {
    /// Listens on `address` (port 0: any free one).
    pub async fn bind(address: SocketAddr, tls: ServerTls, settings: Settings) -> Result<Self, BusError> {
        let refused = |error: std::io::Error| BusError::Listen {
            address,
            reason: error.to_string(),
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let local = listener.local_addr().map_err(refused)?;
        let (sender, arrivals) = mpsc::channel(ARRIVALS);
        let shared = Shared {
            tls,
            strangers: Strangers::new(settings.handshakes),
            members: Members::new(settings.connections, settings.connections_per_peer),
            settings: Arc::new(settings),
            arrivals: sender,
        };
        let listening = tokio::spawn(listen(listener, shared));
        Ok(Self {
            address: local,
            arrivals,
            listening,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next stream, or the next refusal (for the log). A call that is given up has lost nothing.
    pub async fn accept(&mut self) -> Arrival {
        match self.arrivals.recv().await {
            Some(arrival) => arrival,
            // The listening task ends with this server only; without it nobody can come any more.
            None => std::future::pending().await,
        }
    }

    /// The next stream; refusals are passed over.
    pub async fn accept_stream(&mut self) -> Stream {
        loop {
            if let Arrival::Stream(stream) = self.accept().await {
                return *stream;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, shared: Shared) {
    let mut number = 0;
    loop {
        match listener.accept().await {
            Ok((socket, address)) => {
                number += 1;
                let visitor = Visitor {
                    number,
                    socket,
                    address,
                };
                let visit = receive_visitor(visitor, shared.clone());
                shared
                    .strangers
                    .enter(number, || tokio::spawn(visit).abort_handle());
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
