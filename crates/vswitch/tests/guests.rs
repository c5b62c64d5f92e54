//! The real daemon with real guests: TAPs in network namespaces.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anet_lab::probe::{PacedUdp, TcpHold, ping};
use anet_lab::{Guest, Namespace, Vswitch, missing_for, skip, wait_for};

const PATIENCE: Duration = Duration::from_secs(10);

/// A host and guests of one network, numbered from 1: MAC 02::N, address 10.0.0.N.
struct Host {
    vswitch: Vswitch,
    _namespace: Namespace,
    guests: Vec<Guest>,
}

impl Host {
    fn new(guests: u8, arguments: &[&str]) -> Self {
        let namespace = Namespace::new("host").unwrap();
        let guests: Vec<Guest> = (1..=guests)
            .map(|n| Guest::new("guest", format!("02:00:00:00:00:{n:02x}").parse().unwrap()).unwrap())
            .collect();
        let paths: Vec<String> = guests.iter().map(|guest| path(guest.namespace())).collect();
        let vswitch = Vswitch::start(&namespace, &plan(&paths, &[22, 80]), arguments).unwrap();
        for (index, guest) in guests.iter().enumerate() {
            guest.bring_up().unwrap();
            let address = format!("10.0.0.{}/24", index + 1);
            guest.namespace().add_address(Guest::INTERFACE, &address).unwrap();
        }
        Self {
            vswitch,
            _namespace: namespace,
            guests,
        }
    }

    fn namespace(&self, guest: u8) -> &Namespace {
        self.guests[usize::from(guest) - 1].namespace()
    }

    fn plan(&self, guests: usize, open: &[u16]) -> String {
        let paths: Vec<String> = self.guests.iter().map(|guest| path(guest.namespace())).collect();
        plan(&paths[..guests], open)
    }

    fn pings(&self, from: u8, to: u8) -> bool {
        ping(self.namespace(from), address(to), 3).unwrap().all_answered()
    }
}

fn path(namespace: &Namespace) -> String {
    namespace.path().display().to_string()
}

fn address(guest: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, guest])
}

/// Guests in these namespaces; echo requests and TCP and UDP to the open ports come in, everything goes out.
fn plan(namespaces: &[String], open: &[u16]) -> String {
    let mut text = String::from(
        "networks:\n  blue: {vni: 10, mtu: 1400, endpoints: []}\n\
         subnets:\n  blue-v4: {network: blue, prefix: 10.0.0.0/24}\nports:\n",
    );
    for (index, netns) in namespaces.iter().enumerate() {
        let n = index + 1;
        text += &format!(
            "  p{n}: {{network: blue, mac: '02:00:00:00:00:{n:02x}', addresses: [10.0.0.{n}], \
             security_groups: [g], tap: {{interface: eth0, netns: {netns}}}}}\n"
        );
    }
    text += "security_groups:\n  g:\n    rules:\n      out: {direction: egress, ethertype: IPv4}\n      \
             ping: {direction: ingress, ethertype: IPv4, protocol: icmp, type: 8}\n";
    for port in open {
        for protocol in ["tcp", "udp"] {
            text += &format!(
                "      {protocol}-{port}: {{direction: ingress, ethertype: IPv4, protocol: {protocol}, ports: {port}}}\n"
            );
        }
    }
    text
}

