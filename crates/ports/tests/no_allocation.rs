//! Ports in their steady state allocate nothing.

#![allow(clippy::unwrap_used)]

mod support;

use anet_memory::allocation_count::{CountingAllocator, allocations_of_this_thread};
use anet_memory::buffer::Pool;
use anet_ports::kernel::tap::{Tap, TapSettings};
use anet_ports::memory::{EVERYTHING, replay};
use anet_ports::{Port, ReceiveQueue, TransmitQueue};
use support::{Namespace, skipped};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Allocations of 200 bursts that go from one queue to the other, after some for everybody to find their size.
fn allocations(
    input: &mut dyn ReceiveQueue,
    output: &mut dyn TransmitQueue,
    mut before_each: impl FnMut(),
) -> u64 {
    let (pool, mut burst) = (Pool::default(), Vec::with_capacity(32));
    let mut start = 0;
    for round in 0..220 {
        if round == 20 {
            start = allocations_of_this_thread();
        }
        before_each();
        input.receive(&pool, &mut burst, 32).unwrap();
        assert!(output.transmit(&mut burst).error.is_none());
    }
    allocations_of_this_thread() - start
}

#[test]
fn a_replay_allocates_nothing() {
    let set = vec![vec![1; 60].into(), vec![2; 9000].into(), vec![3; 1500].into()];
    let (mut port, swallowed) = replay("r", EVERYTHING, &[set], None);
    let (mut input, mut output) = (port.receive_queue(0).unwrap(), port.transmit_queue().unwrap());
    assert_eq!(allocations(&mut *input, &mut *output, || ()), 0);
    assert_eq!(swallowed.packets(), 220 * 32);
}

#[test]
fn a_tap_allocates_nothing() {
    if skipped("a_tap_allocates_nothing") {
        return;
    }
    let namespace = Namespace::new();
    let mut tap = Tap::open(&TapSettings {
        namespace: Some(namespace.path()),
        ..TapSettings::named("tap0")
    })
    .unwrap();
    namespace.run("ip addr add 10.9.40.1/24 dev tap0");
    namespace.run("ip link set tap0 up mtu 9000");
    namespace.run("ip neigh add 10.9.40.2 lladdr 02:00:00:00:00:22 dev tap0 nud permanent");
    let (mut input, mut output) = (tap.receive_queue(0).unwrap(), tap.transmit_queue().unwrap());
    let sender = namespace.inside(|| std::net::UdpSocket::bind("10.9.40.1:0").unwrap());
    sender.connect("10.9.40.2:9").unwrap();
    let send = || {
        sender.send(&[1; 50]).unwrap();
        sender.send(&[1; 8000]).unwrap();
    };
    assert_eq!(allocations(&mut *input, &mut *output, send), 0);
    assert!(input.counters().packets >= 440, "{:?}", input.counters());
}
