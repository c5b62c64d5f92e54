//! What a plan must not be: each wrong plan with the entry and field that the error names, and each limit at its edge.

use std::net::IpAddr;

use anet_model::host_plan::{
    AddressPair, AddressSet, Attachment, Budgets, DpdkUnderlay, Endpoint, HostPlan, Network, Peer, Port,
    PortRange, Protocol, Remote, Rule, SecurityGroup, Subnet, Tunnel,
};
use anet_model::id::Id;
use anet_model::limits;
use anet_model::testing::base_plan;
use anet_packet::addr::{IpPrefix, Mac, Mtu, Vni};

fn id<N>(text: &str) -> Id<N> {
    Id::new(text).expect("a legal id")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("a legal address")
}

fn prefix(text: &str) -> IpPrefix {
    text.parse().expect("a legal prefix")
}

fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

/// A plan with a port, a peer and a rule, all of them right.
fn plan() -> HostPlan {
    let mut plan = base_plan();
    let tap = Attachment::Tap {
        interface: "tap0".to_owned(),
        netns: None,
    };
    let port = Port {
        network: id("net0"),
        mac: mac(1),
        addresses: vec![ip("10.0.0.1"), ip("fd00::1")],
        allowed_address_pairs: vec![AddressPair {
            mac: None,
            prefix: prefix("10.0.0.9"),
        }],
        port_security: true,
        security_groups: vec![id("base")],
        hostname: Some("web-1".to_owned()),
        attachment: tap,
        budgets: Budgets::default(),
        admin_up: true,
    };
    plan.ports.insert(id("web"), port);
    let peer = Peer {
        network: id("net0"),
        mac: mac(9),
        addresses: vec![ip("10.0.0.9")],
        endpoint: id("host1"),
    };
    plan.peers.insert(id("db"), peer);
    plan.address_sets.insert(id("set"), AddressSet::default());
    plan
}

fn port(plan: &mut HostPlan) -> &mut Port {
    plan.ports.get_mut(&id("web")).expect("the plan has it")
}

fn peer(plan: &mut HostPlan) -> &mut Peer {
    plan.peers.get_mut(&id("db")).expect("the plan has it")
}

fn subnet(plan: &mut HostPlan) -> &mut Subnet {
    plan.subnets.get_mut(&id("net0-v4")).expect("the plan has it")
}

fn network(plan: &mut HostPlan) -> &mut Network {
    plan.networks.get_mut(&id("net0")).expect("the plan has it")
}

fn endpoint(plan: &mut HostPlan) -> &mut Endpoint {
    plan.endpoints.get_mut(&id("host2")).expect("the plan has it")
}

fn rule(plan: &mut HostPlan) -> &mut Rule {
    let group = plan
        .security_groups
        .get_mut(&id("base"))
        .expect("the plan has it");
    group.rules.get_mut(&id("out4")).expect("the group has it")
}

/// Makes one thing wrong and checks that the first error is about `subject` and `field`.
fn check(subject: &str, field: &str, spoil: impl FnOnce(&mut HostPlan)) {
    let mut spoiled = plan();
    spoil(&mut spoiled);
    let error = spoiled
        .validate()
        .expect_err(&format!("{subject}, {field}: nothing was found wrong"));
    assert_eq!(
        (error.subject.to_string().as_str(), error.field),
        (subject, field),
        "{error}"
    );
    assert!(!error.problem.is_empty() && !error.expected.is_empty());
    let text = error.to_string();
    assert!(
        text.starts_with(subject) && text.contains("; expected "),
        "{text}"
    );
}

#[test]
fn a_right_plan_is_right() {
    assert_eq!(plan().validate(), Ok(()));
    assert_eq!(HostPlan::default().validate(), Ok(()));
}

