//! Tests of the connection table. What they share is here: words, tuples, a table of a few entries.

mod behaviour;
mod damage;
mod file;
mod lifetimes;
mod measure;
mod model;
mod threads;

use std::sync::atomic::{AtomicU64, Ordering};

use anet_packet::addr::Vni;
use anet_packet::protocol;
use anet_packet::tcp::flag;
use anet_packet::tuple::Tuple;

use super::*;

pub(super) const SECOND: u64 = 1_000_000_000;
pub(super) const NOW: u64 = 1_000 * SECOND;

pub(super) fn zone(n: u32) -> Vni {
    Vni::new(n).unwrap()
}

pub(super) fn words(capacity: u32) -> Words {
    Words::anonymous(words_for(capacity)).unwrap()
}

pub(super) fn words_of(values: impl ExactSizeIterator<Item = u64>) -> Words {
    let words = Words::anonymous(values.len()).unwrap();
    words
        .iter()
        .zip(values)
        .for_each(|(word, value)| word.store(value, Ordering::Relaxed));
    words
}

pub(super) fn copy(words: &[AtomicU64]) -> Words {
    words_of(words.iter().map(|word| word.load(Ordering::Relaxed)))
}

pub(super) fn config() -> Config {
    Config {
        shards: 4,
        seed: 7,
        now: NOW,
    }
}

pub(super) fn table(capacity: u32) -> Connections {
    Connections::open(words(capacity), config()).unwrap().0
}

/// The table as the next process finds it.
pub(super) fn reopen(table: &Connections, config: Config) -> (Connections, Recovered) {
    Connections::open(copy(&table.words), config).unwrap()
}

/// The `n`th of many different tuples of a protocol; every other one is IPv6.
pub(super) fn tuple(protocol: u8, n: u32) -> Tuple {
    let is_icmp = protocol == protocol::ICMP;
    let family = if n % 2 == 1 && !is_icmp { 6 } else { 4 };
    let network = if family == 6 {
        0xfd00 << 112
    } else {
        0xffff_0a00_0000_u128
    };
    Tuple {
        source: network + 0x1_0000 + u128::from(n >> 16),
        destination: network + 1,
        source_port: n as u16,
        destination_port: if is_icmp { 8 << 8 } else { 80 },
        family,
        protocol,
        icmp_type: if is_icmp { 8 } else { 0 },
    }
}

pub(super) const GUEST: PortIdentity = PortIdentity::from_raw(1);

/// A packet that a guest sends out: a SYN where it is TCP.
pub(super) fn new() -> New {
    New {
        originator: GUEST,
        responder: PortIdentity::REMOTE,
        limit: u32::MAX,
        tcp_flags: flag::SYN,
        picked_up: false,
        now: NOW,
    }
}

/// Walks everything there is and checks that index, entries, budgets and counts agree.
pub(super) fn check(table: &Connections) {
    let copies: Vec<Connection> = table.iter(NOW, Filter::default()).collect();
    assert_eq!(copies.len(), table.len());
    let mut paid = std::collections::HashMap::new();
    for copy in &copies {
        let found = table
            .find(copy.zone, &copy.tuple)
            .expect("an entry is in the index");
        assert_eq!((found.id, found.direction), (copy.id, Direction::Original));
        let payer = if copy.originator.is_remote() {
            copy.responder
        } else {
            copy.originator
        };
        *paid.entry(payer).or_insert(0) += 1;
    }
    for (payer, count) in paid.into_iter().filter(|(payer, _)| !payer.is_remote()) {
        assert_eq!(table.count_of(payer), count);
    }
}
