//! Generators of changes, valid plans and histories, for property tests here and in other crates.
//!
//! Ids, addresses and MACs come out of small pools, so that entries refer to each other, collide, move and come
//! back. A change alone may be refused; plans and histories consist of what was accepted.

pub mod intent;

use std::net::{IpAddr, Ipv4Addr};

use anet_packet::addr::{IpPrefix, Mac, Mtu, Vni};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::changeset::{Change, Changeset};
use crate::host_plan::{
    AddressPair, AddressSet, Attachment, Budgets, Direction, DpdkUnderlay, Endpoint, Family, HostPlan,
    Ipv6Mode, Network, Peer, Port, PortRange, Protocol, Remote, Rule, SecurityGroup, Subnet, Tunnel,
};
use crate::id::Id;
use crate::state::PlanState;

/// A change that may or may not fit a plan out of [`host_plan`].
pub fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        1 => tunnel().prop_map(Change::Tunnel),
        3 => (id("host", 4), option::weighted(0.8, endpoint())).prop_map(|(id, v)| Change::Endpoint(id, v)),
        3 => (id("net", 3), option::weighted(0.9, network())).prop_map(|(id, v)| Change::Network(id, v)),
        3 => (id("subnet", 5), option::weighted(0.8, subnet())).prop_map(|(id, v)| Change::Subnet(id, v)),
        6 => (id("port", 6), option::weighted(0.8, port())).prop_map(|(id, v)| Change::Port(id, v)),
        6 => (prop_oneof![8 => id("peer", 6), 1 => id("port", 6)], option::weighted(0.8, peer()))
            .prop_map(|(id, v)| Change::Peer(id, v)),
        2 => (id("group", 3), option::weighted(0.8, security_group()))
            .prop_map(|(id, v)| Change::SecurityGroup(id, v)),
        5 => (id("group", 3), id("rule", 8), option::weighted(0.7, rule()))
            .prop_map(|(group, id, v)| Change::Rule(group, id, v)),
        2 => (id("set", 3), option::weighted(0.8, address_set())).prop_map(|(id, v)| Change::AddressSet(id, v)),
        4 => (id("set", 3), member(), any::<bool>()).prop_map(|(id, m, present)| Change::Member(id, m, present)),
    ]
}

/// A valid plan: a tunnel, endpoints, networks and subnets, with ports, peers and rules as chance has it.
pub fn host_plan() -> impl Strategy<Value = HostPlan> {
    vec(change(), 0..60).prop_map(|changes| plan_after(&changes))
}

/// A valid plan and what happens to it: changesets of one to four changes each that apply one after the other,
/// from revision 0 of incarnation 0 on.
pub fn history(steps: usize) -> impl Strategy<Value = (HostPlan, Vec<Changeset>)> {
    (host_plan(), vec(vec(change(), 1..5), 0..=steps)).prop_map(|(plan, batches)| {
        let mut state = PlanState::new(plan.clone(), 0, 0).expect("the generated plan is valid");
        let accepted = batches.into_iter().filter_map(|changes| {
            let (from, to) = (state.revision(), state.revision() + 1);
            let changeset = Changeset {
                from,
                to,
                changes,
                ..Changeset::default()
            };
            state.apply(&changeset).ok().map(|_| changeset)
        });
        let changesets = accepted.collect();
        (plan, changesets)
    })
}

