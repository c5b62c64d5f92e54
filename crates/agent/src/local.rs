//! The socket on which this machine's tools ask: one JSON object a line, one line of answer.
//!
//! `{"attach": {"port": "web1", "to": {"tap": {"interface": "tap0"}}}}`, `{"detach": {"port": "web1"}}`, `{"status": {}}`; in place
//! of `port` there may be `mac`. The answers are `{"ok": TEXT}`, `{"error": TEXT}` and `{"status": …}`.

use std::fs::Permissions;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anet_model::host_plan::PortId;
use anet_packet::addr::Mac;
use anet_wire::control::report::LinkState;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

use crate::core::{Holder, LocalRequest, PortStatus, Status, Waiting};
use crate::disk::{AttachmentText, attachment_text};
use crate::run::{Ask, Event};

/// Bytes of the longest question.
const LINE_MAXIMUM: u64 = 64 << 10;
/// Clients at a time.
const CLIENTS: usize = 16;
/// How long a client may say nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// Attach a port, or whichever has a MAC: one of both.
    Attach {
        /// The port.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<PortId>,
        /// The MAC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mac: Option<Mac>,
        /// To what.
        to: AttachmentText,
    },
    /// Attach it to nothing.
    Detach {
        /// The port.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<PortId>,
        /// The MAC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mac: Option<Mac>,
    },
    /// How the agent stands.
    Status {},
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Done.
    Ok(String),
    /// Not done, and why.
    Error(String),
    /// How the agent stands.
    Status(Box<StatusText>),
}

/// A place in history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorText {
    /// The history.
    pub incarnation: u64,
    /// The revision in it.
    pub revision: u64,
}

/// How an agent stands, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusText {
    /// The host.
    pub host: String,
    /// Its cluster.
    pub cluster: String,
    /// The controller that it is in session with.
    pub controller: Option<String>,
    /// Why it is in session with none.
    pub no_controller: Option<String>,
    /// True where the vswitch answers.
    pub vswitch_is_up: bool,
    /// What is known of it, or why it cannot be used.
    pub vswitch: String,
    /// What is in the data plane.
    pub applied: CursorText,
    /// What is accepted.
    pub desired: CursorText,
    /// Why something could not be written.
    pub not_durable: Option<String>,
    /// Ports that are planned here.
    pub ports: Vec<PortText>,
    /// Attachments that wait for their port.
    pub waiting: Vec<WaitingText>,
}

/// A port, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortText {
    /// Its id.
    pub port: String,
    /// What it is attached to.
    pub attachment: AttachmentText,
    /// Its MAC, where that is what it is attached by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_mac: Option<Mac>,
    /// Its link, as far as the vswitch has told.
    pub link: Option<String>,
}

/// An attachment that waits for its port, as JSON. It is of a port or of a MAC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingText {
    /// The port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortId>,
    /// The MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// To what.
    pub attachment: AttachmentText,
    /// Why it waits.
    pub why: String,
}

impl StatusText {
    /// The status of the agent of a host.
    pub fn new(host: &str, cluster: &str, status: Status) -> Self {
        let place = |cursor: anet_model::state::Cursor| CursorText {
            incarnation: cursor.incarnation,
            revision: cursor.revision,
        };
        let port = |port: PortStatus| PortText {
            port: port.port.to_string(),
            attachment: attachment_text(&port.attachment),
            by_mac: port.by_mac,
            link: port.link.map(link_text),
        };
        Self {
            host: host.to_owned(),
            cluster: cluster.to_owned(),
            controller: status.session.clone().ok(),
            no_controller: status.session.err(),
            vswitch_is_up: status.vswitch.is_ok(),
            vswitch: status.vswitch.unwrap_or_else(|reason| reason),
            applied: place(status.applied),
            desired: place(status.desired),
            not_durable: status.not_durable,
            ports: status.ports.into_iter().map(port).collect(),
            waiting: status.waiting.into_iter().map(waiting_text).collect(),
        }
    }
}

fn waiting_text(waiting: Waiting) -> WaitingText {
    let (port, mac) = match waiting.holder {
        Holder::Port(port) => (Some(port), None),
        Holder::Mac(mac) => (None, Some(mac)),
    };
    WaitingText {
        port,
        mac,
        attachment: attachment_text(&waiting.attachment),
        why: waiting.why,
    }
}

