//! A cluster's trust, and two ends of a stream on loopback.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anet_cluster::bus::direct::{Receiver, Sender, Server, Settings, Stream, connect};
use anet_cluster::trust::{Authority, ClientTls, Clock, Credentials, Names, Role, ServerTls};

/// When all certificates of the tests are made.
pub fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_669_800)
}

pub fn clock() -> Clock {
    Clock::at(now())
}

pub fn authority() -> Authority {
    Authority::generate("lab", now()).unwrap()
}

pub fn credentials(authority: &Authority, role: Role, name: &str) -> Credentials {
    authority.credentials(role, name, Names::none(), now()).unwrap()
}

pub fn server_tls(authority: &Authority) -> ServerTls {
    ServerTls::new(
        &credentials(authority, Role::Controller, "c1"),
        &[Role::Host],
        clock(),
    )
    .unwrap()
}

pub fn client_tls(authority: &Authority, name: &str) -> ClientTls {
    ClientTls::new(
        &credentials(authority, Role::Host, name),
        Role::Controller,
        clock(),
    )
    .unwrap()
}

pub async fn server(tls: ServerTls, settings: &Settings) -> Server {
    Server::bind("127.0.0.1:0".parse().unwrap(), tls, settings.clone())
        .await
        .unwrap()
}

/// A stream's two ends: the client's, the server's; and the server.
pub async fn pair(settings: &Settings) -> (Stream, Stream, Server) {
    let authority = authority();
    let mut server = server(server_tls(&authority), settings).await;
    let (client, accepted) = join(&mut server, &client_tls(&authority, "h1"), settings).await;
    (client, accepted, server)
}

pub async fn join(server: &mut Server, tls: &ClientTls, settings: &Settings) -> (Stream, Stream) {
    let endpoints = [server.address().to_string()];
    let (client, accepted) = tokio::join!(connect(&endpoints, tls, settings), server.accept_stream());
    (client.unwrap(), accepted)
}

/// A folder of a test's own, gone with it.
pub struct Folder(pub std::path::PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("anet-cluster-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// That a message put in at one end comes out at the other.
pub async fn passes(sender: &Sender, receiver: &mut Receiver, text: &'static str) {
    sender.try_send(text.into()).unwrap();
    assert_eq!(receiver.receive().await.unwrap(), text);
}
