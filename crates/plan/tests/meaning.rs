//! What plans say, case by case, in words of the intent: where the oracle could be wrong in the same way as the planner.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anet_model::host_plan::{
    AddressPair, Attachment, Direction, Endpoint, EndpointId, Family, HostPlan, NetworkId, Protocol,
};
use anet_model::id::Id;
use anet_model::intent::{
    Common, FixedIp, ForeignEndpoint, HostId, IntentChange, Port, Remote, SecurityGroupRule, Station,
};
use anet_model::testing::intent::{base_intent, changes_of, group, host_at, network_of, port_of, subnet_of};
use anet_packet::addr::{IpPrefix, Mac};
use anet_plan::{Limits, Object, Planner, Problem, Settings};

fn id<N>(text: &str) -> Id<N> {
    Id::new(text).expect("a legal id")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("a legal address")
}

fn port(network: &str, number: u8, host: &str) -> Port {
    let mut port = port_of(network, Mac([2, 0, 0, 0, 0, number]));
    port.fixed_ips.push(FixedIp {
        subnet: id(&format!("{network}-v4")),
        address: [10, 0, 0, number].into(),
    });
    port.host = Some(id(host));
    port
}

fn put(name: &str, port: Port) -> IntentChange {
    IntentChange::Port(id(name), Some(port))
}

/// The base intent, with more.
fn planner(more: Vec<IntentChange>) -> Planner {
    let mut planner = Planner::new(Settings::default());
    planner.apply(changes_of(&base_intent()));
    planner.apply(more);
    planner
}

fn plan<'a>(planner: &'a Planner, host: &str) -> &'a HostPlan {
    planner.host_plan(&id(host)).expect("a plan of every host")
}

fn keys<K: ToString, V>(map: &std::collections::BTreeMap<K, V>) -> Vec<String> {
    map.keys().map(ToString::to_string).collect()
}

fn endpoints(planner: &Planner, host: &str, network: &str) -> Vec<String> {
    let network = &plan(planner, host).networks[&id::<anet_model::host_plan::Network>(network)];
    network.endpoints.iter().map(ToString::to_string).collect()
}

fn foreign(network: &str, address: &str, stations: &[(u8, &str)]) -> ForeignEndpoint {
    let stations = stations.iter().map(|(number, address)| Station {
        mac: Mac([2, 0, 0, 0, 1, *number]),
        addresses: vec![ip(address)],
    });
    ForeignEndpoint {
        common: Common::default(),
        network: id(network),
        address: ip(address),
        udp_port: 4789,
        stations: stations.collect(),
    }
}

#[test]
fn a_host_knows_its_networks_and_no_others() {
    let planner = planner(vec![
        put("a", port("net0", 1, "host0")),
        put("b", port("net0", 2, "host1")),
        put("c", port("net1", 3, "host1")),
        put("d", port("net1", 4, "host2")),
    ]);
    let zero = plan(&planner, "host0");
    assert_eq!(keys(&zero.networks), ["net0"]);
    assert_eq!(keys(&zero.subnets), ["net0-v4", "net0-v6"]);
    assert_eq!(keys(&zero.ports), ["a"]);
    assert_eq!(keys(&zero.peers), ["b"]);
    assert_eq!(keys(&zero.endpoints), ["host1"]);
    assert_eq!(zero.ports[&id("a")].attachment, Attachment::Detached);
    let one = plan(&planner, "host1");
    assert_eq!(keys(&one.peers), ["a", "d"]);
    assert_eq!(keys(&one.endpoints), ["host0", "host2"]);
    assert_eq!(endpoints(&planner, "host1", "net0"), ["host0"]);
    assert_eq!(endpoints(&planner, "host1", "net1"), ["host2"]);
}

#[test]
fn a_host_without_ports_has_its_tunnel_alone() {
    let planner = planner(vec![]);
    let alone = HostPlan {
        tunnel: plan(&planner, "host0").tunnel.clone(),
        ..HostPlan::default()
    };
    assert!(alone.tunnel.is_some());
    assert_eq!(plan(&planner, "host0"), &alone);
    assert!(planner.host_plan(&id("host9")).is_none());
}

