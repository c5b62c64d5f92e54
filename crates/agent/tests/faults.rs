//! Single faults, each with what has to come of it.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[allow(dead_code, reason = "each test uses its part of it")]
mod faulty_world;

use anet_agent::core::{Input, Said};
use anet_model::changeset::Change;
use anet_model::host_plan::{
    Attachment, Direction, Family, HostPlan, PortRange, Protocol, Remote, Rule, SecurityGroup,
};
use anet_model::state::Cursor;
use anet_model::testing::base_plan;
use anet_wire::control::Refusal;
use anet_wire::session::{AgentMessage, SignedChangeset, VswitchState};
use faulty_world::{HOST, World};

fn rule(port: u16) -> Rule {
    Rule {
        direction: Direction::Ingress,
        family: Family::Ipv4,
        protocol: Protocol::Tcp(PortRange {
            first: port,
            last: port,
        }),
        remote: Remote::Any,
    }
}

/// Two ports with a group that lets SSH and HTTP in.
fn plan() -> HostPlan {
    let text = "networks:\n  blue: {vni: 10, mtu: 1450, endpoints: []}\nsubnets:\n  v4: {network: blue, prefix: 10.0.0.0/24}\nports:\n  \
                a: {network: blue, mac: '02:00:00:00:00:01', addresses: [10.0.0.1], security_groups: [g]}\n  \
                b: {network: blue, mac: '02:00:00:00:00:02', addresses: [10.0.0.2], security_groups: [g]}\n";
    let mut plan =
        anet_wire::plan_text::parse(&(text.to_owned() + "security_groups:\n  g: {rules: {}}\n")).unwrap();
    let rules = [("ssh", 22), ("http", 80)].map(|(id, port)| (id.parse().unwrap(), rule(port)));
    let group = SecurityGroup {
        rules: rules.into_iter().collect(),
    };
    plan.security_groups.insert("g".parse().unwrap(), group);
    plan
}

/// Everything is up and the plan is applied.
fn settled() -> World {
    let mut world = World::new(plan());
    world.quiet();
    world.check_quiet();
    world
}

fn withdrawn() -> Change {
    Change::Rule("g".parse().unwrap(), "ssh".parse().unwrap(), None)
}

fn opened() -> Change {
    Change::Rule("g".parse().unwrap(), "https".parse().unwrap(), Some(rule(443)))
}

fn rules(world: &World) -> Vec<String> {
    let group = &world.vswitch.plan().security_groups[&"g".parse().unwrap()];
    group.rules.keys().map(ToString::to_string).collect()
}

fn deliver_all(world: &mut World) {
    while !world.stream.is_empty() {
        world.deliver(0);
    }
    world.run();
}

fn acknowledged(world: &World) -> Vec<u64> {
    let cursor = |message: &AgentMessage| match message {
        AgentMessage::Acknowledged { cursor, .. } => Some(cursor.revision),
        _ => None,
    };
    world.messages.iter().filter_map(cursor).collect()
}

#[test]
fn a_changeset_is_written_applied_and_acknowledged_in_this_order() {
    let mut world = settled();
    world.publish(&[opened()]);
    world.deliver(0);
    let writes = world.disk.writes;
    while world.vswitch.plan().security_groups[&"g".parse().unwrap()]
        .rules
        .len()
        == 2
    {
        assert!(world.step(), "it comes into the data plane");
    }
    assert_eq!(
        world.disk.writes,
        writes + 1,
        "what is desired is on disk before it is applied"
    );
    let before = acknowledged(&world);
    assert!(!before.contains(&2));
    world.run();
    assert_eq!(acknowledged(&world).last(), Some(&2));
    assert_eq!(world.disk.writes, writes + 2);
}

#[test]
fn on_a_full_disk_only_what_closes_is_carried_out_and_nothing_is_acknowledged() {
    let mut world = settled();
    world.disk.fails = true;
    world.closings = true;
    world.publish(&[withdrawn(), opened()]);
    deliver_all(&mut world);
    assert_eq!(rules(&world), ["http"], "SSH is closed, HTTPS is not opened");
    assert!(!acknowledged(&world).contains(&2));
    world.tick();
    world.run();
    let report = world.reports.last().unwrap();
    assert_eq!(report.not_durable.as_deref(), Some("no space left on device"));
    assert_eq!(report.cursor.revision, 1);
    // A second one, while the first still waits.
    world.publish(&[Change::Port("b".parse().unwrap(), None)]);
    deliver_all(&mut world);
    assert!(!world.vswitch.plan().ports.contains_key(&"b".parse().unwrap()));
    // The vswitch begins anew: what was closed stays closed.
    world.plane(true, true);
    world.run();
    assert_eq!(rules(&world), ["http"]);
    world.disk.fails = false;
    world.tick();
    world.run();
    assert_eq!(rules(&world), ["http", "https"]);
    assert_eq!(acknowledged(&world).last(), Some(&3));
    world.quiet();
    world.check_quiet();
}

