//! Ctrl-C and its like, for programs that have something to clean up.

use std::sync::mpsc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::LabError;

/// Calls `work` on a thread of its own when this process is told to stop by SIGINT, SIGTERM or SIGHUP; it gets the signal's name.
/// Signals are caught and not blocked: a blocked one would stay so in every program that is started.
pub fn on_stop(work: impl FnOnce(&'static str) + Send + 'static) -> Result<(), LabError> {
    let (sender, receiver) = mpsc::channel();
    let wait = move || {
        let caught = catch();
        let (runtime, signals) = match caught {
            Ok(caught) => caught,
            Err(error) => {
                let _ = sender.send(Err(error));
                return;
            }
        };
        let _ = sender.send(Ok(()));
        let name = runtime.block_on(first_of(signals));
        work(name);
    };
    let what = || LabError::io("catch signals");
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .map_err(what())?;
    let caught = receiver
        .recv()
        .map_err(|error| what()(std::io::Error::other(error)))?;
    caught.map_err(what())
}

type Caught = (tokio::runtime::Runtime, [Signal; 3]);

fn catch() -> std::io::Result<Caught> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let entered = runtime.enter();
    let signals = [
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    ];
    drop(entered);
    Ok((runtime, signals))
}

async fn first_of([mut interrupt, mut terminate, mut hangup]: [Signal; 3]) -> &'static str {
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        _ = hangup.recv() => "SIGHUP",
    }
}
