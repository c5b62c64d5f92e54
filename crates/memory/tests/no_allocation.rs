//! A pool in its steady state allocates nothing.

use anet_memory::allocation_count::{CountingAllocator, allocations_of_this_thread};
use anet_memory::buffer::Pool;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn buffers_and_slabs_go_round_without_an_allocation() {
    let pool = Pool::default();
    let (short, long) = ([1; 60], vec![2; 64_000]);
    let mut burst = Vec::with_capacity(64);
    let before = allocations_of_this_thread();
    for _ in 0..100 {
        for _ in 0..16 {
            burst.push(pool.copy_from(&short).unwrap());
            burst.push(pool.copy_from(&long).unwrap());
            burst.push(pool.duplicate(&burst[burst.len() - 1]).unwrap());
        }
        burst.clear();
    }
    assert_eq!(allocations_of_this_thread(), before);
    drop(std::hint::black_box(vec![0_u8; 10]));
    assert_eq!(allocations_of_this_thread(), before + 1, "the counter counts");
}
