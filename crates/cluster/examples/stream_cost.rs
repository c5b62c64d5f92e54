//! What a stream costs: round trips of a small message over loopback with mutual TLS, the time to open one, and the throughput of
//! large messages.
//!
//! `cargo run --release -p anet-cluster --example stream_cost [ROUND TRIPS]`

use std::error::Error;
use std::time::{Duration, Instant};

use anet_cluster::Bytes;
use anet_cluster::bus::direct::{Server, Settings, Stream, connect};
use anet_cluster::trust::{Authority, ClientTls, Clock, Names, Role, ServerTls};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let rounds = std::env::args().nth(1).map_or(Ok(20_000), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(measure(rounds))
}

async fn measure(rounds: usize) -> Outcome<()> {
    let clock = Clock::system();
    let authority = Authority::generate("cost", clock.now())?;
    let member = |role, name| authority.credentials(role, name, Names::none(), clock.now());
    let tls = ServerTls::new(&member(Role::Controller, "c1")?, &[Role::Host], clock.clone())?;
    let client_tls = ClientTls::new(&member(Role::Host, "h1")?, Role::Controller, clock.clone())?;
    let settings = Settings::default();
    let mut server = Server::bind("127.0.0.1:0".parse()?, tls, settings.clone()).await?;
    let endpoints = [server.address().to_string()];
    tokio::spawn(async move {
        loop {
            let stream = server.accept_stream().await;
            tokio::spawn(echo(stream));
        }
    });
    let mut opened = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        drop(connect(&endpoints, &client_tls, &settings).await?);
        opened.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    report("open a stream", &mut opened);
    let mut stream = connect(&endpoints, &client_tls, &settings).await?;
    for size in [100, 10_000] {
        let mut trips = round_trips(&mut stream, size, rounds).await?;
        report(&format!("round trip of {size} bytes"), &mut trips);
    }
    let begun = Instant::now();
    let trips = round_trips(&mut stream, 4 * 1024 * 1024, 50).await?;
    let mebibytes = trips.len() as f64 * 8.0;
    println!(
        "large messages: {:.0} MiB/s, both directions added",
        mebibytes / begun.elapsed().as_secs_f64()
    );
    Ok(())
}

async fn echo(mut stream: Stream) {
    while let Ok(message) = stream.receiver.receive().await {
        if stream.sender.send(message).await.is_err() {
            return;
        }
    }
}

async fn round_trips(stream: &mut Stream, size: usize, rounds: usize) -> Outcome<Vec<Duration>> {
    let message = Bytes::from(vec![1; size]);
    let mut trips = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begun = Instant::now();
        stream.sender.send(message.clone()).await?;
        stream.receiver.receive().await?;
        trips.push(begun.elapsed());
    }
    Ok(trips)
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    println!(
        "{what}: p50 {:.0} us, p99 {:.0} us, {} times",
        at(0.5),
        at(0.99),
        times.len()
    );
}
