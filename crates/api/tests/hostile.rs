//! Requests as strangers send them.
#![allow(clippy::unwrap_used, reason = "a test may")]

use anet_api::resource::{
    Operation, PortCreate, PortUpdate, SecurityGroupRuleCreate, SubnetCreate, decode, request, request_one,
};
use anet_api::{ApiError, Resource, Role};
use proptest::prelude::*;
use serde_json::{Value, json};

fn refused<T: anet_api::resource::Request>(attributes: Value) -> ApiError {
    let body = json!({T::RESOURCE.singular(): attributes}).to_string();
    match request_one::<T>(Role::Admin, body.as_bytes()) {
        Err(error) => error,
        Ok(_) => panic!("taken: {body}"),
    }
}

/// The error names the field and says what would be accepted.
fn check<T: anet_api::resource::Request>(attributes: Value, field: &str, accepted: &str) {
    let error = refused::<T>(attributes);
    assert_eq!(error.status, 400, "{error}");
    assert!(
        error.message.contains(field) && error.message.contains(accepted),
        "{error}"
    );
    assert!(!error.message.contains('\n'), "{error}");
}

#[test]
fn errors_name_the_field_and_what_would_be_accepted() {
    let port = |name: &str, value: Value| json!({"network_id": "n1", name: value});
    check::<PortCreate>(json!({}), "network_id", "not specified");
    check::<PortCreate>(
        port("mac_address", json!("ff:ff:ff:ff:ff:ff")),
        "mac_address",
        "02:00:00:00:00:01",
    );
    check::<PortCreate>(port("mac_address", json!(1)), "mac_address", "station");
    check::<PortCreate>(
        port("admin_state_up", json!("maybe")),
        "admin_state_up",
        "true or false",
    );
    check::<PortCreate>(port("name", json!("x".repeat(256))), "name", "255");
    check::<PortCreate>(port("name", Value::Null), "name", "255");
    check::<PortCreate>(port("dns_name", json!("-x")), "dns_name", "labels");
    check::<PortCreate>(
        port("fixed_ips", json!([{}])),
        "fixed_ips",
        "'subnet_id' or 'ip_address'",
    );
    check::<PortCreate>(
        port("fixed_ips", json!([{"ip": "10.0.0.1"}])),
        "entry 1",
        "subnet_id, ip_address",
    );
    check::<PortCreate>(
        port("fixed_ips", json!([{"ip_address": "10.0.0.256"}])),
        "ip_address",
        "192.0.2.1",
    );
    check::<PortCreate>(
        port("fixed_ips", json!([{"ip_address": "::ffff:10.0.0.1"}])),
        "ip_address",
        "192.0.2.1",
    );
    check::<PortCreate>(
        port("fixed_ips", json!([{"ip_address": "224.0.0.1"}])),
        "ip_address",
        "unicast",
    );
    check::<PortCreate>(
        port("security_groups", json!(["a", "a"])),
        "security_groups",
        "twice",
    );
    check::<PortCreate>(
        port("security_groups", json!(vec!["a"; 33])),
        "security_groups",
        "at most 32",
    );
    check::<PortCreate>(
        port(
            "allowed_address_pairs",
            json!([{"mac_address": "02:00:00:00:00:01"}]),
        ),
        "ip_address",
        "missing",
    );
    check::<PortCreate>(
        port("binding:vnic_type", json!("direct")),
        "binding:vnic_type",
        "\"normal\"",
    );
    check::<PortCreate>(port("status", json!("ACTIVE")), "status", "not allowed in POST");
    check::<PortCreate>(port("colour", json!("red")), "colour", "Unrecognized");
    check::<PortUpdate>(port("name", json!("x")), "network_id", "not allowed in PUT");
}

#[test]
fn an_unknown_attribute_is_told_which_there_are() {
    let error = refused::<PortUpdate>(json!({"colour": 1}));
    assert!(
        error.detail.contains("fixed_ips") && !error.detail.contains("network_id"),
        "{}",
        error.detail
    );
}

