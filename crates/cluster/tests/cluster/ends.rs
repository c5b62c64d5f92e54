//! How streams end when nobody says goodbye: killed processes, dead networks, slow readers; and many streams at once.

use std::net::SocketAddr;
use std::time::Duration;

use anet_cluster::Bytes;
use anet_cluster::bus::direct::{BusError, MESSAGE_MAXIMUM, SendError, Settings, connect};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::support::{authority, client_tls, join, pair, passes, server, server_tls};

/// What the network between two ends does.
#[derive(Clone, Copy, PartialEq)]
enum Network {
    Whole,
    /// Nothing arrives any more, and nobody says so.
    Silent,
}

/// A network that can fail, in front of `server`.
async fn network(server: SocketAddr) -> (SocketAddr, watch::Sender<Network>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, state) = watch::channel(Network::Whole);
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(server).await.unwrap();
        let mut silent = state.clone();
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => {}
            _ = silent.wait_for(|state| *state == Network::Silent) => {}
        }
        // Both connections stay open until the test is over.
        let _ = silent.wait_for(|_| false).await;
    });
    (address, sender)
}

fn impatient() -> Settings {
    Settings {
        ping_interval: Duration::from_millis(100),
        ping_timeout: Duration::from_secs(1),
        ..Settings::default()
    }
}

#[tokio::test]
async fn both_sides_notice_a_network_that_went_silent() {
    let authority = authority();
    let mut server = server(server_tls(&authority), &impatient()).await;
    let (address, network) = network(server.address()).await;
    let (tls, settings) = (client_tls(&authority, "h1"), impatient());
    let endpoints = [address.to_string()];
    let (client, mut accepted) = tokio::join!(connect(&endpoints, &tls, &settings), server.accept_stream());
    let mut client = client.unwrap();
    passes(&client.sender, &mut accepted.receiver, "before").await;
    network.send(Network::Silent).unwrap();
    let (near, far) = tokio::join!(client.receiver.receive(), accepted.receiver.receive());
    for end in [near, far] {
        assert_eq!(
            end.unwrap_err().to_string(),
            "connection lost: the other side does not answer any more"
        );
    }
    while client.sender.try_send("after".into()) != Err(SendError::Ended) {
        tokio::task::yield_now().await;
    }
}

/// An idle stream outlives many pings.
#[tokio::test]
async fn an_idle_stream_stays() {
    let (client, mut accepted, _server) = pair(&impatient()).await;
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    passes(&client.sender, &mut accepted.receiver, "still there").await;
}

/// A runtime with one end of a stream, that ends as a killed process does: without a word.
fn killed<T: Send + 'static>(end: impl Future<Output = T> + Send + 'static) -> (tokio::runtime::Runtime, T) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let held = runtime.block_on(end);
    (runtime, held)
}

#[test]
fn the_server_notices_a_killed_client() {
    let here = tokio::runtime::Runtime::new().unwrap();
    let authority = authority();
    let mut server = here.block_on(server(server_tls(&authority), &Settings::default()));
    let (endpoints, tls) = ([server.address().to_string()], client_tls(&authority, "h1"));
    let (other, client) =
        killed(async move { connect(&endpoints, &tls, &Settings::default()).await.unwrap() });
    let mut accepted = here.block_on(server.accept_stream());
    other.shutdown_background();
    let error = here.block_on(accepted.receiver.receive()).unwrap_err();
    assert!(matches!(error, BusError::Lost { .. }), "{error:?}");
    drop(client);
}

#[test]
fn the_client_notices_a_killed_server() {
    let here = tokio::runtime::Runtime::new().unwrap();
    let authority = authority();
    let (tls, server_tls) = (client_tls(&authority, "h1"), server_tls(&authority));
    let (other, mut server) = killed(async move { server(server_tls, &Settings::default()).await });
    let endpoints = [server.address().to_string()];
    let mut client = here
        .block_on(connect(&endpoints, &tls, &Settings::default()))
        .unwrap();
    let accepted = other.block_on(server.accept_stream());
    other.shutdown_background();
    let error = here.block_on(client.receiver.receive()).unwrap_err();
    assert!(matches!(error, BusError::Lost { .. }), "{error:?}");
    drop((accepted, server));
}

