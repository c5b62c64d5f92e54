//! One packet over one or two hosts, and what is advised for each reason.

use anet_api::trace::{TraceProtocol, TraceRequest, Verdict};
use anet_wire::control::trace::{TraceReport, TraceSource, TraceStep, TraceVerdict};

use super::super::admit::Caller;
use super::super::admit::tests::World;
use super::*;

const TCP: TraceProtocol = TraceProtocol::Tcp {
    source_port: None,
    destination_port: 5_432,
};

fn admin() -> Caller {
    Caller {
        project: None,
        admin: true,
    }
}

/// Two hosts, one network, a port on each: `a` has 10.0.0.2 and `b` 10.0.0.3.
struct Scene {
    world: World,
    network: String,
    a: String,
    b: String,
}

fn scene() -> Scene {
    let mut world = World::new();
    world.host("h1", Some("192.0.2.1"));
    world.host("h2", Some("192.0.2.2"));
    let network = world.network();
    world.subnet(&network, "10.0.0.0/24");
    let a = world.port(&network, Some("h1"));
    let b = world.port(&network, Some("h2"));
    Scene { world, network, a, b }
}

fn request(port: &str, destination: &str) -> TraceRequest {
    TraceRequest {
        port_id: port.to_owned(),
        destination: destination.parse().unwrap(),
        source: None,
        protocol: TCP,
    }
}

fn report(verdict: TraceVerdict) -> TraceReport {
    TraceReport {
        steps: vec![TraceStep {
            stage: "guard".to_owned(),
            ..TraceStep::default()
        }],
        verdict,
    }
}

fn forwarded(to: &str) -> TraceReport {
    report(TraceVerdict::Forwarded {
        to: vec![to.to_owned()],
    })
}

fn dropped(reason: &str) -> TraceReport {
    report(TraceVerdict::Dropped {
        reason: reason.to_owned(),
        object: String::new(),
    })
}

fn done(step: Step) -> api::Trace {
    match step {
        Step::Done(trace) => trace,
        Step::Ask(host, _) => panic!("host {host} is still to be asked"),
    }
}

#[test]
fn a_packet_is_followed_through_the_tunnel() {
    let scene = scene();
    let mirror = scene.world.mirror();
    let (mut run, step) = Run::begin(mirror, &admin(), &request(&scene.a, "10.0.0.3")).unwrap();
    let Step::Ask(host, first) = step else { panic!() };
    assert_eq!(host.as_str(), "h1");
    assert_eq!(first.from, TraceSource::Port(PortId::new(&scene.a).unwrap()));
    let Step::Ask(host, second) = run.answered(mirror, Ok(forwarded("endpoint h2"))) else {
        panic!()
    };
    assert_eq!(host.as_str(), "h2");
    let TracePacket::Fields(fields) = &second.packet else {
        panic!()
    };
    assert_eq!(fields.source, Some("10.0.0.2".parse().unwrap()));
    assert!(matches!(&second.from, TraceSource::Tunnel { endpoint, network }
        if endpoint.as_str() == "h1" && network.as_str() == scene.network));
    let trace = done(run.answered(mirror, Ok(forwarded(&format!("port {}", scene.b)))));
    assert_eq!(trace.verdict, Verdict::Delivered);
    assert_eq!(trace.object, Some(format!("port {}", scene.b)));
    assert_eq!(trace.hosts.len(), 2);
    assert_eq!(
        (trace.hosts[1].host.as_str(), trace.hosts[1].entered.as_str()),
        ("h2", "tunnel from h1")
    );
    assert_eq!(trace.hosts[1].steps[0].stage, "guard");
}

#[test]
fn a_foreign_endpoint_is_the_end_of_the_way() {
    let scene = scene();
    let mirror = scene.world.mirror();
    let (mut run, _) = Run::begin(mirror, &admin(), &request(&scene.a, "10.0.0.9")).unwrap();
    let trace = done(run.answered(mirror, Ok(forwarded("endpoint foreign:192.0.2.9:4789"))));
    assert_eq!(trace.verdict, Verdict::Delivered);
    assert_eq!(trace.object.as_deref(), Some("endpoint foreign:192.0.2.9:4789"));
}

