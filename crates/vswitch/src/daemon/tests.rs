//! The control thread by itself, without ports: what a panic costs.

use anet_lab::Folder;
use anet_model::changeset::Changeset;
use anet_wire::control::Filter;
use anet_wire::control::report::Counters;

use super::*;
use crate::planted;

fn daemon(folder: &Folder) -> Daemon {
    let settings = Settings {
        plan: None,
        tunnel: None,
        control: folder.file("control"),
        connections: folder.file("connections"),
        connection_capacity: 1024,
        workers: 1,
        flows: 1024,
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
