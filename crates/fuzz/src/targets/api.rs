//! What strangers send to the API: bodies and query strings. The first byte chooses the resource and what is done with it.

use anet_api::query::{Object, Query};
use anet_api::resource::{
    Attributes, ForeignEndpointCreate, HostUpdate, NetworkCreate, Operation, PortCreate, PortUpdate,
    ProjectCreate, Request, Requests, SecurityGroupCreate, SecurityGroupRuleCreate, SubnetCreate,
    SubnetUpdate, decode, legal_value, request,
};
use anet_api::{ApiError, Resource, Role};
use serde_json::json;

/// Bodies and query strings that are legal.
const SEEDS: [(u8, &str); 12] = [
    (0, r#"{"project": {"name": "blue", "description": "d"}}"#),
    (
        1,
        r#"{"network": {"name": "n", "mtu": 1450, "provider:segmentation_id": "77", "admin_state_up": "True"}}"#,
    ),
    (1, r#"{"networks": [{"name": "a"}, {"shared": false}]}"#),
    (
        2,
        r#"{"subnet": {"network_id": "n1", "cidr": "10.0.0.0/24", "gateway_ip": null, "dns_nameservers": ["10.0.0.2"],
        "allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.19"}],
        "host_routes": [{"destination": "10.1.0.0/16", "nexthop": "10.0.0.1"}]}}"#,
    ),
    (
        3,
        r#"{"port": {"network_id": "n1", "mac_address": "02:00:00:00:00:01", "binding:host_id": "h1", "dns_name": "web",
        "fixed_ips": [{"subnet_id": "s1", "ip_address": "10.0.0.5"}], "security_groups": ["g1"],
        "allowed_address_pairs": [{"ip_address": "fd00::/64", "mac_address": null}]}}"#,
    ),
    (4, r#"{"security_group": {"name": "web", "tenant_id": "p1"}}"#),
    (
        5,
        r#"{"security_group_rule": {"security_group_id": "g1", "direction": "ingress", "protocol": "tcp",
        "port_range_min": 80, "port_range_max": 81, "remote_ip_prefix": "10.0.0.0/8"}}"#,
    ),
    (
        14,
        r#"{"host": {"tunnel_address": "192.0.2.1", "tunnel_port": 4789}}"#,
    ),
    (
        7,
        r#"{"foreign_endpoint": {"network_id": "n1", "ip_address": "192.0.2.9",
        "stations": [{"mac_address": "02:00:00:00:00:01", "ip_addresses": ["10.0.0.8"]}]}}"#,
    ),
    (
        17,
        "name=a&name=b&mtu=1450&fields=id&sort_key=name&sort_dir=desc&limit=2&marker=n1&page_reverse=True",
    ),
    (
        19,
        "fixed_ips=ip_address%3D10.0.0.5&security_groups=g1&admin_state_up=true",
    ),
    (11, r#"{"port": {"name": "x", "security_groups": []}}"#),
];

/// Legal inputs.
pub fn seeds() -> Vec<Vec<u8>> {
    let seed = |(first, text): &(u8, &str)| [&[*first], text.as_bytes()].concat();
    SEEDS.iter().map(seed).collect()
}

/// Whatever is taken means the same written out; whatever is not is an error of the caller on one line.
pub fn target(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else {
        return;
    };
    let resource = Resource::ALL[usize::from(first % 8)];
    match first / 8 % 3 {
        0 => {
            attributes(resource, Operation::Create, body);
            requests(body);
        }
        1 => attributes(resource, Operation::Update, body),
        _ => query(resource, &String::from_utf8_lossy(body)),
    }
}

fn attributes(resource: Resource, operation: Operation, body: &[u8]) {
    match decode::decode(resource, operation, Role::Admin, body) {
        Ok(Requests::One(one)) => same_again(&one),
        Ok(Requests::Many(many)) => many.iter().for_each(same_again),
        Err(error) => said_well(&error),
    }
}

fn same_again(attributes: &Attributes) {
    for (name, value) in attributes.iter() {
        let attribute = attributes.resource().attribute(name).expect("is of the table");
        let written = value.to_json(attribute);
        assert_eq!(legal_value(attribute, &written).as_ref(), Ok(&written), "{name}");
    }
}

fn said_well(error: &ApiError) {
    assert!((400..500).contains(&error.status), "{error:?}");
    assert!(
        !error.message.contains(['\n', '\r']) && error.message.len() < 4_096,
        "{error:?}"
    );
}

fn requests(body: &[u8]) {
    fn one<T: Request>(body: &[u8]) {
        if let Err(error) = request::<T>(Role::Member, body) {
            said_well(&error);
        }
    }
    one::<ProjectCreate>(body);
    one::<NetworkCreate>(body);
    one::<SubnetCreate>(body);
    one::<SubnetUpdate>(body);
    one::<PortCreate>(body);
    one::<PortUpdate>(body);
    one::<SecurityGroupCreate>(body);
    one::<SecurityGroupRuleCreate>(body);
    one::<HostUpdate>(body);
    one::<ForeignEndpointCreate>(body);
}

fn query(resource: Resource, text: &str) {
    let query = match Query::parse(resource, Role::Admin, text) {
        Ok(query) => query,
        Err(error) => return said_well(&error),
    };
    let objects: Vec<Object> = ["a", "b", "c"]
        .iter()
        .filter_map(|id| json!({"id": id, "name": "n", "mtu": 1450}).as_object().cloned())
        .collect();
    match query.list(objects, "https://controller/") {
        Ok(answer) => assert!(answer[resource.plural()].is_array()),
        Err(error) => said_well(&error),
    }
}
