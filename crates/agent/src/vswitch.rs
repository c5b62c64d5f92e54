//! The thread that talks to the vswitch: connects, asks what it is told to ask, connects again.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anet_wire::client::Client;
use anet_wire::control::{Request, Response};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::mpsc::Sender;

use crate::SOFTWARE;
use crate::core::{Asked, Input, PlaneAnswer};
use crate::run::Event;

/// How long an answer may take to what a large plan has work with.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long any other answer may take: a vswitch that hangs is told of soon.
const SHORT_PATIENCE: Duration = Duration::from_secs(10);
/// How long a hello may take, which asks for nothing.
const GREETING: Duration = Duration::from_secs(5);
/// The first wait after a connection that failed, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// How often it is looked whether an idle connection still stands.
const LOOK: Duration = Duration::from_millis(250);

/// What the vswitch is asked, and under which connection's number.
pub type Question = (u64, Asked);

/// Talks to the vswitch until nobody asks any more.
pub fn talk(socket: PathBuf, questions: &Receiver<Question>, events: &Sender<Event>) {
    let (mut epoch, mut wait, mut told) = (0, WAITS.0, String::new());
    loop {
        let trouble = match connect(&socket) {
            Ok((client, stream)) => {
                epoch += 1;
                wait = WAITS.0;
                told.clear();
                if tell(events, Input::PlaneUp { epoch }).is_err() {
                    return;
                }
                match serve(client, &stream, epoch, questions, events) {
                    Ended::Lost(reason) => reason,
                    Ended::Unwanted => return,
                }
            }
            Err(reason) => reason,
        };
        if trouble != told {
            told.clone_from(&trouble);
            if tell(events, Input::PlaneDown { reason: trouble }).is_err() {
                return;
            }
        }
        if !pause(questions, wait) {
            return;
        }
        wait = (wait * 2).min(WAITS.1);
    }
}

/// Why a connection is over.
enum Ended {
    Lost(String),
    Unwanted,
}

fn tell(events: &Sender<Event>, input: Input) -> Result<(), ()> {
    events.blocking_send(Event::Input(input)).map_err(drop)
}

/// Waits; what is asked meanwhile gets no answer, since its connection is gone. False where nobody asks any more.
fn pause(questions: &Receiver<Question>, wait: Duration) -> bool {
    let until = Instant::now() + wait;
    loop {
        match questions.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

fn connect(path: &Path) -> Result<(Client<UnixStream>, UnixStream), String> {
    let told = |error: &dyn std::fmt::Display| {
        format!(
            "no connection to {}: {error}; is `anet-vswitch run` running, with this --control, and may this user use its socket?",
            path.display()
        )
    };
    let stream = UnixStream::connect(path).map_err(|error| told(&error))?;
    let wait = |patience| {
        let set = stream.set_read_timeout(Some(patience));
        set.and_then(|()| stream.set_write_timeout(Some(patience)))
    };
    let ours = wait(GREETING)
        .and_then(|()| stream.try_clone())
        .map_err(|error| told(&error))?;
    let client = Client::greet(ours, SOFTWARE).map_err(|error| told(&error))?;
    // The same socket.
    wait(PATIENCE).map_err(|error| told(&error))?;
    Ok((client, stream))
}

fn serve(
    mut client: Client<UnixStream>,
    stream: &UnixStream,
    epoch: u64,
    questions: &Receiver<Question>,
    events: &Sender<Event>,
) -> Ended {
    loop {
        match questions.recv_timeout(LOOK) {
            Ok((asked_of, asked)) if asked_of == epoch => match ask(&mut client, stream, asked) {
                Ok(answer) => {
                    if tell(events, Input::Plane(answer)).is_err() {
                        return Ended::Unwanted;
                    }
                }
                Err(reason) => return Ended::Lost(reason),
            },
            // Meant for a connection that is gone.
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) if has_ended(stream) => {
                return Ended::Lost("the vswitch has closed the connection; it is tried again".to_owned());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ended::Unwanted,
        }
    }
}

/// Between two questions the vswitch says nothing; where there is something to read, it is the end.
fn has_ended(stream: &UnixStream) -> bool {
    let mut polled = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut polled, PollTimeout::ZERO), Ok(ready) if ready > 0)
}

fn ask(client: &mut Client<UnixStream>, stream: &UnixStream, asked: Asked) -> Result<PlaneAnswer, String> {
    let started = Instant::now();
    let request = match asked {
        Asked::Apply(changeset) => Request::Apply(changeset),
        Asked::Digest => Request::Digest,
        Asked::Ports => Request::Ports,
        Asked::Trace { id, request } => {
            let answer = match call(client, stream, &Request::Trace(request))? {
                Response::Trace(report) => Ok(report),
                Response::Error(text) => Err(text),
                _ => Err("the vswitch answered something else".to_owned()),
            };
            return Ok(PlaneAnswer::Traced { id, answer });
        }
    };
    match (call(client, stream, &request)?, &request) {
        (response, Request::Apply(_)) => Ok(PlaneAnswer::Applied(response)),
        (Response::Digest(report), _) => {
            let took = started.elapsed();
            Ok(PlaneAnswer::Digest { report, took })
        }
        (Response::Ports(ports), _) => Ok(PlaneAnswer::Ports(ports)),
        (Response::Error(text), _) => Err(format!("the vswitch says: {text}")),
        _ => Err("the vswitch answered something else than it was asked".to_owned()),
    }
}

/// `stream` is the client's own socket.
fn call(client: &mut Client<UnixStream>, stream: &UnixStream, request: &Request) -> Result<Response, String> {
    let patience = match request {
        Request::Apply(_) | Request::Trace(_) => PATIENCE,
        _ => SHORT_PATIENCE,
    };
    let lost = |error: &dyn std::fmt::Display| format!("the connection to the vswitch was lost: {error}");
    stream
        .set_read_timeout(Some(patience))
        .map_err(|error| lost(&error))?;
    client.call(request).map_err(|error| match error.is_timeout() {
        true => format!(
            "the vswitch did not answer within {} s: it is stopped or hangs",
            patience.as_secs()
        ),
        false => lost(&error),
    })
}
