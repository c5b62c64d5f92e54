//! HTTP/1.1 over TLS, written by hand, so that a test can also say what no library would.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
}

/// A connection.
pub type Connection = StreamOwned<ClientConnection, TcpStream>;

/// A client: one connection for each request.
#[derive(Debug, Clone)]
pub struct Client {
    port: u16,
    config: Arc<ClientConfig>,
    pub token: String,
}

impl Client {
    pub fn new(port: u16, ca_pem: &str, token: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            port,
            config: Arc::new(config),
            token: token.to_owned(),
        }
    }

    pub fn connect(&self) -> std::io::Result<Connection> {
        let socket = TcpStream::connect(("127.0.0.1", self.port))?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let session = ClientConnection::new(self.config.clone(), name).unwrap();
        Ok(StreamOwned::new(session, socket))
    }

    /// A request on a connection of its own; an error where the connection ends before the answer.
    pub fn try_ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> std::io::Result<Reply> {
        let mut connection = self.connect()?;
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        if !self.token.is_empty() {
            head += &format!("X-Auth-Token: {}\r\n", self.token);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        connection.write_all(format!("{head}\r\n").as_bytes())?;
        // A server that refuses by the head alone may not read the rest.
        let _ = connection.write_all(body.as_bytes());
        read_reply(&mut connection)
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.try_ask(method, path, headers, body).unwrap()
    }

    /// A request on a connection that stays.
    pub fn send_on(&self, connection: &mut Connection, method: &str, path: &str, body: &str) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nX-Auth-Token: {}\r\n\r\n{body}",
            body.len(),
            self.token
        );
        connection.write_all(head.as_bytes()).unwrap();
    }

    /// Its answer.
    pub fn receive_on(&self, connection: &mut Connection) -> Reply {
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            let count = connection.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "the connection stays");
            bytes.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&bytes);
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let head = head.to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                let body = serde_json::from_str(body).unwrap_or(Value::Null);
                return Reply { status, body };
            }
        }
    }

    pub fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[], "")
    }

    pub fn post(&self, path: &str, body: Value) -> Reply {
        self.ask("POST", path, &[], &body.to_string())
    }

    pub fn put(&self, path: &str, body: Value) -> Reply {
        self.ask("PUT", path, &[], &body.to_string())
    }

    pub fn delete(&self, path: &str) -> Reply {
        self.ask("DELETE", path, &[], "")
    }
}

/// Reads an answer until the other side closes.
pub fn read_reply(connection: &mut Connection) -> std::io::Result<Reply> {
    let mut bytes = Vec::new();
    if let Err(error) = connection.read_to_end(&mut bytes)
        && bytes.is_empty()
    {
        return Err(error);
    }
    let text = String::from_utf8(bytes).unwrap();
    let broken = || std::io::Error::other("the connection ended before the answer");
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(broken)?;
    let body = match body.is_empty() {
        true => Value::Null,
        false => serde_json::from_str(body).map_err(|_| broken())?,
    };
    Ok(Reply { status, body })
}