#[test]
fn without_a_tunnel_of_the_family_hosts_do_not_see_each_other() {
    for address in [None, Some(ip("2001:db8::1"))] {
        let planner = planner(vec![
            put("a", port("net0", 1, "host0")),
            put("b", port("net0", 2, "host1")),
            put("c", port("net0", 3, "host2")),
            IntentChange::Host(id("host0"), Some(host_at(address, 4789))),
        ]);
        let zero = plan(&planner, "host0");
        assert_eq!(keys(&zero.ports), ["a"]);
        assert!(zero.peers.is_empty() && zero.endpoints.is_empty());
        assert_eq!(keys(&plan(&planner, "host1").peers), ["c"]);
    }
}

#[test]
fn foreign_endpoints_come_with_their_network_and_stations() {
    let planner = planner(vec![
        put("a", port("net0", 1, "host0")),
        put("b", port("net1", 2, "host1")),
        IntentChange::ForeignEndpoint(id("f"), Some(foreign("net0", "192.0.2.50", &[(7, "10.0.0.7")]))),
    ]);
    let zero = plan(&planner, "host0");
    let far: EndpointId = id("foreign:192.0.2.50:4789");
    let expected = Endpoint {
        address: ip("192.0.2.50"),
        udp_port: 4789,
        next_hop: None,
    };
    assert_eq!(zero.endpoints[&far], expected);
    assert_eq!(endpoints(&planner, "host0", "net0"), ["foreign:192.0.2.50:4789"]);
    let peer = &zero.peers[&id("foreign-f-020000000107")];
    assert_eq!((peer.mac, &peer.endpoint), (Mac([2, 0, 0, 0, 1, 7]), &far));
    assert_eq!(peer.addresses, [ip("10.0.0.7")]);
    assert!(plan(&planner, "host1").endpoints.is_empty());
}

#[test]
fn stations_follow_a_foreign_endpoint_that_changes_its_address() {
    let foreign = |address| {
        let foreign = foreign("net0", address, &[(7, "10.0.0.7")]);
        IntentChange::ForeignEndpoint(id("f"), Some(foreign))
    };
    let mut planner = planner(vec![put("a", port("net0", 1, "host0")), foreign("192.0.2.50")]);
    planner.apply(vec![foreign("192.0.2.51")]);
    let zero = plan(&planner, "host0");
    assert_eq!(zero.validate(), Ok(()));
    let peer = &zero.peers[&id("foreign-f-020000000107")];
    assert_eq!(peer.endpoint.as_str(), "foreign:192.0.2.51:4789");
    planner.apply(vec![foreign("2001:db8::51")]);
    assert!(plan(&planner, "host0").peers.is_empty());
}

#[test]
fn a_foreign_endpoint_at_a_hosts_address_is_left_out() {
    let planner = planner(vec![
        put("a", port("net0", 1, "host0")),
        IntentChange::ForeignEndpoint(id("f"), Some(foreign("net0", "192.0.2.1", &[(7, "10.0.0.7")]))),
    ]);
    let zero = plan(&planner, "host0");
    assert!(zero.endpoints.is_empty() && zero.peers.is_empty());
    let problems = planner.problems(&id("host0"));
    let found = problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        found,
        ["foreign endpoint f claims 192.0.2.1, which host host0 has: give it another one"]
    );
}

#[test]
fn remote_groups_are_sets_of_their_ports_addresses_wherever_they_are() {
    let mut guarded = port("net0", 1, "host0");
    guarded.security_groups.insert(id("group0"));
    let mut nowhere = port("net1", 2, "host0");
    nowhere.host = None;
    nowhere.security_groups.insert(id("group0"));
    nowhere.allowed_address_pairs.push(AddressPair {
        mac: None,
        prefix: "10.9.0.0/16".parse().expect("legal"),
    });
    let mut planner = planner(vec![put("a", guarded), put("b", nowhere.clone())]);
    let members = |planner: &Planner| -> Vec<String> {
        let set = &plan(planner, "host0").address_sets[&id("group0")];
        set.members.iter().map(IpPrefix::to_string).collect()
    };
    assert_eq!(members(&planner), ["10.0.0.1/32", "10.0.0.2/32", "10.9.0.0/16"]);
    nowhere.security_groups = BTreeSet::new();
    planner.apply(vec![put("b", nowhere)]);
    assert_eq!(members(&planner), ["10.0.0.1/32"]);
    assert!(plan(&planner, "host1").address_sets.is_empty());
}

