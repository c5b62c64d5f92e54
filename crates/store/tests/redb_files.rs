//! Files that cannot be opened, and why; damage, wherever it is.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Once};
use std::{panic, thread};

use anet_store::redb::{FORMAT, OpenError, Options, RedbStore};
use anet_store::{KeyRange, Operation, Store, StoreError, Transaction, WatchRequest, list};
use redb::{Database, TableDefinition};
use support::{Disk, Folder, runtime};

fn create(path: &Path) -> Result<RedbStore, OpenError> {
    RedbStore::create(path, Options::default())
}

fn open(path: &Path) -> Result<RedbStore, OpenError> {
    RedbStore::open(path, Options::default())
}

/// The error, whose text has to say what to do.
fn refused(outcome: Result<RedbStore, OpenError>, advice: &str) -> OpenError {
    let error = outcome.map(drop).unwrap_err();
    assert!(error.to_string().contains(advice), "{error}");
    error
}

#[test]
fn a_file_in_use_is_refused() {
    let folder = Folder::new();
    let path = folder.path().join("store");
    let store = create(&path).unwrap();
    assert!(matches!(
        refused(open(&path), "stop that one first"),
        OpenError::Locked(_)
    ));
    drop(store);
    assert!(open(&path).is_ok());
}

#[test]
fn a_store_is_made_once_and_only_where_asked() {
    let folder = Folder::new();
    let path = folder.path().join("store");
    assert!(matches!(
        refused(open(&path), "create the store first"),
        OpenError::Missing(_)
    ));
    assert!(!path.exists());
    // What a crash in the midst of it left.
    fs::write(folder.path().join("store.new"), "half").unwrap();
    drop(create(&path).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(
        refused(create(&path), "move it away"),
        OpenError::Exists(_)
    ));
    let nowhere = folder.path().join("missing").join("store");
    assert!(matches!(
        refused(create(&nowhere), "cannot be opened"),
        OpenError::Io { .. }
    ));
}

#[test]
fn another_programs_file_is_refused_and_left_alone() {
    let folder = Folder::new();
    let text = folder.path().join("text");
    fs::write(&text, "something of the user's own".repeat(1_000)).unwrap();
    assert!(matches!(
        refused(open(&text), "check the path"),
        OpenError::Foreign(_)
    ));
    assert!(fs::read_to_string(&text).unwrap().starts_with("something"));

    let database = folder.path().join("database");
    let other = Database::create(&database).unwrap();
    let transaction = other.begin_write().unwrap();
    let table: TableDefinition<'_, u64, u64> = TableDefinition::new("other");
    transaction.open_table(table).unwrap().insert(1, 1).unwrap();
    transaction.commit().unwrap();
    drop(other);
    assert!(matches!(
        refused(open(&database), "check the path"),
        OpenError::Foreign(_)
    ));
}

#[test]
fn an_empty_file_is_no_store() {
    let folder = Folder::new();
    let path = folder.path().join("store");
    fs::write(&path, "").unwrap();
    refused(open(&path), "is not a store");
    assert_eq!(fs::metadata(&path).unwrap().len(), 0, "left alone");
}

#[test]
fn a_newer_format_is_refused() {
    let folder = Folder::new();
    let path = folder.path().join("store");
    drop(create(&path).unwrap());
    let raw = Database::open(&path).unwrap();
    let transaction = raw.begin_write().unwrap();
    let header: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("header");
    let newer = (FORMAT + 1).to_le_bytes();
    let written = transaction
        .open_table(header)
        .unwrap()
        .insert("format", newer.as_slice())
        .map(drop);
    written.unwrap();
    transaction.commit().unwrap();
    drop(raw);
    let error = refused(open(&path), "start the newer version");
    assert!(matches!(error, OpenError::NewerFormat { found, .. } if found == FORMAT + 1));
}

/// A store with keys, history and leases: the bytes that a kill leaves, and everything that can be read of it.
fn sample(disk: &Disk) -> (Vec<u8>, String) {
    runtime().block_on(async {
        let store = RedbStore::open_medium(Arc::new(disk.clone()), Options::default()).unwrap();
        let lease = store.grant(std::time::Duration::from_secs(60)).await.unwrap();
        for number in 0..60u8 {
            let transaction = Transaction::new()
                .then(Operation::put(format!("key/{}", number % 40), vec![number; 200]))
                .then(Operation::put_leased(
                    format!("leased/{}", number % 7),
                    "1",
                    lease.id,
                ))
                .then(Operation::delete(format!("gone/{number}")));
            store.transact(transaction).await.unwrap();
        }
        let killed = disk.content().bytes.clone();
        (killed, everything(&store).await.unwrap())
    })
}

async fn everything(store: &RedbStore) -> Result<String, StoreError> {
    let listing = list(store, &KeyRange::all(), 10).await?;
    let mut watcher = store
        .watch(WatchRequest::new(KeyRange::all(), 2).with_previous())
        .await?;
    let mut events = Vec::new();
    loop {
        let batch = watcher.next().await?;
        events.extend(batch.events);
        if batch.revision == listing.revision {
            return Ok(format!("{listing:?} {events:?}"));
        }
    }
}

