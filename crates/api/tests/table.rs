//! The table against itself, against requests, and against what objects look like.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use anet_api::resource::{
    Access, Attribute, Attributes, ForeignEndpointCreate, ForeignEndpointUpdate, HostObserved, HostUpdate,
    Initial, Kind, NetworkCreate, NetworkUpdate, Operation, PortCreate, PortStatus, PortUpdate,
    ProjectCreate, ProjectUpdate, Request, Requests, SecurityGroupCreate, SecurityGroupRuleCreate,
    SecurityGroupUpdate, SubnetCreate, SubnetUpdate, decode, foreign_endpoint_to_json, host_to_json,
    legal_value, network_to_json, port_to_json, project_to_json, security_group_rule_to_json,
    security_group_to_json, subnet_to_json, visible,
};
use anet_api::{Resource, Role};
use anet_model::host_plan::{AddressPair, Direction, Family, Ipv6Mode, PortRange, Protocol};
use anet_model::id::Id;
use anet_model::intent::{
    Common, FixedIp, ForeignEndpoint, Host, Network, Port, Project, Remote, SecurityGroup, SecurityGroupRule,
    Station, Subnet,
};
use anet_packet::addr::{IpPrefix, Mac, Mtu, Vni};
use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

fn id<N>(text: &str) -> Id<N> {
    Id::new(text).unwrap()
}

