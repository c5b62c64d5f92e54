//! The generator and its checks in real DPDK programs. Needs root, hugepages, DPDK and OVS; skips itself without.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use anet_bench::dpdk::measure;
use anet_bench::dpdk::ours::Ours;
use anet_bench::dpdk::ovs::Ovs;
use anet_bench::dpdk::program::{Program, Running, Task};
use anet_bench::dpdk::results::{Snapshot, Way};
use anet_bench::dpdk::rig::Rig;
use anet_bench::dpdk::testpmd::Testpmd;
use anet_bench::dpdk::traffic::{Choice, Order, Traffic};
use anet_bench::error::BenchError;

/// One rig at a time: hugepages and processors are few.
static ONE: Mutex<()> = Mutex::new(());

struct Bed {
    rig: Rig,
    _one: MutexGuard<'static, ()>,
}

/// `None`, and the line that says so, where the machine lacks something.
fn bed(test: &str) -> Option<Bed> {
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let rig = or_skip(test, Rig::new())?;
    Some(Bed { rig, _one: one })
}

fn or_skip<T>(test: &str, made: Result<T, BenchError>) -> Option<T> {
    match made {
        Err(BenchError::Missing(reason)) => {
            anet_lab::skip(test, &reason);
            None
        }
        other => Some(other.unwrap()),
    }
}

/// Both families, both protocols, all sizes, from every queue.
fn of_all_kinds(queues: u32) -> Traffic {
    Traffic {
        family: Choice::Both,
        protocol: Choice::Both,
        size: 0,
        crossed: true,
        queues,
        ..Traffic::forward(2_000)
    }
}

fn plain(traffic: Traffic) -> Traffic {
    Traffic {
        tunnelled: false,
        peers: 1,
        ..traffic
    }
}

fn passed(before: &Snapshot, after: &Snapshot, way: Way) -> u64 {
    after.packets(way) - before.packets(way)
}

/// What `traffic` gives in a moment.
fn moment(running: &mut Running, traffic: &Traffic, time: Duration) -> (Snapshot, Snapshot) {
    running.tell(traffic).unwrap();
    let before = running.snapshot().unwrap();
    sleep(time);
    let after = running.snapshot().unwrap();
    (before, after)
}

#[test]
fn every_kind_of_packet_passes_a_forwarder_unchanged() {
    let Some(bed) = bed("every_kind_of_packet_passes_a_forwarder_unchanged") else {
        return;
    };
    for queues in [1, 2] {
        let mut running = Testpmd.start(&bed.rig, Task::Forward, queues).unwrap();
        let checked = measure::check(&mut running, &plain(of_all_kinds(queues))).unwrap();
        assert!(
            checked > 6_000,
            "three passes over 2,000 flows and more: {checked}"
        );
    }
}

#[test]
fn what_is_wrong_is_seen() {
    let Some(bed) = bed("what_is_wrong_is_seen") else {
        return;
    };
    let mut running = Testpmd.start(&bed.rig, Task::Forward, 1).unwrap();
    let forbidden = Traffic {
        forbidden_every: 5,
        ..plain(Traffic::forward(1_000))
    };
    let error = measure::check(&mut running, &forbidden).unwrap_err().to_string();
    assert!(error.contains("a flow that no rule allows"), "{error}");

    let mut running = Testpmd.start(&bed.rig, Task::Forward, 1).unwrap();
    let error = measure::check(&mut running, &Traffic::forward(1_000)).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("to the underlay"),
        "a forwarder makes no tunnel: {error}"
    );
}

#[test]
fn a_pace_is_kept_and_new_flows_never_end() {
    let Some(bed) = bed("a_pace_is_kept_and_new_flows_never_end") else {
        return;
    };
    let mut running = Testpmd.start(&bed.rig, Task::Forward, 1).unwrap();
    let paced = Traffic {
        pace: 10_000,
        order: Order::New,
        ..plain(Traffic::forward(10))
    };
    let (before, after) = moment(&mut running, &paced, Duration::from_millis(500));
    let packets = passed(&before, &after, Way::In);
    // A busy machine makes it fewer, and its clock differs a little.
    assert!(
        (500..7_500).contains(&packets),
        "10,000 a second for half a second: {packets}"
    );
    assert!(
        after.latency_since(&before, 0.5).is_some_and(|ns| ns > 0.0),
        "packets are stamped"
    );
}

#[test]
fn ovs_does_what_the_check_asks_for() {
    let test = "ovs_does_what_the_check_asks_for";
    let Some(bed) = bed(test) else {
        return;
    };
    let traffic = Traffic {
        forbidden_every: 7,
        ..of_all_kinds(1)
    };
    // Twice: the bridges of the first one are persistent devices.
    for _ in 0..2 {
        let Some(mut running) = or_skip(test, Ovs.start(&bed.rig, Task::StatefulVxlan, 1)) else {
            return;
        };
        measure::check(&mut running, &traffic).unwrap();
    }
    let mut running = Ovs.start(&bed.rig, Task::Forward, 1).unwrap();
    measure::check(&mut running, &plain(of_all_kinds(1))).unwrap();
}

#[test]
fn our_switch_does_what_the_check_asks_for() {
    let test = "our_switch_does_what_the_check_asks_for";
    let Some(bed) = bed(test) else {
        return;
    };
    for queues in [1, 2] {
        let Some(mut running) = or_skip(test, Ours.start(&bed.rig, Task::StatefulVxlan, queues)) else {
            return;
        };
        let traffic = Traffic {
            forbidden_every: 7,
            ..of_all_kinds(queues)
        };
        measure::check(&mut running, &traffic).unwrap();
    }
    let mut running = Ours.start(&bed.rig, Task::Forward, 1).unwrap();
    measure::check(&mut running, &plain(of_all_kinds(1))).unwrap();
}
