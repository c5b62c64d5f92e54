//! What a change costs is what it touches, counted: the same in a fabric many times as large around the same span.

use anet_model::host_plan::{Direction, Family, PortId, PortRange, Protocol, RuleId};
use anet_model::id::Id;
use anet_model::intent::{
    Common, FixedIp, ForeignEndpoint, HostId, IntentChange, Port, Remote, SecurityGroupRule,
};
use anet_model::testing::intent::{group, host_at, network_of, port_of, project, subnet_of};
use anet_packet::addr::Mac;
use anet_plan::{Cost, Planner, Settings};

fn id<N>(text: &str) -> Id<N> {
    Id::new(text).expect("a legal id")
}

/// A port of network `net{network}`, with the address and MAC of its number, on a host.
fn port(network: usize, number: u16, host: usize, group: usize) -> Port {
    let [high, low] = number.to_be_bytes();
    let mut port = port_of(&format!("net{network}"), Mac([2, 0, 0, 0, high, low]));
    port.fixed_ips.push(FixedIp {
        subnet: id(&format!("subnet{network}")),
        address: [10, 0, high, low].into(),
    });
    port.security_groups.insert(id(&format!("group{group}")));
    port.host = Some(id(&format!("host{host}")));
    port
}

fn rule(group: usize, number: u16) -> SecurityGroupRule {
    SecurityGroupRule {
        common: Common::default(),
        project: id("project0"),
        security_group: id(&format!("group{group}")),
        direction: Direction::Ingress,
        family: Family::Ipv4,
        protocol: Protocol::Tcp(PortRange {
            first: number,
            last: number,
        }),
        remote: Remote::Group(id(&format!("group{group}"))),
    }
}

/// Networks of four ports each on four hosts of their own, each with a group of its own that lets its members in.
fn fabric(networks: usize) -> Planner {
    let mut changes = vec![IntentChange::Project(id("project0"), Some(project()))];
    for network in 0..networks {
        let vni = u32::try_from(network + 1).expect("few networks");
        let name = format!("net{network}");
        changes.push(IntentChange::Network(
            id(&name),
            Some(network_of(vni, 1450, true)),
        ));
        let subnet = subnet_of(&name, "10.0.0.0/16");
        changes.push(IntentChange::Subnet(
            id(&format!("subnet{network}")),
            Some(subnet),
        ));
        changes.push(IntentChange::SecurityGroup(
            id(&format!("group{network}")),
            Some(group()),
        ));
        changes.push(IntentChange::Rule(
            id(&format!("rule{network}")),
            Some(rule(network, 22)),
        ));
        for number in 0..4_u16 {
            let host = network * 4 + usize::from(number);
            let [.., high, low] = host.to_be_bytes();
            let address = [192, 0, high, low].into();
            changes.push(IntentChange::Host(
                id(&format!("host{host}")),
                Some(host_at(Some(address), 4789)),
            ));
            let port = port(network, number + 1, host, network);
            changes.push(IntentChange::Port(
                id(&format!("port{network}-{number}")),
                Some(port),
            ));
        }
    }
    let mut planner = Planner::new(Settings::default());
    planner.apply(changes);
    planner
}

/// The cost of each of some changes, and who was told of it.
fn costs(planner: &mut Planner, changes: &[IntentChange]) -> Vec<(String, Cost, Vec<HostId>)> {
    let mut cost = |change: &IntentChange| {
        let answer = planner.apply(vec![change.clone()]);
        (change.key(), planner.last_cost(), answer.into_keys().collect())
    };
    changes.iter().map(&mut cost).collect()
}

fn everyday_changes() -> Vec<IntentChange> {
    let new: PortId = id("new");
    let ssh: RuleId = id("new");
    let foreign = ForeignEndpoint {
        common: Common::default(),
        network: id("net0"),
        address: [198, 51, 100, 1].into(),
        udp_port: 4789,
        stations: Vec::new(),
    };
    let mut renamed = port(0, 1, 0, 0);
    renamed.common.name = "another name".to_owned();
    vec![
        IntentChange::Port(new.clone(), Some(port(0, 99, 1, 0))),
        IntentChange::Port(new.clone(), Some(port(0, 99, 2, 0))),
        IntentChange::Rule(ssh.clone(), Some(rule(0, 80))),
        IntentChange::Rule(ssh, None),
        IntentChange::Port(new, None),
        IntentChange::Port(id("port0-0"), Some(renamed)),
        IntentChange::Host(id("host0"), Some(host_at(Some([198, 51, 100, 9].into()), 4789))),
        IntentChange::ForeignEndpoint(id("far"), Some(foreign)),
    ]
}

#[test]
fn a_change_costs_its_span_and_not_the_fabric() {
    let changes = everyday_changes();
    let small = costs(&mut fabric(2), &changes);
    let large = costs(&mut fabric(200), &changes);
    assert_eq!(small, large);
    for (change, cost, told) in small {
        assert!(cost.resolved <= 3, "{change}: {cost:?}");
        assert!(cost.looked_at <= 24, "{change}: {cost:?}");
        assert!(told.len() <= 4, "{change}: {told:?}");
    }
}

#[test]
fn what_is_emitted_is_what_was_asked_for() {
    let emitted: Vec<usize> = costs(&mut fabric(2), &everyday_changes())
        .into_iter()
        .map(|(_, cost, _)| cost.emitted)
        .collect();
    // Create: one port, three peers, and a member on each of four hosts. Move: the port goes and comes, each where it was a
    // peer or becomes one, and elsewhere the peer moves. A rule: each host. Delete: as create. A name: nobody. An address: the
    // host itself and the three others. A foreign endpoint: it and its network on each host.
    assert_eq!(emitted, [8, 6, 4, 4, 8, 0, 4, 8]);
}

/// Rules and ports of one group on many hosts: told to each host once, looked at once.
#[test]
fn a_large_group_costs_one_entry_a_host() {
    let mut planner = fabric(50);
    let shared = (0..50).map(|network| {
        let mut port = port(network, 1, network * 4, network);
        port.security_groups.insert(id("group0"));
        IntentChange::Port(id(&format!("port{network}-0")), Some(port))
    });
    planner.apply(shared.collect());
    planner.apply(vec![IntentChange::Rule(id("new"), Some(rule(0, 80)))]);
    // The four hosts of the first network, and one of each other one.
    assert_eq!(planner.last_cost().emitted, 53);
    assert_eq!(planner.last_cost().looked_at, 53);
    planner.apply(vec![IntentChange::Port(id("new"), Some(port(0, 99, 1, 0)))]);
    let cost = planner.last_cost();
    // A member everywhere; a port and three peers.
    assert_eq!(cost.emitted, 53 + 4);
    assert!(cost.looked_at <= cost.emitted + 4, "{cost:?}");
}