fn link_text(link: LinkState) -> String {
    match link {
        LinkState::Up => "up".to_owned(),
        LinkState::Down => "down".to_owned(),
        LinkState::Detached => "detached".to_owned(),
        LinkState::Retrying { error, attempts } => format!("tried {attempts} times: {error}"),
        LinkState::Quarantined { error } => format!("quarantined: {error}"),
    }
}

/// Takes the socket at `path`; one that a dead process left is replaced. The error is for a person.
pub fn bind(path: &Path) -> Result<UnixListener, String> {
    let told = |what: &str, error: io::Error| {
        format!(
            "agent socket {}: {what}: {error}; its folder must exist and be writable by this user, or give --socket another path",
            path.display()
        )
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| told("make its folder", error))?;
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(format!(
                "{} is there and is no socket; remove it, or give --socket another path",
                path.display()
            ));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(format!(
                "agent socket {} is in use by a running process; stop it, or give --socket another path",
                path.display()
            ));
        }
        Ok(_) => std::fs::remove_file(path).map_err(|error| told("remove the old one", error))?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(|error| told("bind it", error))?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))
        .map_err(|error| told("set its mode", error))?;
    Ok(listener)
}

/// Serves clients for ever, each on a thread of its own.
pub fn serve(listener: &UnixListener, events: &Sender<Event>) {
    let clients = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Too many open files: some may be closed in a moment.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        if clients.fetch_add(1, Ordering::Relaxed) >= CLIENTS {
            clients.fetch_sub(1, Ordering::Relaxed);
            let busy = Reply::Error(format!("{CLIENTS} clients ask already: try again"));
            let _ = answer(&stream, &busy);
            continue;
        }
        let (clients, events) = (Arc::clone(&clients), events.clone());
        let named = std::thread::Builder::new().name("local client".to_owned());
        let done = Arc::clone(&clients);
        let begun = named.spawn(move || {
            // Who goes away gets no answer.
            let _ = converse(&stream, &events);
            done.fetch_sub(1, Ordering::Relaxed);
        });
        if begun.is_err() {
            clients.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn converse(stream: &UnixStream, events: &Sender<Event>) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        reader.by_ref().take(LINE_MAXIMUM).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        let reply = match serde_json::from_slice(&line) {
            Ok(question) => put(question, events),
            Err(error) => Reply::Error(format!("not understood: {error}")),
        };
        answer(stream, &reply)?;
    }
}

fn answer(mut stream: &UnixStream, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Whose attachment is meant.
fn holder(port: Option<PortId>, mac: Option<Mac>) -> Result<Holder, String> {
    match (port, mac) {
        (Some(port), None) => Ok(Holder::Port(port)),
        (None, Some(mac)) => Ok(Holder::Mac(mac)),
        _ => Err("name either a port or a MAC".to_owned()),
    }
}

fn request(question: Question) -> Result<Ask, String> {
    Ok(match question {
        Question::Attach { port, mac, to } => {
            Ask::Change(LocalRequest::Attach(holder(port, mac)?, to.into()))
        }
        Question::Detach { port, mac } => Ask::Change(LocalRequest::Detach(holder(port, mac)?)),
        Question::Status {} => Ask::Status,
    })
}

fn put(question: Question, events: &Sender<Event>) -> Reply {
    let (reply, answered) = oneshot::channel();
    let ask = match request(question) {
        Ok(ask) => ask,
        Err(text) => return Reply::Error(text),
    };
    let ends = || Reply::Error("the agent is ending".to_owned());
    match events.blocking_send(Event::Local(ask, reply)) {
        Ok(()) => answered.blocking_recv().unwrap_or_else(|_| ends()),
        Err(_) => ends(),
    }
}

/// Asks the agent whose socket is at `path`.
pub fn ask(path: &Path, question: &Question) -> Result<Reply, String> {
    let told = |error: &dyn std::fmt::Display| {
        format!(
            "no answer from {}: {error}; is `anet-agent run` running, with this --socket, and may you use it?",
            path.display()
        )
    };
    let stream = UnixStream::connect(path).map_err(|error| told(&error))?;
    stream
        .set_read_timeout(Some(SILENCE))
        .map_err(|error| told(&error))?;
    let mut line = serde_json::to_vec(question).map_err(|error| told(&error))?;
    line.push(b'\n');
    (&stream).write_all(&line).map_err(|error| told(&error))?;
    let mut reply = Vec::new();
    let read = BufReader::new(&stream).read_until(b'\n', &mut reply);
    read.map_err(|error| told(&error))?;
    serde_json::from_slice(&reply).map_err(|error| told(&error))
}