fn common(name: &str) -> Common {
    Common {
        name: name.to_string(),
        description: "d".to_string(),
        revision_number: 3,
        created_at: 0,
        updated_at: 1,
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn prefix(text: &str) -> IpPrefix {
    text.parse().unwrap()
}

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn port() -> Port {
    Port {
        common: common("port"),
        project: id("p1"),
        network: id("n1"),
        mac: MAC,
        fixed_ips: vec![FixedIp {
            subnet: id("s1"),
            address: address("10.0.0.5"),
        }],
        security_groups: [id("g1")].into(),
        port_security_enabled: true,
        allowed_address_pairs: vec![AddressPair {
            mac: None,
            prefix: prefix("10.9.0.0/16"),
        }],
        admin_state_up: true,
        device_id: "vm".to_string(),
        device_owner: "compute:nova".to_string(),
        dns_name: Some("web".to_string()),
        host: Some(id("h1")),
    }
}

fn subnet() -> Subnet {
    Subnet {
        common: common("subnet"),
        project: id("p1"),
        network: id("n1"),
        cidr: prefix("10.0.0.0/24"),
        gateway_ip: Some(address("10.0.0.1")),
        allocation_pools: vec![(address("10.0.0.2"), address("10.0.0.254"))],
        dns_nameservers: vec![address("10.0.0.3")],
        host_routes: vec![(prefix("10.1.0.0/16"), Ipv4Addr::new(10, 0, 0, 9))],
        enable_dhcp: true,
        ipv6_address_mode: None,
    }
}

fn rule(protocol: Protocol, family: Family, remote: Remote) -> SecurityGroupRule {
    SecurityGroupRule {
        common: common(""),
        project: id("p1"),
        security_group: id("g1"),
        direction: Direction::Ingress,
        family,
        protocol,
        remote,
    }
}

fn tcp_rule() -> SecurityGroupRule {
    let ports = PortRange { first: 80, last: 81 };
    rule(Protocol::Tcp(ports), Family::Ipv4, Remote::Group(id("g2")))
}

/// One object of each resource.
fn object(resource: Resource) -> Object {
    match resource {
        Resource::Project => project_to_json(&id("p1"), &Project { common: common("p") }),
        Resource::Network => {
            let network = Network {
                common: common("n"),
                project: id("p1"),
                vni: Vni::new(7).unwrap(),
                mtu: Mtu::VXLAN_IPV4,
                admin_state_up: true,
            };
            network_to_json(&id("n1"), &network, &[id("s1")])
        }
        Resource::Subnet => subnet_to_json(&id("s1"), &subnet()),
        Resource::Port => port_to_json(&id("port1"), &port(), PortStatus::Active),
        Resource::SecurityGroup => {
            let group = SecurityGroup {
                common: common("g"),
                project: id("p1"),
            };
            security_group_to_json(&id("g1"), &group, vec![object(Resource::SecurityGroupRule)])
        }
        Resource::SecurityGroupRule => security_group_rule_to_json(&id("r1"), &tcp_rule(), false),
        Resource::Host => {
            let host = Host {
                common: common("h"),
                tunnel_address: Some(address("192.0.2.1")),
                tunnel_port: 4789,
                identity: "ab".repeat(32),
            };
            host_to_json(&id("h1"), &host, &HostObserved::default())
        }
        Resource::ForeignEndpoint => {
            let endpoint = ForeignEndpoint {
                common: common("f"),
                network: id("n1"),
                address: address("192.0.2.9"),
                udp_port: 4789,
                stations: vec![Station {
                    mac: MAC,
                    addresses: vec![address("10.0.0.8")],
                }],
            };
            foreign_endpoint_to_json(&id("f1"), &endpoint)
        }
    }
}

/// A legal value for a kind.
fn sample(kind: Kind) -> Value {
    match kind {
        Kind::Id => json!("n1"),
        Kind::Text(_) => json!("some text"),
        Kind::HostName => json!("web.example"),
        Kind::Boolean => json!(false),
        Kind::Integer(first, last) => json!(if first == 4 { 4 } else { last.min(1500) }),
        Kind::Address => json!("10.0.0.1"),
        Kind::Cidr | Kind::Prefix => json!("10.0.0.0/24"),
        Kind::Mac => json!("02:00:00:00:00:01"),
        Kind::Word(words) => json!(words[0]),
        Kind::Protocol => json!("tcp"),
        Kind::Ids(_) => json!(["g1", "g2"]),
        Kind::Addresses(_) => json!(["10.0.0.3"]),
        Kind::Pools(_) => json!([{"start": "10.0.0.9", "end": "10.0.0.19"}]),
        Kind::FixedIps(_) => json!([{"subnet_id": "s1", "ip_address": "10.0.0.7"}]),
        Kind::HostRoutes(_) => json!([{"destination": "10.1.0.0/16", "nexthop": "0.0.0.0"}]),
        Kind::AddressPairs(_) => json!([{"ip_address": "10.0.0.0/8", "mac_address": "02:00:00:00:00:02"}]),
        Kind::Stations(_) => json!([{"mac_address": "02:00:00:00:00:03", "ip_addresses": ["10.0.0.8"]}]),
        Kind::Only(literal) => literal.to_json(),
        Kind::Made => Value::Null,
    }
}

fn all() -> impl Iterator<Item = (Resource, &'static Attribute)> {
    Resource::ALL.into_iter().flat_map(|resource| {
        resource
            .attributes()
            .iter()
            .map(move |attribute| (resource, attribute))
    })
}

#[test]
fn every_object_has_the_tables_fields_and_no_other() {
    for resource in Resource::ALL {
        let found = object(resource);
        let found: BTreeSet<&str> = found.keys().map(String::as_str).collect();
        let table: BTreeSet<&str> = resource.attributes().iter().map(|a| a.name).collect();
        assert_eq!(found, table, "{resource:?}");
        assert_eq!(
            table.len(),
            resource.attributes().len(),
            "{resource:?} has a name twice"
        );
    }
}

#[test]
fn every_attribute_that_can_be_given_round_trips() {
    for (resource, attribute) in all().filter(|(_, a)| a.create > Access::Nobody || a.update > Access::Nobody)
    {
        let value = sample(attribute.kind);
        let once =
            legal_value(attribute, &value).unwrap_or_else(|e| panic!("{resource:?} {}: {e}", attribute.name));
        assert_eq!(
            legal_value(attribute, &once).unwrap(),
            once,
            "{resource:?} {}",
            attribute.name
        );
        assert_eq!(
            legal_value(attribute, &Value::Null).is_ok(),
            attribute.nullable,
            "{}",
            attribute.name
        );
        for wrong in [
            json!({"a": 1}),
            json!([[]]),
            json!(-1.5),
            json!("\u{7f}".repeat(300)),
        ] {
            let answer = legal_value(attribute, &wrong);
            assert!(answer.is_err(), "{resource:?} {} takes {wrong}", attribute.name);
        }
    }
}

/// What an object shows of an attribute that can be given is itself legal for it.
#[test]
fn what_is_shown_can_be_given_back() {
    for (resource, attribute) in all().filter(|(_, a)| a.create > Access::Nobody) {
        let shown = object(resource)[attribute.name].clone();
        let again =
            legal_value(attribute, &shown).unwrap_or_else(|e| panic!("{resource:?} {}: {e}", attribute.name));
        let cleared = shown == "" && again == Value::Null;
        assert!(
            cleared || again == shown,
            "{resource:?} {}: {shown} {again}",
            attribute.name
        );
    }
}

#[test]
fn initial_values_are_legal_and_only_where_a_post_may_say_them() {
    for (resource, attribute) in all() {
        let at = format!("{resource:?} {}", attribute.name);
        match attribute.initial {
            Initial::Chosen => {}
            Initial::Required => assert_ne!(attribute.create, Access::Nobody, "{at}"),
            Initial::Is(literal) => {
                assert_ne!(attribute.create, Access::Nobody, "{at}");
                assert!(legal_value(attribute, &literal.to_json()).is_ok(), "{at}");
            }
        }
        assert!(
            attribute.create <= attribute.show && attribute.update <= attribute.show,
            "{at}"
        );
        assert!(!attribute.help.is_empty(), "{at}");
    }
}

fn body(resource: Resource, operation: Operation) -> Vec<u8> {
    let access = |a: &&Attribute| match operation {
        Operation::Create => a.create,
        Operation::Update => a.update,
    };
    let given = resource
        .attributes()
        .iter()
        .filter(|a| access(a) > Access::Nobody);
    let given = given.filter(|a| {
        // These do not go together with the others' samples.
        let alone = ["remote_group_id", "ipv6_address_mode", "ipv6_ra_mode"].contains(&a.name);
        !alone
    });
    let object: Object = given.map(|a| (a.name.to_string(), sample(a.kind))).collect();
    json!({resource.singular(): object}).to_string().into_bytes()
}

/// A request with everything that may be said is understood whole: nothing of it is left behind.
fn check_request<T: Request + std::fmt::Debug>() {
    let everything = body(T::RESOURCE, T::OPERATION);
    let parsed = anet_api::resource::request_one::<T>(Role::Admin, &everything);
    let parsed = parsed.unwrap_or_else(|e| panic!("{:?} {:?}: {e}", T::RESOURCE, T::OPERATION));
    let text = format!("{parsed:?}");
    if T::OPERATION == Operation::Update {
        assert!(!text.contains(": None"), "something was not taken: {text}");
        let nothing = json!({T::RESOURCE.singular(): {}}).to_string();
        let parsed = anet_api::resource::request_one::<T>(Role::Member, nothing.as_bytes()).unwrap();
        assert!(!format!("{parsed:?}").contains("Some"), "{parsed:?}");
    }
}

#[test]
fn requests_take_all_that_the_table_lets_through() {
    check_request::<ProjectCreate>();
    check_request::<ProjectUpdate>();
    check_request::<NetworkCreate>();
    check_request::<NetworkUpdate>();
    check_request::<SubnetCreate>();
    check_request::<SubnetUpdate>();
    check_request::<PortCreate>();
    check_request::<PortUpdate>();
    check_request::<SecurityGroupCreate>();
    check_request::<SecurityGroupUpdate>();
    check_request::<SecurityGroupRuleCreate>();
    check_request::<HostUpdate>();
    check_request::<ForeignEndpointCreate>();
    check_request::<ForeignEndpointUpdate>();
}

#[test]
fn members_neither_see_nor_set_what_is_for_administrators() {
    let network = visible(Resource::Network, Role::Member, object(Resource::Network));
    assert!(network.keys().all(|name| !name.starts_with("provider:")));
    let port = visible(Resource::Port, Role::Member, object(Resource::Port));
    assert!(!port.contains_key("binding:host_id") && port.contains_key("binding:vnic_type"));
    let body = br#"{"network": {"provider:segmentation_id": 5}}"#;
    let error = decode::decode(Resource::Network, Operation::Create, Role::Member, body).unwrap_err();
    assert_eq!((error.status, error.kind), (403, "PolicyNotAuthorized"));
    assert!(error.message.contains("provider:segmentation_id"), "{error}");
    let hosts = object(Resource::Host);
    assert_eq!(visible(Resource::Host, Role::Admin, hosts.clone()), hosts);
}

#[test]
fn rules_look_as_neutron_writes_them() {
    let check = |protocol, family, expected: Value| {
        let object = security_group_rule_to_json(&id("r"), &rule(protocol, family, Remote::Any), false);
        let found = json!([
            object["protocol"],
            object["port_range_min"],
            object["port_range_max"]
        ]);
        assert_eq!(found, expected);
        let mut request = Object::new();
        for name in [
            "protocol",
            "port_range_min",
            "port_range_max",
            "ethertype",
            "direction",
            "security_group_id",
        ] {
            request.insert(name.to_string(), object[name].clone());
        }
        let body = json!({"security_group_rule": request}).to_string();
        let again = anet_api::resource::request_one::<SecurityGroupRuleCreate>(Role::Member, body.as_bytes());
        assert_eq!(again.unwrap().protocol, protocol);
    };
    let range = PortRange { first: 1, last: 9 };
    let (v4, v6) = (Family::Ipv4, Family::Ipv6);
    check(Protocol::Any, v4, json!([null, null, null]));
    check(Protocol::Tcp(PortRange::ALL), v6, json!(["tcp", null, null]));
    check(Protocol::Udp(range), v4, json!(["udp", 1, 9]));
    let echo = Protocol::Icmp {
        kind: Some(8),
        code: Some(0),
    };
    check(echo, v4, json!(["icmp", 8, 0]));
    check(echo, v6, json!(["ipv6-icmp", 8, 0]));
    check(Protocol::Number(132), v4, json!(["sctp", null, null]));
    check(Protocol::Number(200), v4, json!(["200", null, null]));
}

#[test]
fn what_a_subnet_of_ipv6_shows() {
    let subnet = Subnet {
        cidr: prefix("2001:db8::/64"),
        ipv6_address_mode: Some(Ipv6Mode::DhcpV6Stateful),
        gateway_ip: None,
        ..subnet()
    };
    let object = subnet_to_json(&id("s"), &subnet);
    assert_eq!(
        (object["ip_version"].clone(), object["gateway_ip"].clone()),
        (json!(6), Value::Null)
    );
    assert_eq!(object["ipv6_ra_mode"], "dhcpv6-stateful");
}

#[test]
fn defaults_are_neutrons() {
    let body = br#"{"port": {"network_id": "n1"}}"#;
    let Requests::One(port) = anet_api::resource::request::<PortCreate>(Role::Member, body).unwrap() else {
        panic!("not one");
    };
    assert!(port.admin_state_up && port.port_security_enabled);
    assert_eq!(
        (port.fixed_ips, port.security_groups, port.mac_address),
        (None, None, None)
    );
    let body = br#"{"subnet": {"network_id": "n1", "cidr": "10.0.0.77/24", "gateway_ip": null}}"#;
    let subnet: SubnetCreate = anet_api::resource::request_one(Role::Member, body).unwrap();
    assert_eq!(subnet.cidr, prefix("10.0.0.0/24"));
    assert_eq!((subnet.gateway_ip, subnet.enable_dhcp), (Some(None), true));
}

#[test]
fn attributes_say_what_they_hold() {
    let body = br#"{"network": {"name": "n"}}"#;
    let decoded = decode::decode(Resource::Network, Operation::Update, Role::Member, body).unwrap();
    let Requests::One(attributes) = decoded else {
        panic!("not one")
    };
    let names = |attributes: &Attributes| attributes.iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(
        (names(&attributes), attributes.resource()),
        (vec!["name"], Resource::Network)
    );
    assert!(!attributes.is_empty() && attributes.get("mtu").is_none());
}
