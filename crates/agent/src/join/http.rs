//! One HTTP/1.1 request over TLS (RFC 9112): a body of JSON there and back. Everything that comes back is hostile.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// How long a connection may take, and each silence.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of the longest answer.
const ANSWER_MAXIMUM: u64 = 1 << 20;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not a URL that is understood here.
    #[error("`{0}` is no URL such as https://192.0.2.9:9696")]
    Url(String),
    /// The stream.
    #[error("{0}")]
    Stream(#[from] io::Error),
    /// TLS.
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    /// Not HTTP.
    #[error("its answer is not HTTP: {0}")]
    Answer(&'static str),
}

/// Posts a body; answers status and body.
pub fn post(url: &str, path: &str, body: &[u8], tls: ClientConfig) -> Result<(u16, Vec<u8>), HttpError> {
    let malformed = || HttpError::Url(url.to_owned());
    let authority = url
        .strip_prefix("https://")
        .ok_or_else(malformed)?
        .trim_end_matches('/');
    let (host, port) = authority.rsplit_once(':').ok_or_else(malformed)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port: u16 = port.parse().map_err(|_| malformed())?;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| malformed())?;
    let stream = connect(host, port)?;
    let connection = ClientConnection::new(Arc::new(tls), name)?;
    let mut stream = StreamOwned::new(connection, stream);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat())?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_MAXIMUM).read_to_end(&mut answer) {
        Ok(_) => {}
        // Not every server says goodbye in TLS; whether all of it came, its length says.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        Err(error) => return Err(error.into()),
    }
    parse(&answer)
}

fn connect(host: &str, port: u16) -> Result<TcpStream, io::Error> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Status and body out of an answer that ends with its connection.
pub(super) fn parse(answer: &[u8]) -> Result<(u16, Vec<u8>), HttpError> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = end
        .and_then(|end| Some((answer.get(..end)?, answer.get(end + 4..)?)))
        .ok_or(HttpError::Answer("it has no end of its header"))?;
    let head = std::str::from_utf8(head).map_err(|_| HttpError::Answer("its header is no text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| {
        let mut words = line.split(' ');
        let version = words.next()?;
        let status = words.next()?.parse().ok()?;
        version.starts_with("HTTP/1.").then_some(status)
    });
    let status = status.ok_or(HttpError::Answer("it has no status"))?;
    let field = |name: &str| {
        head.split("\r\n").skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    if field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return Ok((status, chunks(body).ok_or(HttpError::Answer("it ends early"))?));
    }
    match field("content-length").map(|length| length.parse::<usize>()) {
        None => Ok((status, body.to_vec())),
        Some(Ok(length)) if length <= body.len() => Ok((status, body[..length].to_vec())),
        Some(Ok(_)) => Err(HttpError::Answer("it ends early")),
        Some(Err(_)) => Err(HttpError::Answer("its length is no number")),
    }
}

/// RFC 9112, 7.1.
fn chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        let length = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        rest = rest.get(end + 2..)?;
        if length == 0 {
            return Some(body);
        }
        body.extend(rest.get(..length)?);
        rest = rest.get(length..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_are_read_whole_or_refused() {
        let plain = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(parse(plain).unwrap(), (200, b"{}".to_vec()));
        assert!(parse(&plain[..plain.len() - 1]).is_err());
        let chunked = b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).unwrap(), (403, b"abcde".to_vec()));
        assert!(parse(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(parse(b"").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), head in 0..3_usize) {
            let heads = ["", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"];
            let answer = [heads[head].as_bytes(), &bytes].concat();
            if let Ok((_, body)) = parse(&answer) {
                prop_assert!(body.len() <= bytes.len());
            }
        }
    }
}
