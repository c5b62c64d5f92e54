//! The agent's core against a world with faults.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[allow(dead_code, reason = "each test uses its part of it")]
mod faulty_world;

use anet_agent::core::delta::settled;
use anet_model::changeset::{Change, Changeset};
use anet_model::digest::PlanDigest;
use anet_model::host_plan::{Attachment, Budgets, Port, PortId};
use anet_model::testing::{base_plan, change, host_plan};
use anet_packet::addr::Mac;
use proptest::prelude::*;
use proptest::sample::Index;

use faulty_world::World;

/// Something that happens.
#[derive(Debug, Clone)]
enum Happening {
    Publish(Vec<Change>),
    /// An old changeset again.
    Again(Index),
    /// A snapshot of an old revision, or of the newest.
    Snapshot(Index),
    /// From one revision to a later one at one go.
    Squashed(Index, Index),
    Deliver(Index),
    Lose(Index),
    Run(usize),
    Crash,
    Connect,
    Disconnect,
    PlaneUp,
    PlaneDown,
    PlaneAnew,
    Balk,
    DiskFails,
    DiskWorks,
    /// The data plane refuses a change that brings this port, or none.
    Dislike(Option<u8>),
    Attach(usize, usize),
    AttachMac(u8, usize),
    RestoreStore(u64),
    Tick,
}

/// Few, so that ports of several networks have the same.
const MACS: u8 = 3;

/// A port of a guest comes, or changes its MAC, or goes: several have the same MAC in two networks.
fn guests_port() -> impl Strategy<Value = Change> {
    let port = (0..2_u8, 1..=MACS).prop_map(|(network, mac)| Port {
        network: format!("net{network}").parse().unwrap(),
        mac: Mac([2, 0, 0, 0, 0, mac]),
        addresses: Vec::new(),
        allowed_address_pairs: Vec::new(),
        port_security: true,
        security_groups: Vec::new(),
        hostname: None,
        attachment: Attachment::Detached,
        budgets: Budgets::default(),
        admin_up: true,
    });
    let port = prop::option::weighted(0.6, port);
    (0..6_u8, port).prop_map(|(id, port)| Change::Port(format!("port{id}").parse().unwrap(), port))
}

fn with_one_of_few_macs(mut change: Change) -> Change {
    if let Change::Port(_, Some(port)) = &mut change
        && port.mac.is_station()
    {
        port.mac.0[5] = port.mac.0[5] % MACS + 1;
    }
    change
}

fn happening() -> impl Strategy<Value = Happening> {
    let index = any::<Index>;
    prop_oneof![
        6 => prop::collection::vec(change().prop_map(with_one_of_few_macs), 1..4).prop_map(Happening::Publish),
        4 => prop::collection::vec(guests_port(), 1..3).prop_map(Happening::Publish),
        1 => index().prop_map(Happening::Again),
        1 => index().prop_map(Happening::Snapshot),
        2 => (index(), index()).prop_map(|(from, to)| Happening::Squashed(from, to)),
        6 => index().prop_map(Happening::Deliver),
        1 => index().prop_map(Happening::Lose),
        10 => (1_usize..12).prop_map(Happening::Run),
        2 => Just(Happening::Crash),
        2 => Just(Happening::Connect),
        1 => Just(Happening::Disconnect),
        3 => Just(Happening::PlaneUp),
        1 => Just(Happening::PlaneDown),
        1 => Just(Happening::PlaneAnew),
        1 => Just(Happening::Balk),
        2 => (0_usize..7, 0_usize..6).prop_map(|(port, tap)| Happening::Attach(port, tap)),
        3 => (1..=MACS, 0_usize..6).prop_map(|(mac, tap)| Happening::AttachMac(mac, tap)),
        1 => (0_u64..4).prop_map(Happening::RestoreStore),
        1 => prop::option::weighted(0.4, 0..6_u8).prop_map(Happening::Dislike),
        2 => Just(Happening::Tick),
    ]
}

fn failing_disk() -> impl Strategy<Value = Happening> {
    prop_oneof![
        20 => happening(),
        1 => Just(Happening::DiskFails),
        1 => Just(Happening::DiskWorks),
    ]
}

/// Guests of few MACs that come and go, on a host whose processes die often.
fn guests_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => prop::collection::vec(guests_port(), 1..3).prop_map(Happening::Publish),
        6 => any::<Index>().prop_map(Happening::Deliver),
        2 => (1..=MACS, 0_usize..6).prop_map(|(mac, tap)| Happening::AttachMac(mac, tap)),
        1 => (0_usize..6, 0_usize..6).prop_map(|(port, tap)| Happening::Attach(port, tap)),
        10 => (1_usize..20).prop_map(Happening::Run),
        2 => Just(Happening::Crash),
        3 => Just(Happening::Connect),
        1 => Just(Happening::PlaneUp),
        1 => Just(Happening::PlaneAnew),
        1 => prop::option::weighted(0.4, 0..6_u8).prop_map(Happening::Dislike),
        1 => Just(Happening::Tick),
    ]
}