/// Opens what is left of a store. redb panics on some of what it did not write, which the store catches: so without the noise.
fn open_quietly(bytes: Vec<u8>) -> Result<RedbStore, OpenError> {
    let outcome = thread::Builder::new()
        .name(QUIET.to_owned())
        .spawn(move || RedbStore::open_medium(Arc::new(Disk::with(bytes)), Options::default()));
    outcome.unwrap().join().unwrap()
}

const QUIET: &str = "quiet";

fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !matches!(thread::current().name(), Some(QUIET | "store-writer")) {
                usual(info);
            }
        }));
    });
}

/// Flips a bit in each of these places; answers how often that was found, and how often it did not matter.
fn flip(sound: &[u8], expected: &str, places: impl Iterator<Item = (usize, u8)>) -> (u32, u32) {
    keep_quiet();
    let (mut found, mut harmless) = (0, 0);
    let runtime = runtime();
    for (at, bit) in places {
        let mut bad = sound.to_vec();
        bad[at] ^= bit;
        match open_quietly(bad) {
            Ok(store) => {
                let content = runtime.block_on(everything(&store)).unwrap();
                assert!(content == expected, "a flipped bit at {at}: {content}");
                // What redb has not looked at yet it finds when it writes.
                match runtime.block_on(store.put(b"key/0".to_vec(), Vec::new())) {
                    Ok(_) => harmless += 1,
                    Err(StoreError::Damaged { .. }) => found += 1,
                    Err(error) => panic!("a flipped bit at {at}: {error}"),
                }
            }
            Err(error) => {
                let text = error.to_string();
                assert!(
                    text.contains("restore") || text.contains("check the path"),
                    "at {at}: {text}"
                );
                found += 1;
            }
        }
    }
    (found, harmless)
}

#[test]
fn damage_anywhere_is_found_or_does_not_matter() {
    let disk = Disk::default();
    let (killed, expected) = sample(&disk);
    let closed = disk.content().bytes.clone();
    for sound in [closed, killed] {
        let step = sound.len() / 800;
        let places = (0..800).map(|index| (index * step + index % step, 1 << (index % 8)));
        let (found, harmless) = flip(&sound, &expected, places);
        assert!(
            found > 30 && harmless > 30,
            "{found} found, {harmless} in free pages"
        );
    }
}

#[test]
fn damage_in_the_header_is_found_or_does_not_matter() {
    let disk = Disk::default();
    let (killed, expected) = sample(&disk);
    let closed = disk.content().bytes.clone();
    let places = || (0..320 * 8).step_by(3).map(|index| (index / 8, 1 << (index % 8)));
    let (found, _) = flip(&closed, &expected, places());
    assert!(found > 100, "{found}");
    // After a kill, redb trusts the byte that says which of the last two commits is the newer one; a bit flipped just there is
    // one commit back, which only those can tell who have seen it.
    let (found, _) = flip(&killed, &expected, places().filter(|(at, _)| *at != 9));
    assert!(found > 100, "{found}");
}

#[test]
fn a_file_that_was_cut_off_is_refused() {
    keep_quiet();
    let disk = Disk::default();
    sample(&disk);
    let sound = disk.content().bytes.clone();
    for length in [
        1,
        100,
        4_096,
        sound.len() / 2,
        sound.len() - 4_096,
        sound.len() - 1,
    ] {
        let outcome = open_quietly(sound[..length].to_vec());
        assert!(outcome.is_err(), "cut to {length} of {}", sound.len());
    }
}

/// Changes the first byte of each place where these bytes stand.
fn spoil(disk: &Disk, value: &[u8]) {
    let mut content = disk.content();
    let places = content.bytes.windows(value.len()).enumerate();
    let places = places.filter(|(_, bytes)| *bytes == value).map(|(at, _)| at);
    let places: Vec<usize> = places.collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| content.bytes[at] ^= 0x20);
}

/// While the store is open: the record's own checksum.
#[test]
fn a_record_that_goes_bad_under_an_open_store_is_found() {
    let disk = Disk::default();
    let options = Options {
        cache_bytes: 0,
        ..Options::default()
    };
    runtime().block_on(async {
        let store = RedbStore::open_medium(Arc::new(disk.clone()), options).unwrap();
        let value = *b"a value that can be found in the pages of the file";
        store.put(b"bad".to_vec(), value.to_vec()).await.unwrap();
        store.put(b"good".to_vec(), Vec::new()).await.unwrap();
        spoil(&disk, &value);
        let error = store.get(b"bad".to_vec()).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("restore the last backup"), "{error}");
        // Others, asked at the same time and so in one commit, do not suffer.
        let get = |key: &str| {
            store.transact(
                Transaction::new()
                    .then(Operation::get(key))
                    .then(Operation::put("other", key)),
            )
        };
        let (bad, good) = tokio::join!(get("bad"), get("good"));
        assert!(matches!(bad, Err(StoreError::Damaged { .. })), "{bad:?}");
        assert!(good.is_ok(), "{good:?}");
    });
}
