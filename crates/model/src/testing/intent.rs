//! Generators of intents and their histories.
//!
//! [`change`] is wild: it dangles, collides and says what no plan may hold, as a store without checks would let it. A
//! [`consistent_history`] consists of such changes that were admitted because the intent stayed [`consistent`] with them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use anet_packet::addr::{Mac, Mtu, Vni};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{id, ip, ips, mac, member, named, prefixes, station_addresses};
use crate::host_plan::{self, AddressPair, HostPlan, Ipv6Mode};
use crate::id::Id;
use crate::intent::{
    Common, FixedIp, ForeignEndpoint, Host, Intent, IntentChange, Network, Port, Project, Remote,
    SecurityGroup, SecurityGroupRule, Station, Subnet,
};
use crate::validate::{is_host_name, is_host_of, is_station_address};

/// A change that may or may not fit an intent out of [`intent`]; deletes among them.
pub fn change() -> impl Strategy<Value = IntentChange> {
    let odd_host = Just(named("foreign:192.0.2.4:4789"));
    let odd_port = Just(named("foreign-foreign0-020000000005"));
    prop_oneof![
        1 => (id("project", 2), option::weighted(0.8, Just(project())))
            .prop_map(|(id, v)| IntentChange::Project(id, v)),
        3 => (id("net", 4), option::weighted(0.85, network())).prop_map(|(id, v)| IntentChange::Network(id, v)),
        4 => (id("subnet", 6), option::weighted(0.85, subnet())).prop_map(|(id, v)| IntentChange::Subnet(id, v)),
        12 => (prop_oneof![20 => id("port", 10), 1 => odd_port], option::weighted(0.8, port()))
            .prop_map(|(id, v)| IntentChange::Port(id, v)),
        2 => (id("group", 4), option::weighted(0.8, Just(group())))
            .prop_map(|(id, v)| IntentChange::SecurityGroup(id, v)),
        5 => (id("rule", 8), option::weighted(0.75, rule())).prop_map(|(id, v)| IntentChange::Rule(id, v)),
        4 => (prop_oneof![20 => id("host", 4), 1 => odd_host], option::weighted(0.85, host()))
            .prop_map(|(id, v)| IntentChange::Host(id, v)),
        5 => (id("foreign", 3), option::weighted(0.8, foreign_endpoint()))
            .prop_map(|(id, v)| IntentChange::ForeignEndpoint(id, v)),
    ]
}

/// Changes in batches of one to four, from [`base_intent`] on, as they come. Half of the changes of an object that is there change one
/// of its attributes only.
pub fn history(steps: usize) -> impl Strategy<Value = Vec<Vec<IntentChange>>> {
    let step = vec((change(), option::of(any::<u8>())), 1..5);
    vec(step, 0..=steps).prop_map(|batches| {
        let mut intent = base_intent();
        let mut follow = |(change, attribute): (IntentChange, Option<u8>)| {
            let change = attribute.map_or(change.clone(), |one| partly(&intent, change, one));
            intent.put(change.clone());
            change
        };
        let batches = batches.into_iter();
        batches
            .map(|batch| batch.into_iter().map(&mut follow).collect())
            .collect()
    })
}