#[test]
fn guests_reach_each_other_and_a_wrong_plan_changes_nothing() {
    let name = "guests_reach_each_other_and_a_wrong_plan_changes_nothing";
    if let Some(reason) = missing_for(&["ping"]) {
        return skip(name, &reason);
    }
    let host = Host::new(2, &["--workers", "2"]);
    assert!(host.pings(1, 2) && host.pings(2, 1));
    let link = host.namespace(1).ip(&["link", "show", "dev", "eth0"]).unwrap();
    assert!(link.contains("mtu 1400"), "the network's MTU: {link}");

    // In three fragments each way, of which only the first shows that it is an echo.
    let mut large = host.namespace(1).command("ping");
    large.args(["-c", "1", "-W", "3", "-s", "3000", "10.0.0.2"]);
    let answer = anet_lab::output_of(&mut large).unwrap();
    assert!(answer.contains("3008 bytes from 10.0.0.2"), "{answer}");

    // Each worker did something, and nobody had to ask again or wait.
    let counters = host.vswitch.ctl(&["-o", "json", "counters"]).unwrap();
    for key in ["\"rounds\": ", "\"sleeps\": "] {
        let numbers = counters.split(key).skip(1);
        let zeros = numbers.filter(|rest| rest.starts_with('0')).count();
        assert_eq!(zeros, 0, "{key} in {counters}");
    }
    assert!(
        counters.contains(r#""revalidations": 0, "rechecks": 0"#),
        "{counters}"
    );
    assert!(
        counters.contains(r#""control": [{"thread": "control", "panics": 0}]"#),
        "{counters}"
    );

    let digest = host.vswitch.ctl(&["digest"]).unwrap();
    let wrong = host
        .plan(2, &[22])
        .replace("addresses: [10.0.0.2]", "addresses: [10.9.0.2]");
    host.vswitch.write_plan(&wrong).unwrap();
    let complaint = || {
        let log = host.vswitch.log();
        log.lines()
            .find(|line| line.contains("plan.yaml:"))
            .map(str::to_owned)
    };
    let line = wait_for("a complaint", PATIENCE, || {
        complaint().filter(|line| line.contains("ports.p2"))
    })
    .unwrap();
    assert!(line.contains("plan.yaml:7:"), "file, line, column: {line}");
    assert_eq!(host.vswitch.ctl(&["digest"]).unwrap(), digest);
    assert!(host.pings(1, 2));
}

#[test]
fn an_idle_switch_sleeps() {
    if let Some(reason) = missing_for(&["ping"]) {
        return skip("an_idle_switch_sleeps", &reason);
    }
    let host = Host::new(3, &["--workers", "2"]);
    assert!(host.pings(1, 2) && host.pings(2, 3));
    // No worker is bound to a processor that a guest may keep busy.
    let usable = std::fs::read_to_string("/proc/self/status").unwrap();
    let all = of_threads(host.vswitch.pid(), "Cpus_allowed_list:");
    assert!(
        all.len() >= 3
            && all
                .iter()
                .all(|list| usable.contains(&format!("Cpus_allowed_list:\t{list}\n"))),
        "{all:?}"
    );
    // Past the uplink's trial, and the memory that is given back.
    std::thread::sleep(Duration::from_secs(3));
    let before = sleeps_of_threads(host.vswitch.pid());
    std::thread::sleep(Duration::from_secs(3));
    let woken = sleeps_of_threads(host.vswitch.pid()) - before;
    // Four times a second somebody looks at the plan file, and guests' kernels solicit routers now and then.
    assert!(
        woken < 60,
        "its threads were woken {woken} times in three seconds"
    );
}

/// How often all threads of a process went to sleep so far.
fn sleeps_of_threads(pid: u32) -> u64 {
    let sleeps = of_threads(pid, "voluntary_ctxt_switches:");
    sleeps.iter().map(|sleeps| sleeps.parse::<u64>().unwrap()).sum()
}

/// A line of each thread's status.
fn of_threads(pid: u32, key: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    // A thread may have ended meanwhile.
    let texts =
        threads.filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("status")).ok());
    let value = |text: String| {
        text.lines()
            .find_map(|line| line.strip_prefix(key))
            .map(|value| value.trim().to_owned())
    };
    texts.filter_map(value).collect()
}

#[test]
fn a_port_that_leaves_the_plan_takes_its_interface_along_and_costs_others_nothing() {
    let name = "a_port_that_leaves_the_plan_takes_its_interface_along_and_costs_others_nothing";
    if let Some(reason) = missing_for(&["ping"]) {
        return skip(name, &reason);
    }
    let host = Host::new(3, &[]);
    let target = SocketAddr::new(address(2), 80);
    let stream = PacedUdp::start(
        host.namespace(1),
        (host.namespace(2), target),
        Duration::from_millis(1),
    )
    .unwrap();
    for _ in 0..3 {
        host.vswitch.replace_plan(&host.plan(2, &[22, 80])).unwrap();
        let gone = || (!host.namespace(3).has_interface(Guest::INTERFACE)).then_some(());
        wait_for("the interface to go", PATIENCE, gone).unwrap();
        host.vswitch.replace_plan(&host.plan(3, &[22, 80])).unwrap();
        let back = || host.namespace(3).has_interface(Guest::INTERFACE).then_some(());
        wait_for("the interface to come back", PATIENCE, back).unwrap();
    }
    let paced = stream.finish();
    assert_eq!(paced.lost(), 0, "{paced:?}");
}

