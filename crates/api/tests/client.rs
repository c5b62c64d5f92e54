//! The client against servers that are not always kind.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use anet_api::Resource;
use anet_api::client::{Client, ClientError, Configuration};
use anet_api::query::Object;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;

/// Reads one request; its head and body.
fn read(stream: &mut impl Read) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap() == 0 {
            break;
        }
    }
    let lower = head.to_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn response(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A server of one connection for each answer, which it closes without having said so; the requests it saw.
fn server(answers: Vec<String>) -> (Client, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            sender.send(read(&mut stream)).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (Client::new(&configuration(url, "")).unwrap(), receiver)
}

fn configuration(url: String, ca_pem: &str) -> Configuration {
    Configuration {
        url,
        ca_pem: ca_pem.to_string(),
        token: "t".to_string(),
        source: PathBuf::from("client.json"),
    }
}

#[test]
fn a_connection_that_was_closed_is_opened_again() {
    let list = response(r#"{"networks": [{"id": "n"}]}"#);
    let (client, seen) = server(vec![list.clone(), list]);
    for _ in 0..2 {
        let networks = client.list(Resource::Network, &[("name", "a b")]).unwrap();
        assert_eq!(networks[0]["id"], "n");
        let request = seen.recv().unwrap();
        assert!(
            request.starts_with("GET /v2.0/networks?name=a%20b HTTP/1.1"),
            "{request}"
        );
        assert!(
            request.to_lowercase().contains("x-auth-token: t\r\n"),
            "{request}"
        );
    }
}

/// What it deleted the first time is not what it does not find the second time.
#[test]
fn a_delete_whose_answer_is_lost_is_the_same_request() {
    let gone = "HTTP/1.1 204 No Content\r\n\r\n".to_string();
    let (client, seen) = server(vec![String::new(), gone]);
    client.delete(Resource::Network, "n").unwrap();
    let (first, second) = (seen.recv().unwrap(), seen.recv().unwrap());
    assert!(first.starts_with("DELETE /v2.0/networks/n HTTP/1.1"), "{first}");
    assert_eq!(key(&first), key(&second));
}

fn key(request: &str) -> String {
    let lower = request.to_lowercase();
    let line = lower
        .lines()
        .find_map(|line| line.strip_prefix("idempotency-key: ").map(str::to_string));
    line.expect("an idempotency key")
}

/// The answer is lost: the request is sent again, and says that it is the same.
#[test]
fn a_post_whose_answer_is_lost_is_the_same_request() {
    let (client, seen) = server(vec![String::new(), response(r#"{"network": {"id": "n"}}"#)]);
    let made = client.create(Resource::Network, Object::new()).unwrap();
    assert_eq!(made["id"], "n");
    let (first, second) = (seen.recv().unwrap(), seen.recv().unwrap());
    assert_eq!(key(&first), key(&second));
    assert_eq!(key(&first).len(), 32);
    assert!(first.ends_with(r#"{"network":{}}"#), "{first}");
}

#[test]
fn errors_are_typed_and_one_line() {
    let refusal =
        json!({"NeutronError": {"type": "NetworkInUse", "message": "used\nstill", "detail": ""}}).to_string();
    let conflict = format!(
        "HTTP/1.1 409 Conflict\r\ncontent-length: {}\r\n\r\n{refusal}",
        refusal.len()
    );
    let odd = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 5\r\n\r\n<html".to_string();
    let (client, _seen) = server(vec![conflict, odd, response("[]"), response("{}")]);
    let error = client.delete(Resource::Network, "n").unwrap_err();
    assert!(
        matches!(&error, ClientError::Refused(refusal) if refusal.kind == "NetworkInUse"),
        "{error:?}"
    );
    assert_eq!(error.to_string(), "used still (409 NetworkInUse)");
    for _ in 0..3 {
        let error = client.show(Resource::Network, "n").unwrap_err();
        assert!(matches!(error, ClientError::NotUnderstood { .. }), "{error:?}");
        assert!(!error.to_string().contains('\n'));
    }
}

#[test]
fn nobody_there_is_said_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = Client::new(&configuration(url.clone(), ""))
        .unwrap()
        .list(Resource::Port, &[]);
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{url} cannot be reached: ")) && !error.contains('\n'),
        "{error}"
    );
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    Authority {
        pem: parameters.self_signed(&key).unwrap().pem(),
        issuer: Issuer::new(parameters, key),
    }
}

/// Serves TLS for 127.0.0.1 with a certificate of the authority.
fn tls_server(authority: &Authority) -> String {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(vec!["127.0.0.1".to_string()]).unwrap();
    let certificate = parameters.signed_by(&key, &authority.issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut byte = [0];
            // A client that does not trust us says no more.
            if stream.read(&mut byte).is_ok_and(|read| read == 1) {
                read(&mut stream);
                stream.write_all(response(r#"{"ports": []}"#).as_bytes()).unwrap();
                stream.flush().unwrap();
            }
        }
    });
    url
}

#[test]
fn only_the_authority_that_is_named_is_trusted() {
    let ours = authority();
    let url = tls_server(&ours);
    let list = |ca: &str| {
        let client = Client::new(&configuration(url.clone(), ca))?;
        client.list(Resource::Port, &[])
    };
    assert_eq!(list(&ours.pem), Ok(Vec::new()));
    let error = list(&authority().pem).unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(
        error.to_string().contains("certificate") && !error.to_string().contains('\n'),
        "{error}"
    );
    let error = list("").unwrap_err();
    assert!(matches!(error, ClientError::Configuration { .. }), "{error:?}");
}
