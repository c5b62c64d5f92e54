//! Attachments that wait for a port by its MAC, each with what has to come of it.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[allow(dead_code, reason = "each test uses its part of it")]
mod faulty_world;

use anet_agent::core::Holder;
use anet_model::changeset::Change;
use anet_model::host_plan::{Attachment, HostPlan, Port, PortId};
use anet_packet::addr::Mac;
use faulty_world::World;

const GUEST: Mac = Mac([2, 0, 0, 0, 0, 7]);

fn id(name: &str) -> PortId {
    name.parse().unwrap()
}

fn tap(interface: &str) -> Attachment {
    Attachment::Tap {
        interface: interface.to_owned(),
        netns: None,
    }
}

/// Two networks, with no port.
fn plan() -> HostPlan {
    let text = "networks:\n  blue: {vni: 10, mtu: 1450, endpoints: []}\n  green: {vni: 11, mtu: 1450, endpoints: []}\nports: {}\n";
    anet_wire::plan_text::parse(text).unwrap()
}

fn port(network: &str, mac: Mac) -> Port {
    let text = format!(
        "networks:\n  {network}: {{vni: 10, mtu: 1450, endpoints: []}}\nports:\n  p: {{network: {network}, mac: '{mac}'}}\n"
    );
    let mut plan = anet_wire::plan_text::parse(&text).unwrap();
    plan.ports.remove(&id("p")).unwrap()
}

fn comes(name: &str, network: &str) -> Change {
    Change::Port(id(name), Some(port(network, GUEST)))
}

fn goes(name: &str) -> Change {
    Change::Port(id(name), None)
}

/// Everything is up, and the guest waits.
fn waiting() -> World {
    let mut world = World::new(plan());
    world.quiet();
    world.attach_mac(GUEST, tap("tap0"));
    world.run();
    assert!(
        answer(&mut world)
            .unwrap()
            .contains("kept; the first port of MAC 02:00:00:00:00:07")
    );
    world
}

fn answer(world: &mut World) -> Result<String, String> {
    world.answers.pop().unwrap()
}

fn publish(world: &mut World, changes: &[Change]) {
    assert!(world.publish(changes));
    while !world.stream.is_empty() {
        world.deliver(0);
    }
    world.run();
}

/// What a port has in the data plane.
fn has(world: &World, name: &str) -> Attachment {
    world.vswitch.plan().ports[&id(name)].attachment.clone()
}

fn ends_well(mut world: World) {
    world.quiet();
    world.check_quiet();
}

#[test]
fn the_change_that_brings_the_port_carries_its_attachment() {
    let mut world = waiting();
    assert!(world.publish(&[comes("a", "blue")]));
    world.deliver(0);
    let writes = world.disk.writes;
    while world.vswitch.plan().ports.is_empty() {
        assert!(world.step(), "it comes into the data plane");
    }
    assert_eq!(has(&world, "a"), tap("tap0"));
    assert_eq!(
        world.disk.writes,
        writes + 1,
        "only what is desired was written before"
    );
    let status = world.agent.status();
    assert_eq!((status.ports[0].by_mac, status.waiting.len()), (Some(GUEST), 0));
    ends_well(world);
}

#[test]
fn a_port_that_is_planned_already_is_attached_at_once() {
    let mut world = World::new(plan());
    world.quiet();
    publish(&mut world, &[comes("b", "green"), comes("a", "blue")]);
    world.attach_mac(GUEST, tap("tap0"));
    world.run();
    assert_eq!(answer(&mut world), Ok("done".to_owned()));
    assert_eq!(
        (has(&world, "a"), has(&world, "b")),
        (tap("tap0"), Attachment::Detached)
    );
    world.attach_mac(GUEST, tap("tap1"));
    world.run();
    assert_eq!(answer(&mut world), Ok("done".to_owned()));
    assert_eq!(
        has(&world, "a"),
        tap("tap1"),
        "another interface, and the same port"
    );
    world.attach_mac(GUEST, tap("tap1"));
    world.run();
    assert_eq!(answer(&mut world), Ok("it is so already".to_owned()));
    world.attach_mac(GUEST, Attachment::Detached);
    world.run();
    assert_eq!(answer(&mut world), Ok("done".to_owned()));
    assert_eq!(has(&world, "a"), Attachment::Detached);
    ends_well(world);
}

