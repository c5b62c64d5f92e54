//! The API's bounds, on a real TLS server with small ones: nobody without a token keeps anybody out.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anet_cluster::trust::{Authority, Clock, Names, Role, server_config_without_client};
use anet_controller::configuration::{Configuration, Options};
use anet_controller::core::mirror::Cluster;
use anet_controller::core::{keys, record};
use anet_controller::follow;
use anet_controller::rest::serve::{Limits, serve};
use anet_controller::shared::Shared;
use anet_controller::tokens::{self, Grant, Tokens};
use anet_store::Store;
use anet_store::clock::ManualClock;
use anet_store::model::{ModelStore, Script};
use support::Folder;
use support::http::{Client, Connection, read_reply};

/// Nothing here ends a connection by its time, unless a test says so.
const LONG: Duration = Duration::from_secs(3_600);

/// A served API.
struct Api {
    port: u16,
    ca: String,
    token: String,
    folder: Folder,
    _runtime: tokio::runtime::Runtime,
}

impl Api {
    fn start(name: &str, limits: Limits) -> Self {
        let folder = Folder::new(name);
        let path = folder.0.join("tokens.json");
        let grant = Grant {
            project: None,
            roles: vec!["admin".to_owned()],
        };
        let token = tokens::add(&path, grant).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (port, ca) = runtime.block_on(start(&folder, limits));
        Self {
            port,
            ca,
            token,
            folder,
            _runtime: runtime,
        }
    }

    fn client(&self) -> Client {
        Client::new(self.port, &self.ca, &self.token)
    }

    fn another_user(&self, project: &str) -> Client {
        let grant = Grant {
            project: Some(project.parse().unwrap()),
            roles: vec!["member".to_owned()],
        };
        let token = tokens::add(&self.folder.0.join("tokens.json"), grant).unwrap();
        Client::new(self.port, &self.ca, &token)
    }
}

async fn start(folder: &Folder, limits: Limits) -> (u16, String) {
    let authority = Authority::generate("places", SystemTime::now()).unwrap();
    let names = Names::parse(["127.0.0.1"]);
    let credentials = authority.credentials(Role::Controller, "controller", names, SystemTime::now());
    let tls = server_config_without_client(&credentials.unwrap(), Clock::system()).unwrap();
    let ca = authority.certificate().to_pem();
    let store = Arc::new(ModelStore::new(ManualClock::default()).client_with(Script::default()));
    let cluster = record::encode(&Cluster {
        cluster: "places".to_owned(),
        incarnation: 1,
    });
    store.put(keys::CLUSTER.to_vec(), cluster.unwrap()).await.unwrap();
    let (shared, _effects) = Shared::new(
        store,
        Configuration::new(folder.0.clone(), Options::default()).unwrap(),
        Tokens::open(&folder.0.join("tokens.json")).unwrap(),
        authority,
    );
    let loaded = follow::load(&shared.driver).await.unwrap();
    let following = shared.clone();
    tokio::spawn(async move { follow::follow(&following.driver, loaded).await });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve(shared, listener, Arc::new(tls), limits));
    (port, ca)
}

fn limits() -> Limits {
    Limits {
        strangers: 4,
        users: 4,
        each_user: 3,
        handshake: LONG,
        head: LONG,
        stranger: LONG,
        write: LONG,
        request: LONG,
    }
}

/// A stranger's TLS connection, whose handshake is done; an error where its place was taken meanwhile.
fn idle(client: &Client) -> std::io::Result<Connection> {
    let mut connection = client.connect()?;
    connection.conn.complete_io(&mut connection.sock)?;
    Ok(connection)
}

/// Asks as long as the connection takes it, and reads nothing.
fn ask_without_end(client: &Client) -> Connection {
    let mut connection = client.connect().unwrap();
    connection
        .sock
        .set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let token = match client.token.as_str() {
        "" => String::new(),
        token => format!("X-Auth-Token: {token}\r\n"),
    };
    let request = format!("GET /v2.0/extensions HTTP/1.1\r\nHost: x\r\n{token}\r\n").repeat(1_000);
    while connection.write_all(request.as_bytes()).is_ok() {}
    connection
}

