//! The connection file: arbitrary words are opened as a connection table, and used.

use std::sync::atomic::Ordering;

use anet_datapath::connections::{Config, Connections, Filter, New, PortIdentity, Timeouts, words_for};
use anet_memory::words::Words;
use anet_packet::addr::Vni;
use anet_packet::{Tuple, layout};

use crate::fabric;

const CAPACITY: u32 = 8;
const NOW: u64 = 1_000_000_000_000;

fn config() -> Config {
    Config {
        shards: 2,
        seed: 9,
        now: NOW,
    }
}

fn tuples() -> Vec<Tuple> {
    let frames = [
        fabric::udp("a", "b", (9, 53)).build(),
        fabric::tcp("a", "p", (9, 80), 2).build(),
        fabric::ping("a", "b", 3).build(),
        fabric::udp6("a", "u", (9, 53)).build(),
    ];
    let tuple = |frame: &Vec<u8>| Tuple::of(frame, &layout(frame, frame.len()).unwrap()).unwrap();
    frames.iter().map(tuple).collect()
}

fn new() -> New {
    New {
        originator: PortIdentity::of("a"),
        responder: PortIdentity::REMOTE,
        limit: 100,
        tcp_flags: 2,
        picked_up: false,
        now: NOW,
    }
}

/// A table with some connections, one with none, and words that are none.
pub fn seeds() -> Vec<Vec<u8>> {
    let made = |count: usize| {
        let words = Words::anonymous(words_for(CAPACITY)).unwrap();
        let (table, _) = Connections::open(words, config()).unwrap();
        for tuple in &tuples()[..count] {
            table.create(Vni::new(5).unwrap(), tuple, new()).unwrap();
        }
        let words = table.words().iter();
        words
            .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
            .collect()
    };
    vec![made(4), made(2), made(0)]
}

/// Opened or refused; where it was opened it agrees with itself, whatever is done to it.
pub fn target(bytes: &[u8]) {
    let words = Words::anonymous(words_for(CAPACITY)).unwrap();
    for (word, chunk) in words.iter().zip(bytes.chunks_exact(8)) {
        word.store(u64::from_le_bytes(chunk.try_into().unwrap()), Ordering::Relaxed);
    }
    let Ok((table, recovered)) = Connections::open(words, config()) else {
        return;
    };
    assert_eq!(recovered.kept as usize, table.len());
    agrees(&table);
    let zone = Vni::new(5).unwrap();
    for tuple in tuples() {
        let _ = table.find(zone, &tuple);
        if let Ok(created) = table.create(zone, &tuple, new()) {
            assert_eq!(table.find(zone, &tuple).map(|found| found.id), Some(created.id));
            table
                .half(created.id, created.direction)
                .expect("it is there")
                .touch(NOW, 60, 2);
            let _ = table.tcp_observe(created.id, created.direction, 0x10);
        }
    }
    agrees(&table);
    table.age(NOW + 40 * 86_400 * 1_000_000_000, CAPACITY, &Timeouts::default());
    agrees(&table);
}

fn agrees(table: &Connections) {
    let listed = table.iter(NOW, Filter::default()).count();
    assert_eq!(listed, table.len());
    assert!(listed <= table.capacity());
}
