//! A packet of a known flow asks for no memory: delivered on the host, encapsulated, decapsulated, dropped.

use anet_bench::memory_ports::work::Work;
use anet_memory::allocation_count::{CountingAllocator, allocations_of_this_thread};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn a_hit_asks_for_no_memory() {
    for work in Work::HITS {
        let asked = work.run(3200).unwrap_or_else(|error| panic!("{work:?}: {error}"));
        assert_eq!(asked, 0, "{work:?}: memory was asked for");
    }
}

#[test]
fn nor_does_a_known_flow_that_is_asked_again() {
    let work = Work::RecheckAllowed;
    let asked = work.run(3200).unwrap_or_else(|error| panic!("{work:?}: {error}"));
    assert_eq!(asked, 0, "memory was asked for");
}

#[test]
fn the_allocator_does_count() {
    let before = allocations_of_this_thread();
    drop(std::hint::black_box(vec![0_u8; 100]));
    assert_eq!(allocations_of_this_thread() - before, 1);
}
