//! Who is not let in, on either side, and what both get to hear.

use std::time::Duration;

use super::support::{authority, client_tls, clock, credentials, join, now, server, server_tls};
use anet_cluster::bus::direct::{Arrival, BusError, Server, Settings, connect};
use anet_cluster::trust::{Authority, ClientTls, Clock, Role, ServerTls, VALIDITY};

/// What client and server say about a connection that must not come about.
async fn refused(server: &mut Server, tls: &ClientTls) -> (String, String) {
    let endpoints = [server.address().to_string()];
    let settings = Settings::default();
    let (client, arrival) = tokio::join!(connect(&endpoints, tls, &settings), server.accept());
    let BusError::Unreachable { attempts } = client.unwrap_err() else {
        panic!("expected the endpoint's error")
    };
    let Arrival::Refused { error, .. } = arrival else {
        panic!("expected a refusal")
    };
    (attempts[0].1.to_string(), error.to_string())
}

fn as_client(authority: &Authority, role: Role, clock: Clock) -> ClientTls {
    ClientTls::new(&credentials(authority, role, "h1"), Role::Controller, clock).unwrap()
}

#[tokio::test]
async fn a_client_of_a_wrong_role_is_refused() {
    let authority = authority();
    let mut server = server(server_tls(&authority), &Settings::default()).await;
    for role in [Role::Person, Role::Controller] {
        let (client, server) = refused(&mut server, &as_client(&authority, role, clock())).await;
        let us = format!("anet://lab/{role}/h1");
        assert_eq!(
            client,
            format!("refused by the other side: {us} is not of a role and cluster that it accepts here")
        );
        assert_eq!(server, format!("{us} has the wrong role here: expected host"));
    }
    join(&mut server, &client_tls(&authority, "h1"), &Settings::default()).await;
}

#[tokio::test]
async fn an_expired_client_hears_since_when() {
    let authority = authority();
    let later = Clock::at(now() + VALIDITY + Duration::from_secs(90));
    // A controller with a new certificate, and a host that was asleep for a year.
    let controller = authority
        .credentials(Role::Controller, "c1", Default::default(), later.now())
        .unwrap();
    let tls = ServerTls::new(&controller, &[Role::Host], later.clone()).unwrap();
    let mut server = server(tls, &Settings::default()).await;
    let (client, told) = refused(&mut server, &as_client(&authority, Role::Host, later)).await;
    let expired = "the certificate of anet://lab/host/h1 expired at 2027-11-26 05:10:00 UTC, 1 minute ago";
    assert!(
        client.starts_with(&format!("refused by the other side: {expired}")),
        "{client}"
    );
    assert!(told.starts_with(expired), "{told}");
}

#[tokio::test]
async fn a_client_whose_clock_is_right_is_told_to_compare_clocks() {
    let authority = authority();
    let controller = credentials(&authority, Role::Controller, "c1");
    let late = Clock::at(now() - Duration::from_secs(3_600));
    let mut server = server(
        ServerTls::new(&controller, &[Role::Host], late).unwrap(),
        &Settings::default(),
    )
    .await;
    let (client, server) = refused(&mut server, &client_tls(&authority, "h1")).await;
    assert!(
        client.ends_with("by this machine's clock it is not: compare the clocks"),
        "{client}"
    );
    assert!(
        server.starts_with("the certificate of anet://lab/host/h1 is not valid before"),
        "{server}"
    );
}

#[tokio::test]
async fn a_client_that_trusts_the_server_but_has_a_certificate_of_another_authority_is_refused() {
    let (ours, other) = (authority(), Authority::generate("lab", now()).unwrap());
    let mut server = server(server_tls(&ours), &Settings::default()).await;
    let stranger = credentials(&other, Role::Host, "h1");
    let mixed = anet_cluster::trust::Credentials::new(
        stranger.key().clone(),
        stranger.certificate().clone(),
        ours.certificate().clone(),
    );
    let tls = ClientTls::new(&mixed.unwrap(), Role::Controller, clock()).unwrap();
    let (client, server) = refused(&mut server, &tls).await;
    assert!(
        client.contains("was not issued by its cluster's authority"),
        "{client}"
    );
    assert!(
        server.contains("was not issued by the authority of cluster `lab`"),
        "{server}"
    );
}

