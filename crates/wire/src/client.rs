//! The asking side of the control protocol, over any stream.

use std::io::{self, Read, Write};

use crate::codec::{DecodeError, decode_response, encode_request};
use crate::control::{Hello, OLDEST_PROTOCOL, PROTOCOL, Request, Response};
use crate::frame::{FrameError, MESSAGE_MAXIMUM, read_frame, write_frame};

/// Why a call got no answer. The connection is of no use afterwards.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The stream failed or a message was too long.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The server closed the stream instead of answering.
    #[error("the vswitch closed the connection without an answer")]
    Closed,
    /// The answer cannot be understood.
    #[error("the vswitch's answer cannot be understood: {0}")]
    Decode(#[from] DecodeError),
    /// The server refuses to talk: too many clients, or a protocol that is too old. The text is its own.
    #[error("the vswitch says: {0}")]
    Refused(String),
    /// The hello was not answered with one that this build understands.
    #[error(
        "the vswitch did not agree on a protocol (this build speaks {OLDEST_PROTOCOL} to {PROTOCOL}): {0}"
    )]
    Hello(String),
}

/// A connection to a vswitch that has agreed on a protocol.
#[derive(Debug)]
pub struct Client<S> {
    stream: S,
    server: Hello,
}

impl ClientError {
    /// True where the other side did not answer in the time that the stream gives it.
    pub fn is_timeout(&self) -> bool {
        let waited = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
        matches!(self, ClientError::Frame(FrameError::Stream(source)) if waited.contains(&source.kind()))
    }
}

impl<S: Read + Write> Client<S> {
    /// Says hello over a fresh stream. `software` is this side's name and version.
    pub fn greet(stream: S, software: &str) -> Result<Self, ClientError> {
        let mut client = Self {
            stream,
            server: Hello {
                protocol: 0,
                software: String::new(),
            },
        };
        let hello = Hello {
            protocol: PROTOCOL,
            software: software.to_owned(),
        };
        match client.call(&Request::Hello(hello))? {
            Response::Hello(server) if (OLDEST_PROTOCOL..=PROTOCOL).contains(&server.protocol) => {
                client.server = server;
                Ok(client)
            }
            Response::Hello(server) => Err(ClientError::Hello(format!("it speaks {}", server.protocol))),
            Response::Error(reason) => Err(ClientError::Refused(reason)),
            _ => Err(ClientError::Hello("it answered something else".to_owned())),
        }
    }

    /// Who answers, and the protocol that is spoken.
    pub const fn server(&self) -> &Hello {
        &self.server
    }

    /// Asks, and waits for the answer.
    pub fn call(&mut self, request: &Request) -> Result<Response, ClientError> {
        if let Err(error) = write_frame(&mut self.stream, &encode_request(request)) {
            return self.last_words(error);
        }
        let answer = read_frame(&mut self.stream, MESSAGE_MAXIMUM)?.ok_or(ClientError::Closed)?;
        Ok(decode_response(&answer)?)
    }

    /// What the server said before it closed the stream without hearing the request, where it said something.
    fn last_words(&mut self, error: FrameError) -> Result<Response, ClientError> {
        let closed = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        let heard = match &error {
            FrameError::Stream(source) if closed.contains(&source.kind()) => {
                read_frame(&mut self.stream, MESSAGE_MAXIMUM).ok().flatten()
            }
            _ => None,
        };
        let answer = heard.and_then(|answer| decode_response(&answer).ok());
        answer.ok_or_else(|| error.into())
    }
}

/// The answer of a server named `software` to a hello.
pub fn answer_hello(hello: &Hello, software: &str) -> Response {
    match crate::control::common_protocol(hello.protocol) {
        Some(protocol) => Response::Hello(Hello {
            protocol,
            software: software.to_owned(),
        }),
        None => Response::Error(format!(
            "protocol {} is too old: {software} speaks {OLDEST_PROTOCOL} to {PROTOCOL}; replace {}",
            hello.protocol, hello.software
        )),
    }
}