#[test]
fn a_host_that_does_not_answer_leaves_it_open() {
    let scene = scene();
    let mirror = scene.world.mirror();
    let (mut run, _) = Run::begin(mirror, &admin(), &request(&scene.a, "10.0.0.3")).unwrap();
    let trace = done(run.answered(mirror, Err("the agent of host h1 is not connected".to_owned())));
    assert_eq!(trace.verdict, Verdict::Unknown);
    assert!(trace.hosts[0].outcome.contains("not connected"));
}

#[test]
fn a_port_that_is_nowhere_sends_nothing() {
    let mut scene = scene();
    let c = scene.world.port(&scene.network, None);
    let mirror = scene.world.mirror();
    let trace = done(Run::begin(mirror, &admin(), &request(&c, "10.0.0.3")).unwrap().1);
    assert_eq!(
        (trace.verdict, trace.reason.as_deref()),
        (Verdict::Dropped, Some("port_not_bound"))
    );
    assert!(
        trace
            .suggestion
            .unwrap()
            .starts_with(&format!("anet port set {c} --host h1  # "))
    );
    let trace = done(
        Run::begin(mirror, &admin(), &request(&scene.a, "2001:db8::1"))
            .unwrap()
            .1,
    );
    assert_eq!(trace.reason.as_deref(), Some("no_source_address"));
    assert!(trace.suggestion.unwrap().contains("no IPv6 subnet"));
}

#[test]
fn another_projects_port_is_not_there() {
    let scene = scene();
    let other = Caller {
        project: Some(anet_model::intent::ProjectId::new("other").unwrap()),
        admin: false,
    };
    let error = Run::begin(scene.world.mirror(), &other, &request(&scene.a, "10.0.0.3")).unwrap_err();
    assert_eq!(error.status, 404);
}

/// The suggestion for a packet of `a` that is dropped on a host.
fn advice(scene: &Scene, destination: &str, hosts: &[&str], reason: &str) -> Option<String> {
    let mirror = scene.world.mirror();
    let (mut run, _) = Run::begin(mirror, &admin(), &request(&scene.a, destination)).unwrap();
    if let [_, second] = hosts {
        run.answered(mirror, Ok(forwarded(&format!("endpoint {second}"))));
    }
    let trace = done(run.answered(mirror, Ok(dropped(reason))));
    assert_eq!(
        (trace.verdict, trace.reason.as_deref()),
        (Verdict::Dropped, Some(reason))
    );
    trace.suggestion
}

#[test]
fn a_forbidden_packet_needs_one_rule() {
    let scene = scene();
    let group = scene.world.default_group();
    let egress = advice(&scene, "10.0.0.3", &["h1"], "firewall_egress").unwrap();
    assert_eq!(
        egress,
        format!(
            "anet security-group rule create {group} --egress --ethertype IPv4 --protocol tcp --dst-port 5432 --remote-ip 10.0.0.3/32"
        )
    );
    let ingress = advice(&scene, "10.0.0.3", &["h1", "h2"], "firewall_ingress").unwrap();
    assert_eq!(
        ingress,
        format!(
            "anet security-group rule create {group} --ingress --ethertype IPv4 --protocol tcp --dst-port 5432 --remote-ip 10.0.0.2/32"
        )
    );
}

