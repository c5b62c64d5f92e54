//! Nanoseconds and bytes, printed: `cargo test --release -p anet-datapath connections::tests::measure -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use super::*;

const MANY: u32 = 1_000_000;

fn measure(what: &str, count: u32, mut action: impl FnMut(u32)) {
    let start = Instant::now();
    (0..count).for_each(&mut action);
    println!(
        "{what}: {:.1} ns",
        start.elapsed().as_nanos() as f64 / f64::from(count)
    );
}

/// Visits all of 0..MANY in an order that no prefetcher knows.
fn scattered(n: u32) -> u32 {
    (u64::from(n) * 7_368_787 % u64::from(MANY)) as u32
}

#[test]
#[ignore = "a measurement, of use in an optimised build only"]
fn measure_a_million_connections() {
    let (table, _) = Connections::open(
        words(MANY),
        Config {
            shards: 64,
            ..config()
        },
    )
    .unwrap();
    let zone = zone(1);
    let tuples: Vec<Tuple> = (0..MANY).map(|n| tuple(protocol::UDP, n)).collect();
    let mut ids = Vec::with_capacity(MANY as usize);
    measure("create", MANY, |n| {
        ids.push(table.create(zone, &tuples[n as usize], new()).unwrap().id)
    });
    let memory = table.index_memory() + words_for(MANY) * 8;
    println!(
        "memory: {:.0} bytes a connection",
        memory as f64 / f64::from(MANY)
    );
    measure("find, scattered over a million", MANY, |n| {
        black_box(table.find(zone, &tuples[scattered(n) as usize]).unwrap());
    });
    measure("find, among 1,000", MANY, |n| {
        black_box(table.find(zone, &tuples[n as usize % 1_000]).unwrap());
    });
    measure("find, none there", MANY, |n| {
        assert!(table.find(zone, &tuple(protocol::TCP, scattered(n))).is_none());
    });
    let touch = |id| table.half(id, Direction::Original).unwrap().touch(NOW, 100, 0);
    measure("half and touch, scattered over a million", MANY, |n| {
        touch(ids[scattered(n) as usize])
    });
    measure("half and touch, among 1,000", MANY, |n| {
        touch(ids[n as usize % 1_000])
    });
    let witnesses = [Witness {
        slot: 1,
        generation: 1,
    }; 2];
    measure("set_witnesses, among 1,000", MANY, |n| {
        table.set_witnesses(ids[n as usize % 1_000], Direction::Original, witnesses);
    });
    measure("create, refused by a spent budget", 100_000, |n| {
        let spent = New {
            limit: 0,
            originator: PortIdentity::from_raw(2),
            ..new()
        };
        assert!(table.create(zone, &tuple(protocol::TCP, n), spent).is_err());
    });
    ids.iter()
        .for_each(|&id| table.half(id, Direction::Reply).unwrap().touch(NOW, 100, 0));
    measure("create, refused by a full table", 100_000, |n| {
        assert!(table.create(zone, &tuple(protocol::TCP, n), new()).is_err());
    });
    let start = Instant::now();
    let (reopened, recovered) = reopen(
        &table,
        Config {
            shards: 64,
            ..config()
        },
    );
    println!("copy and reopen: {:?}, {recovered:?}", start.elapsed());
    measure("age, per entry", MANY, |_| {
        assert_eq!(reopened.age(NOW, 1, &Timeouts::default()).expired, 0)
    });
    measure("close", MANY, |n| {
        assert!(table.close(ids[n as usize], CloseReason::Operator))
    });
}
