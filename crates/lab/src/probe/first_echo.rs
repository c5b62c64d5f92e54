//! Echo requests at a pace until the first one is answered: when that was.
//!
//! The kernel's own way to send them knows nothing of who answers late: a neighbour that could not be resolved is asked for again a
//! second later. Whoever measures how soon somebody can be reached sets the neighbours by hand at both ends.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{LabError, Namespace};

/// Types of ICMP messages (RFC 792).
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
/// Bytes of a request, as long as those of `ping`.
const REQUEST: usize = 64;
/// The shortest IPv4 header, which is in front of what is received.
const IPV4_HEADER: usize = 20;

/// A thread that sends echo requests and waits for an answer. Ends when dropped.
#[derive(Debug)]
pub struct FirstEcho {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<Option<Instant>>>>,
    to: Ipv4Addr,
}

impl FirstEcho {
    /// Sends from a namespace, one request every `pace`. What cannot be sent yet counts as sent.
    pub fn start(from: &Namespace, to: Ipv4Addr, pace: Duration) -> Result<Self, LabError> {
        let what = format!("ping {to} from {}", from.name());
        let open = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4));
        let socket = from.enter(open)?.map_err(LabError::io(what.clone()))?;
        socket.set_nonblocking(true).map_err(LabError::io(what))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = Some(thread::spawn(move || ask(&socket, to, pace, &stopped)));
        Ok(Self { stop, thread, to })
    }

    /// True once there was an answer.
    pub fn is_answered(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the first answer: when it came.
    pub fn wait(mut self, patience: Duration) -> Result<Instant, LabError> {
        let begun = Instant::now();
        while !self.is_answered() && begun.elapsed() < patience {
            thread::sleep(Duration::from_micros(200));
        }
        let waited = begun.elapsed();
        match self.end() {
            Ok(Some(answered)) => Ok(answered),
            Ok(None) => Err(LabError::Timeout {
                what: format!("an echo from {}", self.to),
                waited,
            }),
            Err(error) => Err(LabError::io(format!("ping {}", self.to))(error)),
        }
    }

    fn end(&mut self) -> io::Result<Option<Instant>> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        match ended {
            Some(Ok(outcome)) => outcome,
            _ => Ok(None),
        }
    }
}

impl Drop for FirstEcho {
    fn drop(&mut self) {
        // Who drops it does not want to know.
        let _ = self.end();
    }
}

/// Sends until there is an answer, or nobody wants one any more.
fn ask(socket: &Socket, to: Ipv4Addr, pace: Duration, stop: &AtomicBool) -> io::Result<Option<Instant>> {
    let address = SocketAddr::V4(SocketAddrV4::new(to, 0)).into();
    let [high, low] = std::process::id()
        .to_be_bytes()
        .last_chunk()
        .copied()
        .unwrap_or_default();
    let mut due = Instant::now();
    for sequence in (0..=u16::MAX).cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let request = message(ECHO_REQUEST, [high, low], sequence);
        // Where the interface has no other end yet, it is lost.
        let _ = socket.send_to(&request, &address);
        due = (due + pace).max(Instant::now());
        if let Some(answered) = listen(socket, due, (to, [high, low]))? {
            return Ok(Some(answered));
        }
    }
    Ok(None)
}

/// Waits for an answer until the next request is due.
fn listen(socket: &Socket, due: Instant, from: (Ipv4Addr, [u8; 2])) -> io::Result<Option<Instant>> {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        if ppoll(&mut polled, Some(TimeSpec::from_duration(left)), None)? == 0 {
            return Ok(None);
        }
        let mut bytes = [0; 256];
        // An error is about a packet of before.
        let length = io::Read::read(&mut &*socket, &mut bytes).unwrap_or_default();
        if is_answer(bytes.get(..length).unwrap_or_default(), from) {
            return Ok(Some(Instant::now()));
        }
    }
}

/// An echo with its checksum (RFC 1071).
fn message(kind: u8, [high, low]: [u8; 2], sequence: u16) -> [u8; REQUEST] {
    let mut message = [0; REQUEST];
    let [first, second] = sequence.to_be_bytes();
    message[..8].copy_from_slice(&[kind, 0, 0, 0, high, low, first, second]);
    let words = message
        .chunks_exact(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum = words.sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    let [.., high, low] = (!folded).to_be_bytes();
    message[2..4].copy_from_slice(&[high, low]);
    message
}

/// True for an echo reply to one of ours. What comes begins with its IPv4 header.
fn is_answer(packet: &[u8], (from, identifier): (Ipv4Addr, [u8; 2])) -> bool {
    let source = packet.get(12..16) == Some(&from.octets());
    let length = packet
        .first()
        .map_or(IPV4_HEADER, |first| usize::from(first & 15) * 4);
    let message = packet.get(length..).unwrap_or_default();
    let theirs = message.get(4..6) == Some(&identifier);
    source && theirs && message.first() == Some(&ECHO_REPLY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reply_to_what_was_asked_is_an_answer() {
        let from = Ipv4Addr::new(10, 0, 0, 7);
        let packet = |kind, identifier: u8, options: usize| {
            let mut packet = vec![0; IPV4_HEADER + options];
            packet[0] = 0x40 | u8::try_from(packet.len() / 4).unwrap();
            packet[12..16].copy_from_slice(&from.octets());
            packet.extend(message(kind, [0, identifier], 1));
            packet
        };
        let expected = (from, [0, 9]);
        assert!(is_answer(&packet(ECHO_REPLY, 9, 0), expected));
        assert!(is_answer(&packet(ECHO_REPLY, 9, 8), expected));
        assert!(!is_answer(&packet(ECHO_REPLY, 8, 0), expected));
        assert!(!is_answer(&packet(ECHO_REQUEST, 9, 0), expected));
        assert!(!is_answer(
            &packet(ECHO_REPLY, 9, 0),
            (Ipv4Addr::LOCALHOST, [0, 9])
        ));
        assert!(!is_answer(&packet(ECHO_REPLY, 9, 0)[..24], expected));
        assert!(!is_answer(&[], expected));
    }
    #[test]
    fn a_request_has_the_checksum_that_its_receiver_wants() {
        let message = message(ECHO_REQUEST, [0xff, 0xfe], 0xffff);
        let sum: u32 = message
            .chunks(2)
            .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
            .sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }
}
