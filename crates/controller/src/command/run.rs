//! The running controller: everything is opened, then everything is served, until a signal ends it.

use std::sync::Arc;
use std::time::SystemTime;

use anet_cluster::bus::direct::{Server, Settings as StreamSettings};
use anet_cluster::trust::{
    Authority, Clock, Credentials, Names, Role, ServerTls, Signer, server_config_without_client,
};
use anet_store::redb::{Options as StoreOptions, RedbStore};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::configuration::Configuration;
use crate::core::SOFTWARE;
use crate::error::StartError;
use crate::follow;
use crate::rest::serve::{Limits, serve};
use crate::shared::Shared;
use crate::streams::{Streams, accept, carry_out};
use crate::sweep::sweep;
use crate::tokens::Tokens;

/// Runs until it is told to end.
pub fn run(configuration: Configuration) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| StartError::Setting(format!("no runtime: {error}")))?;
    let ended = runtime.block_on(serve_all(configuration));
    // Readings that are under way are not waited for.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    ended
}

async fn serve_all(configuration: Configuration) -> Result<(), StartError> {
    let folder = configuration.folder.clone();
    let tokens = Tokens::open(&folder.tokens())?;
    let authority = Authority::load(folder.path())?;
    let credentials = credentials(&authority, &configuration)?;
    let listener = listen(&configuration).await?;
    let streams_tls = ServerTls::new(&credentials, &[Role::Host], Clock::system())?;
    let server = Server::bind(configuration.listen_hosts, streams_tls, StreamSettings::default()).await;
    let server = server.map_err(|error| StartError::Streams { error })?;
    let store = Arc::new(RedbStore::open(folder.store(), store_options())?);
    let tls = Arc::new(server_config_without_client(&credentials, Clock::system())?);
    let (shared, effects) = Shared::new(store, configuration, tokens, authority);
    let loaded = follow::load(&shared.driver).await?;
    let streams = Arc::new(Streams::default());
    tokio::spawn(carry_out(
        shared.clone(),
        streams.clone(),
        Signer::new(&credentials),
        effects,
    ));
    tokio::spawn(accept(shared.clone(), streams, server));
    tokio::spawn(serve(shared.clone(), listener, tls, Limits::default()));
    let swept = shared.clone();
    tokio::spawn(async move { sweep(&swept.driver).await });
    println!(
        "{SOFTWARE} serves {} and hosts on {}",
        shared.configuration.url(),
        shared.configuration.listen_hosts
    );
    tokio::select! {
        error = follow::follow(&shared.driver, loaded) => Err(error),
        ended = told_to_end() => ended,
    }
}

/// All that is read often stands in the mirror; the store itself needs memory for its writes only.
fn store_options() -> StoreOptions {
    StoreOptions {
        cache_bytes: 8 * 1024 * 1024,
        ..StoreOptions::default()
    }
}

/// New ones at each start: names may have changed, and nothing pins the old key.
fn credentials(authority: &Authority, configuration: &Configuration) -> Result<Credentials, StartError> {
    let names = configuration.names();
    let names = Names::parse(names.iter().map(String::as_str));
    Ok(authority.credentials(Role::Controller, "controller", names, SystemTime::now())?)
}

async fn listen(configuration: &Configuration) -> Result<TcpListener, StartError> {
    let address = configuration.listen_api;
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen {
            address,
            what: "the API",
            option: "--listen-api",
            source,
        })
}

async fn told_to_end() -> Result<(), StartError> {
    let handler =
        |kind| signal(kind).map_err(|error| StartError::Setting(format!("no signal handler: {error}")));
    let (mut terminate, mut interrupt) = (
        handler(SignalKind::terminate())?,
        handler(SignalKind::interrupt())?,
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
