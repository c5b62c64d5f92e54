//! What members and strangers may do to a listener, and that the next honest peer still gets its stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::bytes::Bytes;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::codec::FRAME_MAXIMUM;
use super::{Arrival, BusError, METHOD, Server, Settings, connect};
use crate::trust::{Authority, ClientTls, Clock, Names, Role, ServerTls};

/// Long enough for an honest peer on a busy machine.
const IMPATIENT: Duration = Duration::from_secs(1);

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_669_800)
}

/// A listener that is soon impatient, and a member.
async fn listener(handshakes: usize) -> (Server, ClientTls, Settings) {
    let authority = Authority::generate("lab", now()).unwrap();
    let credentials = |role, name| authority.credentials(role, name, Names::none(), now()).unwrap();
    let clock = Clock::at(now());
    let tls = ServerTls::new(&credentials(Role::Controller, "c1"), &[Role::Host], clock.clone()).unwrap();
    let client = ClientTls::new(&credentials(Role::Host, "h1"), Role::Controller, clock).unwrap();
    let settings = Settings {
        handshake_timeout: IMPATIENT,
        handshakes,
        ..Settings::default()
    };
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), tls, settings.clone())
        .await
        .unwrap();
    (
        server,
        client,
        Settings {
            handshake_timeout: Duration::from_secs(5),
            ..settings
        },
    )
}

async fn refusal(server: &mut Server) -> BusError {
    match server.accept().await {
        Arrival::Refused { error, .. } => error,
        Arrival::Stream(stream) => panic!("{:?} got a stream", stream.peer),
    }
}

async fn honest(server: &mut Server, tls: &ClientTls, settings: &Settings) {
    let endpoints = [server.address().to_string()];
    let (client, mut accepted) = tokio::join!(connect(&endpoints, tls, settings), server.accept_stream());
    client.unwrap().sender.try_send("honest".into()).unwrap();
    assert_eq!(accepted.receiver.receive().await.unwrap(), "honest");
}

/// A member's connection that speaks HTTP/2 by hand.
async fn by_hand(address: SocketAddr, tls: &ClientTls) -> SendRequest<Full<Bytes>> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (config, _) = tls.session().unwrap();
    let name = ServerName::IpAddress(address.ip().into());
    let secured = TlsConnector::from(config).connect(name, socket).await.unwrap();
    let (requests, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(secured))
            .await
            .unwrap();
    tokio::spawn(connection);
    requests
}

fn request(path: &str, body: impl Into<Bytes>) -> http::Request<Full<Bytes>> {
    let request =
        http::Request::post(format!("https://anet{path}")).header("content-type", "application/grpc");
    request.body(Full::new(body.into())).unwrap()
}

fn grpc_status(response: &http::Response<Incoming>) -> Option<&str> {
    response
        .headers()
        .get("grpc-status")
        .and_then(|status| status.to_str().ok())
}

#[tokio::test]
async fn strangers_are_answered_with_an_end_and_told_of() {
    let (mut server, tls, settings) = listener(16).await;
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[0xff; 3_000],
        &[0; 3_000],
    ] {
        let mut socket = TcpStream::connect(server.address()).await.unwrap();
        socket.write_all(garbage).await.unwrap();
        let error = refusal(&mut server).await;
        assert!(matches!(error, BusError::Protocol { .. }), "{error:?}");
        // Whatever it answers is short, and then there is an end.
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        assert!(answer.len() < 100, "{} bytes", answer.len());
    }
    drop(TcpStream::connect(server.address()).await.unwrap());
    assert!(matches!(refusal(&mut server).await, BusError::Lost { .. }));
    honest(&mut server, &tls, &settings).await;
}

#[tokio::test]
async fn a_stranger_that_says_nothing_or_little_is_cut_off() {
    let (mut server, ..) = listener(16).await;
    let mut silent = TcpStream::connect(server.address()).await.unwrap();
    assert_eq!(
        refusal(&mut server).await,
        BusError::Timeout {
            what: "TLS handshake",
            limit: IMPATIENT
        }
    );
    assert_eq!(silent.read(&mut [0; 10]).await.unwrap(), 0);
    // The head of a TLS record that never comes.
    silent = TcpStream::connect(server.address()).await.unwrap();
    silent.write_all(&[22, 3, 1, 0x40, 0]).await.unwrap();
    assert_eq!(
        refusal(&mut server).await,
        BusError::Timeout {
            what: "TLS handshake",
            limit: IMPATIENT
        }
    );
}