#[test]
fn a_rule_whose_remote_group_is_gone_allows_nobody() {
    let mut guarded = port("net0", 1, "host0");
    guarded.security_groups.insert(id("group1"));
    let rule = SecurityGroupRule {
        common: Common::default(),
        project: id("project0"),
        security_group: id("group1"),
        direction: Direction::Ingress,
        family: Family::Ipv4,
        protocol: Protocol::Any,
        remote: Remote::Group(id("group0")),
    };
    let mut planner = planner(vec![
        IntentChange::SecurityGroup(id("group1"), Some(group())),
        IntentChange::Rule(id("r"), Some(rule)),
        put("a", guarded),
    ]);
    let rules = |planner: &Planner| keys(&plan(planner, "host0").security_groups[&id("group1")].rules);
    assert_eq!(rules(&planner), ["r"]);
    planner.apply(vec![IntentChange::SecurityGroup(id("group0"), None)]);
    assert!(rules(&planner).is_empty());
    assert!(plan(&planner, "host0").address_sets.is_empty());
    let problem = Problem::Missing {
        object: Object::Rule(id("r")),
        missing: Object::SecurityGroup(id("group0")),
    };
    assert_eq!(planner.problems(&id("host0")), [problem]);
}

#[test]
fn of_two_with_one_mac_or_address_the_first_has_it() {
    let mut same_address = port("net0", 3, "host1");
    same_address.fixed_ips[0].address = ip("10.0.0.1");
    let mut planner = planner(vec![
        put("a", port("net0", 1, "host0")),
        put("b", port("net0", 1, "host1")),
        put("c", same_address),
        // The same in another network is no conflict.
        put("d", port("net1", 1, "host1")),
    ]);
    let one = plan(&planner, "host1");
    assert_eq!(keys(&one.ports), ["c", "d"]);
    assert!(one.ports[&id("c")].addresses.is_empty());
    assert_eq!(one.ports[&id("d")].addresses, [ip("10.0.0.1")]);
    let texts: Vec<String> = planner
        .problems(&id("host1"))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        texts,
        [
            "port b claims MAC 02:00:00:00:00:01, which port a has: give it another one",
            "port c claims 10.0.0.1, which port a has: give it another one"
        ]
    );
    planner.apply(vec![IntentChange::Port(id("a"), None)]);
    let one = plan(&planner, "host1");
    assert_eq!(one.ports[&id("b")].addresses, [ip("10.0.0.1")]);
}

#[test]
fn two_networks_of_one_segment_are_not_mixed() {
    let planner = planner(vec![
        IntentChange::Network(id("net2"), Some(network_of(1, 1450, true))),
        IntentChange::Subnet(id("net2-v4"), Some(subnet_of("net2", "10.0.0.0/24"))),
        put("a", port("net0", 1, "host0")),
        put("b", port("net2", 2, "host0")),
    ]);
    let zero = plan(&planner, "host0");
    assert_eq!(
        (keys(&zero.networks), keys(&zero.ports)),
        (vec!["net0".to_owned()], vec!["a".to_owned()])
    );
    let first = Problem::Taken {
        object: Object::Network(id("net2")),
        value: "VNI 1".to_owned(),
        other: Object::Network(id("net0")),
    };
    assert!(planner.problems(&id("host0")).contains(&first));
}