#[test]
fn what_was_closed_on_a_full_disk_is_not_in_the_way_of_what_closes_it() {
    let mut plan = plan();
    let text = "tunnel: {address: 192.0.2.1}\nendpoints:\n  far: {address: 192.0.2.2}\n";
    let overlay = anet_wire::plan_text::parse(text).unwrap();
    (plan.tunnel, plan.endpoints) = (overlay.tunnel, overlay.endpoints);
    let blue = "blue".parse().unwrap();
    let mut network = plan.networks[&blue].clone();
    let alone = network.clone();
    network.endpoints = vec!["far".parse().unwrap()];
    plan.networks.insert(blue.clone(), network.clone());
    let mut world = World::new(plan);
    world.quiet();
    world.disk.fails = true;
    world.closings = true;
    let peer = anet_model::host_plan::Peer {
        network: blue.clone(),
        mac: "02:00:00:00:00:09".parse().unwrap(),
        addresses: Vec::new(),
        endpoint: "far".parse().unwrap(),
    };
    world.publish(&[Change::Peer("p".parse().unwrap(), Some(peer))]);
    let gone = Change::Peer("p".parse().unwrap(), None);
    world.publish(&[gone, Change::Network(blue.clone(), Some(alone.clone()))]);
    deliver_all(&mut world);
    assert_eq!(world.vswitch.plan().networks[&blue], alone, "it is left");
    world.disk.fails = false;
    world.tick();
    while world.step() {
        assert_eq!(world.vswitch.plan().networks[&blue], alone, "and stays so");
    }
    assert_eq!(world.refusals, []);
    assert_eq!(acknowledged(&world).last(), Some(&3));
    world.quiet();
    world.check_quiet();
}

#[test]
fn detaching_works_on_a_full_disk_and_attaching_does_not() {
    let mut world = settled();
    let tap = |name: &str| Attachment::Tap {
        interface: name.to_owned(),
        netns: None,
    };
    world.attach("a", tap("tap1"));
    world.run();
    let attached = |world: &World, port: &str| {
        world.vswitch.plan().ports[&port.parse().unwrap()]
            .attachment
            .clone()
    };
    assert_eq!(
        (attached(&world, "a"), world.answers.pop()),
        (tap("tap1"), Some(Ok("done".to_owned())))
    );
    world.disk.fails = true;
    world.attach("b", tap("tap2"));
    world.run();
    assert!(
        world
            .answers
            .pop()
            .unwrap()
            .unwrap_err()
            .contains("no space left")
    );
    assert_eq!(attached(&world, "b"), Attachment::Detached);
    // What was refused may have come to the disk all the same.
    let port: anet_model::host_plan::PortId = "b".parse().unwrap();
    world
        .disk
        .restored
        .attachments
        .ports
        .insert(port.clone(), tap("tap2"));
    world.attach("a", Attachment::Detached);
    world.run();
    assert_eq!(attached(&world, "a"), Attachment::Detached);
    let told = world.answers.pop().unwrap().unwrap();
    assert!(told.contains("could not be written"), "{told}");
    // A second later the disk works, and what was done is written there, without another reason.
    let kept = |world: &World| {
        world
            .disk
            .restored
            .attachments
            .ports
            .contains_key(&"a".parse().unwrap())
    };
    assert!(kept(&world));
    world.disk.fails = false;
    for _ in 0..2 {
        world.tick();
        world.run();
    }
    assert!(!kept(&world));
    assert!(!world.disk.restored.attachments.ports.contains_key(&port));
    assert!(world.agent.is_idle());
}

#[test]
fn what_was_applied_on_a_full_disk_is_written_down_once_the_disk_works() {
    let mut world = settled();
    world.publish(&[opened()]);
    world.deliver(0);
    while world.disk.restored.changesets.len() < 2 {
        assert!(world.step());
    }
    world.disk.fails = true;
    world.run();
    let recorded = |world: &World| world.disk.restored.applied.unwrap().cursor.revision;
    assert_eq!((world.agent.applied().revision, recorded(&world)), (2, 1));
    assert!(!world.agent.is_idle());
    world.disk.fails = false;
    world.tick();
    world.run();
    assert_eq!(recorded(&world), 2);
    world.tick();
    world.run();
    world.check_quiet();
}