/// The plan that every generated plan grows from: two networks on a tunnel with two other hosts, each network with an
/// IPv4 and an IPv6 subnet of the same ranges, and a group that allows what goes out.
pub fn base_plan() -> HostPlan {
    let mut plan = HostPlan {
        tunnel: Some(Tunnel {
            address: ip("192.0.2.1"),
            udp_port: 4789,
            dpdk: None,
        }),
        ..HostPlan::default()
    };
    for (host, address) in [("host1", "192.0.2.2"), ("host2", "192.0.2.3")] {
        plan.endpoints.insert(
            named(host),
            Endpoint {
                address: ip(address),
                udp_port: 4789,
                next_hop: None,
            },
        );
    }
    for (index, name) in [(1, "net0"), (2, "net1")] {
        let endpoints = vec![named("host1"), named("host2")];
        let network = Network {
            vni: Vni::new(index).expect("legal"),
            mtu: Mtu::VXLAN_IPV4,
            endpoints,
        };
        plan.networks.insert(named(name), network);
        for (family, prefix) in [("v4", "10.0.0.0/24"), ("v6", "fd00::/64")] {
            plan.subnets
                .insert(named(&format!("{name}-{family}")), plain_subnet(name, prefix));
        }
    }
    let allow = |family| Rule {
        direction: Direction::Egress,
        family,
        protocol: Protocol::Any,
        remote: Remote::Any,
    };
    let rules = [("out4", allow(Family::Ipv4)), ("out6", allow(Family::Ipv6))];
    let rules = rules.into_iter().map(|(id, rule)| (named(id), rule)).collect();
    plan.security_groups
        .insert(named("base"), SecurityGroup { rules });
    plan
}

fn plan_after(changes: &[Change]) -> HostPlan {
    let mut state = PlanState::new(base_plan(), 0, 0).expect("the base plan is valid");
    for change in changes {
        let (from, to) = (state.revision(), state.revision() + 1);
        let changeset = Changeset {
            from,
            to,
            changes: vec![change.clone()],
            ..Changeset::default()
        };
        let _refused = state.apply(&changeset);
    }
    state.plan().clone()
}

fn named<N>(text: &str) -> Id<N> {
    Id::new(text).expect("a legal id")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("a legal address")
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| ip(text)).collect()
}

fn prefixes(texts: &[&str]) -> Vec<IpPrefix> {
    texts
        .iter()
        .map(|text| text.parse().expect("a legal prefix"))
        .collect()
}

fn plain_subnet(network: &str, prefix: &str) -> Subnet {
    Subnet {
        network: named(network),
        prefix: prefix.parse().expect("a legal prefix"),
        gateway: None,
        dhcp: true,
        ipv6_mode: Ipv6Mode::DhcpV6Stateful,
        dns_servers: Vec::new(),
        host_routes: Vec::new(),
        lease_s: 3600,
    }
}

fn id<N: 'static>(noun: &'static str, count: u8) -> impl Strategy<Value = Id<N>> {
    (0..count).prop_map(move |number| named(&format!("{noun}{number}")))
}

fn some_ids<N: 'static>(noun: &'static str, count: u8) -> impl Strategy<Value = Vec<Id<N>>> {
    let all: Vec<u8> = (0..count).collect();
    subsequence(all, 0..=usize::from(count)).prop_map(move |numbers| {
        numbers
            .into_iter()
            .map(|n| named(&format!("{noun}{n}")))
            .collect()
    })
}

fn tunnel() -> impl Strategy<Value = Option<Tunnel>> {
    let address = prop_oneof![6 => Just("192.0.2.1"), 2 => Just("192.0.2.9"), 1 => Just("192.0.2.2"),
        1 => Just("2001:db8::1"), 1 => Just("224.0.0.1")];
    let dpdk = option::weighted(0.3, (select(vec!["net_ring0", "net_null1,size=64", ""]), mac()));
    let dpdk = dpdk.prop_map(|some| {
        some.map(|(device, mac)| DpdkUnderlay {
            device: device.to_owned(),
            mac,
        })
    });
    let tunnel = (address, select(vec![4789, 8472]), dpdk).prop_map(|(a, udp_port, dpdk)| Tunnel {
        address: ip(a),
        udp_port,
        dpdk,
    });
    option::weighted(0.95, tunnel)
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let pool = ips(&[
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
        "192.0.2.4",
        "192.0.2.5",
        "192.0.2.6",
        "2001:db8::2",
    ]);
    let udp_port = prop_oneof![8 => Just(4789), 2 => Just(8472), 1 => Just(0)];
    (select(pool), udp_port, option::weighted(0.9, mac())).prop_map(|(address, udp_port, next_hop)| {
        Endpoint {
            address,
            udp_port,
            next_hop,
        }
    })
}