fn tap(number: usize) -> Attachment {
    match number {
        0 => Attachment::Detached,
        number => Attachment::Tap {
            interface: format!("tap{number}"),
            netns: None,
        },
    }
}

/// From one revision of this incarnation to a later one.
fn squashed(world: &World, from: Index, to: Index) -> Option<Changeset> {
    let incarnation = world.controller.incarnation;
    let revisions: Vec<u64> = world
        .controller
        .states
        .range((incarnation, 0)..)
        .map(|(order, _)| order.1)
        .collect();
    let (one, other) = (from.index(revisions.len()), to.index(revisions.len()));
    let (from, to) = (revisions[one.min(other)], revisions[one.max(other)]);
    if from >= to {
        return None;
    }
    let steps = world
        .controller
        .steps
        .range((incarnation, from + 1)..=(incarnation, to));
    let changes: Vec<Change> = steps.flat_map(|(_, step)| step.changes.clone()).collect();
    let plan = &world.controller.states[&(incarnation, to)];
    Some(Changeset {
        incarnation,
        from,
        to,
        snapshot: false,
        changes: settled(plan, &changes),
        digest_after: Some(PlanDigest::of(plan).total().to_bytes()),
    })
}

fn happen(world: &mut World, happening: Happening) {
    match happening {
        Happening::Publish(changes) => {
            world.publish(&changes);
        }
        Happening::Again(which) => {
            let steps: Vec<&Changeset> = world.controller.steps.values().collect();
            if !steps.is_empty() {
                let changeset = steps[which.index(steps.len())].clone();
                world.transmit(changeset);
            }
        }
        Happening::Snapshot(which) => {
            let at: Vec<_> = world.controller.states.keys().copied().collect();
            let snapshot = world.controller.snapshot(at[which.index(at.len())]);
            world.transmit(snapshot.unwrap());
        }
        Happening::Squashed(from, to) => {
            if let Some(changeset) = squashed(world, from, to) {
                world.transmit(changeset);
            }
        }
        Happening::Deliver(which) if !world.stream.is_empty() => {
            world.deliver(which.index(world.stream.len()));
        }
        Happening::Lose(which) if !world.stream.is_empty() => {
            world.stream.remove(which.index(world.stream.len()));
        }
        Happening::Deliver(_) | Happening::Lose(_) => {}
        Happening::Run(steps) => (0..steps).for_each(|_| {
            world.step();
        }),
        Happening::Crash => world.crash(),
        Happening::Connect => world.connect(),
        Happening::Disconnect => world.disconnect(),
        Happening::PlaneUp => world.plane(true, false),
        Happening::PlaneDown => world.plane(false, false),
        Happening::PlaneAnew => world.plane(true, true),
        Happening::Balk => world.balks += 1,
        Happening::DiskFails => {
            world.closings = true;
            world.disk.fails = true;
        }
        Happening::DiskWorks => world.disk.fails = false,
        Happening::Dislike(port) => {
            let id = |number| -> PortId { format!("port{number}").parse().unwrap() };
            world.dislikes = port.map(id);
        }
        Happening::Attach(port, number) => world.attach(&format!("port{port}"), tap(number)),
        Happening::AttachMac(mac, number) => world.attach_mac(Mac([2, 0, 0, 0, 0, mac]), tap(number)),
        Happening::RestoreStore(back) => world.restore_store(back),
        Happening::Tick => world.tick(),
    }
}

fn play(plan: anet_model::host_plan::HostPlan, happenings: Vec<Happening>) {
    go_on(World::new(plan), happenings);
}

fn go_on(mut world: World, happenings: Vec<Happening>) {
    for happening in happenings {
        happen(&mut world, happening);
    }
    world.quiet();
    world.check_quiet();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_data_plane_ends_with_the_controllers_plan(
        plan in host_plan(), happenings in prop::collection::vec(happening(), 0..80)
    ) {
        play(plan, happenings);
    }

    #[test]
    fn so_it_does_after_a_disk_that_fails(
        plan in host_plan(), happenings in prop::collection::vec(failing_disk(), 0..80)
    ) {
        play(plan, happenings);
    }

    #[test]
    fn guests_keep_their_interfaces_while_ports_come_and_go(
        happenings in prop::collection::vec(guests_happening(), 0..80)
    ) {
        let mut world = World::new(base_plan());
        world.quiet();
        go_on(world, happenings);
    }
}