/// The change with all attributes but one as they are in the intent.
fn partly(intent: &Intent, change: IntentChange, one: u8) -> IntentChange {
    match change {
        IntentChange::Network(id, Some(new)) => {
            let value = intent.networks.get(&id).cloned();
            let value = value.map_or(new.clone(), |mut old| {
                match one % 3 {
                    0 => old.vni = new.vni,
                    1 => old.mtu = new.mtu,
                    _ => old.admin_state_up = new.admin_state_up,
                }
                old
            });
            IntentChange::Network(id, Some(value))
        }
        IntentChange::Subnet(id, Some(new)) => {
            let value = intent.subnets.get(&id).cloned();
            let value = value.map_or(new.clone(), |mut old| {
                match one % 5 {
                    0 => old.network = new.network,
                    1 => old.cidr = new.cidr,
                    2 => old.gateway_ip = new.gateway_ip,
                    3 => old.host_routes = new.host_routes,
                    _ => old.dns_nameservers = new.dns_nameservers,
                }
                old
            });
            IntentChange::Subnet(id, Some(value))
        }
        IntentChange::Port(id, Some(new)) => {
            let value = intent.ports.get(&id).cloned();
            let value = value.map_or(new.clone(), |old| port_partly(old, new, one));
            IntentChange::Port(id, Some(value))
        }
        IntentChange::Host(id, Some(new)) => {
            let value = intent.hosts.get(&id).cloned();
            let value = value.map_or(new.clone(), |mut old| {
                match one % 2 {
                    0 => old.tunnel_address = new.tunnel_address,
                    _ => old.tunnel_port = new.tunnel_port,
                }
                old
            });
            IntentChange::Host(id, Some(value))
        }
        IntentChange::ForeignEndpoint(id, Some(new)) => {
            let value = intent.foreign_endpoints.get(&id).cloned();
            let value = value.map_or(new.clone(), |mut old| {
                match one % 4 {
                    0 => old.address = new.address,
                    1 => old.udp_port = new.udp_port,
                    2 => old.network = new.network,
                    _ => old.stations = new.stations,
                }
                old
            });
            IntentChange::ForeignEndpoint(id, Some(value))
        }
        other => other,
    }
}

fn port_partly(mut old: Port, new: Port, one: u8) -> Port {
    match one % 8 {
        0 => old.network = new.network,
        1 => old.mac = new.mac,
        2 => old.fixed_ips = new.fixed_ips,
        3 => old.security_groups = new.security_groups,
        4 => old.allowed_address_pairs = new.allowed_address_pairs,
        5 => old.admin_state_up = new.admin_state_up,
        6 => old.dns_name = new.dns_name,
        _ => old.host = new.host,
    }
    old
}

/// Changes, one at a time, from [`base_intent`] on, with each of which the intent stays [`consistent`].
pub fn consistent_history(steps: usize) -> impl Strategy<Value = Vec<IntentChange>> {
    vec(change(), 0..=steps).prop_map(|changes| {
        let mut intent = base_intent();
        let admitted = changes.into_iter().filter(|change| {
            let undo = intent.put(change.clone());
            let admitted = consistent(&intent).is_ok();
            if !admitted {
                intent.put(undo);
            }
            admitted
        });
        admitted.collect()
    })
}

/// A consistent intent with chance in it.
pub fn intent() -> impl Strategy<Value = Intent> {
    consistent_history(40).prop_map(|changes| {
        let mut intent = base_intent();
        for change in changes {
            intent.put(change);
        }
        intent
    })
}

/// The changes that make an intent out of an empty one.
pub fn changes_of(intent: &Intent) -> Vec<IntentChange> {
    let mut changes = Vec::new();
    let Intent {
        projects,
        networks,
        subnets,
        ports,
        security_groups,
        rules,
        hosts,
        foreign_endpoints,
    } = intent.clone();
    changes.extend(
        projects
            .into_iter()
            .map(|(id, v)| IntentChange::Project(id, Some(v))),
    );
    changes.extend(hosts.into_iter().map(|(id, v)| IntentChange::Host(id, Some(v))));
    changes.extend(
        networks
            .into_iter()
            .map(|(id, v)| IntentChange::Network(id, Some(v))),
    );
    changes.extend(
        subnets
            .into_iter()
            .map(|(id, v)| IntentChange::Subnet(id, Some(v))),
    );
    let groups = security_groups.into_iter();
    changes.extend(groups.map(|(id, v)| IntentChange::SecurityGroup(id, Some(v))));
    changes.extend(rules.into_iter().map(|(id, v)| IntentChange::Rule(id, Some(v))));
    changes.extend(ports.into_iter().map(|(id, v)| IntentChange::Port(id, Some(v))));
    let foreign = foreign_endpoints.into_iter();
    changes.extend(foreign.map(|(id, v)| IntentChange::ForeignEndpoint(id, Some(v))));
    changes
}

