//! Hosts' streams: agents that come, what they say, what they are told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anet_cluster::Bytes;
use anet_cluster::bus::direct::{Arrival, BusError, Receiver, SendError, Sender, Server, Stream};
use anet_cluster::trust::Signer;
use anet_model::changeset::Changeset;
use anet_model::intent::HostId;
use anet_wire::codec::{decode_agent_message, encode_controller_message, encode_signed_changeset};
use anet_wire::session::{AgentHello, AgentMessage, CHANGESET_PURPOSE, ControllerMessage, SignedChangeset};
use tokio::sync::mpsc;

use crate::core::events::EventKind;
use crate::core::fabric::Effect;
use crate::core::session::Connection;
use crate::shared::Shared;

/// How long an agent may take to say hello.
const HELLO: Duration = Duration::from_secs(10);

/// The open streams' sending halves.
#[derive(Debug, Default)]
pub struct Streams {
    senders: Mutex<HashMap<Connection, Sender>>,
    last: AtomicU64,
}

impl Streams {
    fn senders(&self) -> std::sync::MutexGuard<'_, HashMap<Connection, Sender>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, sender: Sender) -> Connection {
        let connection = self.last.fetch_add(1, Ordering::Relaxed);
        self.senders().insert(connection, sender);
        connection
    }

    /// Sends, if the stream is open.
    fn send(&self, connection: Connection, message: Bytes) -> Result<(), SendError> {
        self.senders()
            .get(&connection)
            .map_or(Ok(()), |sender| sender.try_send(message))
    }

    fn remove(&self, connection: Connection) -> Option<Sender> {
        self.senders().remove(&connection)
    }
}

/// Accepts agents for ever.
pub async fn accept(shared: Arc<Shared>, streams: Arc<Streams>, mut server: Server) {
    loop {
        match server.accept().await {
            Arrival::Stream(stream) => {
                tokio::spawn(serve(shared.clone(), streams.clone(), *stream));
            }
            // A connection that just breaks is nothing to tell of.
            Arrival::Refused {
                error: BusError::Lost { .. } | BusError::Timeout { .. },
                ..
            } => {}
            Arrival::Refused { address, error } => {
                let subject = format!("stream {}", address.ip());
                shared
                    .driver
                    .refuse(&subject, format!("a stream from {address} was refused: {error}"));
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, streams: Arc<Streams>, stream: Stream) {
    let Stream {
        peer,
        address,
        sender,
        mut receiver,
    } = stream;
    let connection = streams.add(sender);
    let certified = peer.identity.name().to_owned();
    let greeted = tokio::time::timeout(HELLO, first(&mut receiver)).await;
    match greeted {
        Ok(Ok(hello)) => {
            // The cursor is held against the store as it is now, not against a mirror that is late.
            if shared.driver.catch_up().await.is_ok() {
                let fingerprint = peer.fingerprint.to_string();
                shared
                    .driver
                    .act(|state, now| (state.hello(connection, &certified, &fingerprint, &hello, now), ()));
                listen(&shared, connection, &mut receiver).await;
            }
        }
        Ok(Err(error)) => {
            let text = format!("host {certified} at {address} said no hello: {error}");
            shared.driver.refuse(&format!("hello of {certified}"), text);
        }
        Err(_) => {}
    }
    shared
        .driver
        .act(|state, now| (state.closed(connection, now), ()));
    if let Some(sender) = streams.remove(connection) {
        sender.close("the session has ended").await;
    }
}

async fn first(receiver: &mut Receiver) -> Result<AgentHello, String> {
    let bytes = receiver.receive().await.map_err(|error| error.to_string())?;
    match decode_agent_message(&bytes).map_err(|error| error.to_string())? {
        AgentMessage::Hello(hello) => Ok(hello),
        _ => Err("its first message is no hello".to_owned()),
    }
}

async fn listen(shared: &Shared, connection: Connection, receiver: &mut Receiver) {
    while let Ok(bytes) = receiver.receive().await {
        match decode_agent_message(&bytes) {
            Ok(message) => shared
                .driver
                .act(|state, now| (state.message(connection, message, now), ())),
            Err(error) => {
                shared.driver.tell(
                    EventKind::Refused,
                    None,
                    format!("an agent's message cannot be read, its stream is closed: {error}"),
                );
                return;
            }
        }
    }
}

/// Carries effects out for ever, in their order.
pub async fn carry_out(
    shared: Arc<Shared>,
    streams: Arc<Streams>,
    signer: Signer,
    mut effects: mpsc::UnboundedReceiver<Effect>,
) {
    while let Some(effect) = effects.recv().await {
        match effect {
            Effect::Send(connection, message) => send(&streams, connection, &message),
            Effect::Changeset(connection, host, changeset) => match sealed(&signer, host, changeset) {
                Ok(message) => send(&streams, connection, &message),
                Err(error) => {
                    shared.driver.tell(
                        EventKind::Refused,
                        None,
                        format!("a changeset cannot be signed: {error}"),
                    );
                    close(&streams, connection, "a changeset cannot be signed");
                }
            },
            Effect::Close(connection) => close(&streams, connection, "farewell"),
            Effect::Mint { above } => {
                let shared = shared.clone();
                tokio::spawn(async move { shared.driver.begin_anew(above).await });
            }
            Effect::Traced { id, answer } => {
                let waiting = shared
                    .traces
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&id);
                if let Some(waiting) = waiting {
                    // Whoever asked may have gone.
                    let _ = waiting.send(answer);
                }
            }
        }
    }
}

fn sealed(
    signer: &Signer,
    host: HostId,
    changeset: Changeset,
) -> Result<ControllerMessage, anet_cluster::trust::TrustError> {
    let payload = encode_signed_changeset(&SignedChangeset { host, changeset });
    signer
        .seal(CHANGESET_PURPOSE, &payload)
        .map(ControllerMessage::Changeset)
}

fn send(streams: &Streams, connection: Connection, message: &ControllerMessage) {
    match streams.send(connection, Bytes::from(encode_controller_message(message))) {
        Ok(()) | Err(SendError::Ended) => {}
        // It reads too slowly, or its plan is too large for one message: it comes back and begins anew.
        Err(error) => close(streams, connection, &error.to_string()),
    }
}

fn close(streams: &Streams, connection: Connection, reason: &str) {
    if let Some(sender) = streams.remove(connection) {
        let reason = reason.to_owned();
        tokio::spawn(async move { sender.close(&reason).await });
    }
}
