//! Paced UDP in one direction: how many packets were lost, and the longest silence at the receiver.

use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::{LabError, Namespace, wait_for};

/// How long the last packet is waited for at the end: on a busy machine it can be on its way for some time.
const STRAGGLERS: Duration = Duration::from_secs(1);
/// How long the receiver listens in one go, as far as the kernel's clock is that fine.
const LISTEN: Duration = Duration::from_millis(20);
/// The longest that listening in one go can take while the receiver gets its share of a processor.
const LISTENED: Duration = Duration::from_millis(40);

/// What became of a paced stream, counted from the first packet that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paced {
    /// Packets sent since the first one that arrived.
    pub sent: u64,
    /// Packets that arrived, repeats not counted apart: also those for which the receiver, kept from a processor by others, had no
    /// room.
    pub received: u64,
    /// The longest time between two arrivals, as far as the receiver was there to see it: who gets no processor cannot say that
    /// nothing came.
    pub longest_gap: Duration,
}

impl Paced {
    /// Packets that did not arrive.
    pub fn lost(self) -> u64 {
        self.sent.saturating_sub(self.received)
    }
}

/// A running stream of 64-byte datagrams that carry their number. Ends when dropped.
#[derive(Debug)]
pub struct PacedUdp {
    shared: Arc<Shared>,
    sender: Option<JoinHandle<u64>>,
    receiver: Option<JoinHandle<Seen>>,
    /// The receiver's socket, and where it is.
    listening: (Namespace, UdpSocket),
}

#[derive(Debug, Default)]
struct Shared {
    stop_sending: AtomicBool,
    stop_receiving: AtomicBool,
    received: AtomicU64,
    /// The number behind the newest one that arrived.
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct Seen {
    first: u64,
    received: u64,
    longest_gap: Duration,
}

impl PacedUdp {
    /// Sends from `from` to `address`, an address of `to`, one datagram every `pace`; returns when the first has
    /// arrived.
    pub fn start(
        from: &Namespace,
        (to, address): (&Namespace, SocketAddr),
        pace: Duration,
    ) -> Result<Self, LabError> {
        let stream = Self::start_unheard(from, (to, address), pace)?;
        wait_for(&format!("UDP to {address}"), Duration::from_secs(3), || {
            stream.is_heard()
        })?;
        Ok(stream)
    }

    /// As [`PacedUdp::start`], but returns at once, for streams that are not expected to arrive.
    pub fn start_unheard(
        from: &Namespace,
        (to, address): (&Namespace, SocketAddr),
        pace: Duration,
    ) -> Result<Self, LabError> {
        let what = format!("UDP to {address}");
        let receiver = to
            .enter(|| UdpSocket::bind(address))?
            .map_err(LabError::io(what.clone()))?;
        let any: SocketAddr = if address.is_ipv4() {
            ([0; 4], 0).into()
        } else {
            ([0u16; 8], 0).into()
        };
        let sender = from
            .enter(|| UdpSocket::bind(any))?
            .map_err(LabError::io(what.clone()))?;
        receiver
            .set_read_timeout(Some(LISTEN))
            .map_err(LabError::io(what.clone()))?;
        let listening = receiver.try_clone().map_err(LabError::io(what))?;
        let shared = Arc::new(Shared::default());
        let (for_sender, for_receiver) = (shared.clone(), shared.clone());
        let sender = thread::spawn(move || send(&sender, address, pace, &for_sender));
        let receiver = thread::spawn(move || receive(&receiver, &for_receiver));
        Ok(Self {
            shared,
            sender: Some(sender),
            receiver: Some(receiver),
            listening: (to.clone(), listening),
        })
    }

    /// Packets that arrived so far.
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }

    fn is_heard(&self) -> Option<()> {
        (self.received() > 0).then_some(())
    }

    /// Stops sending, waits for the last packet, and says what became of the stream.
    pub fn finish(mut self) -> Paced {
        let sent = self.stop_sending();
        let begun = Instant::now();
        while self.shared.next.load(Ordering::Relaxed) < sent && begun.elapsed() < STRAGGLERS {
            thread::sleep(Duration::from_millis(2));
        }
        let seen = self.stop_receiving();
        Paced {
            sent: sent.saturating_sub(seen.first),
            received: seen.received + self.without_room(),
            longest_gap: seen.longest_gap,
        }
    }