#[test]
fn an_attachment_is_kept_for_a_port_that_is_not_planned_yet() {
    let mut world = settled();
    let tap = Attachment::Tap {
        interface: "tap9".to_owned(),
        netns: None,
    };
    world.attach("c", tap.clone());
    world.run();
    assert!(
        world
            .answers
            .pop()
            .unwrap()
            .unwrap()
            .contains("not planned on this host")
    );
    world.attach("a", tap.clone());
    world.run();
    assert!(
        world
            .answers
            .pop()
            .unwrap()
            .unwrap_err()
            .contains("port c has this interface")
    );
    world.crash();
    world.connect();
    let mut port = world.controller.plan().ports[&"a".parse().unwrap()].clone();
    port.mac = "02:00:00:00:00:03".parse().unwrap();
    port.addresses = vec!["10.0.0.3".parse().unwrap()];
    world.publish(&[Change::Port("c".parse().unwrap(), Some(port))]);
    deliver_all(&mut world);
    assert_eq!(world.vswitch.plan().ports[&"c".parse().unwrap()].attachment, tap);
}

#[test]
fn what_the_vswitch_cannot_do_is_taken_back_and_refused() {
    let mut world = settled();
    let before = world.vswitch.plan().clone();
    world.dislikes = Some("c".parse().unwrap());
    let mut port = world.controller.plan().ports[&"a".parse().unwrap()].clone();
    port.mac = "02:00:00:00:00:03".parse().unwrap();
    port.addresses = vec!["10.0.0.3".parse().unwrap()];
    world.publish(&[opened()]);
    world.publish(&[Change::Port("c".parse().unwrap(), Some(port))]);
    deliver_all(&mut world);
    assert_eq!(world.refusals, [(3, Refusal::Invalid)], "only the one at fault");
    assert_eq!(acknowledged(&world).last(), Some(&2));
    assert_ne!(world.vswitch.plan(), &before);
    // From disk alone, on a vswitch that has nothing, the host comes up with what was good.
    world.crash();
    world.plane(true, true);
    world.run();
    assert_eq!(rules(&world), ["http", "https", "ssh"]);
}

#[test]
fn what_the_vswitch_has_is_not_taken_from_it_because_its_answer_was_lost_before_a_bad_change() {
    let mut world = settled();
    world.dislikes = Some("c".parse().unwrap());
    world.publish(&[opened()]);
    world.deliver(0);
    while rules(&world).len() == 2 {
        assert!(world.step(), "it comes into the data plane");
    }
    let mut port = world.controller.plan().ports[&"a".parse().unwrap()].clone();
    port.mac = "02:00:00:00:00:03".parse().unwrap();
    port.addresses = vec!["10.0.0.3".parse().unwrap()];
    world.publish(&[Change::Port("c".parse().unwrap(), Some(port))]);
    world.deliver(0);
    // The answer is lost; the world looks that nothing older comes over it.
    world.plane(false, false);
    world.run();
    world.plane(true, false);
    world.run();
    assert_eq!(world.refusals, [(3, Refusal::Invalid)], "only the one at fault");
    assert_eq!(acknowledged(&world).last(), Some(&2));
    assert_eq!(rules(&world), ["http", "https", "ssh"]);
}

#[test]
fn a_bad_change_that_could_not_be_taken_back_on_disk_is_taken_back_after_the_next_start() {
    let mut world = settled();
    world.dislikes = Some("c".parse().unwrap());
    let mut port = world.controller.plan().ports[&"a".parse().unwrap()].clone();
    port.mac = "02:00:00:00:00:03".parse().unwrap();
    port.addresses = vec!["10.0.0.3".parse().unwrap()];
    world.publish(&[Change::Port("c".parse().unwrap(), Some(port))]);
    world.deliver(0);
    // It is written, and then the process dies.
    let writes = world.disk.writes;
    while world.disk.writes == writes {
        assert!(world.step());
    }
    world.crash();
    world.plane(true, true);
    world.run();
    assert_eq!(
        world.vswitch.plan().ports.len(),
        2,
        "the plan before it is in force"
    );
    assert_eq!(world.agent.desired().revision(), 1);
}

