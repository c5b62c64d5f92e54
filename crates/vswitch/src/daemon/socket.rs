//! The control socket: a Unix stream socket that only its owner may use. One thread per client, at most [`CLIENTS`];
//! a client that is slow keeps nobody waiting but itself.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use anet_wire::client::answer_hello;
use anet_wire::codec::{decode_request, encode_response};
use anet_wire::control::{Request, Response};
use anet_wire::frame::{read_request_frame, write_frame};

use super::Message;
use crate::SOFTWARE;

/// Clients at a time.
pub const CLIENTS: usize = 16;
/// How long a start waits for the process before it, which may have been killed a moment ago and still be ending.
const GRACE: Duration = Duration::from_millis(300);
/// How often it looks.
const GRACE_STEP: Duration = Duration::from_millis(5);
/// How long a client may say nothing between two requests.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a message may take to come or go.
const TRANSFER: Duration = Duration::from_secs(10);
/// How long the control thread may take to answer: a large snapshot takes its time.
const ANSWER: Duration = Duration::from_secs(60);

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process answers there.
    #[error(
        "control socket {path} is in use by a running process; stop it, or give --control another path",
        path = .path.display()
    )]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket has its name.
    #[error("{path} is there and is not a socket; remove it, or give --control another path", path = .path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refused something.
    #[error(
        "control socket {path}: {what}: {source}; its folder must exist and be writable by this user",
        path = .path.display()
    )]
    Refused {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// The socket, whose file goes when it is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    listener: Option<UnixListener>,
    /// Locked for as long as we live: two daemons that start at once do not both find the socket free.
    _lock: File,
}

impl ControlSocket {
    /// Takes the socket at `path`. One that a dead process left is replaced; one that is just ending has 300 ms to let
    /// go: a killed process keeps lock and socket until the last of its threads is gone.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let deadline = Instant::now() + GRACE;
        loop {
            match Self::bind_now(path) {
                Err(SocketError::Taken { .. }) if Instant::now() < deadline => {
                    std::thread::sleep(GRACE_STEP);
                }
                bound => return bound,
            }
        }
    }

    fn bind_now(path: &Path) -> Result<Self, SocketError> {
        let refused = |what| {
            move |source| SocketError::Refused {
                path: path.to_owned(),
                what,
                source,
            }
        };
        let lock = lock(path).map_err(refused("open its lock file"))?;
        let lock = lock.ok_or_else(|| SocketError::Taken {
            path: path.to_owned(),
        })?;
        remove_stale(path)?;
        let listener = UnixListener::bind(path).map_err(refused("bind it"))?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(refused("set its mode"))?;
        Ok(Self {
            path: path.to_owned(),
            listener: Some(listener),
            _lock: lock,
        })
    }

    /// Serves clients from now on, on threads of their own.
    pub fn serve(&mut self, inbox: Sender<Message>) -> io::Result<()> {
        let Some(listener) = self.listener.take() else {
            return Ok(());
        };
        let named = std::thread::Builder::new().name("control socket".to_owned());
        named.spawn(move || accept(&listener, &inbox)).map(drop)
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Gone already, or not ours to remove any more: either is fine.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The lock that goes with the socket, or `None` where somebody has it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(PathBuf::from(name))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let path_buf = || path.to_owned();
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(SocketError::NotASocket { path: path_buf() });
    }
    if UnixStream::connect(path).is_ok() {
        return Err(SocketError::Taken { path: path_buf() });
    }
    std::fs::remove_file(path).map_err(|source| SocketError::Refused {
        path: path_buf(),
        what: "remove what a dead process left",
        source,
    })
}

