//! The real daemon with DPDK devices: an underlay and guests behind the kernel's veth, no huge pages needed.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anet_lab::probe::{PacedUdp, TcpHold, iperf, ping};
use anet_lab::{Folder, Guest, Namespace, Vswitch, missing_for, skip, wait_for};

const PATIENCE: Duration = Duration::from_secs(10);
const EAL: &str = "--no-huge -m 256 --no-pci";

/// Why there are no DPDK ports here, in words.
fn missing() -> Option<String> {
    let program = Vswitch::program().unwrap();
    let folder = program.ancestors().nth(2).unwrap().join("dpdk");
    let is_shim = |name: &str| name.starts_with("libanet-dpdk-");
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let found = entries
        .into_iter()
        .any(|entry| entry.file_name().to_str().is_some_and(is_shim));
    match found {
        true => missing_for(&["ping", "ethtool"]),
        false => Some("built without DPDK (install dpdk and libdpdk-dev, `make build`)".to_owned()),
    }
}

/// A veth pair between two namespaces, both ends up, without offloads: what a driver of plain sockets needs.
fn wire((left, left_name): (&Namespace, &str), (right, right_name): (&Namespace, &str)) {
    left.ip(&[
        "link",
        "add",
        left_name,
        "type",
        "veth",
        "peer",
        "name",
        right_name,
        "netns",
        right.name(),
    ])
    .unwrap();
    for (namespace, name) in [(left, left_name), (right, right_name)] {
        namespace.ip(&["link", "set", name, "mtu", "1600", "up"]).unwrap();
        namespace
            .run("ethtool", &["-K", name, "tx", "off", "gso", "off", "gro", "off"])
            .unwrap();
    }
}

/// This host is number `n`, the other one `3 - n`: the underlay at `underlay`, a guest on a TAP.
fn plan(n: u8, underlay: &str, guest: &Guest) -> String {
    let (other, netns) = (3 - n, guest.namespace().path().display().to_string());
    format!(
        "tunnel: {{address: 192.0.2.{n}{underlay}}}\n\
         endpoints: {{other: {{address: 192.0.2.{other}, next_hop: '02:00:00:00:ff:0{other}'}}}}\n\
         networks:\n  blue: {{vni: 10, mtu: 1400, endpoints: [other]}}\n\
         subnets:\n  blue-v4: {{network: blue, prefix: 10.0.0.0/24}}\n\
         peers:\n  p{other}: {{network: blue, mac: '02:00:00:00:00:0{other}', addresses: [10.0.0.{other}], endpoint: other}}\n\
         ports:\n  p{n}: {{network: blue, mac: '02:00:00:00:00:0{n}', addresses: [10.0.0.{n}], \
         security_groups: [g], tap: {{interface: eth0, netns: {netns}}}}}\n\
         security_groups:\n  g:\n    rules:\n      out: {{direction: egress, ethertype: IPv4}}\n      \
         ping: {{direction: ingress, ethertype: IPv4, protocol: icmp, type: 8}}\n      \
         tcp: {{direction: ingress, ethertype: IPv4, protocol: tcp, ports: 5000-5300}}\n      \
         udp: {{direction: ingress, ethertype: IPv4, protocol: udp, ports: 5000-5300}}\n"
    )
}

fn dpdk_underlay(n: u8) -> String {
    format!(", dpdk: {{device: 'net_af_packet0,iface=under0', mac: '02:00:00:00:ff:0{n}'}}")
}

fn guest(n: u8) -> Guest {
    Guest::new("guest", format!("02:00:00:00:00:0{n}").parse().unwrap()).unwrap()
}

fn bring_up(guest: &Guest, n: u8) {
    guest.bring_up().unwrap();
    guest
        .namespace()
        .add_address(Guest::INTERFACE, &format!("10.0.0.{n}/24"))
        .unwrap();
}