#[tokio::test]
async fn an_end_without_a_word_is_told_as_such() {
    let (client, mut accepted, _server) = pair(&Settings::default()).await;
    drop(client);
    let error = accepted.receiver.receive().await.unwrap_err();
    assert!(matches!(error, BusError::Lost { .. }), "{error:?}");
    let (mut client, accepted, _server) = pair(&Settings::default()).await;
    drop(accepted);
    let error = client.receiver.receive().await.unwrap_err();
    assert!(matches!(error, BusError::Lost { .. }), "{error:?}");
}

#[tokio::test]
async fn the_largest_message_passes_whole_in_both_directions_and_a_larger_one_is_not_taken() {
    let (mut client, mut accepted, _server) = pair(&Settings::default()).await;
    let message: Bytes = (0..MESSAGE_MAXIMUM).map(|at| (at % 251) as u8).collect();
    client.sender.try_send(message.clone()).unwrap();
    accepted.sender.try_send(message.clone()).unwrap();
    let (near, far) = tokio::join!(client.receiver.receive(), accepted.receiver.receive());
    assert!(near.unwrap() == message && far.unwrap() == message);
    let larger = Bytes::from(vec![0; MESSAGE_MAXIMUM + 1]);
    let refused = Err(SendError::TooLarge {
        length: MESSAGE_MAXIMUM + 1,
    });
    assert_eq!(client.sender.try_send(larger.clone()), refused);
    assert_eq!(client.sender.send(larger).await, refused);
    passes(&client.sender, &mut accepted.receiver, "and goes on").await;
}

