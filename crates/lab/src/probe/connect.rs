//! Does a TCP connection come about?

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::{LabError, Namespace};

/// A TCP listener inside a namespace, on which the kernel accepts connections by itself.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
}

impl Listener {
    /// Listens on an address of the namespace.
    pub fn new(namespace: &Namespace, address: SocketAddr) -> Result<Self, LabError> {
        let bound = namespace.enter(|| {
            let socket = TcpListener::bind(address)?;
            socket.set_nonblocking(true).map(|()| socket)
        });
        Ok(Self {
            socket: bound?.map_err(LabError::io(format!("listen on {address}")))?,
        })
    }

    /// Takes the connections that came since the last time, closes them, and says how many there were.
    pub fn connections(&self) -> usize {
        std::iter::from_fn(|| self.socket.accept().ok()).count()
    }
}

/// How a TCP connection attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It was accepted.
    Connected,
    /// The far side (or something on the way) refused it.
    Refused,
    /// Nobody answered.
    Silent,
}

/// Tries to connect from inside a namespace. "Silent" takes all of `patience` to find out.
pub fn attempt(from: &Namespace, to: SocketAddr, patience: Duration) -> Result<Attempt, LabError> {
    match from.enter(|| TcpStream::connect_timeout(&to, patience))? {
        Ok(_) => Ok(Attempt::Connected),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(Attempt::Refused),
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(Attempt::Silent),
        Err(error) => Err(LabError::io(format!("connect to {to}"))(error)),
    }
}