fn accept(listener: &UnixListener, inbox: &Sender<Message>) {
    let clients = Arc::new(());
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Descriptors are short, most likely: not at once again.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        if Arc::strong_count(&clients) > CLIENTS {
            let text = format!("{CLIENTS} clients are connected already; close one, or try again later");
            let mut stream = Patient::new(stream);
            stream.begin(Duration::from_millis(100));
            let _ = write_frame(&mut stream, &encode_response(&Response::Error(text)));
            continue;
        }
        let (seat, inbox) = (clients.clone(), inbox.clone());
        let named = std::thread::Builder::new().name("control client".to_owned());
        // Where no thread can be had, the client sees its connection closed.
        let _ = named.spawn(move || {
            converse(Patient::new(stream), &inbox);
            drop(seat);
        });
    }
}

/// Questions and answers, until the client goes, is silent for too long, or says what cannot be understood.
fn converse(mut stream: Patient, inbox: &Sender<Message>) {
    let mut greeted = false;
    loop {
        if !stream.wait(SILENCE) {
            return;
        }
        stream.begin(TRANSFER);
        let frame = match read_request_frame(&mut stream) {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(error) => {
                stream.begin(TRANSFER);
                let _ = write_frame(&mut stream, &encode_response(&Response::Error(error.to_string())));
                return;
            }
        };
        let (answer, go_on) = match decode_request(&frame) {
            Ok(Request::Hello(hello)) => {
                let answer = answer_hello(&hello, SOFTWARE);
                greeted = matches!(answer, Response::Hello(_));
                (answer, greeted)
            }
            Ok(_) if !greeted => (
                Response::Error("say hello first, with the protocol version".to_owned()),
                false,
            ),
            Ok(request) => (ask(inbox, request), true),
            Err(error) => (
                Response::Error(format!("the request cannot be understood: {error}")),
                true,
            ),
        };
        drop(frame);
        stream.begin(TRANSFER);
        if write_frame(&mut stream, &encode_response(&answer)).is_err() || !go_on {
            return;
        }
    }
}

fn ask(inbox: &Sender<Message>, request: Request) -> Response {
    let (answer, answered) = channel();
    let sent = inbox.send(Message::Request(Box::new(request), answer));
    let received = sent.ok().and_then(|()| answered.recv_timeout(ANSWER).ok());
    received
        .unwrap_or_else(|| Response::Error("the daemon is ending, or too busy; try again later".to_owned()))
}

/// A stream whose messages must come and go within a time, however slowly their bytes drip.
struct Patient {
    stream: UnixStream,
    deadline: Instant,
}

impl Patient {
    fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            deadline: Instant::now(),
        }
    }

    /// A message begins that may take `patience`.
    fn begin(&mut self, patience: Duration) {
        self.deadline = Instant::now() + patience;
    }

    /// Waits for the first byte of a message; false where none came.
    fn wait(&mut self, patience: Duration) -> bool {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd;
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut readable = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut readable, timeout), Ok(1..))
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(Some(left)),
        }
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_lab::Folder;

    /// Runs `end` after so many milliseconds on a thread of its own.
    fn after(milliseconds: u64, end: impl FnOnce() + Send + 'static) -> std::thread::JoinHandle<()> {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(milliseconds));
            end();
        })
    }

    #[test]
    fn a_holder_that_is_just_ending_is_waited_for() {
        let folder = Folder::new().unwrap();
        let path = folder.file("control");
        // A dying process lets go of the one, then of the other.
        let held = lock(&path).unwrap().unwrap();
        let listening = UnixListener::bind(&path).unwrap();
        let ends = [after(60, move || drop(held)), after(120, move || drop(listening))];
        let bound = ControlSocket::bind(&path);
        assert!(bound.is_ok(), "{bound:?}");
        ends.into_iter().for_each(|end| end.join().unwrap());
    }

    #[test]
    fn a_holder_that_stays_is_told_soon() {
        let folder = Folder::new().unwrap();
        let path = folder.file("control");
        let _held = lock(&path).unwrap().unwrap();
        let started = Instant::now();
        let bound = ControlSocket::bind(&path);
        assert!(matches!(bound, Err(SocketError::Taken { .. })), "{bound:?}");
        assert!(started.elapsed() >= GRACE && started.elapsed() < 10 * GRACE);
    }
}