#[test]
fn subnets_whose_parts_do_not_fit_together() {
    let subnet = |cidr: &str, name: &str, value: Value| json!({"network_id": "n", "cidr": cidr, name: value});
    check::<SubnetCreate>(subnet("10.0.0.0/33", "name", json!("")), "cidr", "192.0.2.0/24");
    check::<SubnetCreate>(subnet("10.0.0.0", "name", json!("")), "cidr", "192.0.2.0/24");
    check::<SubnetCreate>(
        subnet("10.0.0.0/24", "ip_version", json!(6)),
        "ip_version",
        "give 4",
    );
    check::<SubnetCreate>(
        subnet("10.0.0.0/24", "ip_version", json!(5)),
        "ip_version",
        "give 4",
    );
    check::<SubnetCreate>(
        subnet("10.0.0.0/24", "gateway_ip", json!("fd00::1")),
        "fd00::1",
        "IP version",
    );
    check::<SubnetCreate>(
        subnet("fd00::/64", "dns_nameservers", json!(["10.0.0.1"])),
        "10.0.0.1",
        "IP version",
    );
    let route = json!([{"destination": "fd01::/64", "nexthop": "fd00::1"}]);
    check::<SubnetCreate>(subnet("fd00::/64", "host_routes", route), "host_routes", "IPv4");
    let pool = json!([{"start": "10.0.0.9", "end": "10.0.0.3"}]);
    check::<SubnetCreate>(
        subnet("10.0.0.0/24", "allocation_pools", pool),
        "allocation_pools",
        "lowest",
    );
    let pool = json!([{"start": "10.0.0.9"}]);
    check::<SubnetCreate>(subnet("10.0.0.0/24", "allocation_pools", pool), "end", "missing");
    check::<SubnetCreate>(
        subnet("10.0.0.0/24", "ipv6_ra_mode", json!("dhcpv6-stateful")),
        "ipv6_ra_mode",
        "IPv6",
    );
    check::<SubnetCreate>(
        subnet("fd00::/64", "ipv6_address_mode", json!("slaac")),
        "ipv6_address_mode",
        "dhcpv6-stateful",
    );
}

#[test]
fn rules_whose_parts_do_not_fit_together() {
    let kind = |attributes: Value| {
        let mut all = json!({"security_group_id": "g", "direction": "ingress"});
        all.as_object_mut()
            .unwrap()
            .extend(attributes.as_object().unwrap().clone());
        refused::<SecurityGroupRuleCreate>(all).kind
    };
    assert_eq!(
        kind(json!({"port_range_min": 1, "port_range_max": 2})),
        "SecurityGroupProtocolRequiredWithPorts"
    );
    assert_eq!(
        kind(json!({"protocol": "tcp", "port_range_min": 1})),
        "SecurityGroupInvalidPortRange"
    );
    assert_eq!(
        kind(json!({"protocol": "tcp", "port_range_min": 3, "port_range_max": 2})),
        "SecurityGroupInvalidPortRange"
    );
    assert_eq!(
        kind(json!({"protocol": "icmp", "port_range_max": 2})),
        "SecurityGroupMissingIcmpType"
    );
    assert_eq!(
        kind(json!({"protocol": "icmp", "port_range_min": 256})),
        "SecurityGroupInvalidIcmpValue"
    );
    assert_eq!(
        kind(json!({"protocol": "icmpv6"})),
        "SecurityGroupEthertypeConflictWithProtocol"
    );
    assert_eq!(
        kind(json!({"remote_ip_prefix": "fd00::/8"})),
        "SecurityGroupRuleParameterConflict"
    );
    assert_eq!(
        kind(json!({"remote_ip_prefix": "10.0.0.0/8", "remote_group_id": "g2"})),
        "SecurityGroupMultipleRemoteEntitiesNotAllowed"
    );
    assert_eq!(kind(json!({"protocol": "256"})), "HTTPBadRequest");
    assert_eq!(kind(json!({"protocol": ""})), "HTTPBadRequest");
    assert_eq!(kind(json!({"direction": "sideways"})), "HTTPBadRequest");
}