#[tokio::test]
async fn a_crowd_of_silent_strangers_does_not_keep_an_honest_peer_out() {
    let (mut server, tls, settings) = listener(4).await;
    let mut crowd = Vec::new();
    for _ in 0..12 {
        crowd.push(TcpStream::connect(server.address()).await.unwrap());
    }
    honest(&mut server, &tls, &settings).await;
    // The ones that waited longest have lost their places.
    assert_eq!(crowd[0].read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_member_that_opens_no_stream_is_cut_off() {
    let (mut server, tls, settings) = listener(16).await;
    let requests = by_hand(server.address(), &tls).await;
    assert_eq!(
        refusal(&mut server).await,
        BusError::Timeout {
            what: "stream",
            limit: IMPATIENT
        }
    );
    assert!(
        requests.is_closed() || {
            tokio::task::yield_now().await;
            true
        }
    );
    honest(&mut server, &tls, &settings).await;
}

#[tokio::test]
async fn another_method_and_a_second_stream_are_refused() {
    let (mut server, tls, _) = listener(16).await;
    let mut requests = by_hand(server.address(), &tls).await;
    let response = requests
        .send_request(request("/anet.bus.v1.Bus/Other", ""))
        .await
        .unwrap();
    assert_eq!(grpc_status(&response), Some("12"));
    let first = requests.send_request(request(METHOD, ""));
    let (first, accepted) = tokio::join!(first, server.accept_stream());
    assert_eq!(grpc_status(&first.unwrap()), None);
    drop(accepted);
    // Either the connection is over by now, or the second stream is refused.
    if let Ok(response) = requests.send_request(request(METHOD, "")).await {
        assert_eq!(grpc_status(&response), Some("8"));
    }
}

#[tokio::test]
async fn hostile_frames_end_their_stream_with_what_is_wrong() {
    let (mut server, tls, settings) = listener(16).await;
    let length = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
    let too_large = [&[0][..], &length(FRAME_MAXIMUM + 1), &[0; 100]].concat();
    let compressed = [&[1][..], &length(3), &[0, 1, 2]].concat();
    let unknown = [&[0][..], &length(3), &[9, 1, 2]].concat();
    let empty = [&[0][..], &length(0)].concat();
    let cut_off = [&[0][..], &length(100), &[0; 50]].concat();
    for (body, expected) in [
        (too_large, "a message is larger than 16777216 bytes"),
        (compressed, "the other side does not speak this protocol"),
        (
            unknown,
            "the other side does not speak this protocol: a frame of unknown kind 9",
        ),
        (
            empty,
            "the other side does not speak this protocol: a frame without its first byte",
        ),
        (cut_off, ""),
    ] {
        let mut requests = by_hand(server.address(), &tls).await;
        let response = requests.send_request(request(METHOD, body));
        let (_, mut accepted) = tokio::join!(response, server.accept_stream());
        let error = accepted.receiver.receive().await.unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(accepted.receiver.receive().await, Err(error));
    }
    honest(&mut server, &tls, &settings).await;
}

#[tokio::test]
async fn a_compressed_stream_is_refused() {
    let (server, tls, _) = listener(16).await;
    let mut requests = by_hand(server.address(), &tls).await;
    let mut compressed = request(METHOD, "");
    compressed
        .headers_mut()
        .insert("grpc-encoding", http::HeaderValue::from_static("gzip"));
    let response = requests.send_request(compressed).await.unwrap();
    assert_eq!(grpc_status(&response), Some("12"));
}

#[tokio::test]
async fn a_client_without_http_2_or_certificate_is_refused() {
    let (mut server, tls, _) = listener(16).await;
    let connect = async |config: rustls::ClientConfig| {
        let socket = TcpStream::connect(server.address()).await.unwrap();
        let name = ServerName::IpAddress(server.address().ip().into());
        TlsConnector::from(Arc::new(config)).connect(name, socket).await
    };
    let (config, _) = tls.session().unwrap();
    let mut without = rustls::ClientConfig::clone(&config);
    without.alpn_protocols.clear();
    let held = connect(without).await;
    let mut anonymous = rustls::ClientConfig::clone(&config);
    anonymous.client_auth_cert_resolver = Arc::new(NoCertificate);
    let second = connect(anonymous).await;
    let errors = [
        refusal(&mut server).await.to_string(),
        refusal(&mut server).await.to_string(),
    ];
    assert!(errors[0].contains("does not offer HTTP/2"), "{errors:?}");
    assert!(
        errors[1].contains("the other side showed no certificate"),
        "{errors:?}"
    );
    drop((held, second));
}

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_costs_the_client_a_bounded_time() {
    let (_, tls, settings) = listener(16).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoints = [silent.local_addr().unwrap().to_string()];
    let settings = Settings {
        handshake_timeout: Duration::from_millis(50),
        ..settings
    };
    let error = connect(&endpoints, &tls, &settings)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("no TLS handshake within 50 ms"), "{error}");
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_told_of() {
    let (_, tls, settings) = listener(16).await;
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoints = [other.local_addr().unwrap().to_string()];
    let answering = async {
        let (mut socket, _) = other.accept().await.unwrap();
        socket
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        socket
    };
    let (error, _socket) = tokio::join!(connect(&endpoints, &tls, &settings), answering);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("the other side does not speak this protocol"),
        "{error}"
    );
}
