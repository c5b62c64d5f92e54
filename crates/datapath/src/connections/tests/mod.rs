//! Tests of the connection table. What they share is here: words, tuples, a table of a few entries.

mod behaviour;

use std::sync::atomic::{AtomicU64, Ordering};

use anet_packet::addr::Vni;

use super::*;

pub(super) const SECOND: u64 = 1_000_000_000;
pub(super) const NOW: u64 = 1_000 * SECOND;

pub(super) fn zone(n: u32) -> Vni {
    Vni::new(n).unwrap()
}

pub(super) fn words(capacity: u32) -> Words {
    (0..words_for(capacity)).map(|_| AtomicU64::new(0)).collect()
}

pub(super) fn copy(words: &[AtomicU64]) -> Words {
    words
        .iter()
        .map(|word| AtomicU64::new(word.load(Ordering::Relaxed)))
        .collect()
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

pub(super) fn tuple(protocol: u8, n: u32) -> Tuple {
    Tuple {
        source: 0xffff_0a00_0000 + u128::from(n >> 16),
        destination: 0xffff_0a01_0001,
        source_port: n as u16,
        destination_port: if protocol == anet_packet::protocol::ICMP {
            n as u16
        } else {
            80
        },
        family: 4,
        protocol,
        icmp_type: if protocol == anet_packet::protocol::ICMP {
            8
        } else {
            0
        },
    }
}

pub(super) fn new() -> New {
    New {
        originator: PortIdentity::from_raw(1),
        responder: PortIdentity::REMOTE,
        limit: u32::MAX,
        tcp_flags: anet_packet::tcp::flag::SYN,
        picked_up: false,
        now: NOW,
    }
}