#[test]
fn envelopes_that_are_wrong() {
    let check = |body: &str| {
        let error = decode::decode(
            Resource::Network,
            Operation::Create,
            Role::Member,
            body.as_bytes(),
        );
        let error = error.unwrap_err();
        assert_eq!(error.status, 400, "{body}");
        assert!(error.message.contains("{\"network\": {…}}"), "{error}");
    };
    for body in [
        "[]",
        "null",
        "1",
        "{}",
        r#"{"network": []}"#,
        r#"{"networks": {}}"#,
        r#"{"networks": []}"#,
        r#"{"networks": [1]}"#,
        r#"{"network": {}, "x": 1}"#,
        r#"{"network": {}, "networks": [{}]}"#,
        r#"{"subnet": {}}"#,
    ] {
        check(body);
    }
    let body = br#"{"networks": [{"name": "a"}]}"#;
    assert!(decode::decode(Resource::Network, Operation::Update, Role::Member, body).is_err());
}

#[test]
fn several_at_once_are_all_or_none() {
    let body = br#"{"ports": [{"network_id": "n1"}, {"network_id": "n2", "name": "b"}]}"#;
    let anet_api::resource::Requests::Many(ports) = request::<PortCreate>(Role::Member, body).unwrap() else {
        panic!("not many");
    };
    assert_eq!(
        ports.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(),
        ["", "b"]
    );
    let body = br#"{"ports": [{"network_id": "n1"}, {"name": "b"}]}"#;
    assert_eq!(request::<PortCreate>(Role::Member, body).unwrap_err().status, 400);
}

#[test]
fn two_names_of_the_owner_must_agree() {
    let port = |owner: Value| {
        let mut all = json!({"network_id": "n"});
        all.as_object_mut()
            .unwrap()
            .extend(owner.as_object().unwrap().clone());
        let body = json!({"port": all}).to_string();
        request_one::<PortCreate>(Role::Member, body.as_bytes())
    };
    let owner = |p: PortCreate| p.project_id.map(|id| id.to_string());
    assert_eq!(
        port(json!({"tenant_id": "a"})).map(owner),
        Ok(Some("a".to_string()))
    );
    assert_eq!(
        port(json!({"tenant_id": "a", "project_id": "a"})).map(owner),
        Ok(Some("a".to_string()))
    );
    assert!(port(json!({"tenant_id": "a", "project_id": "b"})).is_err());
}

/// Any JSON, with the table's names and values that nearly fit.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "10.0.0.1",
            "10.0.0.0/24",
            "fd00::/64",
            "::",
            "02:00:00:00:00:01",
            "tcp",
            "ingress",
            "IPv6",
            "g1",
            "0",
            "-1",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(
                prop::sample::select(vec!["subnet_id", "ip_address", "start", "end", "nexthop", "x"])
                    .prop_map(str::to_string),
                inner,
                0..4
            )
            .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is taken looks, written out, like something that is taken and means the same.
    #[test]
    fn what_is_taken_means_the_same_written_out(
        resource in prop::sample::select(Resource::ALL.to_vec()),
        values in prop::collection::vec(value(), 32),
    ) {
        for (attribute, value) in resource.attributes().iter().zip(&values) {
            match anet_api::resource::legal_value(attribute, value) {
                Ok(once) => prop_assert_eq!(anet_api::resource::legal_value(attribute, &once), Ok(once)),
                Err(reason) => prop_assert!(reason.chars().count() < 700 && !reason.contains('\n'), "{}", reason),
            }
        }
        let object: serde_json::Map<String, Value> = resource
            .attributes()
            .iter()
            .zip(values)
            .map(|(attribute, value)| (attribute.name.to_string(), value))
            .collect();
        let body = json!({resource.singular(): object}).to_string();
        for operation in [Operation::Create, Operation::Update] {
            if let Err(error) = decode::decode(resource, operation, Role::Member, body.as_bytes()) {
                prop_assert!((400..500).contains(&error.status), "{error}");
            }
        }
    }

    #[test]
    fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for resource in Resource::ALL {
            let answer = decode::decode(resource, Operation::Create, Role::Admin, &body);
            prop_assert_eq!(answer.unwrap_err().status, 400);
        }
    }
}