#[test]
fn dpdk_devices() {
    let underlay = |device: &str, mac: &str| {
        Some(DpdkUnderlay {
            device: device.to_owned(),
            mac: mac.parse().expect("a MAC"),
        })
    };
    let with = |plan: &mut HostPlan, dpdk| {
        let next_hop = Some("02:00:00:00:09:09".parse().expect("a MAC"));
        plan.endpoints.values_mut().for_each(|e| e.next_hop = next_hop);
        plan.tunnel.as_mut().expect("the plan has one").dpdk = dpdk;
    };
    let mut right = plan();
    with(&mut right, underlay("0000:03:00.0", "02:00:00:00:01:01"));
    port(&mut right).attachment = Attachment::Dpdk {
        device: "net_null0,size=64".to_owned(),
    };
    assert_eq!(right.validate(), Ok(()));
    for device in ["", ",x", "a b", "n\u{e9}t0", &"x".repeat(256)] {
        check("the tunnel", "dpdk.device", |plan| {
            with(plan, underlay(device, "02:00:00:00:01:01"))
        });
        check("port web", "dpdk.device", |plan| {
            port(plan).attachment = Attachment::Dpdk {
                device: device.to_owned(),
            }
        });
    }
    check("the tunnel", "dpdk.mac", |plan| {
        with(plan, underlay("x0", "01:00:00:00:01:01"))
    });
    check("the tunnel", "dpdk.device", |plan| {
        with(plan, underlay("x0,a=1", "02:00:00:00:01:01"));
        port(plan).attachment = Attachment::Dpdk {
            device: "x0,a=2".to_owned(),
        };
    });
    check("endpoint host2", "next_hop", |plan| {
        with(plan, underlay("x0", "02:00:00:00:01:01"));
        endpoint(plan).next_hop = None;
    });
    check("endpoint host2", "next_hop", |plan| {
        endpoint(plan).next_hop = Some("ff:ff:ff:ff:ff:ff".parse().expect("a MAC"))
    });
}

#[test]
fn tunnel_and_endpoints() {
    let spoil_tunnel = |address: &str, udp_port| {
        let address = ip(address);
        move |plan: &mut HostPlan| {
            plan.tunnel = Some(Tunnel {
                address,
                udp_port,
                dpdk: None,
            })
        }
    };
    check("the tunnel", "address", spoil_tunnel("224.0.0.1", 4789));
    check("the tunnel", "address", spoil_tunnel("0.0.0.0", 4789));
    check("the tunnel", "address", spoil_tunnel("fe80::1", 4789));
    check("the tunnel", "udp_port", spoil_tunnel("192.0.2.1", 0));
    check("endpoint host1", "address", |plan| plan.tunnel = None);
    check("endpoint host1", "address", spoil_tunnel("2001:db8::1", 4789));
    check("endpoint host2", "address", |plan| {
        endpoint(plan).address = ip("192.0.2.1")
    });
    check("endpoint host2", "address", |plan| {
        endpoint(plan).address = ip("192.0.2.2")
    });
    check("endpoint host2", "address", |plan| {
        endpoint(plan).address = ip("255.255.255.255")
    });
    check("endpoint host2", "udp_port", |plan| endpoint(plan).udp_port = 0);
}

#[test]
fn networks_and_subnets() {
    check("network net1", "vni", |plan| {
        network(plan).vni = Vni::new(2).expect("legal")
    });
    check("network net0", "endpoints", |plan| {
        network(plan).endpoints.push(id("none"))
    });
    check("network net0", "endpoints", |plan| {
        network(plan).endpoints.push(id("host1"))
    });
    check("subnet net0-v6", "prefix", |plan| {
        network(plan).mtu = Mtu::new(1279).expect("legal")
    });
    check("subnet net0-v4", "network", |plan| {
        subnet(plan).network = id("none")
    });
    check("subnet net0-v6", "prefix", |plan| {
        subnet(plan).prefix = prefix("fd00::/48")
    });
    check("subnet net0-v4", "gateway", |plan| {
        subnet(plan).gateway = Some(ip("10.0.1.1"))
    });
    check("subnet net0-v4", "gateway", |plan| {
        subnet(plan).gateway = Some(ip("fd00::1"))
    });
    check("subnet net0-v4", "dns_servers", |plan| {
        subnet(plan).dns_servers = vec![ip("fd00::2")]
    });
    check("subnet net0-v4", "dns_servers", |plan| {
        subnet(plan).dns_servers = vec![ip("10.0.0.2"); 2]
    });
    check("subnet net0-v4", "lease_s", |plan| subnet(plan).lease_s = 59);
    let route = |destination: &str, next_hop: [u8; 4]| vec![(prefix(destination), next_hop.into())];
    check("subnet net0-v4", "host_routes", |plan| {
        subnet(plan).host_routes = route("fd01::/64", [10, 0, 0, 1])
    });
    check("subnet net0-v4", "host_routes", |plan| {
        subnet(plan).host_routes = route("10.5.0.0/16", [10, 1, 0, 1])
    });
    check("subnet net0-v6", "host_routes", |plan| {
        let subnet = plan.subnets.get_mut(&id("net0-v6")).expect("the plan has it");
        subnet.host_routes = route("10.5.0.0/16", [0; 4]);
    });
}