    /// How many were sent.
    fn stop_sending(&mut self) -> u64 {
        self.shared.stop_sending.store(true, Ordering::Relaxed);
        let sent = self.sender.take().map(JoinHandle::join);
        sent.and_then(Result::ok).unwrap_or_default()
    }

    fn stop_receiving(&mut self) -> Seen {
        self.shared.stop_receiving.store(true, Ordering::Relaxed);
        let seen = self.receiver.take().map(JoinHandle::join);
        seen.and_then(Result::ok).unwrap_or_default()
    }
}

impl PacedUdp {
    /// Packets that came to the receiver's socket and found it full.
    fn without_room(&self) -> u64 {
        let (namespace, socket) = &self.listening;
        namespace.enter(|| drops_of(socket)).unwrap_or_default()
    }
}

/// Packets that came to a socket of this thread's namespace and found it full.
fn drops_of(socket: &UdpSocket) -> u64 {
    let inode = socket.try_clone().map(OwnedFd::from).map(File::from);
    let inode = inode.and_then(|file| file.metadata()).map(|data| data.ino());
    let tables = ["udp", "udp6"].map(|name| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")));
    let mut found = tables
        .iter()
        .flatten()
        .filter_map(|table| drops(table, *inode.as_ref().ok()?));
    found.next().unwrap_or_default()
}

/// The drops of the socket with this inode, out of `/proc/net/udp`.
fn drops(table: &str, inode: u64) -> Option<u64> {
    let mut rows = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.get(9) == Some(&inode.to_string().as_str()))?;
    row.last()?.parse().ok()
}

impl Drop for PacedUdp {
    fn drop(&mut self) {
        self.stop_sending();
        self.stop_receiving();
    }
}

/// Sends until it is told to stop; gives the number of datagrams. One that the kernel refuses counts as sent and
/// lost: the guest wanted it to go.
fn send(socket: &UdpSocket, to: SocketAddr, pace: Duration, shared: &Shared) -> u64 {
    let mut number = 0u64;
    let mut due = Instant::now();
    while !shared.stop_sending.load(Ordering::Relaxed) {
        let mut datagram = [0; 64];
        datagram[..8].copy_from_slice(&number.to_be_bytes());
        let _ = socket.send_to(&datagram, to);
        number += 1;
        due += pace;
        // After a pause of this thread, go on at the pace, without a burst.
        due = due.max(Instant::now() - pace);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    number
}

fn receive(socket: &UdpSocket, shared: &Shared) -> Seen {
    let mut seen = Seen::default();
    let mut silence = Duration::ZERO;
    let mut buffer = [0; 128];
    loop {
        let begun = Instant::now();
        let outcome = socket.recv(&mut buffer);
        silence += begun.elapsed().min(LISTENED);
        let Ok(length) = outcome else {
            // What has come by now has been read.
            if shared.stop_receiving.load(Ordering::Relaxed) {
                return seen;
            }
            continue;
        };
        let Some(number) = buffer[..length]
            .first_chunk()
            .map(|bytes| u64::from_be_bytes(*bytes))
        else {
            continue;
        };
        match seen.received {
            0 => seen.first = number,
            _ => seen.longest_gap = seen.longest_gap.max(silence),
        }
        silence = Duration::ZERO;
        seen.received += 1;
        shared.received.fetch_add(1, Ordering::Relaxed);
        shared.next.fetch_max(number.saturating_add(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_full_socket_did_not_take_is_counted() {
        const SENT: u64 = 5_000;
        let receiver = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let sender = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        for _ in 0..SENT {
            sender.send_to(&[0; 64], receiver.local_addr().unwrap()).unwrap();
        }
        receiver.set_nonblocking(true).unwrap();
        let taken = (0..).take_while(|_| receiver.recv(&mut [0; 64]).is_ok()).count() as u64;
        assert!(taken < SENT, "the socket is larger than this test takes it for");
        assert_eq!(taken + drops_of(&receiver), SENT);
    }
}