#[test]
fn the_first_port_keeps_it_until_it_goes_and_then_the_next_has_it_in_the_same_step() {
    let mut world = waiting();
    publish(&mut world, &[comes("z", "blue")]);
    publish(&mut world, &[comes("a", "green")]);
    let as_it_is = |world: &World| (has(world, "z"), has(world, "a"));
    let (first, none) = (tap("tap0"), Attachment::Detached);
    assert_eq!(as_it_is(&world), (first.clone(), none.clone()));
    // Nothing but the changesets is on the disk yet, and a restart leads to the same.
    assert_eq!(world.disk.restored.attachments.macs[&GUEST].port, None);
    world.crash();
    world.plane(true, true);
    world.quiet();
    assert_eq!(as_it_is(&world), (first.clone(), none));
    assert_eq!(world.disk.restored.attachments.macs[&GUEST].port, Some(id("z")));
    assert!(world.publish(&[goes("z")]));
    world.deliver(0);
    while world.vswitch.plan().ports.contains_key(&id("z")) {
        assert!(world.step());
    }
    assert_eq!(has(&world, "a"), first);
    publish(&mut world, &[goes("a")]);
    let waits = world.agent.status().waiting;
    assert_eq!((&waits[0].holder, waits.len()), (&Holder::Mac(GUEST), 1));
    assert!(
        waits[0].why.contains("no port of this MAC is planned"),
        "{waits:?}"
    );
    publish(&mut world, &[comes("c", "green")]);
    assert_eq!(has(&world, "c"), first);
    ends_well(world);
}

#[test]
fn another_mac_ends_a_claim() {
    let mut world = waiting();
    publish(&mut world, &[comes("a", "blue")]);
    publish(
        &mut world,
        &[Change::Port(id("a"), Some(port("blue", Mac([2, 0, 0, 0, 0, 8]))))],
    );
    assert_eq!(has(&world, "a"), Attachment::Detached);
    publish(&mut world, &[comes("a", "blue")]);
    assert_eq!(has(&world, "a"), tap("tap0"));
    ends_well(world);
}

#[test]
fn an_attachment_of_the_ports_own_goes_before_that_of_its_mac() {
    let mut world = waiting();
    world.attach("a", tap("tap1"));
    world.run();
    publish(&mut world, &[comes("a", "blue")]);
    assert_eq!(has(&world, "a"), tap("tap1"));
    let waits = world.agent.status().waiting;
    assert!(
        waits[0].why.contains("port a of this MAC is attached by its id"),
        "{waits:?}"
    );
    publish(&mut world, &[comes("b", "green")]);
    assert_eq!(has(&world, "b"), tap("tap0"), "the next one of this MAC");
    world.attach("b", tap("tap2"));
    world.run();
    assert_eq!(has(&world, "b"), tap("tap2"));
    world.attach("a", Attachment::Detached);
    world.run();
    assert_eq!((has(&world, "a"), has(&world, "b")), (tap("tap0"), tap("tap2")));
    world.attach("a", Attachment::Detached);
    world.run();
    let text = answer(&mut world).unwrap_err();
    assert!(
        text.contains("by its MAC") && text.contains("--mac 02:00:00:00:00:07"),
        "{text}"
    );
    ends_well(world);
}