#[test]
fn ports() {
    check("port web", "network", |plan| port(plan).network = id("none"));
    check("port web", "mac", |plan| port(plan).mac = Mac::ZERO);
    check("port web", "mac", |plan| {
        port(plan).mac = Mac([1, 0, 0x5e, 0, 0, 1])
    });
    check("port web", "addresses", |plan| {
        port(plan).addresses.push(ip("10.0.9.9"))
    });
    check("port web", "addresses", |plan| {
        port(plan).addresses.push(ip("10.0.0.1"))
    });
    check("port web", "addresses", |plan| {
        port(plan).addresses.push(ip("ff02::1"))
    });
    check("port web", "security_groups", |plan| {
        port(plan).security_groups.push(id("none"))
    });
    check("port web", "security_groups", |plan| {
        port(plan).security_groups.push(id("base"))
    });
    let pair = |mac, text: &str| AddressPair {
        mac,
        prefix: prefix(text),
    };
    check("port web", "allowed_address_pairs", |plan| {
        port(plan)
            .allowed_address_pairs
            .push(pair(Some(Mac::BROADCAST), "10.0.0.7"));
    });
    check("port web", "allowed_address_pairs", |plan| {
        port(plan).allowed_address_pairs.push(pair(None, "ff00::/8"));
    });
    for name in ["", "a_b", "-a", "a-", "a..b", &"a".repeat(64), &"a.".repeat(127)] {
        check("port web", "hostname", |plan| {
            port(plan).hostname = Some(name.to_owned())
        });
    }
    let attach = |interface: &str, netns: Option<&str>| {
        let (interface, netns) = (interface.to_owned(), netns.map(str::to_owned));
        move |plan: &mut HostPlan| port(plan).attachment = Attachment::Packet { interface, netns }
    };
    for name in [
        "",
        "sixteen-bytes-16",
        "a/b",
        "a b",
        "a:b",
        "tap%d",
        ".",
        "..",
        "\u{e9}",
        "a\0",
    ] {
        check("port web", "interface", attach(name, None));
    }
    for path in ["guest", "", "/run/\n", &format!("/{}", "x".repeat(255))] {
        check("port web", "netns", attach("eth0", Some(path)));
    }
    let mut edge = plan();
    attach("fifteen-bytes-1", Some("/run/netns/a"))(&mut edge);
    assert_eq!(edge.validate(), Ok(()));
}

#[test]
fn what_only_one_may_have() {
    let second = |change: fn(&mut Port)| {
        move |plan: &mut HostPlan| {
            let mut other = port(plan).clone();
            (other.mac, other.addresses, other.attachment) = (mac(2), Vec::new(), Attachment::Detached);
            change(&mut other);
            plan.ports.insert(id("web2"), other);
        }
    };
    let mut right = plan();
    second(|_| ())(&mut right);
    assert_eq!(right.validate(), Ok(()));
    check("port web2", "mac", second(|port| port.mac = mac(1)));
    check(
        "port web2",
        "addresses",
        second(|port| port.addresses.push(ip("10.0.0.1"))),
    );
    check(
        "port web2",
        "attachment",
        second(|port| {
            port.attachment = Attachment::Packet {
                interface: "tap0".to_owned(),
                netns: None,
            };
        }),
    );
    // The same in another network or namespace is another thing.
    second(|port| {
        (port.network, port.mac, port.addresses) = (id("net1"), mac(1), vec![ip("10.0.0.1")]);
        port.attachment = Attachment::Tap {
            interface: "tap0".to_owned(),
            netns: Some("/run/netns/a".to_owned()),
        };
    })(&mut right);
    assert_eq!(right.validate(), Ok(()));
    check("peer db", "mac", |plan| peer(plan).mac = mac(1));
    check("peer db", "addresses", |plan| {
        peer(plan).addresses.push(ip("10.0.0.1"))
    });
    check("peer web", "id", |plan| {
        let moved = peer(plan).clone();
        plan.peers.insert(id("web"), moved);
    });
}

#[test]
fn peers() {
    check("peer db", "network", |plan| peer(plan).network = id("none"));
    check("peer db", "mac", |plan| peer(plan).mac = Mac::BROADCAST);
    check("peer db", "endpoint", |plan| peer(plan).endpoint = id("none"));
    check("peer db", "endpoint", |plan| {
        network(plan).endpoints = vec![id("host2")]
    });
}

