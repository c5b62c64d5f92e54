//! Prints what a buffer costs: taken and returned, singly and in bursts, and filled with a frame.

use std::hint::black_box;
use std::time::Instant;

use anet_memory::buffer::Pool;

const ROUNDS: u32 = 2_000_000;

fn measure(name: &str, packets_per_round: u32, mut round: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..ROUNDS / packets_per_round {
            round();
        }
        let ns = start.elapsed().as_nanos() as f64;
        best = best.min(ns / f64::from(ROUNDS / packets_per_round * packets_per_round));
    }
    println!("{name}: {best:.2} ns a buffer");
}

fn main() {
    let pool = Pool::default();
    measure("take and drop", 1, || drop(black_box(pool.take())));
    let mut burst = Vec::with_capacity(64);
    measure("take and drop, bursts of 32", 32, || {
        burst.extend((0..32).map_while(|_| pool.take()));
        black_box(&mut burst).clear();
    });
    let frame = [7; 60];
    measure("copy_from 60 bytes and drop, bursts of 32", 32, || {
        burst.extend((0..32).map_while(|_| pool.copy_from(black_box(&frame))));
        black_box(&mut burst).clear();
    });
    let segment = vec![7; 65_000];
    measure("copy_from 65,000 bytes and drop", 1, || {
        drop(black_box(pool.copy_from(black_box(&segment))))
    });
}
