//! The open file, and opening it anew after a failed write.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redb::{Durability, ReadableDatabase, TableError, WriteTransaction};

use crate::engine::Tables;
use crate::error::StoreError;
use crate::record::{LeaseId, Revision};
use crate::redb::error::{OpenError, of_redb};
use crate::redb::medium::Medium;
use crate::redb::quiet::caught;
use crate::redb::tables::{FORMAT_KEY, HEADER, ReadView, WriteView};
use crate::redb::verify::verify;
use crate::redb::{FORMAT, Options};

/// The open file.
#[derive(Debug)]
pub(super) struct Database {
    medium: Arc<dyn Medium>,
    pub(super) options: Options,
    /// `None` while it could not be opened anew.
    open: RwLock<Option<Closing>>,
}

/// Closes a database. redb writes when it does, and may panic on what is damaged.
#[derive(Debug)]
struct Closing(Option<redb::Database>);

impl Drop for Closing {
    fn drop(&mut self) {
        let database = self.0.take();
        let _failed = caught(|| drop(database));
    }
}

/// What came of a commit that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// It is in the file.
    Committed,
    /// It is not.
    NotCommitted,
}

impl Database {
    /// Opens it and reads it through; a new one gets its tables.
    pub(super) fn open(medium: Arc<dyn Medium>, options: Options) -> Result<Self, OpenError> {
        let path = medium.path();
        let new = medium.is_new();
        let mut database = open_checked(medium.as_ref(), &options)?;
        let attempt = || match &mut database.0 {
            Some(database) => prepare(path, database, new, options.verify),
            None => Ok(()),
        };
        caught(attempt).unwrap_or_else(|| Err(panicked(path)))?;
        Ok(Self {
            open: RwLock::new(Some(database)),
            medium,
            options,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.medium.path()
    }

    /// Runs a reading.
    pub(super) fn read<T>(
        &self,
        reading: impl FnOnce(&ReadView<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let database = open.as_ref().and_then(|open| open.0.as_ref());
        let database = database.ok_or_else(|| self.closed())?;
        let transaction = database
            .begin_read()
            .map_err(|error| of_redb(self.path(), error))?;
        reading(&ReadView::open(self.path(), &transaction)?)
    }

    /// Runs something on a new write transaction.
    pub(super) fn write<T>(
        &self,
        writing: impl FnOnce(WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let database = open.as_ref().and_then(|open| open.0.as_ref());
        let database = database.ok_or_else(|| self.closed())?;
        writing(begin_write(self.path(), database)?)
    }

    /// Every lease and how long it lives, and the newest revision: what the writer begins with.
    pub(super) fn beginning(&self) -> Result<(Vec<(LeaseId, Duration)>, Revision), StoreError> {
        self.read(|view| Ok((view.all_leases()?, view.position().revision)))
    }

    /// True where it has to be opened anew before anything else.
    pub(super) fn is_closed(&self) -> bool {
        self.open.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Closes the file and opens it again, as redb wants it after a failure; says whether there are `commits` in it.
    pub(super) fn open_anew(&self, commits: u64) -> Result<Settled, StoreError> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        // First closed, since it is locked.
        *open = None;
        let database =
            open_checked(self.medium.as_ref(), &self.options).map_err(|error| StoreError::Unavailable {
                reason: error.to_string(),
            })?;
        *open = Some(database);
        drop(open);
        match self.read(|view| Ok(view.commits))? >= commits {
            true => Ok(Settled::Committed),
            false => Ok(Settled::NotCommitted),
        }
    }

    fn closed(&self) -> StoreError {
        StoreError::Unavailable {
            reason: format!(
                "{} could not be opened again after a failed write",
                self.path().display()
            ),
        }
    }
}

fn panicked(path: &Path) -> OpenError {
    OpenError::damaged(path, "its pages do not fit together")
}

/// redb may panic on what it did not write.
fn open_checked(medium: &dyn Medium, options: &Options) -> Result<Closing, OpenError> {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(options.cache_bytes);
    let path = medium.path();
    let opened = caught(|| medium.open(&builder)).ok_or_else(|| panicked(path))?;
    let opened = opened.map_err(|error| OpenError::of_database(path, error))?;
    Ok(Closing(Some(opened)))
}

fn begin_write(path: &Path, database: &redb::Database) -> Result<WriteTransaction, StoreError> {
    let mut transaction = database.begin_write().map_err(|error| of_redb(path, error))?;
    let durable = transaction.set_durability(Durability::Immediate);
    durable.map_err(|error| StoreError::Unavailable {
        reason: error.to_string(),
    })?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

fn prepare(path: &Path, database: &mut redb::Database, new: bool, thorough: bool) -> Result<(), OpenError> {
    match format(path, database)? {
        Some(FORMAT) => {}
        Some(found) if found > FORMAT => {
            let path = path.to_owned();
            return Err(OpenError::NewerFormat { path, found });
        }
        Some(_) => return Err(OpenError::damaged(path, "there was never a format 0")),
        None if new => make(path, database)?,
        // A store never has nothing in it.
        None => return Err(OpenError::Foreign(path.to_owned())),
    }
    if thorough {
        // False: it has put its list of free pages in order. It would not go back to an older commit.
        let checked = database.check_integrity();
        checked.map_err(|error| OpenError::of_database(path, error))?;
        let transaction = database.begin_read().map_err(|error| of_redb(path, error));
        let view = transaction.and_then(|transaction| {
            let view = ReadView::open(path, &transaction)?;
            verify(&view)
        });
        view.map_err(|error| of_store(path, error))?;
    }
    Ok(())
}

/// The format; `None` where the database has nothing in it yet.
fn format(path: &Path, database: &redb::Database) -> Result<Option<u32>, OpenError> {
    let storage = |error| of_store(path, of_redb(path, error));
    let transaction = database
        .begin_read()
        .map_err(|error| of_store(path, of_redb(path, error)))?;
    let header = match transaction.open_table(HEADER) {
        Ok(header) => header,
        Err(TableError::TableDoesNotExist(_)) => {
            let mut others = transaction.list_tables().map_err(storage)?;
            return match others.next() {
                Some(_) => Err(OpenError::Foreign(path.to_owned())),
                None => Ok(None),
            };
        }
        Err(TableError::Storage(error)) => return Err(storage(error)),
        Err(_) => return Err(OpenError::Foreign(path.to_owned())),
    };
    let format = header.get(FORMAT_KEY).map_err(storage)?;
    let format = format.ok_or_else(|| OpenError::Foreign(path.to_owned()))?;
    let number = format.value().try_into().map(u32::from_le_bytes);
    let number = number.map_err(|_| OpenError::damaged(path, "its format is no number"))?;
    Ok(Some(number))
}

fn make(path: &Path, database: &redb::Database) -> Result<(), OpenError> {
    let made = begin_write(path, database).and_then(|transaction| {
        WriteView::make(path, &transaction, FORMAT)?;
        transaction.commit().map_err(|error| of_redb(path, error))
    });
    made.map_err(|error| of_store(path, error))
}

fn of_store(path: &Path, error: StoreError) -> OpenError {
    let path = path.to_owned();
    match error {
        StoreError::Damaged { what, .. } => OpenError::Damaged { path, what },
        other => OpenError::Io {
            path,
            source: std::io::Error::other(other),
        },
    }
}