/// The intent that every history begins with: a project, three hosts, two networks with an IPv4 and an IPv6 subnet of the same
/// ranges, and a group that allows what comes from its own members.
pub fn base_intent() -> Intent {
    let mut intent = Intent::default();
    intent.projects.insert(named("project0"), project());
    for number in 0..3_u8 {
        let address = IpAddr::from([192, 0, 2, number + 1]);
        intent
            .hosts
            .insert(named(&format!("host{number}")), host_at(Some(address), 4789));
    }
    for (vni, name) in [(1, "net0"), (2, "net1")] {
        intent.networks.insert(named(name), network_of(vni, 1450, true));
        for (family, cidr) in [("v4", "10.0.0.0/24"), ("v6", "fd00::/64")] {
            let id = format!("{name}-{family}");
            intent.subnets.insert(named(&id), subnet_of(name, cidr));
        }
    }
    intent.security_groups.insert(named("group0"), group());
    for (name, family) in [
        ("own4", host_plan::Family::Ipv4),
        ("own6", host_plan::Family::Ipv6),
    ] {
        let rule = SecurityGroupRule {
            common: Common::default(),
            project: named("project0"),
            security_group: named("group0"),
            direction: host_plan::Direction::Ingress,
            family,
            protocol: host_plan::Protocol::Any,
            remote: Remote::Group(named("group0")),
        };
        intent.rules.insert(named(name), rule);
    }
    intent
}

/// Whether every reference of the intent holds, every claim has one owner, and every value is one that a plan may have; or the
/// first thing that is wrong. Cost: proportional to the intent.
pub fn consistent(intent: &Intent) -> Result<(), String> {
    consistent_underlay(intent)?;
    consistent_networks(intent)?;
    consistent_policy(intent)?;
    consistent_stations(intent)
}

