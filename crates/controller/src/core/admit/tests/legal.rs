//! Whatever admission takes, the planner plans without a problem; and what it does not take, it says by name.

use anet_api::resource::{
    ForeignEndpointCreate, ForeignEndpointUpdate, HostObserved, HostUpdate, Request, SubnetUpdate, request,
    request_one,
};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::*;

/// One request, as JSON. Objects that it names are the `n`th there are.
#[derive(Debug, Clone)]
enum Wish {
    Network(Value),
    NetworkSet(usize, Value),
    Subnet(usize, Value),
    SubnetSet(usize, Value),
    Port(usize, Value),
    PortSet(usize, Value),
    Rule(usize, Value),
    Foreign(usize, Value),
    ForeignSet(usize, Value),
    HostSet(usize, Value),
    Join(usize, Option<&'static str>),
    Delete(Noun, usize),
}

const ADDRESSES: &[&str] = &[
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.0.0.255",
    "10.0.1.9",
    "192.168.7.7",
    "127.0.0.1",
    "0.0.0.1",
    "0.0.0.0",
    "224.0.0.5",
    "255.255.255.255",
    "169.254.0.1",
    "fd00::1",
    "fd00::2",
    "fe80::1",
    "::1",
    "::",
    "ff05::2",
    "::ffff:10.0.0.2",
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.50",
];
const RANGES: &[&str] = &[
    "10.0.0.0/24",
    "10.0.0.0/29",
    "10.0.1.0/24",
    "10.0.0.0/16",
    "10.0.0.2/32",
    "10.0.0.2/31",
    "fd00::/64",
    "fd00::/127",
    "fe80::/64",
    "ff05::/64",
    "224.1.0.0/24",
    "127.0.0.0/24",
    "0.0.0.0/24",
    "0.0.0.0/0",
    "::/0",
    "::/64",
    "8.0.0.0/5",
    "255.255.255.254/31",
    "255.255.255.0/24",
    "::ffff:0.0.0.0/120",
    "192.168.0.0/16",
];

fn address() -> impl Strategy<Value = Value> {
    select(ADDRESSES).prop_map(Value::from)
}

fn addresses(most: usize) -> impl Strategy<Value = Value> {
    prop::collection::vec(address(), 0..=most).prop_map(Value::from)
}

fn routes() -> impl Strategy<Value = Value> {
    let route = (select(RANGES), address());
    let route = route.prop_map(|(destination, by)| json!({"destination": destination, "nexthop": by}));
    prop::collection::vec(route, 0..3).prop_map(Value::from)
}

/// An object with some of these attributes.
fn object(of: Vec<(&'static str, BoxedStrategy<Value>)>) -> impl Strategy<Value = Value> {
    let parts: Vec<_> = of
        .into_iter()
        .map(|(name, value)| prop::option::weighted(0.4, value).prop_map(move |value| (name, value)))
        .collect();
    parts.prop_map(|parts| {
        let said = parts
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(said.collect())
    })
}

fn subnet_changes() -> Vec<(&'static str, BoxedStrategy<Value>)> {
    let gateway = prop_oneof![3 => address(), 1 => Just(Value::Null)];
    vec![
        ("gateway_ip", gateway.boxed()),
        ("dns_nameservers", addresses(3).boxed()),
        ("host_routes", routes().boxed()),
        ("enable_dhcp", any::<bool>().prop_map(Value::from).boxed()),
    ]
}

fn with(mut object: Value, name: &str, value: impl Into<Value>) -> Value {
    object[name] = value.into();
    object
}

fn subnet_wish() -> impl Strategy<Value = Value> {
    (object(subnet_changes()), select(RANGES)).prop_map(|(object, cidr)| with(object, "cidr", cidr))
}

fn port_attributes() -> Vec<(&'static str, BoxedStrategy<Value>)> {
    let fixed = prop::collection::vec(address().prop_map(|ip| json!({"ip_address": ip})), 0..3);
    let pair = (
        select(RANGES),
        select(vec!["02:00:00:00:00:01", "03:00:00:00:00:01"]),
    );
    let pair = pair.prop_map(|(ip, mac)| json!({"ip_address": ip, "mac_address": mac}));
    vec![
        ("fixed_ips", fixed.prop_map(Value::from).boxed()),
        (
            "mac_address",
            select(vec!["02:00:00:00:00:01", "02:00:00:00:00:02"])
                .prop_map(Value::from)
                .boxed(),
        ),
        (
            "allowed_address_pairs",
            prop::collection::vec(pair, 0..2).prop_map(Value::from).boxed(),
        ),
        (
            "dns_name",
            select(vec!["web", "-web", "a.b", "a..b"])
                .prop_map(Value::from)
                .boxed(),
        ),
        (
            "binding:host_id",
            select(vec!["h1", "h2"]).prop_map(Value::from).boxed(),
        ),
    ]
}

fn stations() -> impl Strategy<Value = Value> {
    let mac = select(vec![
        "02:00:00:00:00:01",
        "02:00:00:00:00:03",
        "02:00:00:00:00:04",
    ]);
    let station = (mac, addresses(2)).prop_map(|(mac, ips)| json!({"mac_address": mac, "ip_addresses": ips}));
    prop::collection::vec(station, 0..3).prop_map(Value::from)
}

fn foreign_attributes() -> Vec<(&'static str, BoxedStrategy<Value>)> {
    vec![
        (
            "udp_port",
            select(vec![4789, 8472, 0]).prop_map(Value::from).boxed(),
        ),
        ("stations", stations().boxed()),
        ("ip_address", address().boxed()),
    ]
}

fn rule_wish() -> impl Strategy<Value = Value> {
    let protocol = select(vec!["any", "1", "6", "17", "58", "icmp", "icmpv6", "112"]);
    (
        protocol,
        select(vec!["IPv4", "IPv6"]),
        select(RANGES),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(protocol, family, range, prefix, ports)| {
            let rule = json!({"direction": "ingress", "protocol": protocol, "ethertype": family});
            let rule = if prefix {
                with(rule, "remote_ip_prefix", range)
            } else {
                rule
            };
            if ports {
                with(with(rule, "port_range_min", 8), "port_range_max", 9)
            } else {
                rule
            }
        })
}

fn wish() -> impl Strategy<Value = Wish> {
    let mtu = || select(vec![576, 1279, 1280, 1450, 9000]).prop_map(|mtu| json!({"mtu": mtu}));
    let host = object(vec![
        ("tunnel_address", address().boxed()),
        (
            "tunnel_port",
            select(vec![4789, 8472, 0]).prop_map(Value::from).boxed(),
        ),
    ]);
    let tunnel = prop::option::of(select(ADDRESSES));
    let nouns = vec![Noun::Subnet, Noun::Port, Noun::Rule, Noun::ForeignEndpoint];
    let nth = 0..6_usize;
    prop_oneof![
        1 => mtu().prop_map(Wish::Network),
        2 => (nth.clone(), mtu()).prop_map(|(n, v)| Wish::NetworkSet(n, v)),
        6 => (nth.clone(), subnet_wish()).prop_map(|(n, v)| Wish::Subnet(n, v)),
        3 => (nth.clone(), object(subnet_changes())).prop_map(|(n, v)| Wish::SubnetSet(n, v)),
        6 => (nth.clone(), object(port_attributes())).prop_map(|(n, v)| Wish::Port(n, v)),
        3 => (nth.clone(), object(port_attributes())).prop_map(|(n, v)| Wish::PortSet(n, v)),
        2 => (nth.clone(), rule_wish()).prop_map(|(n, v)| Wish::Rule(n, v)),
        4 => (nth.clone(), object(foreign_attributes())).prop_map(|(n, v)| Wish::Foreign(n, v)),
        3 => (nth.clone(), object(foreign_attributes())).prop_map(|(n, v)| Wish::ForeignSet(n, v)),
        2 => (nth.clone(), host).prop_map(|(n, v)| Wish::HostSet(n, v)),
        1 => (nth.clone(), tunnel).prop_map(|(n, v)| Wish::Join(n, v)),
        2 => (select(nouns), nth).prop_map(|(noun, n)| Wish::Delete(noun, n)),
    ]
}

/// A body around an object.
fn body(resource: Resource, object: Value) -> Vec<u8> {
    json!({resource.singular(): object}).to_string().into_bytes()
}

fn create<T: Request>(object: Value) -> Result<Requests<T>, ApiError> {
    request(Role::Admin, &body(T::RESOURCE, object))
}

fn change<T: Request>(object: Value) -> Result<T, ApiError> {
    request_one(Role::Admin, &body(T::RESOURCE, object))
}

fn nth<K: ToString, V>(map: &std::collections::BTreeMap<K, V>, n: usize) -> Option<String> {
    map.keys().nth(n.checked_rem(map.len())?).map(ToString::to_string)
}

impl World {
    /// Carries a wish out, if it is granted.
    fn grant(&mut self, wish: Wish) -> Result<Option<Answer>, ApiError> {
        let intent = self.mirror.intent();
        let caller = admin();
        let network = |n| nth(&intent.networks, n).unwrap_or_default();
        Ok(Some(match wish {
            Wish::Network(object) => {
                let asked = Asked::Create(create::<NetworkCreate>(object)?);
                self.ask(|mirror, draw| network::admit(mirror, &caller, asked, draw))?
            }
            Wish::NetworkSet(n, object) => {
                let asked = Asked::Update(network(n), change::<NetworkUpdate>(object)?);
                self.ask(|mirror, draw| network::admit(mirror, &caller, asked, draw))?
            }
            Wish::Subnet(n, object) => {
                let asked = Asked::Create(create::<SubnetCreate>(with(object, "network_id", network(n)))?);
                self.ask(|mirror, draw| subnet::admit(mirror, &caller, asked, draw))?
            }
            Wish::SubnetSet(n, object) => {
                let Some(id) = nth(&intent.subnets, n) else {
                    return Ok(None);
                };
                let asked = Asked::Update(id, change::<SubnetUpdate>(object)?);
                self.ask(|mirror, draw| subnet::admit(mirror, &caller, asked, draw))?
            }
            Wish::Port(n, object) => {
                let asked = create::<PortCreate>(with(object, "network_id", network(n)))?;
                let asked = Asked::Create(asked);
                self.ask(|mirror, draw| port::admit(mirror, &caller, asked, &|_| PortStatus::Down, draw))?
            }
            Wish::PortSet(n, object) => {
                let Some(id) = nth(&intent.ports, n) else {
                    return Ok(None);
                };
                self.set_port(&id, change::<PortUpdate>(object)?)?
            }
            Wish::Rule(n, object) => {
                let group = nth(&intent.security_groups, n).unwrap_or_default();
                let asked = create::<SecurityGroupRuleCreate>(with(object, "security_group_id", group))?;
                let asked = Asked::Create(asked);
                self.ask(|mirror, draw| rule::admit(mirror, &caller, asked, draw))?
            }
            Wish::Foreign(n, object) => {
                let asked = create::<ForeignEndpointCreate>(with(object, "network_id", network(n)))?;
                let asked = Asked::Create(asked);
                self.ask(|mirror, draw| foreign_endpoint::admit(mirror, &caller, asked, draw))?
            }
            Wish::ForeignSet(n, object) => {
                let Some(id) = nth(&intent.foreign_endpoints, n) else {
                    return Ok(None);
                };
                let asked = Asked::Update(id, change::<ForeignEndpointUpdate>(object)?);
                self.ask(|mirror, draw| foreign_endpoint::admit(mirror, &caller, asked, draw))?
            }
            Wish::HostSet(n, object) => {
                let Some(id) = nth(&intent.hosts, n) else {
                    return Ok(None);
                };
                self.set_host(&id, change::<HostUpdate>(object)?)?
            }
            Wish::Join(n, tunnel) => self.join_anew(n, tunnel)?,
            Wish::Delete(noun, n) => {
                let id = match noun {
                    Noun::Subnet => nth(&intent.subnets, n),
                    Noun::Port => nth(&intent.ports, n),
                    Noun::Rule => nth(&intent.rules, n),
                    _ => nth(&intent.foreign_endpoints, n),
                };
                let Some(id) = id else { return Ok(None) };
                self.delete(noun, &id)?
            }
        }))
    }

    fn set_host(&mut self, id: &str, request: HostUpdate) -> Result<Answer, ApiError> {
        let asked = Asked::Update(id.to_owned(), request);
        let observed = |_: &HostId| HostObserved::default();
        self.ask(|mirror, draw| host::admit(mirror, &admin(), asked, &observed, draw))
    }

    fn join_anew(&mut self, n: usize, tunnel: Option<&str>) -> Result<Answer, ApiError> {
        let hash = format!("secret-{}", self.mirror.revision());
        self.token(&hash);
        let names = ["h3", "foreign:192.0.2.50:4789", "h4"];
        self.join(names[n % names.len()], &hash, tunnel, "key")
    }

    fn assert_no_problems(&self, after: &Wish) {
        for host in self.mirror.intent().hosts.keys() {
            let problems = self.mirror.planner().problems(host);
            assert_eq!(problems, [], "{host} after {after:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_admission_takes_the_planner_plans_without_a_problem(wishes in prop::collection::vec(wish(), 1..40)) {
        let mut world = World::new();
        world.host("h1", Some("192.0.2.1"));
        world.host("h2", Some("192.0.2.2"));
        for _ in 0..2 {
            let network = world.network();
            world.port(&network, Some("h1"));
        }
        for wish in wishes {
            if world.grant(wish.clone()).is_ok() {
                world.assert_no_problems(&wish);
            }
        }
    }
}

/// Refused with 400, and with what has to be said.
fn refused(answer: Result<Option<Answer>, ApiError>, parts: &[&str]) {
    let error = answer.unwrap_err();
    assert_eq!(error.status, 400, "{}", error.message);
    for part in parts {
        assert!(error.message.contains(part), "{part} in: {}", error.message);
    }
}

#[test]
fn what_no_host_could_be_told_is_refused_by_name() {
    let mut world = World::new();
    world.network();
    let subnet = |cidr: &str| Wish::Subnet(0, json!({"cidr": cidr}));
    for cidr in [
        "224.1.0.0/24",
        "127.0.0.0/24",
        "ff05::/64",
        "0.0.0.0/24",
        "0.0.0.0/0",
        "::/0",
    ] {
        refused(
            world.grant(subnet(cidr)),
            &["Invalid input for cidr.", cidr, "expected"],
        );
    }
    world.grant(subnet("10.0.0.0/24")).unwrap();
    let set = |object: Value| Wish::SubnetSet(0, object);
    let route = |by: &str| json!({"destination": "10.1.0.0/16", "nexthop": by});
    let far = set(json!({"host_routes": [route("192.168.7.7")]}));
    refused(
        world.grant(far),
        &[
            "host_routes",
            "192.168.7.7 is not inside 10.0.0.0/24",
            "0.0.0.0 for on-link",
        ],
    );
    let twice = set(json!({"host_routes": [route("10.0.0.8"), route("10.0.0.9")]}));
    refused(
        world.grant(twice),
        &["host_routes", "10.1.0.0/16 is listed twice"],
    );
    let loopback = set(json!({"dns_nameservers": ["127.0.0.1"]}));
    refused(world.grant(loopback), &["dns_nameservers", "127.0.0.1"]);
    world
        .grant(set(json!({"host_routes": [route("10.0.0.8")]})))
        .unwrap();
    let narrow = || Wish::NetworkSet(0, json!({"mtu": 1200}));
    world.grant(narrow()).unwrap();
    refused(world.grant(subnet("fd00::/64")), &["cidr", "1200", "1280"]);
    world.grant(Wish::NetworkSet(0, json!({"mtu": 1280}))).unwrap();
    world.grant(subnet("fd00::/64")).unwrap();
    refused(
        world.grant(narrow()),
        &["Invalid input for mtu.", "fd00::/64", "1280 or more"],
    );
}

#[test]
fn a_tunnel_ends_where_other_hosts_can_send_to() {
    let mut world = World::new();
    world.host("h1", Some("192.0.2.1"));
    for address in [
        "0.0.0.0",
        "224.0.0.1",
        "fe80::1",
        "::ffff:1.2.3.4",
        "127.0.0.1",
        "::1",
        "255.255.255.255",
    ] {
        let joined = world.join_anew(0, Some(address));
        refused(
            joined.map(Some),
            &["Invalid input for tunnel_address.", address, "expected"],
        );
        let set = HostUpdate {
            tunnel_address: Some(Some(address.parse().unwrap())),
            ..HostUpdate::default()
        };
        refused(world.set_host("h1", set).map(Some), &["tunnel_address", address]);
    }
    world.join_anew(0, Some("2001:db8::3")).unwrap();
    let foreign = |ip: &str| Wish::Foreign(0, json!({"ip_address": ip}));
    world.network();
    world.grant(foreign("192.0.2.50")).unwrap();
    let set = HostUpdate {
        tunnel_address: Some(Some("192.0.2.50".parse().unwrap())),
        ..HostUpdate::default()
    };
    assert_eq!(world.set_host("h1", set).unwrap_err().kind, "TunnelAddressInUse");
    let joined = world.join_anew(1, Some("192.0.2.60"));
    refused(joined.map(Some), &["Invalid input for host.", "`foreign:`"]);
}

#[test]
fn an_address_belongs_to_a_port_or_to_a_station() {
    let mut world = World::new();
    let network = world.network();
    world.subnet(&network, "10.0.0.0/24");
    let foreign = |ip: &str, udp_port: u16, station: &str, mac: u8| {
        let station = json!({"mac_address": format!("02:00:00:00:00:{mac:02x}"), "ip_addresses": [station]});
        Wish::Foreign(
            0,
            json!({"ip_address": ip, "udp_port": udp_port, "stations": [station]}),
        )
    };
    world.grant(foreign("192.0.2.50", 4789, "10.0.0.2", 1)).unwrap();
    let port = world.new_port(&admin(), port_request(&network)).unwrap();
    assert_eq!(address_of(&port), "10.0.0.3", "the station has the first one");
    let error = world
        .new_port(&admin(), with_address(&network, None, Some("10.0.0.2")))
        .unwrap_err();
    assert_eq!((error.status, error.kind), (409, "IpAddressInUse"));
    for (wish, kind) in [
        (foreign("192.0.2.51", 4789, "10.0.0.3", 2), "IpAddressInUse"),
        (foreign("192.0.2.51", 4789, "10.0.0.2", 2), "IpAddressInUse"),
        (
            foreign("192.0.2.50", 8472, "10.0.0.9", 2),
            "ForeignEndpointExists",
        ),
    ] {
        assert_eq!(world.grant(wish).unwrap_err().kind, kind);
    }
}

#[test]
fn what_is_taken_or_used_up_says_in_which_attribute_and_what_to_do() {
    let mut world = World::new();
    let network = world.network();
    world.subnet(&network, "10.0.0.0/30");
    let first = PortCreate {
        mac_address: Some(Mac([2, 0, 0, 0, 0, 1])),
        ..port_request(&network)
    };
    world.new_port(&admin(), first.clone()).unwrap();
    let cases = [
        (
            with_address(&network, None, Some("10.0.0.2")),
            "IpAddressInUse",
            "give fixed_ips another ip_address",
        ),
        (
            with_address(&network, None, Some("10.9.0.2")),
            "InvalidIpForNetwork",
            "fixed_ips out of 10.0.0.0/30",
        ),
        (
            port_request(&network),
            "IpAddressGenerationFailure",
            "allocation_pools",
        ),
        (
            PortCreate {
                fixed_ips: Some(Vec::new()),
                ..first
            },
            "MacAddressInUse",
            "give another mac_address",
        ),
    ];
    for (request, kind, part) in cases {
        let error = world.new_port(&admin(), request).unwrap_err();
        assert!(
            error.kind == kind && error.message.contains(part),
            "{} {}",
            error.kind,
            error.message
        );
    }
}

#[test]
fn a_port_has_no_more_remote_groups_than_a_plan_holds() {
    let mut world = World::new();
    let network = world.network();
    let default = world.default_group();
    world.port(&network, None);
    let remote = |world: &mut World, n: usize| {
        let group = world.group(&format!("g{n}")).unwrap();
        world.rule(&default, Remote::Group(group))
    };
    // The default group names itself.
    for n in 1..anet_model::limits::ADDRESS_SETS_PER_PORT {
        remote(&mut world, n).unwrap();
    }
    let error = remote(&mut world, 999).unwrap_err();
    assert_eq!(
        (error.status, error.kind),
        (409, "OverQuota"),
        "{}",
        error.message
    );
    world.no_groups(&world.mirror.intent().ports.keys().next().unwrap().to_string());
    let more = world.group("more").unwrap();
    world.rule(&default, Remote::Group(more)).unwrap();
    let error = world.new_port(&admin(), port_request(&network)).unwrap_err();
    assert_eq!(error.kind, "OverQuota");
}