#[tokio::test]
async fn a_server_of_another_cluster_is_refused_by_the_client() {
    let (ours, other) = (authority(), Authority::generate("other", now()).unwrap());
    let mut server = server(server_tls(&other), &Settings::default()).await;
    let (client, server) = refused(&mut server, &client_tls(&ours, "h1")).await;
    assert!(
        client.starts_with("the certificate of anet://other/controller/c1 was not issued by"),
        "{client}"
    );
    assert!(
        server.starts_with("refused by the other side: it does not trust this server's certificate"),
        "{server}"
    );
    let remedy = "it is no member of cluster `other`, or was one before this cluster's authority was made anew; point it at the controllers of \
                  its own cluster, or empty its data folder and join it to this one with a new token";
    assert!(server.ends_with(remedy), "{server}");
}

#[tokio::test]
async fn a_host_that_plays_the_controller_is_refused_by_the_client() {
    let authority = authority();
    let host = credentials(&authority, Role::Host, "h2");
    let mut server = server(
        ServerTls::new(&host, &[Role::Host], clock()).unwrap(),
        &Settings::default(),
    )
    .await;
    let (client, _) = refused(&mut server, &client_tls(&authority, "h1")).await;
    assert_eq!(
        client,
        "anet://lab/host/h2 has the wrong role here: expected controller"
    );
}

#[tokio::test]
async fn an_expired_server_is_refused_by_the_client() {
    let authority = authority();
    let mut server = server(server_tls(&authority), &Settings::default()).await;
    let later = Clock::at(now() + VALIDITY + Duration::from_secs(86_400 * 3));
    let host = authority
        .credentials(Role::Host, "h1", Default::default(), later.now())
        .unwrap();
    let (client, _) = refused(
        &mut server,
        &ClientTls::new(&host, Role::Controller, later).unwrap(),
    )
    .await;
    assert!(
        client.contains("anet://lab/controller/c1 expired at 2027-11-26 05:10:00 UTC, 3 days ago"),
        "{client}"
    );
}

#[tokio::test]
async fn the_next_endpoint_is_taken_and_all_failures_are_told() {
    let authority = authority();
    let mut server = server(server_tls(&authority), &Settings::default()).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let tls = client_tls(&authority, "h1");
    let endpoints = [nobody.clone(), "no port".to_owned(), server.address().to_string()];
    let settings = Settings::default();
    let (stream, _) = tokio::join!(connect(&endpoints, &tls, &settings), server.accept_stream());
    assert_eq!(stream.unwrap().address, server.address());
    let error = connect(&endpoints[..2], &tls, &Settings::default())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("{nobody}: cannot connect: ")),
        "{error}"
    );
    assert!(error.contains("; no port: cannot find the address: "), "{error}");
    let none: [&str; 0] = [];
    let error = connect(&none, &tls, &Settings::default())
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(error, "there is no endpoint to connect to");
}

#[tokio::test]
async fn a_peer_has_a_bounded_number_of_connections() {
    let authority = authority();
    let settings = Settings {
        connections_per_peer: 1,
        ..Settings::default()
    };
    let mut server = server(server_tls(&authority), &settings).await;
    let tls = client_tls(&authority, "h1");
    let held = join(&mut server, &tls, &settings).await;
    let (_, error) = refused(&mut server, &tls).await;
    assert_eq!(
        error,
        "no place left: this peer has 1 connections, at most 1 are allowed"
    );
    // Another peer has a place of its own, and a place is given back.
    join(&mut server, &client_tls(&authority, "h2"), &settings).await;
    drop(held);
    let endpoints = [server.address().to_string()];
    while connect(&endpoints, &tls, &settings).await.is_err() {}
}