#[test]
fn what_left_the_plan_while_nobody_ran_is_removed_and_nothing_else() {
    let name = "what_left_the_plan_while_nobody_ran_is_removed_and_nothing_else";
    if let Some(reason) = missing_for(&["ping"]) {
        return skip(name, &reason);
    }
    // The third guest's interface is its owner's, who made it before the switch came.
    let namespace = Namespace::new("host").unwrap();
    let guest = |n: u8| Guest::new("guest", format!("02:00:00:00:00:{n:02x}").parse().unwrap()).unwrap();
    let guests = [guest(1), guest(2), guest(3)];
    let owners = guests[2].namespace();
    owners
        .ip(&["tuntap", "add", "dev", "eth0", "mode", "tap"])
        .unwrap();
    let paths: Vec<String> = guests.iter().map(|guest| path(guest.namespace())).collect();
    let has = |n: usize| guests[n - 1].namespace().has_interface(Guest::INTERFACE);
    let mut vswitch = Vswitch::start(&namespace, &plan(&paths, &[22]), &[]).unwrap();
    assert!(has(1) && has(2) && has(3));

    vswitch.kill9();
    vswitch.write_plan(&plan(&paths[..1], &[22])).unwrap();
    vswitch.start_again().unwrap();
    vswitch.wait_ready().unwrap();
    wait_for("the interface to go", PATIENCE, || (!has(2)).then_some(())).unwrap();
    assert!(
        vswitch.log().contains("in the plan no more: removed"),
        "{}",
        vswitch.log()
    );
    assert!(
        has(1) && has(3),
        "what is wanted, and what is somebody else's, stays"
    );

    // Also while it runs, and what an earlier run made is still known as made here.
    vswitch.replace_plan(&plan(&paths, &[22])).unwrap();
    wait_for("the interface to come", PATIENCE, || has(2).then_some(())).unwrap();
    vswitch.replace_plan("{}").unwrap();
    wait_for("interfaces to go", PATIENCE, || {
        (!has(1) && !has(2)).then_some(())
    })
    .unwrap();
    assert!(has(3));
    assert_eq!(
        std::fs::read_to_string(vswitch.file("connections.taps")).unwrap(),
        ""
    );
}

