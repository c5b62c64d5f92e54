//! The table in a file, as the next process finds it.

use std::path::PathBuf;

use anet_memory::shared_file::{Opened, SharedFile};

use super::*;

/// A path of this test's own; what is there goes with it.
struct Path(PathBuf);

impl Path {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("anet-connections-test-{}", std::process::id())))
    }

    fn open(&self, capacity: u32) -> (Opened, Connections, Recovered) {
        let (file, opened) = SharedFile::open(&self.0, &file_layout(capacity)).unwrap();
        let (table, recovered) = Connections::open(file.into_words(), config()).unwrap();
        (opened, table, recovered)
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_file_keeps_every_connection_and_its_lock_as_long_as_the_table() {
    let path = Path::new();
    let (opened, table, _) = path.open(1_000);
    assert_eq!((opened, table.capacity()), (Opened::Fresh, 1_000));
    for n in 0..500 {
        let id = table.create(zone(1), &tuple(protocol::UDP, n), new()).unwrap().id;
        table.half(id, Direction::Original).unwrap().touch(NOW, 100, 0);
    }
    let held = SharedFile::open(&path.0, &file_layout(1_000));
    assert!(held.is_err(), "two processes in one table");
    let before: Vec<Connection> = table.iter(NOW, Filter::default()).collect();
    drop(table);
    let (opened, table, recovered) = path.open(1_000);
    assert_eq!(
        (opened, recovered),
        (
            Opened::Found,
            Recovered {
                kept: 500,
                discarded: 0
            }
        )
    );
    assert_eq!(table.iter(NOW, Filter::default()).collect::<Vec<_>>(), before);
    check(&table);
}