#[test]
fn what_cannot_be_says_why() {
    let mut world = waiting();
    for (mac, wanted, says) in [
        (Mac([3, 0, 0, 0, 0, 1]), "tap1", "no guest's"),
        (Mac::BROADCAST, "tap1", "no guest's"),
        (Mac::ZERO, "tap1", "no guest's"),
        (
            Mac([2, 0, 0, 0, 0, 9]),
            "tap0",
            "MAC 02:00:00:00:00:07 has this interface",
        ),
        (Mac([2, 0, 0, 0, 0, 9]), "an interface", "interface"),
    ] {
        world.attach_mac(mac, tap(wanted));
        world.run();
        let text = answer(&mut world).unwrap_err();
        assert!(text.contains(says), "{text}");
    }
    world.attach("a", tap("tap0"));
    world.run();
    let text = answer(&mut world).unwrap_err();
    assert!(
        text.contains("MAC 02:00:00:00:00:07 has this interface already"),
        "{text}"
    );
    world.attach("a", tap("tap1"));
    world.attach_mac(Mac([2, 0, 0, 0, 0, 9]), tap("tap1"));
    world.run();
    let text = answer(&mut world).unwrap_err();
    assert!(text.contains("port a has this interface already"), "{text}");
    ends_well(world);
}

#[test]
fn a_claim_outlives_the_log_it_follows_from() {
    let mut world = waiting();
    publish(&mut world, &[comes("z", "blue")]);
    publish(&mut world, &[comes("a", "green")]);
    let name = |round: u32| {
        Change::Port(
            id("other"),
            Some(Port {
                hostname: Some(format!("h{round}")),
                ..port("blue", Mac([2, 0, 0, 0, 1, 1]))
            }),
        )
    };
    for round in 0..1_100 {
        publish(&mut world, &[name(round)]);
    }
    assert!(
        world.disk.restored.changesets.len() > 1_000,
        "first, the claim has to be written"
    );
    world.tick();
    world.run();
    assert!(world.disk.restored.changesets.len() < 10);
    world.crash();
    world.run();
    assert_eq!(
        (has(&world, "z"), has(&world, "a")),
        (tap("tap0"), Attachment::Detached)
    );
    ends_well(world);
}

#[test]
fn what_the_vswitch_does_not_take_moves_nothing_and_a_restart_neither() {
    let mut world = waiting();
    publish(&mut world, &[comes("z", "blue")]);
    publish(&mut world, &[comes("a", "green")]);
    world.dislikes = Some(id("bad"));
    publish(&mut world, &[goes("z"), comes("bad", "blue")]);
    let as_it_is = |world: &World| (has(world, "z"), has(world, "a"));
    assert_eq!(as_it_is(&world), (tap("tap0"), Attachment::Detached));
    world.crash();
    world.plane(true, true);
    world.run();
    assert_eq!(as_it_is(&world), (tap("tap0"), Attachment::Detached));
    world.dislikes = None;
    world.quiet();
    assert_eq!(has(&world, "a"), tap("tap0"), "the lowest id of those that wait");
    ends_well(world);
}

#[test]
fn a_disk_that_lost_its_plan_keeps_the_claims_for_the_next_one() {
    let mut world = waiting();
    publish(&mut world, &[comes("z", "blue")]);
    publish(&mut world, &[comes("a", "green")]);
    world.quiet();
    world.disk.restored.changesets.clear();
    world.crash();
    world.run();
    world.tick();
    world.run();
    world.quiet();
    assert_eq!(
        (has(&world, "z"), has(&world, "a")),
        (tap("tap0"), Attachment::Detached)
    );
    ends_well(world);
}

#[test]
fn detaching_a_mac_works_on_a_full_disk_and_attaching_does_not() {
    let mut world = waiting();
    publish(&mut world, &[comes("a", "blue")]);
    world.disk.fails = true;
    world.closings = true;
    world.attach_mac(GUEST, tap("tap1"));
    world.run();
    assert!(answer(&mut world).unwrap_err().contains("cannot be written"));
    assert_eq!(has(&world, "a"), tap("tap0"));
    world.attach_mac(GUEST, Attachment::Detached);
    world.run();
    assert_eq!(has(&world, "a"), Attachment::Detached);
    world.disk.fails = false;
    world.tick();
    world.run();
    world.tick();
    world.run();
    assert!(world.disk.restored.attachments.macs.is_empty());
    ends_well(world);
}
