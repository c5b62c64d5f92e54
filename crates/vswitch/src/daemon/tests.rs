//! The control thread by itself, without ports: what a panic costs.

use anet_datapath::interface::Interface;
use anet_lab::{Folder, Namespace, missing_for, skip};
use anet_model::changeset::Changeset;
use anet_ports::PortError;
use anet_wire::control::Filter;
use anet_wire::control::report::Counters;

use super::*;
use crate::planted;
use crate::workers::AttachedDevice;

fn daemon(folder: &Folder) -> Daemon {
    let settings = Settings {
        plan: None,
        tunnel: None,
        control: folder.file("control"),
        connections: folder.file("connections"),
        connection_capacity: 1024,
        workers: 1,
        large_segments: LargeSegments::Sockets,
        flows: 1024,
        polling: workers::Polling::Adaptive,
        stage_cycles: false,
        processors: Vec::new(),
        loose_pickup: false,
    };
    Daemon::start(&settings).unwrap().0
}

/// A plan with two ports on nothing and these networks beside theirs.
fn plan(networks: &[&str]) -> HostPlan {
    let mut text = String::from("networks:\n  blue: {vni: 10, mtu: 1450, endpoints: []}\n");
    for (vni, name) in (11..).zip(networks) {
        text += &format!("  {name}: {{vni: {vni}, mtu: 1450, endpoints: []}}\n");
    }
    text += "subnets:\n  v4: {network: blue, prefix: 10.0.0.0/24}\nports:\n";
    for n in 1..=2 {
        text += &format!(
            "  p{n}: {{network: blue, mac: '02:00:00:00:00:{n:02x}', addresses: [10.0.0.{n}], security_groups: [g]}}\n"
        );
    }
    text += "security_groups:\n  g:\n    rules:\n      out: {direction: egress, ethertype: IPv4}\n";
    anet_wire::plan_text::parse(&text).unwrap()
}

fn change(daemon: &Daemon, plan: &HostPlan) -> Changeset {
    daemon.control.changeset_to(plan).unwrap()
}

fn counters(daemon: &mut Daemon) -> Counters {
    match daemon.answer(Request::Counters) {
        Response::Counters(counters) => counters,
        other => panic!("{other:?}"),
    }
}

fn index(daemon: &Daemon, port: &str) -> Option<u32> {
    daemon.control.builder().port_index(&port.parse().unwrap())
}

/// The tables hold the plan, as the daemon says and as they are.
fn assert_whole(daemon: &mut Daemon) {
    let Response::Digest(report) = daemon.answer(Request::Digest) else {
        panic!("a digest");
    };
    assert_eq!(report.mismatches().count(), 0);
    let tables = daemon.tables.enter().unwrap();
    assert_eq!(daemon.control.audit(&tables), []);
    assert_eq!(tables.ports().count(), daemon.control.plan().ports.len());
    assert_eq!(tables.networks().count(), daemon.control.plan().networks.len());
}

#[test]
fn a_change_that_panics_is_an_error_and_leaves_the_tables_whole() {
    for (fault, applied) in [(planted::HALF_WAY, 1), (planted::UNPUBLISHED, 2)] {
        let folder = Folder::new().unwrap();
        let mut daemon = daemon(&folder);
        let first = change(&daemon, &plan(&["red"]));
        assert!(matches!(
            daemon.answer(Request::Apply(first)),
            Response::Applied { revision: 1, .. }
        ));
        let indexes = [index(&daemon, "p1"), index(&daemon, "p2")];
        assert!(indexes.iter().all(Option::is_some));

        let panics = change(&daemon, &plan(&["red", fault]));
        let answer = daemon.answer(Request::Apply(panics));
        let told = format!("the plan of revision {applied}");
        assert!(
            matches!(&answer, Response::Error(text) if text.contains("panic") && text.contains(&told)),
            "{answer:?}"
        );
        assert_eq!(daemon.control.state().revision(), applied);
        assert_eq!(counters(&mut daemon).control_panics, 1);
        assert_whole(&mut daemon);
        assert_eq!(
            [index(&daemon, "p1"), index(&daemon, "p2")],
            indexes,
            "devices stay"
        );

        let next = change(&daemon, &plan(&["green"]));
        let answer = daemon.answer(Request::Apply(next));
        assert!(matches!(answer, Response::Applied { .. }), "{answer:?}");
        assert_whole(&mut daemon);
    }
}

#[test]
fn a_question_or_a_task_that_panics_is_counted_and_no_more() {
    let folder = Folder::new().unwrap();
    let mut daemon = daemon(&folder);
    let first = change(&daemon, &plan(&[]));
    daemon.answer(Request::Apply(first));
    let flows = || {
        Request::Flows(Filter {
            port: "planted-fault".parse().ok(),
            ..Filter::default()
        })
    };
    let answer = daemon.answer(flows());
    assert!(
        matches!(&answer, Response::Error(text) if text.contains("panic")),
        "{answer:?}"
    );
    daemon.survive(|_| panic!("a planted fault"));
    assert_eq!(counters(&mut daemon).control_panics, 2);
    assert_whole(&mut daemon);
}

#[test]
fn a_late_event_about_an_old_device_leaves_the_new_one_alone() {
    let name = "a_late_event_about_an_old_device_leaves_the_new_one_alone";
    if let Some(reason) = missing_for(&[]) {
        return skip(name, &reason);
    }
    let (folder, guest) = (Folder::new().unwrap(), Namespace::new("guest").unwrap());
    let mut daemon = daemon(&folder);
    let text = format!(
        "networks:\n  blue: {{vni: 10, mtu: 1450, endpoints: []}}\nports:\n  \
         p1: {{network: blue, mac: '02:00:00:00:00:01', tap: {{interface: eth0, netns: {}}}}}\n",
        guest.path().display()
    );
    let first = change(&daemon, &anet_wire::plan_text::parse(&text).unwrap());
    daemon.answer(Request::Apply(first));
    let key = Key::Guest("p1".parse().unwrap());
    let interface = Interface::port(index(&daemon, "p1").unwrap());
    let lost = |daemon: &mut Daemon, generation| {
        let error = PortError::Gone {
            port: "eth0".to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        };
        let device = AttachedDevice {
            interface,
            generation,
        };
        daemon.hear(Event::Lost(device, error));
    };
    assert!(daemon.attachments.is_open_as(&key, 1));
    lost(&mut daemon, 1);
    assert!(!daemon.open.contains_key(&key));
    daemon.open_due_ports(u64::MAX);
    assert!(daemon.attachments.is_open_as(&key, 2));
    lost(&mut daemon, 1);
    assert!(daemon.open.contains_key(&key) && daemon.attachments.is_open_as(&key, 2));
}
