//! A web page that says whose it is, and `curl` to fetch it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::{LabError, Namespace};

/// How often the thread looks for connections, and whether it should stop.
const LOOK: Duration = Duration::from_millis(5);

/// A server inside a namespace that answers every request with one line. Ends when dropped.
#[derive(Debug)]
pub struct WebPage {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl WebPage {
    /// Serves `line` on a port of all addresses of the namespace, both families.
    pub fn serve(namespace: &Namespace, port: u16, line: &str) -> Result<Self, LabError> {
        let any = SocketAddr::from(([0u16; 8], port));
        let bound = namespace.enter(|| {
            let socket = TcpListener::bind(any)?;
            socket.set_nonblocking(true).map(|()| socket)
        });
        let socket = bound?.map_err(LabError::io(format!("serve on port {port}")))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, line) = (stop.clone(), line.to_owned());
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match socket.accept() {
                    Ok((stream, _)) => answer(stream, &line),
                    Err(_) => thread::sleep(LOOK),
                }
            }
        });
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for WebPage {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request, one answer, as HTTP/1.0 has it. A client that goes away early is no matter.
fn answer(mut stream: TcpStream, line: &str) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut request = [0; 1_024];
    match stream.read(&mut request) {
        Err(error) if error.kind() != ErrorKind::Interrupted => return,
        _ => {}
    }
    let text = format!(
        "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{line}\n",
        line.len() + 1
    );
    let _ = stream.write_all(text.as_bytes());
}

/// Fetches a page with the system's `curl`; `None` where nobody answers within `patience`.
pub fn curl(from: &Namespace, to: SocketAddr, patience: Duration) -> Result<Option<String>, LabError> {
    // 7: no connection; 28: too late. Both are answers, not failures.
    let script = "curl -s --noproxy '*' -m \"$0\" \"$1\" || case $? in 7|28) ;; *) exit 1 ;; esac";
    let (patience, url) = (format!("{:.1}", patience.as_secs_f32()), format!("http://{to}/"));
    let text = from.run("sh", &["-c", script, &patience, &url])?;
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}