#[test]
fn each_reason_has_its_own_advice() {
    let mut scene = scene();
    let c = scene.world.port(&scene.network, None);
    let (a, network) = (scene.a.clone(), scene.network.clone());
    let cases = [
        (
            "10.0.0.3",
            "spoofed_ipv4",
            format!("anet port set {a} --allowed-address ip-address=10.0.0.2"),
        ),
        (
            "10.0.0.4",
            "unknown_target",
            format!("anet port set {c} --host h1  # or"),
        ),
        (
            "10.0.0.99",
            "unknown_target",
            format!("anet port create NAME --network {network} --fixed-ip"),
        ),
        (
            "10.9.0.1",
            "unknown_destination",
            "in no subnet of network".to_owned(),
        ),
        ("10.0.0.3", "unknown_target", "does not know it yet".to_owned()),
        ("10.0.0.3", "port_down", format!("anet-agent attach {a} --tap")),
        (
            "10.0.0.3",
            "no_tunnel",
            "anet host set h1 --tunnel-address".to_owned(),
        ),
        ("10.0.0.3", "unknown_endpoint", "anet host show h1".to_owned()),
        ("10.0.0.3", "too_big", format!("anet network set {network} --mtu")),
        ("10.0.0.3", "quarantined", "log on host h1".to_owned()),
    ];
    for (destination, reason, expected) in cases {
        let found = advice(&scene, destination, &["h1"], reason).unwrap();
        assert!(found.contains(&expected), "{reason}: {found}");
    }
    assert_eq!(advice(&scene, "10.0.0.3", &["h1"], "malformed"), None);
}

#[test]
fn what_is_down_is_raised_where_it_is_down() {
    let mut scene = scene();
    scene.world.port_down(&scene.b);
    let found = advice(&scene, "10.0.0.3", &["h1", "h2"], "port_down").unwrap();
    assert_eq!(found, format!("anet port set {} --enable", scene.b));
    scene.world.network_down(&scene.network);
    let found = advice(&scene, "10.0.0.3", &["h1"], "port_down").unwrap();
    assert_eq!(found, format!("anet network set {} --enable", scene.network));
}

#[test]
fn a_port_without_groups_needs_one() {
    let mut scene = scene();
    scene.world.no_groups(&scene.b);
    let found = advice(&scene, "10.0.0.3", &["h1", "h2"], "firewall_ingress").unwrap();
    assert!(
        found.contains(&format!("anet port set {} --security-group GROUP", scene.b)),
        "{found}"
    );
}

#[test]
fn a_drop_names_the_object_that_it_is_about_and_says_why() {
    let scene = scene();
    let mirror = scene.world.mirror();
    let cases = [
        ("firewall_egress", Some(format!("port {}", scene.a))),
        ("firewall_ingress", Some(format!("port {}", scene.b))),
        ("spoofed_ipv4", Some(format!("port {}", scene.a))),
        ("too_big", Some(format!("network {}", scene.network))),
        ("no_tunnel", Some("host h1".to_owned())),
        ("malformed", None),
    ];
    for (reason, object) in cases {
        let (mut run, _) = Run::begin(mirror, &admin(), &request(&scene.a, "10.0.0.3")).unwrap();
        let verdict = TraceVerdict::Dropped {
            reason: reason.to_owned(),
            object: "what the reason means".to_owned(),
        };
        let trace = done(run.answered(mirror, Ok(report(verdict))));
        assert_eq!(trace.object, object, "{reason}");
        assert_eq!(
            trace.hosts[0].outcome,
            format!("dropped: {reason}: what the reason means")
        );
    }
}

#[test]
fn a_host_without_a_tunnel_address_is_the_one_to_be_given_one() {
    for (without, addresses) in [
        ("h1", [None, Some("192.0.2.2")]),
        ("h2", [Some("192.0.2.1"), None]),
    ] {
        let mut world = World::new();
        world.host("h1", addresses[0]);
        world.host("h2", addresses[1]);
        let network = world.network();
        world.subnet(&network, "10.0.0.0/24");
        let (a, b) = (world.port(&network, Some("h1")), world.port(&network, Some("h2")));
        let scene = Scene { world, network, a, b };
        let found = advice(&scene, "10.0.0.3", &["h1"], "unknown_target").unwrap();
        assert_eq!(found, format!("anet host set {without} --tunnel-address ADDRESS"));
    }
}