fn must(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn valid(plan: &HostPlan) -> Result<(), String> {
    plan.validate().map_err(|error| error.to_string())
}

fn consistent_underlay(intent: &Intent) -> Result<(), String> {
    let mut addresses = BTreeMap::new();
    let tunnel = |address, udp_port| HostPlan {
        tunnel: Some(host_plan::Tunnel {
            address,
            udp_port,
            dpdk: None,
        }),
        ..HostPlan::default()
    };
    for (id, host) in &intent.hosts {
        must(!id.as_str().starts_with("foreign:"), || {
            format!("host {id} is named as a foreign endpoint")
        })?;
        if let Some(address) = host.tunnel_address {
            valid(&tunnel(address, host.tunnel_port))?;
            let other = addresses.insert(address, None);
            must(other.is_none(), || format!("{address} of host {id} is another's"))?;
        }
    }
    for (id, foreign) in &intent.foreign_endpoints {
        valid(&tunnel(foreign.address, foreign.udp_port))?;
        let owner = addresses.entry(foreign.address).or_insert(Some(foreign.udp_port));
        must(*owner == Some(foreign.udp_port), || {
            format!("{} of foreign endpoint {id} is another's", foreign.address)
        })?;
        must(id.as_str().len() <= 36, || {
            format!("foreign endpoint {id} has a long id")
        })?;
    }
    Ok(())
}

fn consistent_networks(intent: &Intent) -> Result<(), String> {
    let projects = &intent.projects;
    let mut plan = HostPlan::default();
    for (id, network) in &intent.networks {
        must(projects.contains_key(&network.project), || {
            format!("network {id} has no project")
        })?;
        let network = host_plan::Network {
            vni: network.vni,
            mtu: network.mtu,
            endpoints: Vec::new(),
        };
        plan.networks.insert(id.clone(), network);
    }
    for (id, subnet) in &intent.subnets {
        must(projects.contains_key(&subnet.project), || {
            format!("subnet {id} has no project")
        })?;
        let subnet = host_plan::Subnet {
            network: subnet.network.clone(),
            prefix: subnet.cidr,
            gateway: subnet.gateway_ip,
            dhcp: subnet.enable_dhcp,
            ipv6_mode: Ipv6Mode::DhcpV6Stateful,
            dns_servers: subnet.dns_nameservers.clone(),
            host_routes: subnet.host_routes.clone(),
            lease_s: 3600,
        };
        plan.subnets.insert(id.clone(), subnet);
    }
    valid(&plan)
}

fn consistent_policy(intent: &Intent) -> Result<(), String> {
    let exists = |group: &host_plan::SecurityGroupId| intent.security_groups.contains_key(group);
    let mut plan = HostPlan::default();
    for id in intent.security_groups.keys() {
        plan.security_groups
            .insert(id.clone(), host_plan::SecurityGroup::default());
        plan.address_sets
            .insert(id.cast(), host_plan::AddressSet::default());
    }
    for (id, rule) in &intent.rules {
        let remote = match &rule.remote {
            Remote::Any => host_plan::Remote::Any,
            Remote::Prefix(prefix) => host_plan::Remote::Prefix(*prefix),
            Remote::Group(group) => host_plan::Remote::Set(group.cast()),
        };
        must(exists(&rule.security_group), || format!("rule {id} has no group"))?;
        let planned = host_plan::Rule {
            direction: rule.direction,
            family: rule.family,
            protocol: rule.protocol,
            remote,
        };
        let group = plan
            .security_groups
            .entry(rule.security_group.clone())
            .or_default();
        group.rules.insert(id.clone(), planned);
    }
    valid(&plan)
}

fn consistent_stations(intent: &Intent) -> Result<(), String> {
    let (mut macs, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    let mut claim_mac = |network: &host_plan::NetworkId, mac: Mac| {
        let claimed = mac.is_station() && macs.insert((network.clone(), mac));
        must(claimed, || format!("{mac} is taken in {network} or no station's"))
    };
    let mut claim_address = |network: &host_plan::NetworkId, address: IpAddr| {
        let claimed = is_station_address(address) && addresses.insert((network.clone(), address));
        must(claimed, || {
            format!("{address} is taken in {network} or no host's")
        })
    };
    for (id, port) in &intent.ports {
        must(intent.networks.contains_key(&port.network), || {
            format!("port {id} has no network")
        })?;
        must(!id.as_str().starts_with("foreign-"), || {
            format!("port {id} is named as a station")
        })?;
        claim_mac(&port.network, port.mac)?;
        for fixed in &port.fixed_ips {
            let subnet = intent
                .subnets
                .get(&fixed.subnet)
                .filter(|subnet| subnet.network == port.network);
            let inside = subnet.is_some_and(|subnet| is_host_of(subnet.cidr, fixed.address));
            must(inside, || {
                format!("{} of port {id} is not of its subnet", fixed.address)
            })?;
            claim_address(&port.network, fixed.address)?;
        }
        let groups = port
            .security_groups
            .iter()
            .all(|group| intent.security_groups.contains_key(group));
        must(groups, || format!("port {id} has a group that does not exist"))?;
        let host = port
            .host
            .as_ref()
            .is_none_or(|host| intent.hosts.contains_key(host));
        must(host, || format!("port {id} is on a host that does not exist"))?;
        let pairs = port
            .allowed_address_pairs
            .iter()
            .all(|pair| pair.mac.is_none_or(Mac::is_station) && !pair.prefix.address().is_multicast());
        must(pairs, || format!("port {id} has an illegal address pair"))?;
        let name = port.dns_name.as_ref().is_none_or(|name| is_host_name(name));
        must(name, || format!("port {id} has an illegal name"))?;
    }
    for (id, foreign) in &intent.foreign_endpoints {
        must(intent.networks.contains_key(&foreign.network), || {
            format!("foreign endpoint {id} has no network")
        })?;
        for station in &foreign.stations {
            claim_mac(&foreign.network, station.mac)?;
            station
                .addresses
                .iter()
                .try_for_each(|address| claim_address(&foreign.network, *address))?;
        }
    }
    Ok(())
}

/// A project without a name.
pub fn project() -> Project {
    Project {
        common: Common::default(),
    }
}

/// A network of `project0`.
pub fn network_of(vni: u32, mtu: u32, admin_state_up: bool) -> Network {
    Network {
        common: Common::default(),
        project: named("project0"),
        vni: Vni::new(vni).expect("a legal VNI"),
        mtu: Mtu::new(mtu).expect("a legal MTU"),
        admin_state_up,
    }
}

/// A plain subnet of `project0`, with DHCP.
pub fn subnet_of(network: &str, cidr: &str) -> Subnet {
    Subnet {
        common: Common::default(),
        project: named("project0"),
        network: named(network),
        cidr: cidr.parse().expect("a legal prefix"),
        gateway_ip: None,
        allocation_pools: Vec::new(),
        dns_nameservers: Vec::new(),
        host_routes: Vec::new(),
        enable_dhcp: true,
        ipv6_address_mode: Some(Ipv6Mode::DhcpV6Stateful),
    }
}

/// A security group of `project0`.
pub fn group() -> SecurityGroup {
    SecurityGroup {
        common: Common::default(),
        project: named("project0"),
    }
}

/// A host.
pub fn host_at(tunnel_address: Option<IpAddr>, tunnel_port: u16) -> Host {
    Host {
        common: Common::default(),
        tunnel_address,
        tunnel_port,
        identity: "00".repeat(32),
    }
}

/// A port of `project0` with nothing but its network and MAC.
pub fn port_of(network: &str, mac: Mac) -> Port {
    Port {
        common: Common::default(),
        project: named("project0"),
        network: named(network),
        mac,
        fixed_ips: Vec::new(),
        security_groups: BTreeSet::new(),
        port_security_enabled: true,
        allowed_address_pairs: Vec::new(),
        admin_state_up: true,
        device_id: String::new(),
        device_owner: String::new(),
        dns_name: None,
        host: None,
    }
}

fn network() -> impl Strategy<Value = Network> {
    let mtu = prop_oneof![6 => Just(1450), 1 => Just(9000), 1 => Just(576)];
    (1..5_u32, mtu, any::<bool>()).prop_map(|(vni, mtu, up)| network_of(vni, mtu, up))
}

fn subnet_range() -> impl Strategy<Value = &'static str> {
    select(vec![
        "10.0.0.0/24",
        "10.0.0.0/25",
        "10.0.1.0/24",
        "10.0.0.0/16",
        "fd00::/64",
        "fd00:1::/64",
        "224.0.0.0/24",
    ])
}

fn subnet() -> impl Strategy<Value = Subnet> {
    let gateway = option::weighted(0.3, select(ips(&["10.0.0.254", "10.0.1.254", "fd00::fe"])));
    let servers = vec(
        select(ips(&["10.0.0.2", "10.0.0.3", "fd00::2", "127.0.0.1"])),
        0..3,
    );
    let routes = vec(
        (
            select(prefixes(&["10.9.0.0/16", "10.8.0.0/16", "fd09::/64"])),
            next_hop(),
        ),
        0..3,
    );
    let mode = option::weighted(0.7, Just(Ipv6Mode::DhcpV6Stateful));
    let network = id("net", 4);
    let parts = (
        network,
        subnet_range(),
        gateway,
        servers,
        routes,
        any::<bool>(),
        mode,
    );
    parts.prop_map(
        |(network, cidr, gateway_ip, dns_nameservers, host_routes, enable_dhcp, ipv6_address_mode): (
            Id<host_plan::Network>,
            _,
            _,
            _,
            _,
            _,
            _,
        )| Subnet {
            gateway_ip,
            dns_nameservers,
            host_routes,
            enable_dhcp,
            ipv6_address_mode,
            ..subnet_of(network.as_str(), cidr)
        },
    )
}

fn next_hop() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        2 => Just(Ipv4Addr::new(10, 0, 0, 1)),
        1 => Just(Ipv4Addr::UNSPECIFIED),
        1 => Just(Ipv4Addr::new(192, 168, 7, 7)),
    ]
}