fn network() -> impl Strategy<Value = Network> {
    let mtu = prop_oneof![6 => Just(1450), 1 => Just(9000), 1 => Just(1280), 1 => Just(576)];
    (1..6_u32, mtu, some_ids("host", 4)).prop_map(|(vni, mtu, endpoints)| Network {
        vni: Vni::new(vni).expect("legal"),
        mtu: Mtu::new(mtu).expect("legal"),
        endpoints,
    })
}

fn subnet() -> impl Strategy<Value = Subnet> {
    let pool = [
        "10.0.0.0/24",
        "10.0.0.0/16",
        "10.0.1.0/24",
        "10.0.1.128/25",
        "fd00::/64",
        "fd00:1::/64",
        "224.0.0.0/24",
    ];
    let gateway = option::of(select(ips(&[
        "10.0.0.254",
        "10.0.1.254",
        "fd00::fe",
        "fd00:1::fe",
    ])));
    let dns_servers = vec(select(ips(&["10.0.0.2", "8.8.8.8", "fd00::2"])), 0..2);
    let route = (
        select(prefixes(&["0.0.0.0/0", "172.16.0.0/12", "fd01::/64"])),
        select(vec!["10.0.0.1", "0.0.0.0"]),
    );
    let host_routes = prop_oneof![3 => Just(Vec::new()), 1 => vec(route, 0..2)];
    let lease_s = prop_oneof![8 => Just(86_400), 2 => Just(60), 1 => Just(59)];
    let network = (0..3_u8).prop_map(|n| format!("net{n}"));
    (
        network,
        select(pool.to_vec()),
        gateway,
        any::<bool>(),
        dns_servers,
        host_routes,
        lease_s,
    )
        .prop_map(
            |(network, prefix, gateway, dhcp, dns_servers, host_routes, lease_s)| {
                let next_hop = |text: &str| text.parse::<Ipv4Addr>().expect("a legal address");
                let host_routes = host_routes.into_iter().map(|(d, n)| (d, next_hop(n))).collect();
                Subnet {
                    gateway,
                    dhcp,
                    dns_servers,
                    host_routes,
                    lease_s,
                    ..plain_subnet(&network, prefix)
                }
            },
        )
}

fn mac() -> impl Strategy<Value = Mac> {
    prop_oneof![12 => (1..12_u8).prop_map(|n| Mac([2, 0, 0, 0, 0, n])), 1 => Just(Mac::BROADCAST)]
}

fn station_addresses() -> impl Strategy<Value = Vec<IpAddr>> {
    let address = prop_oneof![
        6 => (1..12_u8).prop_map(|n| IpAddr::from([10, 0, 0, n])),
        1 => (1..6_u8).prop_map(|n| IpAddr::from([10, 0, 1, n])),
        4 => (1..12_u16).prop_map(|n| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n])),
        1 => Just(ip("127.0.0.1")),
    ];
    vec(address, 0..4)
}

fn attachment() -> impl Strategy<Value = Attachment> {
    let interface =
        prop_oneof![9 => (0..8_u8).prop_map(|n| format!("tap{n}")), 1 => Just("a name too long".repeat(2))];
    let netns = option::of(prop_oneof![9 => Just("/run/netns/guest"), 1 => Just("guest")]);
    let named = (interface, netns.prop_map(|path| path.map(str::to_owned)));
    let named = (any::<bool>(), named).prop_map(|(tap, (interface, netns))| match tap {
        true => Attachment::Tap { interface, netns },
        false => Attachment::Packet { interface, netns },
    });
    let dpdk = select(vec![
        "net_null0",
        "net_null1,size=64",
        "0000:03:00.0",
        "with space",
    ]);
    let dpdk = dpdk.prop_map(|device| Attachment::Dpdk {
        device: device.to_owned(),
    });
    prop_oneof![1 => Just(Attachment::Detached), 2 => named, 1 => dpdk]
}

