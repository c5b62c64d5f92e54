//! Takes away what nobody needs any more: join tokens that have ended, and who used one, a week later.

use std::time::Duration;

use anet_store::{Compare, KeyRange, KeyValue, Operation, StoreError, Transaction, list};

use crate::core::admit::join::{JoinToken, REMEMBERED_SECONDS, UsedToken};
use crate::core::{keys, record};
use crate::driver::Driver;

/// How often it is looked.
const PAUSE: Duration = Duration::from_secs(3_600);
/// Keys that are read at once.
const PAGE: usize = 1_000;

/// Sweeps for ever.
pub async fn sweep(driver: &Driver) {
    loop {
        // What the store could not do now, it is asked for again.
        let _ = once(driver).await;
        driver.timer.sleep(PAUSE).await;
    }
}

/// Sweeps once; answers how many records went.
pub async fn once(driver: &Driver) -> Result<usize, StoreError> {
    let before = driver.now().wall_ms / 1_000 - REMEMBERED_SECONDS;
    let ended = |value: &[u8]| {
        let token = record::decode::<JoinToken>("a join token", value);
        token.is_ok_and(|token| token.expires_at < before)
    };
    let used = |value: &[u8]| {
        let used = record::decode::<UsedToken>("a used token", value);
        used.is_ok_and(|used| used.used_at < before)
    };
    let tokens = range(driver, &keys::join_tokens(), ended).await?;
    Ok(tokens + range(driver, &keys::used_tokens(), used).await?)
}

async fn range(
    driver: &Driver,
    range: &KeyRange,
    is_over: impl Fn(&[u8]) -> bool,
) -> Result<usize, StoreError> {
    let mut gone = 0;
    for entry in list(&*driver.store, range, PAGE).await?.entries {
        if is_over(&entry.value) && driver.store.transact(removal(entry)).await?.succeeded() {
            gone += 1;
        }
    }
    Ok(gone)
}

/// Takes a record away as it was read. No mirror follows it, so that no counter is put.
fn removal(entry: KeyValue) -> Transaction {
    Transaction::new()
        .when(Compare::ModRevision(entry.key.clone(), entry.mod_revision))
        .then(Operation::delete(entry.key))
}