/// True where the other side ended a connection; what it said before is passed over.
fn is_over(connection: &mut Connection) -> bool {
    connection
        .sock
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let mut buffer = [0; 64 * 1024];
    loop {
        match connection.sock.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn strangers_who_only_hold_connections_lose_them_to_newcomers_and_users_keep_theirs() {
    let api = Api::start("idle", limits());
    let (client, mut stranger) = (api.client(), api.client());
    stranger.token.clear();
    let mut own = client.connect().unwrap();
    client.send_on(&mut own, "GET", "/v2.0/networks", "");
    assert_eq!(client.receive_on(&mut own).status, 200);
    let mut idle: Vec<_> = (0..20).map(|_| idle(&stranger).unwrap()).collect();
    assert_eq!(client.get("/v2.0/networks").status, 200, "a newcomer is served");
    assert!(idle[..16].iter_mut().all(is_over), "the oldest make room");
    client.send_on(&mut own, "GET", "/v2.0/networks", "");
    assert_eq!(client.receive_on(&mut own).status, 200, "a user keeps its place");
}

#[test]
fn strangers_who_ask_and_never_read_lock_nobody_out() {
    let api = Api::start("deaf", limits());
    let (client, mut stranger) = (api.client(), api.client());
    stranger.token.clear();
    let mut deaf: Vec<_> = (0..6).map(|_| ask_without_end(&stranger)).collect();
    assert_eq!(client.get("/v2.0/networks").status, 200);
    assert!(deaf[..2].iter_mut().all(is_over), "the oldest make room");
}

#[test]
fn an_answer_that_is_not_taken_ends_the_connection_whoever_asked() {
    let short = Duration::from_millis(300);
    for (name, limits) in [
        (
            "write",
            Limits {
                write: short,
                ..limits()
            },
        ),
        (
            "request",
            Limits {
                request: short,
                ..limits()
            },
        ),
    ] {
        let api = Api::start(name, limits);
        let client = api.client();
        let mut connection = ask_without_end(&client);
        assert!(is_over(&mut connection), "{name}");
        assert_eq!(client.get("/v2.0/networks").status, 200, "{name}");
    }
}

#[test]
fn a_stranger_has_a_bounded_time_and_a_user_none() {
    let stranger_time = Limits {
        stranger: Duration::from_secs(1),
        ..limits()
    };
    let api = Api::start("time", stranger_time);
    let (client, mut stranger) = (api.client(), api.client());
    stranger.token.clear();
    let mut own = client.connect().unwrap();
    client.send_on(&mut own, "GET", "/v2.0/networks", "");
    assert_eq!(client.receive_on(&mut own).status, 200);
    let mut waits = idle(&stranger).unwrap();
    assert!(is_over(&mut waits), "it asked nothing");
    client.send_on(&mut own, "GET", "/v2.0/networks", "");
    assert_eq!(client.receive_on(&mut own).status, 200);
}

#[test]
fn one_user_does_not_take_the_places_of_another() {
    let api = Api::start("users", limits());
    let (client, other) = (api.client(), api.another_user("blue"));
    let hold = |client: &Client| {
        let mut connection = client.connect().unwrap();
        client.send_on(&mut connection, "GET", "/v2.0/networks", "");
        assert_eq!(client.receive_on(&mut connection).status, 200);
        connection
    };
    // Three get places of a user, the rest are served in those of strangers, of which the oldest goes.
    let mut held: Vec<_> = (0..9).map(|_| hold(&client)).collect();
    let mut others = hold(&other);
    assert!(held[3..5].iter_mut().all(is_over));
    held.truncate(3);
    for (client, connection) in held
        .iter_mut()
        .map(|held| (&client, held))
        .chain([(&other, &mut others)])
    {
        client.send_on(connection, "GET", "/v2.0/networks", "");
        assert_eq!(client.receive_on(connection).status, 200);
    }
    let mut guest = client.connect().unwrap();
    let head = "GET /v2.0/networks HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Auth-Token: guessed\r\n\r\n";
    guest.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut guest).unwrap().status, 401);
}