/// The guests keep their addresses, whatever else the subnet says.
#[test]
fn a_bad_route_server_or_gateway_costs_only_itself() {
    let mut subnet = subnet_of("net0", "10.0.0.0/24");
    subnet.gateway_ip = Some(ip("127.0.0.1"));
    subnet.dns_nameservers = vec![ip("127.0.0.1"), ip("10.0.0.2"), ip("10.0.0.2")];
    let route = |destination: &str, next_hop: [u8; 4]| (destination.parse().expect("legal"), next_hop.into());
    subnet.host_routes = vec![
        route("10.1.0.0/16", [192, 168, 7, 7]),
        route("10.1.0.0/16", [10, 0, 0, 9]),
        route("10.1.0.0/16", [10, 0, 0, 8]),
    ];
    let planner = planner(vec![
        put("a", port("net0", 1, "host0")),
        IntentChange::Subnet(id("net0-v4"), Some(subnet)),
    ]);
    let zero = plan(&planner, "host0");
    assert_eq!(zero.ports[&id("a")].addresses, [ip("10.0.0.1")]);
    let planned = &zero.subnets[&id("net0-v4")];
    assert_eq!(planned.gateway, None);
    assert_eq!(planned.dns_servers, [ip("10.0.0.2")]);
    assert_eq!(planned.host_routes, [route("10.1.0.0/16", [10, 0, 0, 9])]);
    let problems = planner.problems(&id("host0"));
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        "subnet net0-v4: gateway 127.0.0.1 is left out: 127.0.0.1 is not a host's address inside 10.0.0.0/24; expected an address of the subnet",
        "subnet net0-v4: name server 127.0.0.1 is left out: 127.0.0.1 is not a server's IPv4 address; expected unicast IPv4 addresses, as the subnet's prefix",
        "subnet net0-v4: name server 10.0.0.2 is left out: 10.0.0.2 is listed twice; expected each entry once",
        "subnet net0-v4: the route to 10.1.0.0/16 by 192.168.7.7 is left out: 192.168.7.7 is not inside 10.0.0.0/24; expected a next hop inside the subnet, or 0.0.0.0 for on-link",
        "subnet net0-v4: the route to 10.1.0.0/16 by 10.0.0.8 is left out: 10.1.0.0/16 is listed twice; expected each entry once",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_network_that_is_down_takes_its_ports_down() {
    let mut planner = planner(vec![put("a", port("net0", 1, "host0"))]);
    assert!(plan(&planner, "host0").ports[&id("a")].admin_up);
    let answer = planner.apply(vec![IntentChange::Network(
        id("net0"),
        Some(network_of(1, 1450, false)),
    )]);
    assert_eq!(answer.len(), 1);
    assert!(!plan(&planner, "host0").ports[&id("a")].admin_up);
}

#[test]
fn a_host_that_comes_back_starts_from_nothing() {
    let mut planner = planner(vec![
        put("a", port("net0", 1, "host0")),
        put("b", port("net0", 2, "host1")),
    ]);
    let gone = planner.apply(vec![IntentChange::Host(id("host0"), None)]);
    assert_eq!(
        gone.keys().collect::<Vec<_>>(),
        [&id::<anet_model::intent::Host>("host1")]
    );
    assert!(plan(&planner, "host1").peers.is_empty());
    assert!(planner.host_plan(&id("host0")).is_none());
    let back = planner.apply(vec![IntentChange::Host(
        id("host0"),
        Some(host_at(Some(ip("192.0.2.9")), 4789)),
    )]);
    let host: HostId = id("host0");
    let mut anew = HostPlan::default();
    anew.apply(&back[&host]).expect("it applies to an empty plan");
    assert_eq!(&anew, plan(&planner, "host0"));
    assert_eq!(keys(&plan(&planner, "host1").peers), ["a"]);
}

#[test]
fn a_host_that_has_too_much_is_alone_with_it() {
    let limits = Limits {
        peers: 1,
        ..Limits::default()
    };
    let mut planner = Planner::with_limits(Settings::default(), limits);
    planner.apply(changes_of(&base_intent()));
    planner.apply(vec![
        put("a", port("net0", 1, "host0")),
        put("b", port("net0", 2, "host1")),
        put("c", port("net0", 3, "host1")),
    ]);
    assert_eq!(keys(&plan(&planner, "host0").peers), ["b"]);
    let excess = Problem::TooMany {
        of: Object::Host(id("host0")),
        noun: "peers",
        found: 2,
        limit: 1,
    };
    assert_eq!(planner.problems(&id("host0")), [excess]);
    assert_eq!(planner.problems(&id("host1")), []);
    let answer = planner.apply(vec![put("d", port("net1", 4, "host1"))]);
    assert_eq!(
        answer.len(),
        1,
        "a host with too much is not told of what is not its own"
    );
    let network: NetworkId = id("net1");
    assert!(plan(&planner, "host1").networks.contains_key(&network));
}