fn fixed_ips() -> impl Strategy<Value = Vec<FixedIp>> {
    let subnet = prop_oneof![
        3 => select(vec!["net0-v4", "net0-v6", "net1-v4", "net1-v6"]).prop_map(named),
        1 => id("subnet", 6),
    ];
    let address = prop_oneof![
        6 => (1..10_u8).prop_map(|n| IpAddr::from([10, 0, 0, n])),
        1 => (0..6_u8).prop_map(|n| IpAddr::from([10, 0, 1, n])),
        4 => (1..10_u16).prop_map(|n| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n])),
        1 => Just(ip("10.0.0.255")),
    ];
    let fixed = (subnet, address).prop_map(|(subnet, address)| FixedIp { subnet, address });
    vec(fixed, 0..4)
}

fn port() -> impl Strategy<Value = Port> {
    let pair = (
        option::of(mac()),
        select(prefixes(&["10.0.0.0/24", "fd00::/64", "10.9.9.9", "239.0.0.0/8"])),
    )
        .prop_map(|(mac, prefix)| AddressPair { mac, prefix });
    let pairs = prop_oneof![3 => Just(Vec::new()), 1 => vec(pair, 1..3)];
    let name = option::weighted(
        0.3,
        prop_oneof![6 => Just("web-1".to_owned()), 1 => Just("-web".to_owned())],
    );
    let network = prop_oneof![5 => id::<host_plan::Network>("net", 2), 1 => id("net", 4)];
    let host = option::weighted(
        0.85,
        prop_oneof![12 => id("host", 4), 1 => Just(named("foreign:192.0.2.4:4789"))],
    );
    let groups = btree_set(id("group", 4), 0..3);
    (
        network,
        mac(),
        fixed_ips(),
        groups,
        pairs,
        name,
        host,
        any::<[bool; 3]>(),
    )
        .prop_map(
            |(network, mac, fixed_ips, security_groups, allowed_address_pairs, dns_name, host, flags)| Port {
                fixed_ips,
                security_groups,
                port_security_enabled: flags[0] || flags[1],
                allowed_address_pairs,
                admin_state_up: flags[2],
                dns_name,
                host,
                ..port_of(network.as_str(), mac)
            },
        )
}

