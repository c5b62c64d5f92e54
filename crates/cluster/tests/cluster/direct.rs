//! Streams between two ends on loopback.

use super::support::{pair, passes};
use anet_cluster::bus::direct::{BusError, Settings};

#[tokio::test]
async fn messages_pass_in_both_directions_between_known_peers() {
    let (mut client, mut accepted, server) = pair(&Settings::default()).await;
    assert_eq!(client.peer.to_string(), "anet://lab/controller/c1");
    assert_eq!(accepted.peer.to_string(), "anet://lab/host/h1");
    assert_eq!(client.address, server.address());
    for round in ["one", "", "two"] {
        passes(&client.sender, &mut accepted.receiver, round).await;
        passes(&accepted.sender, &mut client.receiver, round).await;
    }
}

#[tokio::test]
async fn a_reason_arrives_after_all_that_was_sent_before() {
    let (client, mut accepted, _server) = pair(&Settings::default()).await;
    client.sender.try_send("last".into()).unwrap();
    let closing = tokio::spawn(client.sender.close("done for today"));
    assert_eq!(accepted.receiver.receive().await.unwrap(), "last");
    let closed = BusError::Closed {
        reason: "done for today".to_owned(),
    };
    assert_eq!(accepted.receiver.receive().await, Err(closed.clone()));
    assert_eq!(accepted.receiver.receive().await, Err(closed));
    drop((accepted, client.receiver));
    closing.await.unwrap();
}

#[tokio::test]
async fn the_servers_reason_arrives_too() {
    let (mut client, accepted, _server) = pair(&Settings::default()).await;
    accepted.sender.try_send("last".into()).unwrap();
    let closing = tokio::spawn(accepted.sender.close("moved"));
    assert_eq!(client.receiver.receive().await.unwrap(), "last");
    assert_eq!(
        client.receiver.receive().await,
        Err(BusError::Closed {
            reason: "moved".to_owned()
        })
    );
    drop((client, accepted.receiver));
    closing.await.unwrap();
}