fn port() -> impl Strategy<Value = Port> {
    let pair = (
        option::of(mac()),
        select(prefixes(&["10.0.0.0/24", "fd00::/64", "10.9.9.9", "239.0.0.0/8"])),
    )
        .prop_map(|(mac, prefix)| AddressPair { mac, prefix });
    let pairs = prop_oneof![2 => Just(Vec::new()), 1 => vec(pair, 1..3)];
    let hostname = option::of(prop_oneof![9 => Just("web-1.example"), 1 => Just("-web")]);
    let budgets = option::of((0..9_u32, 0..9_u32, 0..9_u32).prop_map(
        |(connections, control_pps, new_flows_pps)| Budgets {
            connections,
            control_pps,
            new_flows_pps,
        },
    ));
    let flags = (any::<bool>(), any::<bool>());
    let network = prop_oneof![4 => id("net", 2), 1 => id("net", 3)];
    let groups = some_ids("group", 3);
    (
        network,
        mac(),
        station_addresses(),
        pairs,
        groups,
        hostname,
        attachment(),
        budgets,
        flags,
    )
        .prop_map(
            |(
                network,
                mac,
                addresses,
                allowed_address_pairs,
                security_groups,
                hostname,
                attachment,
                budgets,
                flags,
            )| Port {
                network,
                mac,
                addresses,
                allowed_address_pairs,
                port_security: flags.0,
                security_groups,
                hostname: hostname.map(str::to_owned),
                attachment,
                budgets: budgets.unwrap_or_default(),
                admin_up: flags.1,
            },
        )
}

fn peer() -> impl Strategy<Value = Peer> {
    let network = prop_oneof![4 => id("net", 2), 1 => id("net", 3)];
    (network, mac(), station_addresses(), id("host", 4)).prop_map(|(network, mac, addresses, endpoint)| {
        Peer {
            network,
            mac,
            addresses,
            endpoint,
        }
    })
}

fn security_group() -> impl Strategy<Value = SecurityGroup> {
    btree_map(id("rule", 8), rule(), 0..4).prop_map(|rules| SecurityGroup { rules })
}

fn rule() -> impl Strategy<Value = Rule> {
    let range = prop_oneof![
        Just(PortRange::ALL),
        (0..100_u16).prop_map(|p| PortRange { first: p, last: p }),
        (0..100_u16, 95..200_u16).prop_map(|(first, last)| PortRange { first, last }),
    ];
    let protocol = prop_oneof![
        2 => Just(Protocol::Any),
        3 => range.clone().prop_map(Protocol::Tcp),
        3 => range.prop_map(Protocol::Udp),
        2 => (option::of(0..20_u8), option::of(0..3_u8)).prop_map(|(kind, code)| Protocol::Icmp { kind, code }),
        1 => select(vec![1, 2, 6, 47, 58, 132]).prop_map(Protocol::Number),
    ];
    let remote = prop_oneof![
        2 => Just(Remote::Any),
        2 => member().prop_map(Remote::Prefix),
        2 => id("set", 3).prop_map(Remote::Set),
    ];
    let direction = prop_oneof![Just(Direction::Ingress), Just(Direction::Egress)];
    let family = prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)];
    (direction, family, protocol, remote).prop_map(|(direction, family, protocol, remote)| Rule {
        direction,
        family,
        protocol,
        remote,
    })
}

fn address_set() -> impl Strategy<Value = AddressSet> {
    btree_set(member(), 0..5).prop_map(|members| AddressSet { members })
}

fn member() -> impl Strategy<Value = IpPrefix> {
    select(prefixes(&[
        "10.0.0.0/8",
        "10.0.0.0/24",
        "10.0.0.5",
        "192.0.2.0/24",
        "0.0.0.0/0",
        "fd00::/64",
        "fd00::5",
        "::/0",
    ]))
}