fn rule() -> impl Strategy<Value = SecurityGroupRule> {
    let remote = prop_oneof![
        1 => Just(Remote::Any),
        1 => member().prop_map(Remote::Prefix),
        3 => id("group", 4).prop_map(Remote::Group),
    ];
    (id("group", 4), super::rule(), remote).prop_map(|(security_group, rule, remote)| SecurityGroupRule {
        common: Common::default(),
        project: named("project0"),
        security_group,
        direction: rule.direction,
        family: rule.family,
        protocol: rule.protocol,
        remote,
    })
}

fn underlay_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        12 => (1..7_u8).prop_map(|n| IpAddr::from([192, 0, 2, n])),
        3 => (1..4_u16).prop_map(|n| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n])),
        1 => Just(ip("224.0.0.1")),
    ]
}

fn udp_port() -> impl Strategy<Value = u16> {
    prop_oneof![10 => Just(4789), 2 => Just(8472), 1 => Just(0)]
}

fn host() -> impl Strategy<Value = Host> {
    (option::weighted(0.85, underlay_address()), udp_port())
        .prop_map(|(address, port)| host_at(address, port))
}

fn foreign_endpoint() -> impl Strategy<Value = ForeignEndpoint> {
    let chosen = prop_oneof![1 => Just(Mac([2, 0, 0, 0, 0, 5])), 1 => mac()];
    let station = (chosen, station_addresses()).prop_map(|(mac, addresses)| Station { mac, addresses });
    let free = (20..23_u8).prop_map(|n| IpAddr::from([192, 0, 2, n]));
    let address = prop_oneof![3 => free, 2 => underlay_address()];
    (id("net", 3), address, udp_port(), vec(station, 0..4)).prop_map(
        |(network, address, udp_port, stations)| ForeignEndpoint {
            common: Common::default(),
            network,
            address,
            udp_port,
            stations,
        },
    )
}
