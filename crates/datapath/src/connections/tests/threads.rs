//! Workers side by side.

use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;

const ROUNDS: u32 = if cfg!(miri) { 60 } else { 60_000 };

/// A few numbers that look random, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 % below
    }
}

/// One worker's life: packets of few tuples, in both directions, on a table that is too small for all.
fn work(table: &Connections, seed: u64) {
    let mut numbers = Numbers(seed);
    for round in 0..ROUNDS {
        let now = NOW + u64::from(round) * 1_000_000;
        let tuple = tuple(protocol::TCP, numbers.next(96));
        let packet = if numbers.next(2) == 0 {
            tuple
        } else {
            tuple.reversed()
        };
        let new = New {
            now,
            limit: 90,
            originator: PortIdentity::from_raw(u64::from(numbers.next(3))),
            ..new()
        };
        let Ok(made) = table.create(zone(1), &packet, new) else {
            continue;
        };
        if let Some(half) = table.half(made.id, made.direction) {
            half.touch(now, 100, flag::ACK);
        }
        table.tcp_observe(
            made.id,
            made.direction,
            [flag::SYN, flag::ACK, flag::FIN, flag::RST][numbers.next(4) as usize],
        );
        table.set_witnesses(
            made.id,
            made.direction,
            [Witness {
                slot: round,
                generation: round,
            }; 2],
        );
        if let Some(found) = table.find(zone(1), &packet) {
            let whole = found
                .witnesses
                .is_none_or(|[a, b]| a == b && a.slot == a.generation);
            assert!(whole, "a pair of two verdicts");
        }
        match numbers.next(8) {
            0 => assert!(table.close(made.id, CloseReason::Operator) || table.get(made.id, now).is_none()),
            1 => drop(table.age(now, 8, &Timeouts::default())),
            _ => (),
        }
    }
}

/// Whoever looks meanwhile sees connections that somebody made, never a mixture.
fn look(table: &Connections, done: &AtomicBool) {
    let known: std::collections::HashSet<Tuple> = (0..96)
        .map(|n| tuple(protocol::TCP, n))
        .flat_map(|t| [t, t.reversed()])
        .collect();
    while !done.load(Ordering::Relaxed) {
        for copy in table.iter(NOW, Filter::default()) {
            assert!(known.contains(&copy.tuple) && copy.zone == zone(1), "{copy:?}");
            assert!(copy.originator.get() < 3 && copy.responder.is_remote());
        }
        thread::yield_now();
    }
}

#[test]
fn workers_meet_in_the_same_connections() {
    let table = table(64);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| look(&table, &done));
        let workers = [11, 22].map(|seed| {
            scope.spawn({
                let table = &table;
                move || work(table, seed)
            })
        });
        let results = workers.map(|worker| worker.join());
        done.store(true, Ordering::Relaxed);
        results.into_iter().for_each(|result| result.unwrap());
    });
    check(&table);
    let statistics = table.statistics();
    let ended = statistics.expired + statistics.evicted + statistics.closed.iter().sum::<u64>();
    assert_eq!(statistics.created - ended, table.len() as u64);
    let (_, recovered) = reopen(&table, config());
    assert_eq!(
        recovered,
        Recovered {
            kept: table.len() as u32,
            discarded: 0
        }
    );
    for id in table
        .iter(NOW, Filter::default())
        .map(|copy| copy.id)
        .collect::<Vec<_>>()
    {
        assert!(table.close(id, CloseReason::Operator));
    }
    assert!((0..3).all(|port| table.count_of(PortIdentity::from_raw(port)) == 0) && table.is_empty());
}

#[test]
fn both_sides_of_a_new_connection_at_once_make_one() {
    let table = table(4_096);
    let rounds = if cfg!(miri) { 20 } else { 4_000 };
    let side = |reverse: bool| {
        let make = |n| {
            let tuple = tuple(protocol::UDP, n);
            table
                .create(zone(1), &if reverse { tuple.reversed() } else { tuple }, new())
                .unwrap()
        };
        (0..rounds).map(make).collect::<Vec<Created>>()
    };
    let (left, right) = thread::scope(|scope| {
        let left = scope.spawn(|| side(false));
        let right = scope.spawn(|| side(true));
        (left.join().unwrap(), right.join().unwrap())
    });
    for (l, r) in left.iter().zip(&right) {
        assert_eq!(l.id, r.id);
        assert!(l.is_new != r.is_new && l.direction != r.direction);
    }
    assert_eq!(table.len(), rounds as usize);
    check(&table);
}