#[tokio::test]
async fn a_slow_reader_costs_the_sender_no_more_than_its_queue() {
    let settings = Settings {
        queue_messages: 1_000,
        queue_bytes: 0,
        ..impatient()
    };
    let (client, mut accepted, _server) = pair(&settings).await;
    let piece = Bytes::from(vec![7; 1024 * 1024]);
    let mut taken = 0_u64;
    // HTTP/2 takes a little and no more; what then waits is bounded in bytes.
    let full = loop {
        match accepted.sender.try_send(piece.clone()) {
            Ok(()) => taken += 1,
            Err(full) => break full,
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    assert_eq!(
        full,
        SendError::Full {
            messages: 16,
            bytes: MESSAGE_MAXIMUM
        }
    );
    assert!(taken < 16 + 8, "{taken} MiB were taken while nobody read");
    // The slow side still answers pings, and what was taken arrives once it reads.
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    let mut receiver = client.receiver;
    for _ in 0..taken {
        assert_eq!(receiver.receive().await.unwrap().len(), piece.len());
    }
    passes(&accepted.sender, &mut receiver, "goes on").await;
    passes(&client.sender, &mut accepted.receiver, "the other way too").await;
}

#[tokio::test]
async fn a_full_queue_by_count_is_told_and_waiting_for_room_goes_on_when_there_is() {
    let settings = Settings {
        queue_messages: 4,
        ..Settings::default()
    };
    let (mut client, accepted, _server) = pair(&settings).await;
    // No task runs between these, so that nothing is taken out of the queue.
    let sent = (0..5)
        .map(|_| accepted.sender.try_send("x".into()))
        .collect::<Vec<_>>();
    assert_eq!(sent[..4], [Ok(()); 4]);
    assert_eq!(
        sent[4],
        Err(SendError::Full {
            messages: 4,
            bytes: 4
        })
    );
    let sender = accepted.sender;
    let waiting = tokio::spawn(async move {
        let outcome = sender.send("last".into()).await;
        (sender, outcome)
    });
    for _ in 0..4 {
        assert_eq!(client.receiver.receive().await.unwrap(), "x");
    }
    assert_eq!(client.receiver.receive().await.unwrap(), "last");
    assert_eq!(waiting.await.unwrap().1, Ok(()));
}

#[tokio::test]
async fn a_sender_that_waits_for_room_hears_of_the_end() {
    let settings = Settings {
        queue_messages: 2,
        grace: Duration::from_millis(50),
        ..Settings::default()
    };
    let (client, accepted, _server) = pair(&settings).await;
    let sender = accepted.sender;
    let waiting = tokio::spawn(async move {
        loop {
            if let Err(error) = sender.send(Bytes::from(vec![0; 1024 * 1024])).await {
                return error;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop((client, accepted.receiver));
    assert_eq!(waiting.await.unwrap(), SendError::Ended);
}

#[tokio::test]
async fn a_receive_that_is_given_up_loses_nothing() {
    let (client, mut accepted, _server) = pair(&Settings::default()).await;
    let sending = tokio::spawn(async move {
        for number in 0..400_u32 {
            client
                .sender
                .send(Bytes::from(vec![number as u8; 1 + number as usize * 37]))
                .await
                .unwrap();
        }
        client
    });
    let mut next = 0_u32;
    while next < 400 {
        // Given up at every chance.
        let received = tokio::select! {
            biased;
            received = accepted.receiver.receive() => received.unwrap(),
            () = tokio::task::yield_now() => continue,
        };
        assert_eq!(received, vec![next as u8; 1 + next as usize * 37]);
        next += 1;
    }
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn many_streams_live_beside_each_other() {
    let authority = authority();
    let settings = Settings::default();
    let mut server = server(server_tls(&authority), &settings).await;
    let mut streams = Vec::new();
    for number in 0..64 {
        let tls = client_tls(&authority, &format!("h{number}"));
        let (client, accepted) = join(&mut server, &tls, &settings).await;
        assert_eq!(accepted.peer.identity.name(), format!("h{number}"));
        streams.push((client, accepted));
    }
    for (number, (client, accepted)) in streams.iter().enumerate() {
        client.sender.try_send(number.to_string().into()).unwrap();
        accepted.sender.try_send(number.to_string().into()).unwrap();
    }
    for (number, (client, accepted)) in streams.iter_mut().enumerate() {
        assert_eq!(client.receiver.receive().await.unwrap(), number.to_string());
        assert_eq!(accepted.receiver.receive().await.unwrap(), number.to_string());
    }
    // The end of the server ends none of them.
    drop(server);
    let (client, accepted) = &mut streams[63];
    passes(&client.sender, &mut accepted.receiver, "alone").await;
}

#[tokio::test]
async fn what_was_sent_before_a_stream_is_dropped_arrives() {
    for _ in 0..20 {
        let (client, mut accepted, _server) = pair(&Settings::default()).await;
        client.sender.try_send("last".into()).unwrap();
        drop(client);
        assert_eq!(accepted.receiver.receive().await.unwrap(), "last");
        assert!(accepted.receiver.receive().await.is_err());
        let (mut client, accepted, _server) = pair(&Settings::default()).await;
        accepted.sender.try_send("last".into()).unwrap();
        drop(accepted);
        assert_eq!(client.receiver.receive().await.unwrap(), "last");
        assert!(client.receiver.receive().await.is_err());
    }
}

#[tokio::test]
async fn what_arrives_for_a_dropped_receiver_is_thrown_away_and_the_other_direction_goes_on() {
    let (client, mut accepted, _server) = pair(&Settings {
        queue_messages: 4,
        ..Settings::default()
    })
    .await;
    drop(client.receiver);
    for _ in 0..40 {
        accepted
            .sender
            .send(Bytes::from(vec![0; 1024 * 1024]))
            .await
            .unwrap();
    }
    passes(&client.sender, &mut accepted.receiver, "still").await;
}

/// A peer that reads nothing hears no reason either: the connection is cut, and both halves here hear of it.
#[tokio::test]
async fn closing_ends_the_stream_of_a_peer_that_never_reads() {
    let settings = Settings {
        queue_bytes: 0,
        grace: Duration::from_millis(100),
        ..Settings::default()
    };
    let (client, mut accepted, _server) = pair(&settings).await;
    let piece = Bytes::from(vec![7; 1024 * 1024]);
    while accepted.sender.try_send(piece.clone()).is_ok() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let closing = tokio::spawn(accepted.sender.close("too slow"));
    let lost = BusError::Lost {
        reason: "closed here".to_owned(),
    };
    assert_eq!(accepted.receiver.receive().await, Err(lost));
    closing.await.unwrap();
    // The same from the other side.
    let (mut client, accepted) = (client, accepted.receiver);
    drop(accepted);
    while client.receiver.receive().await.is_ok() {}
    let (mut client, accepted, _server) = pair(&settings).await;
    while client.sender.try_send(piece.clone()).is_ok() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::spawn(client.sender.close("too slow"));
    assert!(matches!(
        client.receiver.receive().await,
        Err(BusError::Lost { .. })
    ));
    drop(accepted);
}
