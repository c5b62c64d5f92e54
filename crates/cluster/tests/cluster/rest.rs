//! The settings for clients without certificates: REST, and the first contact of a machine that joins.

use std::sync::Arc;

use super::support::{authority, clock, credentials, now};
use anet_cluster::trust::{
    Authority, Clock, Credentials, Fingerprint, Names, Role, pinned_client_config,
    server_config_without_client,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Whether a byte comes through, else the client's error.
async fn through(server: &Credentials, client: ClientConfig, name: &'static str) -> Result<u8, String> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let acceptor = TlsAcceptor::from(Arc::new(server_config_without_client(server, clock()).unwrap()));
    let answer = tokio::spawn(async move {
        let mut stream = acceptor.accept(far).await?;
        stream.write_all(b"x").await?;
        stream.shutdown().await
    });
    let connector = TlsConnector::from(Arc::new(client));
    let connected = connector.connect(ServerName::try_from(name).unwrap(), near).await;
    let mut stream = connected.map_err(|error| error.to_string())?;
    let byte = stream.read_u8().await.map_err(|error| error.to_string())?;
    answer.await.unwrap().map_err(|error| error.to_string())?;
    Ok(byte)
}

fn pinned(fingerprint: Fingerprint, clock: Clock) -> ClientConfig {
    pinned_client_config(fingerprint, clock).unwrap()
}

/// What any TLS client does with the authority's certificate.
fn plain(authority: &Authority) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().der().clone()).unwrap();
    ClientConfig::builder_with_details(
        Arc::new(rustls::crypto::ring::default_provider()),
        Arc::new(clock()),
    )
    .with_protocol_versions(&[&rustls::version::TLS13])
    .unwrap()
    .with_root_certificates(roots)
    .with_no_client_auth()
}

#[tokio::test]
async fn a_joining_machine_finds_the_controller_by_the_authoritys_fingerprint_alone() {
    let authority = authority();
    let controller = credentials(&authority, Role::Controller, "c1");
    let client = pinned(authority.fingerprint(), clock());
    assert_eq!(through(&controller, client, "anywhere.example").await, Ok(b'x'));
}

#[tokio::test]
async fn nobody_stands_between_a_joining_machine_and_its_controller() {
    let (ours, other) = (authority(), authority());
    let impostor = credentials(&other, Role::Controller, "c1");
    let error = through(&impostor, pinned(ours.fingerprint(), clock()), "c1")
        .await
        .unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
    // The right authority's certificate in the chain proves nothing about the first one.
    let mixed = Credentials::new(
        impostor.key().clone(),
        impostor.certificate().clone(),
        ours.certificate().clone(),
    );
    let error = through(&mixed.unwrap(), pinned(ours.fingerprint(), clock()), "c1")
        .await
        .unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
    let host = credentials(&ours, Role::Host, "h1");
    let error = through(&host, pinned(ours.fingerprint(), clock()), "c1")
        .await
        .unwrap_err();
    assert!(error.contains("ApplicationVerificationFailure"), "{error}");
}

#[tokio::test]
async fn a_common_client_checks_names_and_addresses() {
    let authority = authority();
    let names = Names::parse(["api.example", "192.0.2.7", "2001:db8::7"]);
    let controller = authority
        .credentials(Role::Controller, "c1", names, now())
        .unwrap();
    for name in ["api.example", "192.0.2.7", "2001:db8::7"] {
        assert_eq!(
            through(&controller, plain(&authority), name).await,
            Ok(b'x'),
            "{name}"
        );
    }
    let error = through(&controller, plain(&authority), "192.0.2.8")
        .await
        .unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");
}
