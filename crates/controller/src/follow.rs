//! Keeps the mirror as the store is: lists, watches, and once a second asks the counter whether the watch has lost something.

use std::time::Duration;

use anet_store::{KeyRange, Listing, RangeRequest, Revision, StoreError, WatchRequest, Watcher, list};

use crate::core::events::EventKind;
use crate::core::keys;
use crate::driver::Driver;
use crate::error::StartError;

/// Keys that are read at once.
const PAGE: usize = 1_000;
/// How often the counter is asked.
const CHECK: Duration = Duration::from_secs(1);
/// The pause when the store does not answer.
const PAUSE: Duration = Duration::from_millis(200);

/// Why following ended for now.
enum End {
    /// List and watch again.
    Again,
    /// What is in the store cannot be used.
    Fatal(StartError),
}

impl From<StoreError> for End {
    fn from(_: StoreError) -> Self {
        End::Again
    }
}

/// Reads everything; answers the revision it is as of.
pub async fn load(driver: &Driver) -> Result<Revision, StartError> {
    let listing = list(&*driver.store, &keys::objects(), PAGE).await?;
    let counter = at(driver, keys::COUNTER, listing.revision).await?;
    let cluster = at(driver, keys::CLUSTER, listing.revision).await?;
    take(driver, &listing, counter.as_ref(), cluster.as_ref())?;
    Ok(listing.revision)
}

async fn at(
    driver: &Driver,
    key: &[u8],
    revision: Revision,
) -> Result<Option<anet_store::KeyValue>, StoreError> {
    let request = RangeRequest::new(KeyRange::key(key)).at(revision);
    Ok(driver.store.range(request).await?.entries.into_iter().next())
}

fn take(
    driver: &Driver,
    listing: &Listing,
    counter: Option<&anet_store::KeyValue>,
    cluster: Option<&anet_store::KeyValue>,
) -> Result<(), StartError> {
    let taken = driver.act(|state, now| match state.list(listing, counter, cluster, now) {
        Ok(effects) => (effects, Ok(())),
        Err(error) => (Vec::new(), Err(error)),
    });
    Ok(taken?)
}

/// Follows for ever, from the revision that was loaded; answers why it cannot go on.
pub async fn follow(driver: &Driver, loaded: Revision) -> StartError {
    let mut from = loaded;
    loop {
        match watch(driver, from).await {
            Err(End::Fatal(error)) => return error,
            Ok(()) | Err(End::Again) => {}
        }
        loop {
            match load(driver).await {
                Ok(revision) => {
                    from = revision;
                    break;
                }
                Err(StartError::Use(_)) => driver.timer.sleep(PAUSE).await,
                Err(error) => return error,
            }
        }
    }
}

async fn watch(driver: &Driver, from: Revision) -> Result<(), End> {
    let mut watcher = driver
        .store
        .watch(WatchRequest::new(keys::watched(), from + 1))
        .await?;
    let mut check = driver.timer.sleep(Duration::ZERO);
    let mut missing = None;
    loop {
        // In this order: whatever the watch brings, sessions get their ticks.
        tokio::select! {
            biased;
            () = &mut check => {
                look(driver, &mut *watcher, &mut missing).await?;
                check = driver.timer.sleep(CHECK);
            }
            () = driver.behind.notified() => look(driver, &mut *watcher, &mut missing).await?,
            batch = watcher.next() => {
                let batch = batch?;
                let followed = driver.act(|state, now| match state.follow(&batch, now) {
                    Ok(Some(effects)) => (effects, Ok(true)),
                    Ok(None) => (Vec::new(), Ok(false)),
                    Err(error) => (Vec::new(), Err(error)),
                });
                if !followed.map_err(|error| End::Fatal(error.into()))? {
                    driver.tell(EventKind::WatchRepaired, None, "the store's watch lost a change; all was read anew");
                    return Ok(());
                }
            }
        }
    }
}

/// Asks the counter. What was missing already the last time is lost, even if nothing comes behind it.
async fn look(driver: &Driver, watcher: &mut dyn Watcher, missing: &mut Option<Revision>) -> Result<(), End> {
    let (counter, revision) = driver.counter().await?;
    let (known, has) = {
        let state = driver.state();
        (state.mirror().revision(), state.mirror().has(counter))
    };
    if has {
        *missing = None;
        driver.act(|state, now| {
            state.mirror_mut().advance(counter, revision);
            (state.tick(now), ())
        });
        return Ok(());
    }
    if missing.is_some_and(|missing| known < missing) {
        driver.tell(
            EventKind::WatchRepaired,
            None,
            "the store's watch lost its last change; all was read anew",
        );
        return Err(End::Again);
    }
    *missing = Some(counter);
    watcher.request_progress();
    Ok(())
}
