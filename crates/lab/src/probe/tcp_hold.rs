//! A TCP connection that is kept busy for as long as it is looked at.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::{LabError, Namespace, wait_for};

const MESSAGE: [u8; 64] = [0x5a; 64];
const PACE: Duration = Duration::from_millis(5);
/// How often the threads look whether they should stop.
const LOOK: Duration = Duration::from_millis(50);

/// A connection on which the client sends 64 bytes every 5 ms and the server sends them back. Ends when dropped.
#[derive(Debug)]
pub struct TcpHold {
    echoed: Arc<AtomicU64>,
    dead: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl TcpHold {
    /// Connects `from` to a listener on `address` in `to`, and returns when the first bytes have come back.
    pub fn start(from: &Namespace, (to, address): (&Namespace, SocketAddr)) -> Result<Self, LabError> {
        let what = format!("TCP connection to {address}");
        let listener = to
            .enter(|| TcpListener::bind(address))?
            .map_err(LabError::io(what.clone()))?;
        let connected = from.enter(|| TcpStream::connect_timeout(&address, Duration::from_secs(3)))?;
        let client = connected.map_err(LabError::io(what.clone()))?;
        let (server, _) = listener.accept().map_err(LabError::io(what.clone()))?;
        for stream in [&client, &server] {
            let set = stream
                .set_read_timeout(Some(LOOK))
                .and_then(|()| stream.set_nodelay(true));
            set.and_then(|()| stream.set_write_timeout(Some(LOOK)))
                .map_err(LabError::io(what.clone()))?;
        }
        let mut hold = Self {
            echoed: Arc::default(),
            dead: Arc::default(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        hold.run(client, server).map_err(LabError::io(what.clone()))?;
        wait_for(&what, Duration::from_secs(3), || (hold.bytes() > 0).then_some(()))?;
        Ok(hold)
    }

    fn run(&mut self, client: TcpStream, server: TcpStream) -> std::io::Result<()> {
        let sender = client.try_clone()?;
        let (stop, dead) = (self.stop.clone(), self.dead.clone());
        self.threads
            .push(thread::spawn(move || send(sender, &stop, &dead)));
        let (stop, dead, echoed) = (self.stop.clone(), self.dead.clone(), self.echoed.clone());
        self.threads.push(thread::spawn(move || {
            receive(client, &stop, &dead, |bytes| {
                echoed.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(())
            });
        }));
        let (stop, dead) = (self.stop.clone(), self.dead.clone());
        let mut back = server.try_clone()?;
        self.threads.push(thread::spawn(move || {
            receive(server, &stop, &dead, |bytes| back.write_all(bytes));
        }));
        Ok(())
    }

    /// Bytes that made the way there and back.
    pub fn bytes(&self) -> u64 {
        self.echoed.load(Ordering::Relaxed)
    }

    /// True where bytes come back within `patience` and neither side saw the connection end.
    pub fn is_alive(&self, patience: Duration) -> bool {
        let before = self.bytes();
        let started = Instant::now();
        while started.elapsed() < patience && !self.dead.load(Ordering::Relaxed) {
            if self.bytes() > before {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for TcpHold {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn send(mut stream: TcpStream, stop: &AtomicBool, dead: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match stream.write(&MESSAGE) {
            Ok(_) => thread::sleep(PACE),
            Err(error) if is_patience(error.kind()) => {}
            Err(_) => return dead.store(true, Ordering::Relaxed),
        }
    }
}

fn receive(
    mut stream: TcpStream,
    stop: &AtomicBool,
    dead: &AtomicBool,
    mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
) {
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(n @ 1..) => drop(take(&buffer[..n])),
            Err(error) if is_patience(error.kind()) => {}
            // The end of the stream counts as well: as long as we hold both ends, nobody closes them.
            Ok(_) | Err(_) => return dead.store(true, Ordering::Relaxed),
        }
    }
}

fn is_patience(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