/// Two hosts whose underlay is a wire between DPDK devices.
struct Pair {
    hosts: [Vswitch; 2],
    guests: [Guest; 2],
    _namespaces: [Namespace; 2],
}

impl Pair {
    fn new(arguments: &[&str]) -> Self {
        let namespaces = [Namespace::new("host").unwrap(), Namespace::new("host").unwrap()];
        wire((&namespaces[0], "under0"), (&namespaces[1], "under0"));
        let guests = [guest(1), guest(2)];
        let arguments = [&["--eal", EAL], arguments].concat();
        let host = |n: u8| {
            let index = usize::from(n) - 1;
            Vswitch::start(
                &namespaces[index],
                &plan(n, &dpdk_underlay(n), &guests[index]),
                &arguments,
            )
            .unwrap()
        };
        let hosts = [host(1), host(2)];
        for host in &hosts {
            wait_for("the tunnel", PATIENCE, || {
                host.log().contains("port tunnel is attached").then_some(())
            })
            .unwrap();
        }
        (1..).zip(&guests).for_each(|(n, guest)| bring_up(guest, n));
        Self {
            hosts,
            guests,
            _namespaces: namespaces,
        }
    }
}

fn address(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

#[test]
fn guests_on_taps_talk_over_a_dpdk_underlay_in_large_segments() {
    let name = "guests_on_taps_talk_over_a_dpdk_underlay_in_large_segments";
    if let Some(reason) = missing().or_else(|| missing_for(&["iperf3"])) {
        return skip(name, &reason);
    }
    let pair = Pair::new(&[]);
    let [one, two] = [pair.guests[0].namespace(), pair.guests[1].namespace()];
    assert!(ping(one, address(2), 3).unwrap().all_answered());
    assert!(ping(two, address(1), 3).unwrap().all_answered());
    let seen = iperf(one, (two, address(2)), 5201, 1, &[]).unwrap();
    assert!(seen.bits_per_second > 50e6, "{seen:?}");
    // Whole segments came from the guest: far fewer packets than the wire's.
    let counters = pair.hosts[0].ctl(&["counters"]).unwrap();
    let packets = |port: &str, column: usize| -> u64 {
        let row = counters
            .lines()
            .find(|line| line.split_whitespace().next() == Some(port));
        row.and_then(|row| row.split_whitespace().nth(column)?.parse().ok())
            .unwrap_or_else(|| panic!("{counters}"))
    };
    let (received, bytes) = (packets("p1", 1), packets("p1", 2));
    assert!(
        bytes / received > 3_000,
        "{bytes} bytes in {received} packets\n{counters}"
    );
    let refused = two.run("ping", &["-c1", "-W1", "10.0.0.77"]);
    assert!(refused.is_err());
}

#[test]
fn connections_live_on_when_a_switch_with_dpdk_is_killed() {
    let name = "connections_live_on_when_a_switch_with_dpdk_is_killed";
    if let Some(reason) = missing() {
        return skip(name, &reason);
    }
    let mut pair = Pair::new(&["--workers", "2"]);
    let [one, two] = [
        pair.guests[0].namespace().clone(),
        pair.guests[1].namespace().clone(),
    ];
    let hold = TcpHold::start(&one, (&two, SocketAddr::new(address(2), 5001))).unwrap();
    assert!(hold.is_alive(PATIENCE));
    pair.hosts[0].kill9();
    pair.hosts[0].start_again().unwrap();
    pair.hosts[0].wait_ready().unwrap();
    assert!(hold.is_alive(PATIENCE), "{}", pair.hosts[0].log());
}

#[test]
fn a_kernel_vxlan_device_is_a_peer_of_a_dpdk_underlay() {
    let name = "a_kernel_vxlan_device_is_a_peer_of_a_dpdk_underlay";
    if let Some(reason) = missing() {
        return skip(name, &reason);
    }
    let (host, linux) = (Namespace::new("host").unwrap(), Namespace::new("linux").unwrap());
    wire((&host, "under0"), (&linux, "under0"));
    linux
        .ip(&["link", "set", "under0", "address", "02:00:00:00:ff:02"])
        .unwrap();
    linux.add_address("under0", "192.0.2.2/24").unwrap();
    linux
        .ip(&[
            "neighbour",
            "add",
            "192.0.2.1",
            "lladdr",
            "02:00:00:00:ff:01",
            "dev",
            "under0",
        ])
        .unwrap();
    linux
        .ip(&[
            "link",
            "add",
            "vx0",
            "address",
            "02:00:00:00:00:02",
            "type",
            "vxlan",
            "id",
            "10",
            "dstport",
            "4789",
            "local",
            "192.0.2.2",
            "remote",
            "192.0.2.1",
        ])
        .unwrap();
    linux.run("ethtool", &["-K", "vx0", "tx", "off"]).unwrap();
    linux.ip(&["link", "set", "vx0", "mtu", "1400", "up"]).unwrap();
    linux.add_address("vx0", "10.0.0.2/24").unwrap();
    let guest = guest(1);
    let _vswitch = Vswitch::start(&host, &plan(1, &dpdk_underlay(1), &guest), &["--eal", EAL]).unwrap();
    bring_up(&guest, 1);
    assert!(ping(guest.namespace(), address(2), 5).unwrap().all_answered());
    assert!(ping(&linux, address(1), 3).unwrap().all_answered());
    let full = guest
        .namespace()
        .run("ping", &["-c2", "-W2", "-Mdo", "-s1372", "10.0.0.2"]);
    assert!(full.is_ok(), "the network's MTU passes: {full:?}");
}

#[test]
fn a_dpdk_port_comes_and_goes_while_others_carry_traffic() {
    let name = "a_dpdk_port_comes_and_goes_while_others_carry_traffic";
    if let Some(reason) = missing() {
        return skip(name, &reason);
    }
    let pair = Pair::new(&[]);
    let [one, two] = [pair.guests[0].namespace(), pair.guests[1].namespace()];
    let paced = PacedUdp::start(
        one,
        (two, SocketAddr::new(address(2), 5002)),
        Duration::from_millis(1),
    )
    .unwrap();
    let without = plan(1, &dpdk_underlay(1), &pair.guests[0]);
    let extra = "ports:\n  extra: {network: blue, mac: '02:00:00:00:00:77', dpdk: {device: 'net_null7'}}\n";
    let with = without.replace("ports:\n", extra);
    for _ in 0..5 {
        pair.hosts[0].replace_plan(&with).unwrap();
        pair.hosts[0].replace_plan(&without).unwrap();
    }
    let opened = pair.hosts[0].log().matches("port extra is attached").count();
    assert_eq!(opened, 5, "{}", pair.hosts[0].log());
    assert_eq!(paced.finish().lost(), 0);
}

#[test]
fn what_dpdk_refuses_is_one_line_and_is_tried_again() {
    let name = "what_dpdk_refuses_is_one_line_and_is_tried_again";
    if let Some(reason) = missing() {
        return skip(name, &reason);
    }
    let (host, peer) = (Namespace::new("host").unwrap(), Namespace::new("peer").unwrap());
    let guests = [guest(1), guest(3)];
    let netns = guests[1].namespace().path().display().to_string();
    let more = format!(
        "ports:\n  late: {{network: blue, mac: '02:00:00:00:00:05', dpdk: {{device: 'net_af_packet1,iface=later0'}}}}\n  \
         p3: {{network: blue, mac: '02:00:00:00:00:03', addresses: [10.0.0.3], security_groups: [g], tap: {{interface: eth0, netns: {netns}}}}}\n"
    );
    let text = plan(1, "", &guests[0]).replace("ports:\n", &more);
    host.add_address("lo", "192.0.2.1/32").unwrap();
    let vswitch = Vswitch::start(&host, &text, &["--eal", EAL]).unwrap();
    let line = || {
        let log = vswitch.log();
        log.lines()
            .find(|line| line.contains("net_af_packet1,iface=later0"))
            .map(str::to_owned)
    };
    let line = wait_for("a complaint", PATIENCE, line).unwrap();
    assert!(
        line.contains("was refused") && line.contains("tried again"),
        "{line}"
    );
    bring_up(&guests[0], 1);
    bring_up(&guests[1], 3);
    assert!(
        ping(guests[0].namespace(), address(3), 3).unwrap().all_answered(),
        "other ports go on"
    );
    wire((&host, "later0"), (&peer, "later0"));
    wait_for("the port", PATIENCE, || {
        vswitch.log().contains("port late is attached").then_some(())
    })
    .unwrap();
}

#[test]
fn without_dpdk_the_same_program_runs_and_says_what_is_missing() {
    let name = "without_dpdk_the_same_program_runs_and_says_what_is_missing";
    if let Some(reason) = missing_for(&["ping"]) {
        return skip(name, &reason);
    }
    // Away from the shims.
    let folder = Folder::new().unwrap();
    let program = folder.file("anet-vswitch");
    std::fs::copy(Vswitch::program().unwrap(), &program).unwrap();
    let host = Namespace::new("host").unwrap();
    let guest = guest(1);
    let extra = "ports:\n  extra: {network: blue, mac: '02:00:00:00:00:77', dpdk: {device: 'net_null7'}}\n";
    let text = plan(1, "", &guest).replace("ports:\n", extra);
    let vswitch = Vswitch::start_program(&program, &host, &text, &[]).unwrap();
    let line = || {
        let log = vswitch.log();
        log.lines()
            .find(|line| line.contains("no DPDK here"))
            .map(str::to_owned)
    };
    let line = wait_for("a complaint", PATIENCE, line).unwrap();
    assert!(
        line.contains("install DPDK") && line.contains("port extra"),
        "{line}"
    );
    let attached = || vswitch.log().contains("port p1 is attached").then_some(());
    wait_for("the other port", PATIENCE, attached).unwrap();
}

#[test]
fn an_environment_that_would_wait_for_ever_is_refused() {
    let name = "an_environment_that_would_wait_for_ever_is_refused";
    if let Some(reason) = missing() {
        return skip(name, &reason);
    }
    let host = Namespace::new("host").unwrap();
    let guest = guest(1);
    let extra = "ports:\n  extra: {network: blue, mac: '02:00:00:00:00:77', dpdk: {device: 'net_null7'}}\n";
    let text = plan(1, "", &guest).replace("ports:\n", extra);
    let vswitch = Vswitch::start(&host, &text, &["--eal", &format!("{EAL} --proc-type=secondary")]).unwrap();
    let line = || {
        let log = vswitch.log();
        log.lines()
            .find(|line| line.contains("--proc-type=secondary"))
            .map(str::to_owned)
    };
    let line = wait_for("a complaint", PATIENCE, line).unwrap();
    assert!(line.contains("DPDK did not start"), "{line}");
    assert!(vswitch.ctl(&["counters"]).is_ok(), "the control thread goes on");
}

#[test]
fn an_adaptive_worker_with_a_silent_dpdk_port_hardly_works() {
    let name = "an_adaptive_worker_with_a_silent_dpdk_port_hardly_works";
    if let Some(reason) = missing() {
        return skip(name, &reason);
    }
    let pair = Pair::new(&[]);
    let used = |pid: u32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let pid = pair.hosts[0].pid();
    std::thread::sleep(Duration::from_millis(200));
    let (before, started) = (used(pid), Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    let ticks = used(pid) - before;
    let share = ticks as f64 / 100.0 / started.elapsed().as_secs_f64();
    assert!(share < 0.25, "{share} of a processor for nothing");
}