#[test]
fn rules() {
    let subject = "rule out4 of security group base";
    let range = PortRange { first: 2, last: 1 };
    check(subject, "ports", |plan| {
        rule(plan).protocol = Protocol::Tcp(range)
    });
    check(subject, "ports", |plan| {
        rule(plan).protocol = Protocol::Udp(range)
    });
    check(subject, "code", |plan| {
        rule(plan).protocol = Protocol::Icmp {
            kind: None,
            code: Some(0),
        }
    });
    for number in [1, 6, 17] {
        check(subject, "protocol", |plan| {
            rule(plan).protocol = Protocol::Number(number)
        });
    }
    check(subject, "remote", |plan| {
        rule(plan).remote = Remote::Prefix(prefix("::/0"))
    });
    check(subject, "remote", |plan| {
        rule(plan).remote = Remote::Set(id("none"))
    });
    check("rule out4 of security group other", "id", |plan| {
        let group = SecurityGroup {
            rules: [(id("out4"), rule(plan).clone())].into(),
        };
        plan.security_groups.insert(id("other"), group);
    });
}

#[test]
fn limits_hold_at_their_edge() {
    let addresses = |count: usize| {
        (0..count).map(|n| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 1, u16::try_from(n).expect("few")]))
    };
    let limit = limits::ADDRESSES_PER_STATION;
    let mut edge = plan();
    port(&mut edge).addresses = addresses(limit).collect();
    assert_eq!(edge.validate(), Ok(()));
    check("port web", "addresses", |plan| {
        port(plan).addresses = addresses(limit + 1).collect()
    });
    let limit = limits::DNS_SERVERS_PER_SUBNET;
    let servers = |count: u8| (0..count).map(|n| IpAddr::from([10, 0, 0, n + 1])).collect();
    let count = u8::try_from(limit).expect("few");
    subnet(&mut edge).dns_servers = servers(count);
    assert_eq!(edge.validate(), Ok(()));
    check("subnet net0-v4", "dns_servers", |plan| {
        subnet(plan).dns_servers = servers(count + 1)
    });
    let pair = AddressPair {
        mac: None,
        prefix: prefix("10.0.0.7"),
    };
    check("port web", "allowed_address_pairs", |plan| {
        port(plan).allowed_address_pairs = vec![pair; limits::ADDRESS_PAIRS_PER_PORT + 1];
    });
    check("the plan", "ports", |plan| {
        let port = port(plan).clone();
        plan.ports
            .extend((0..=limits::PORTS).map(|n| (id(&format!("p{n}")), port.clone())));
    });
}

#[test]
fn rules_of_all_groups_of_a_port_count_together() {
    let group = |name: &str, count: usize| {
        let rule = rule(&mut plan()).clone();
        SecurityGroup {
            rules: (0..count)
                .map(|n| (id(&format!("{name}{n}")), rule.clone()))
                .collect(),
        }
    };
    let with = |one: usize, two: usize| {
        move |plan: &mut HostPlan| {
            plan.security_groups.insert(id("one"), group("one", one));
            plan.security_groups.insert(id("two"), group("two", two));
            port(plan).security_groups = vec![id("one"), id("two")];
        }
    };
    let mut edge = plan();
    with(limits::RULES_PER_PORT - 1, 1)(&mut edge);
    assert_eq!(edge.validate(), Ok(()));
    check("port web", "security_groups", with(limits::RULES_PER_PORT - 1, 2));
    check("security group one", "rules", with(limits::RULES_PER_PORT + 1, 0));
}

#[test]
fn the_address_sets_of_a_port_count_together() {
    let with = |count: usize| {
        move |plan: &mut HostPlan| {
            let template = rule(plan).clone();
            for n in 0..count {
                let set = id(&format!("set{n}"));
                plan.address_sets.insert(set.clone(), AddressSet::default());
                let group = plan
                    .security_groups
                    .get_mut(&id("base"))
                    .expect("the plan has it");
                group.rules.insert(
                    id(&format!("rule{n}")),
                    Rule {
                        remote: Remote::Set(set),
                        ..template.clone()
                    },
                );
            }
        }
    };
    let mut edge = plan();
    with(limits::ADDRESS_SETS_PER_PORT)(&mut edge);
    assert_eq!(edge.validate(), Ok(()));
    check(
        "port web",
        "security_groups",
        with(limits::ADDRESS_SETS_PER_PORT + 1),
    );
}

#[test]
fn all_problems_are_found_in_order() {
    let mut spoiled = plan();
    network(&mut spoiled).endpoints.push(id("none"));
    port(&mut spoiled).mac = Mac::ZERO;
    peer(&mut spoiled).endpoint = id("none");
    let found = spoiled.problems(10);
    let subjects: Vec<String> = found.iter().map(|error| error.subject.to_string()).collect();
    assert_eq!(subjects, ["network net0", "port web", "peer db"]);
    assert_eq!(spoiled.problems(2).len(), 2);
    assert_eq!(spoiled.validate().as_ref(), Err(&found[0]));
}
