//! Readings, on tokio's blocking threads.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::engine::Tables;
use crate::error::StoreError;
use crate::record::Revision;
use crate::redb::database::Database;

/// The reading side of a store.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    database: Arc<Database>,
    /// The newest revision that was committed; closed when the store is.
    pub(super) revisions: watch::Receiver<Revision>,
}

impl Reader {
    pub(super) const fn new(database: Arc<Database>, revisions: watch::Receiver<Revision>) -> Self {
        Self { database, revisions }
    }

    /// Reads as of now.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        reading: impl FnOnce(&dyn Tables) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = self.database.clone();
        let task = spawn_blocking(move || database.read(|view| reading(view)));
        match task.await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => Err(StoreError::Damaged {
                path: self.database.path().to_owned(),
                what: "its pages do not fit together".to_owned(),
            }),
            Err(error) => Err(StoreError::Unavailable {
                reason: error.to_string(),
            }),
        }
    }
}
