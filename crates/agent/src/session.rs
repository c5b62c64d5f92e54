//! The task that talks to a controller: connects to one of several, reads and verifies what comes, connects again.

use std::time::Duration;

use anet_cluster::Bytes;
use anet_cluster::bus::Backoff;
use anet_cluster::bus::direct::{Receiver, Sender, Settings, Stream, connect};
use anet_cluster::trust::{ClientTls, Clock, Verifier};
use anet_wire::codec::{decode_controller_message, decode_signed_changeset, encode_agent_message};
use anet_wire::session::{AgentMessage, CHANGESET_PURPOSE, ControllerMessage, SignedChangeset};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::core::{Input, Said};
use crate::run::Event;

/// How long to stay away when coming back does not help until somebody has done something.
const UNWANTED: Duration = Duration::from_secs(60);

/// What to do with the stream; each command is for the stream of its number.
#[derive(Debug)]
pub enum Command {
    /// Say it.
    Send(u64, Box<AgentMessage>),
    /// Close it.
    Close {
        /// Which one.
        stream: u64,
        /// Whether to come back soon.
        retry: bool,
    },
}

/// What is needed to reach controllers and to believe them.
pub struct Controllers {
    /// `HOST:PORT` of each.
    pub addresses: Vec<String>,
    /// Whom we trust, and who we are.
    pub tls: ClientTls,
    /// Who may sign changesets.
    pub verifier: Verifier,
    /// For certificates alone.
    pub clock: Clock,
}

/// How a stream ended.
struct End {
    reason: String,
    retry: bool,
    /// True where the controller's hello was heard: the next try comes at once.
    greeted: bool,
    /// True where the agent itself has closed it, and said why.
    told: bool,
}

/// Talks to controllers until nobody listens any more.
pub async fn talk(
    controllers: Controllers,
    mut commands: mpsc::UnboundedReceiver<Command>,
    events: mpsc::Sender<Event>,
) {
    let mut backoff = Backoff::default();
    let mut told = String::new();
    let (mut number, mut turn) = (0_u64, 0);
    let settings = Settings::default();
    loop {
        let mut addresses = controllers.addresses.clone();
        if !addresses.is_empty() {
            let first = turn % addresses.len();
            addresses.rotate_left(first);
        }
        let end = match connect(&addresses, &controllers.tls, &settings).await {
            Ok(stream) => {
                number += 1;
                if events.send(Event::Stream(number)).await.is_err() {
                    return;
                }
                serve(&controllers, stream, number, &mut commands, &events).await
            }
            Err(error) => End {
                reason: error.to_string(),
                retry: true,
                greeted: false,
                told: false,
            },
        };
        let reason = end.reason.clone();
        let disconnected = Event::Input(Input::Disconnected { reason });
        if events.send(disconnected).await.is_err() {
            return;
        }
        if end.greeted {
            told.clear();
        }
        if !end.told && end.reason != told {
            told.clone_from(&end.reason);
            crate::log::line(format_args!(
                "no session with a controller: {}; tried again",
                end.reason
            ));
        }
        if end.greeted {
            backoff.reset();
        }
        turn += 1;
        sleep(match end.retry {
            true => backoff.next(rand::random()),
            false => UNWANTED,
        })
        .await;
    }
}

async fn serve(
    controllers: &Controllers,
    stream: Stream,
    number: u64,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    events: &mpsc::Sender<Event>,
) -> End {
    let Stream {
        sender, mut receiver, ..
    } = stream;
    let mut greeted = false;
    let (reason, retry, told) = loop {
        let ended = || ("the agent ends".to_owned(), true, false);
        tokio::select! {
            command = commands.recv() => match command {
                None => break ended(),
                Some(command) => {
                    let told = matches!(command, Command::Close { .. });
                    if let Some((reason, retry)) = obey(command, number, &sender) {
                        sender.close(&reason).await;
                        break (reason, retry, told);
                    }
                }
            },
            said = hear(controllers, &mut receiver) => match said {
                Ok(said) => {
                    greeted |= matches!(said, Said::Welcome { .. });
                    if events.send(Event::Input(Input::Said(said))).await.is_err() {
                        break ended();
                    }
                }
                Err(reason) => break (reason, true, false),
            },
        }
    };
    End {
        reason,
        retry,
        greeted,
        told,
    }
}

/// Carries a command out; a reason where that ends the stream.
fn obey(command: Command, number: u64, sender: &Sender) -> Option<(String, bool)> {
    match command {
        Command::Send(stream, message) if stream == number => {
            let bytes = Bytes::from(encode_agent_message(&message));
            sender
                .try_send(bytes)
                .err()
                .map(|error| (error.to_string(), true))
        }
        Command::Close { stream, retry } if stream == number => {
            Some(("the agent closes the session".to_owned(), retry))
        }
        // For a stream that is gone.
        Command::Send(..) | Command::Close { .. } => None,
    }
}

async fn hear(controllers: &Controllers, receiver: &mut Receiver) -> Result<Said, String> {
    let bytes = receiver.receive().await.map_err(|error| error.to_string())?;
    let message = decode_controller_message(&bytes);
    let message =
        message.map_err(|error| format!("what the controller said cannot be understood: {error}"))?;
    Ok(match message {
        ControllerMessage::Welcome {
            protocol,
            software,
            cluster,
            cursor,
            digest,
        } => Said::Welcome {
            protocol,
            software,
            cluster,
            cursor,
            digest,
        },
        ControllerMessage::Changeset(envelope) => Said::Changeset(verified(controllers, envelope)),
        ControllerMessage::Trace { id, request } => Said::Trace { id, request },
        ControllerMessage::Farewell { reason, retry } => Said::Farewell { reason, retry },
    })
}

/// What a controller of our cluster signed.
fn verified(controllers: &Controllers, envelope: Vec<u8>) -> Result<SignedChangeset, String> {
    let now = controllers.clock.now();
    let opened = controllers
        .verifier
        .open(CHANGESET_PURPOSE, Bytes::from(envelope), now);
    let opened = opened.map_err(|error| error.to_string())?;
    decode_signed_changeset(&opened.payload)
        .map_err(|error| format!("the changeset cannot be understood: {error}"))
}