#[test]
fn only_changesets_for_this_host_that_are_signed_are_taken() {
    let mut world = settled();
    let before = world.vswitch.clone();
    world.publish(&[withdrawn()]);
    let signed = world.stream.remove(0);
    let other = SignedChangeset {
        host: "host2".parse().unwrap(),
        ..signed
    };
    world.inputs.push_back(Input::Said(Said::Changeset(Ok(other))));
    let reason = "the signature does not fit the message".to_owned();
    world.inputs.push_back(Input::Said(Said::Changeset(Err(reason))));
    world.run();
    assert_eq!(world.refusals, [(2, Refusal::Invalid), (0, Refusal::Invalid)]);
    assert_eq!(world.vswitch, before);
}

#[test]
fn a_controller_of_another_cluster_is_not_spoken_to() {
    let mut world = settled();
    world.disconnect();
    world.run();
    world.connected = true;
    world.inputs.push_back(Input::Connected);
    world.inputs.push_back(Input::Said(Said::Welcome {
        protocol: 1,
        software: "anet-controller".to_owned(),
        cluster: "other".to_owned(),
        cursor: world.controller.cursor(),
        digest: world.vswitch.digest().total(),
    }));
    world.publish(&[withdrawn()]);
    world.deliver(0);
    world.run();
    assert!(!world.connected, "the stream is closed");
    assert_eq!(rules(&world), ["http", "ssh"]);
    let reason = world.agent.status().session.unwrap_err();
    assert!(
        reason.contains("of cluster `other`"),
        "why it was closed, not that: {reason}"
    );
}

#[test]
fn without_a_controller_the_host_comes_up_from_its_disk() {
    let mut world = settled();
    let before = world.vswitch.plan().clone();
    world.crash();
    world.plane(true, true);
    world.run();
    assert_eq!(world.vswitch.plan(), &before);
}

#[test]
fn a_plan_that_the_disk_does_not_know_is_left_alone_until_a_controller_has_spoken() {
    let mut world = settled();
    world.publish(&[withdrawn()]);
    deliver_all(&mut world);
    assert_eq!(rules(&world), ["http"]);
    // The disk loses what came last.
    world.disk.restored.changesets.truncate(1);
    world.crash();
    world.run();
    for _ in 0..10 {
        world.tick();
        world.run();
    }
    assert_eq!(
        rules(&world),
        ["http"],
        "the older plan on disk does not open SSH again"
    );
    world.quiet();
    world.check_quiet();
    assert_eq!(rules(&world), ["http"]);
}

#[test]
fn a_vswitch_that_was_changed_by_somebody_else_is_put_right() {
    let mut world = settled();
    let mut stranger = world.vswitch.plan().clone();
    stranger.ports.remove(&"a".parse().unwrap());
    world.vswitch = anet_model::state::PlanState::new(stranger, 0, 40).unwrap();
    for _ in 0..3 {
        world.tick();
        world.run();
    }
    assert!(world.vswitch.plan().ports.contains_key(&"a".parse().unwrap()));
}

#[test]
fn a_vswitch_that_is_away_is_reported_and_traces_are_answered() {
    let mut world = settled();
    world.plane(false, false);
    world.tick();
    let request = anet_wire::control::trace::TraceRequest {
        from: anet_wire::control::trace::TraceSource::Port("a".parse().unwrap()),
        packet: anet_wire::control::trace::TracePacket::Frame(vec![0; 60]),
    };
    world
        .inputs
        .push_back(Input::Said(Said::Trace { id: 5, request }));
    world.run();
    let report = world.reports.last().unwrap();
    assert!(matches!(&report.vswitch, VswitchState::Down { reason } if reason.contains("lost")));
    let answered = world.messages.iter().any(
        |message| matches!(message, AgentMessage::TraceAnswer { id: 5, answer: Err(reason) } if reason.contains(HOST)),
    );
    assert!(answered, "{:?}", world.messages.last());
    // What comes meanwhile is kept and not acknowledged.
    world.publish(&[opened()]);
    deliver_all(&mut world);
    assert_eq!(world.agent.desired().revision(), 2);
    assert_eq!(
        world.agent.applied(),
        Cursor {
            incarnation: 1,
            revision: 1
        }
    );
    world.plane(true, false);
    world.run();
    assert_eq!(acknowledged(&world).last(), Some(&2));
}

#[test]
fn the_log_is_shortened_while_changes_come() {
    let mut world = World::new(base_plan());
    world.quiet();
    for round in 0..1_200_u16 {
        world.publish(&[Change::Rule(
            "base".parse().unwrap(),
            "r".parse().unwrap(),
            Some(rule(round)),
        )]);
        deliver_all(&mut world);
    }
    assert!(world.disk.restored.changesets.len() < 1_100);
    world.quiet();
    world.check_quiet();
}