#[test]
fn a_missing_namespace_keeps_nobody_else_waiting() {
    let name = "a_missing_namespace_keeps_nobody_else_waiting";
    if let Some(reason) = missing_for(&["ping"]) {
        return skip(name, &reason);
    }
    let host = Host::new(2, &[]);
    let late = Namespace::new("late").unwrap();
    let late_path = path(&late);
    drop(late);
    let mut paths: Vec<String> = host.guests.iter().map(|guest| path(guest.namespace())).collect();
    paths.push(late_path.clone());
    host.vswitch.replace_plan(&plan(&paths, &[22])).unwrap();
    let ports = || host.vswitch.ctl(&["-o", "json", "ports"]).unwrap();
    assert!(
        ports().contains(r#""port": "p3", "link": "retrying""#),
        "{}",
        ports()
    );
    assert!(ports().contains("ip netns list"), "what to do: {}", ports());
    assert!(host.pings(1, 2));

    // The same name again: `ip netns add` of the missing one.
    let name = late_path.rsplit('/').next().unwrap().to_owned();
    let _late = Named::new(name);
    wait_for("the port to be attached", PATIENCE, || {
        ports().contains(r#""port": "p3", "link": "up""#).then_some(())
    })
    .unwrap();
}

/// A namespace of a given name, deleted when dropped.
struct Named(String);

impl Named {
    fn new(name: String) -> Self {
        anet_lab::output_of(std::process::Command::new("ip").args(["netns", "add", &name])).unwrap();
        Self(name)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = anet_lab::output_of(std::process::Command::new("ip").args(["netns", "del", &self.0]));
    }
}

#[test]
fn connections_live_through_a_kill() {
    let name = "connections_live_through_a_kill";
    if let Some(reason) = missing_for(&["ping"]) {
        return skip(name, &reason);
    }
    let mut host = Host::new(2, &["--loose-pickup", "off"]);
    let target = SocketAddr::new(address(2), 22);
    let connection = TcpHold::start(host.namespace(1), (host.namespace(2), target)).unwrap();
    let stream = PacedUdp::start(
        host.namespace(1),
        (host.namespace(2), SocketAddr::new(address(2), 80)),
        Duration::from_millis(1),
    )
    .unwrap();
    host.vswitch.kill9();
    host.vswitch.start_again().unwrap();
    host.vswitch.wait_ready().unwrap();
    assert!(connection.is_alive(Duration::from_secs(3)));
    let gap = stream.finish().longest_gap;
    assert!(gap < Duration::from_millis(1500), "{gap:?}");
    assert!(
        host.vswitch.log().contains("connections live on"),
        "{}",
        host.vswitch.log()
    );
    let table = host.vswitch.ctl(&["connections", "--layer4-port", "22"]).unwrap();
    assert!(
        table.contains("10.0.0.2:22") && table.contains("established") && table.contains("tcp-22"),
        "{table}"
    );
}

#[test]
fn what_is_dropped_is_explained() {
    let name = "what_is_dropped_is_explained";
    if let Some(reason) = missing_for(&["ping"]) {
        return skip(name, &reason);
    }
    let host = Host::new(2, &[]);
    let blocked = SocketAddr::new(address(2), 8080);
    let pace = Duration::from_millis(5);
    let stream = PacedUdp::start_unheard(host.namespace(1), (host.namespace(2), blocked), pace).unwrap();
    let counted = || {
        let drops = host.vswitch.ctl(&["drops"]).unwrap();
        drops.contains("firewall_ingress").then_some(())
    };
    wait_for("a counted drop", PATIENCE, counted).unwrap();
    let flows = host.vswitch.ctl(&["flows", "--layer4-port", "8080"]).unwrap();
    assert!(flows.contains("drop: firewall_ingress"), "{flows}");
    assert_eq!(stream.received(), 0);

    let trace = |arguments: &[&str]| {
        let all = [&["--port", "p1", "--to", "10.0.0.2"], arguments].concat();
        host.vswitch.trace(&all).unwrap()
    };
    let (passes, text) = trace(&["--udp", "8080"]);
    assert!(!passes && text.contains("dropped: firewall_ingress"), "{text}");
    let (passes, text) = trace(&["--tcp", "22"]);
    assert!(passes && text.contains("rule tcp-22"), "{text}");
    let (passes, text) = trace(&["--from", "10.0.0.77"]);
    assert!(!passes && text.contains("spoofed_ipv4"), "{text}");
    let (passes, text) = host
        .vswitch
        .trace(&["--port", "p1", "--to", "10.0.0.99"])
        .unwrap();
    assert!(!passes && text.contains("unknown_target"), "{text}");
}

#[test]
fn a_guest_behind_somebody_elses_device_is_as_good() {
    let name = "a_guest_behind_somebody_elses_device_is_as_good";
    if let Some(reason) = missing_for(&["ping"]) {
        return skip(name, &reason);
    }
    let (namespace, container) = (
        Namespace::new("host").unwrap(),
        Namespace::new("container").unwrap(),
    );
    anet_lab::wire::direct((&namespace, "veth0"), (&container, "eth0")).unwrap();
    namespace.ip(&["link", "set", "veth0", "up"]).unwrap();
    let guest = Guest::new("guest", "02:00:00:00:00:01".parse().unwrap()).unwrap();
    let text = plan(&[path(guest.namespace())], &[80]).replace(
        "security_groups:\n",
        "  p2: {network: blue, mac: '02:00:00:00:00:02', addresses: [10.0.0.2], security_groups: [g], \
         packet: {interface: veth0}}\nsecurity_groups:\n",
    );
    let vswitch = Vswitch::start(&namespace, &text, &[]).unwrap();
    guest.bring_up().unwrap();
    guest.namespace().add_address("eth0", "10.0.0.1/24").unwrap();
    container
        .ip(&["link", "set", "eth0", "address", "02:00:00:00:00:02"])
        .unwrap();
    container.add_address("eth0", "10.0.0.2/24").unwrap();
    let target = (&container, SocketAddr::new(address(2), 80));
    let connection = TcpHold::start(guest.namespace(), target).unwrap();
    assert!(connection.is_alive(Duration::from_secs(3)));
    assert!(ping(guest.namespace(), address(2), 3).unwrap().all_answered());

    // The device goes away, and comes back.
    namespace.ip(&["link", "del", "veth0"]).unwrap();
    let link = |wanted: &str| {
        let wanted = format!(r#""port": "p2", "link": "{wanted}""#);
        let ports = || vswitch.ctl(&["-o", "json", "ports"]).unwrap();
        wait_for(&wanted, PATIENCE, || ports().contains(&wanted).then_some(())).unwrap();
    };
    link("retrying");
    anet_lab::wire::direct((&namespace, "veth0"), (&container, "eth0")).unwrap();
    namespace.ip(&["link", "set", "veth0", "up"]).unwrap();
    link("up");
}

#[test]
fn where_a_workers_time_goes_is_told_where_that_is_asked_for() {
    let name = "where_a_workers_time_goes_is_told_where_that_is_asked_for";
    if let Some(reason) = missing_for(&["ping"]) {
        return skip(name, &reason);
    }
    let host = Host::new(2, &["--stage-cycles"]);
    assert!(host.pings(1, 2));
    let told = host.vswitch.ctl(&["counters"]).unwrap();
    let cycles = |stage: &str| -> u64 {
        let row = told
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|row| row.len() == 4 && row[1] == stage);
        row.and_then(|row| row[2].parse().ok())
            .unwrap_or_else(|| panic!("{stage}: {told}"))
    };
    for stage in ["receive", "keys", "verdicts", "misses", "transmit"] {
        assert_eq!(cycles(stage) > 0, cfg!(target_arch = "x86_64"), "{stage}: {told}");
    }
    assert!(
        !Host::new(1, &[])
            .vswitch
            .ctl(&["counters"])
            .unwrap()
            .contains("stage")
    );
}
