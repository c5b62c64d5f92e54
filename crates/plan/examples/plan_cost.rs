//! What planning costs in a large fabric: 1,000 hosts, 20,000 ports in networks of 20 on 20 hosts each, and a group of 10,000
//! members whose addresses every host needs for a rule. Prints times and counts; arguments: hosts, ports.

use std::time::{Duration, Instant};

use anet_model::host_plan::{Direction, Family, PortRange, Protocol};
use anet_model::id::Id;
use anet_model::intent::{Common, FixedIp, IntentChange, Port, Remote, SecurityGroupRule};
use anet_model::testing::intent::{group, host_at, network_of, port_of, project, subnet_of};
use anet_packet::addr::Mac;
use anet_plan::{Planner, Settings};

/// Ports of a network, each on a host of its own.
const NETWORK_PORTS: usize = 20;

fn id<N>(text: &str) -> Id<N> {
    Id::new(text).expect("a legal id")
}

fn bytes(number: usize) -> [u8; 3] {
    let [.., a, b, c] = number.to_be_bytes();
    [a, b, c]
}

fn port(number: usize, network: usize, hosts: usize, groups: &[&str]) -> Port {
    let [a, b, c] = bytes(number);
    let mut port = port_of(&format!("net{network}"), Mac([2, 0, 0, a, b, c]));
    port.fixed_ips.push(FixedIp {
        subnet: id(&format!("subnet{network}")),
        address: [10, a, b, c].into(),
    });
    port.security_groups = groups.iter().map(|group| id(group)).collect();
    let host = (network + number % NETWORK_PORTS * (hosts / NETWORK_PORTS).max(1)) % hosts;
    port.host = Some(id(&format!("host{host}")));
    port
}

fn rule(owner: &str, tcp: u16, remote: &str) -> SecurityGroupRule {
    SecurityGroupRule {
        common: Common::default(),
        project: id("project0"),
        security_group: id(owner),
        direction: Direction::Ingress,
        family: Family::Ipv4,
        protocol: Protocol::Tcp(PortRange {
            first: tcp,
            last: tcp,
        }),
        remote: Remote::Group(id(remote)),
    }
}

fn fabric(hosts: usize, ports: usize) -> Vec<IntentChange> {
    let mut changes = vec![IntentChange::Project(id("project0"), Some(project()))];
    for name in ["members", "small"] {
        changes.push(IntentChange::SecurityGroup(id(name), Some(group())));
    }
    changes.push(IntentChange::Rule(
        id("from-members"),
        Some(rule("small", 22, "members")),
    ));
    for host in 0..hosts {
        let [a, b, c] = bytes(host + 1);
        let host = (
            id(&format!("host{host}")),
            host_at(Some([172, 16 + a, b, c].into()), 4789),
        );
        changes.push(IntentChange::Host(host.0, Some(host.1)));
    }
    for network in 0..ports.div_ceil(NETWORK_PORTS) {
        let name = format!("net{network}");
        let vni = u32::try_from(network + 1).expect("few networks");
        changes.push(IntentChange::Network(
            id(&name),
            Some(network_of(vni, 1450, true)),
        ));
        let subnet = subnet_of(&name, "10.0.0.0/8");
        changes.push(IntentChange::Subnet(
            id(&format!("subnet{network}")),
            Some(subnet),
        ));
    }
    for number in 0..ports {
        // Half of all ports are members, the others let members in.
        let groups: &[&str] = match number % 2 {
            0 => &["members"],
            _ => &["small"],
        };
        let port = port(number, number / NETWORK_PORTS, hosts, groups);
        changes.push(IntentChange::Port(id(&format!("port{number}")), Some(port)));
    }
    changes
}

/// The median time of a change that comes and goes, and what it costs in counts.
fn measure(planner: &mut Planner, name: &str, come: &IntentChange, go: &IntentChange) {
    let mut times: Vec<Duration> = Vec::new();
    let mut told = 0;
    let mut cost = planner.last_cost();
    for _ in 0..50 {
        let change = vec![come.clone()];
        let start = Instant::now();
        let answer = planner.apply(change);
        times.push(start.elapsed());
        (told, cost) = (answer.len(), planner.last_cost());
        planner.apply(vec![go.clone()]);
    }
    times.sort();
    let [median, worst] = [times[times.len() / 2], times[times.len() - 1]];
    println!("{name}: median {median:?}, worst {worst:?}; {told} hosts told; {cost:?}");
}

fn resident_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024)
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let mut next = |default| arguments.next().and_then(Result::ok).unwrap_or(default);
    let (hosts, ports) = (next(1_000), next(20_000));
    let changes = fabric(hosts, ports);
    let mut planner = Planner::new(Settings::default());
    let start = Instant::now();
    drop(planner.apply(changes));
    println!(
        "{hosts} hosts, {ports} ports: all at once {:?}, {:?}",
        start.elapsed(),
        planner.last_cost()
    );
    println!("resident afterwards: {} MiB", resident_mib().unwrap_or_default());
    let fresh = ports + 1;
    let create = |groups: &[&str]| IntentChange::Port(id("fresh"), Some(port(fresh, 0, hosts, groups)));
    let delete = IntentChange::Port(id("fresh"), None);
    measure(&mut planner, "a port without a group", &create(&[]), &delete);
    measure(
        &mut planner,
        "a port of the small group",
        &create(&["small"]),
        &delete,
    );
    measure(
        &mut planner,
        "a port of the group of members",
        &create(&["members"]),
        &delete,
    );
    let rule_of = |owner: &str| IntentChange::Rule(id("fresh"), Some(rule(owner, 80, "members")));
    let gone = IntentChange::Rule(id("fresh"), None);
    measure(
        &mut planner,
        "a rule of the small group",
        &rule_of("small"),
        &gone,
    );
    let mut moved = port(0, 0, hosts, &["members"]);
    let back = IntentChange::Port(id("port0"), Some(moved.clone()));
    moved.host = Some(id("host1"));
    let away = IntentChange::Port(id("port0"), Some(moved));
    measure(
        &mut planner,
        "a port moves to a host new to its network",
        &away,
        &back,
    );
}
