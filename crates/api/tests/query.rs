//! Lists: filters, fields, order and pages.
#![allow(clippy::unwrap_used, reason = "a test may")]

use anet_api::query::{Object, Query};
use anet_api::{ApiError, Resource, Role};
use proptest::prelude::*;
use serde_json::{Value, json};

fn networks() -> Vec<Object> {
    let network = |id: &str, name: &str, mtu: u16, up: bool| {
        let value = json!({
            "id": id, "name": name, "mtu": mtu, "admin_state_up": up, "shared": false, "project_id": "p",
            "provider:segmentation_id": 5, "subnets": [],
        });
        value.as_object().unwrap().clone()
    };
    vec![
        network("n3", "blue", 1450, true),
        network("n1", "red", 1500, true),
        network("n2", "blue", 9000, false),
    ]
}

fn list(text: &str) -> Result<Value, ApiError> {
    Query::parse(Resource::Network, Role::Admin, text)?.list(networks(), "https://x/v2.0/networks")
}

fn ids(text: &str) -> Vec<String> {
    let answer = list(text).unwrap();
    let items = answer["networks"].as_array().unwrap().iter();
    items
        .map(|item| item["id"].as_str().unwrap().to_string())
        .collect()
}

#[test]
fn filters_are_or_within_a_name_and_and_between_names() {
    assert_eq!(ids(""), ["n1", "n2", "n3"]);
    assert_eq!(ids("name=blue"), ["n2", "n3"]);
    assert_eq!(ids("name=blue&name=red"), ["n1", "n2", "n3"]);
    assert_eq!(ids("name=blue&mtu=9000"), ["n2"]);
    assert_eq!(ids("admin_state_up=True"), ["n1", "n3"]);
    assert_eq!(ids("admin_state_up=0"), ["n2"]);
    assert_eq!(ids("shared=False&router:external=False"), Vec::<String>::new());
    assert_eq!(ids("shared=true"), Vec::<String>::new());
    assert_eq!(ids("id=no+such&id=n1"), ["n1"]);
}

#[test]
fn filters_compare_values_and_not_spellings() {
    let port = json!({
        "id": "a", "mac_address": "02:00:00:00:00:0a", "security_groups": ["g1", "g2"], "device_id": "",
        "fixed_ips": [{"subnet_id": "s1", "ip_address": "fd00::1"}, {"subnet_id": "s2", "ip_address": "10.0.0.1"}],
    });
    let port = port.as_object().unwrap();
    let check = |text: &str, expected: bool| {
        let query = Query::parse(Resource::Port, Role::Member, text).unwrap();
        assert_eq!(query.matches(port), expected, "{text}");
    };
    check("mac_address=02:00:00:00:00:0A", true);
    check("security_groups=g2", true);
    check("security_groups=g3", false);
    check("device_id=", true);
    check("fixed_ips=ip_address%3Dfd00:0::1", true);
    check("fixed_ips=ip_address=10.0.0.2", false);
    check(
        "fixed_ips=ip_address=10.0.0.2&fixed_ips=ip_address=10.0.0.1",
        true,
    );
    check("fixed_ips=ip_address=10.0.0.1&fixed_ips=subnet_id=s3", false);
    let rule = json!({"id": "r", "protocol": "tcp", "remote_group_id": null});
    let rule = rule.as_object().unwrap();
    for text in ["protocol=6", "protocol=TCP", "protocol=udp&protocol=tcp"] {
        let query = Query::parse(Resource::SecurityGroupRule, Role::Member, text).unwrap();
        assert!(query.matches(rule), "{text}");
    }
}

#[test]
fn order_is_by_keys_and_then_by_id() {
    assert_eq!(ids("sort_key=mtu&sort_dir=desc"), ["n2", "n1", "n3"]);
    assert_eq!(
        ids("sort_key=name&sort_dir=asc&sort_key=mtu&sort_dir=desc"),
        ["n2", "n3", "n1"]
    );
}

#[test]
fn fields_are_those_asked_for() {
    let answer = list("fields=id&fields=nothing&limit=1").unwrap();
    assert_eq!(answer["networks"], json!([{"id": "n1"}]));
    let query = Query::parse(Resource::Network, Role::Admin, "fields=mtu").unwrap();
    assert_eq!(
        query.show(networks().remove(0)),
        json!({"network": {"mtu": 1450}})
    );
}

#[test]
fn pages_are_linked_both_ways() {
    let first = list("name=blue&name=red&limit=2").unwrap();
    let links = json!([
        {"rel": "next", "href": "https://x/v2.0/networks?name=blue&name=red&limit=2&marker=n2"},
        {"rel": "previous", "href": "https://x/v2.0/networks?name=blue&name=red&limit=2&marker=n1&page_reverse=True"},
    ]);
    assert_eq!(first["networks_links"], links);
    assert_eq!(ids("limit=2&marker=n2"), ["n3"]);
    let last = list("limit=2&marker=n2").unwrap();
    assert_eq!(last["networks_links"].as_array().unwrap().len(), 1);
    assert_eq!(ids("limit=2&marker=n3&page_reverse=True"), ["n1", "n2"]);
    assert_eq!(ids("limit=1&marker=n3&page_reverse=true"), ["n2"]);
    assert_eq!(ids("limit=0"), ["n1", "n2", "n3"]);
    assert!(list("").unwrap().get("networks_links").is_none());
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let check = |text: &str, role: Role, status: u16, part: &str| {
        let error = Query::parse(Resource::Network, role, text).unwrap_err();
        assert_eq!(error.status, status, "{text}");
        assert!(error.message.contains(part), "{error}");
    };
    check("colour=red", Role::Admin, 400, "colour");
    check("subnets=s", Role::Admin, 400, "subnets");
    check(
        "provider:segmentation_id=5",
        Role::Member,
        400,
        "provider:segmentation_id",
    );
    check("sort_key=subnets", Role::Admin, 400, "sort_key");
    check(
        "sort_key=name&sort_key=mtu&sort_dir=asc",
        Role::Admin,
        400,
        "same",
    );
    check("sort_key=name&sort_dir=up", Role::Admin, 400, "asc or desc");
    check("limit=-1", Role::Admin, 400, "limit");
    check("limit=+1", Role::Admin, 400, "limit");
    check("limit=99999999999999999999999", Role::Admin, 400, "limit");
    check("mtu=big", Role::Admin, 400, "mtu");
    assert_eq!(list("marker=n9").unwrap_err().kind, "NetworkNotFound");
}

#[test]
fn addresses_are_sorted_as_numbers() {
    let subnet = |id: &str, cidr: &str| {
        let value = json!({"id": id, "cidr": cidr});
        value.as_object().unwrap().clone()
    };
    let subnets = vec![
        subnet("a", "10.0.10.0/24"),
        subnet("b", "10.0.9.0/24"),
        subnet("c", "fd00::/64"),
    ];
    let query = Query::parse(Resource::Subnet, Role::Member, "sort_key=cidr&fields=id").unwrap();
    let answer = query.list(subnets, "").unwrap();
    assert_eq!(answer["subnets"], json!([{"id": "b"}, {"id": "a"}, {"id": "c"}]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Pages one after the other are the whole list, in both directions.
    #[test]
    fn pages_together_are_the_list(mtus in prop::collection::vec(0u16..4, 0..12), limit in 1usize..5, reverse: bool) {
        let objects: Vec<Object> = mtus
            .iter()
            .enumerate()
            .map(|(at, mtu)| json!({"id": format!("n{at:02}"), "mtu": mtu}).as_object().unwrap().clone())
            .collect();
        let ask = |text: &str| {
            let query = Query::parse(Resource::Network, Role::Admin, text).unwrap();
            query.list(objects.clone(), "u").unwrap()["networks"].as_array().unwrap().clone()
        };
        let whole = ask("sort_key=mtu");
        let mut pages: Vec<Value> = Vec::new();
        let mut marker = String::new();
        loop {
            let page = ask(&format!("sort_key=mtu&limit={limit}{marker}&page_reverse={reverse}"));
            let edge = if reverse { page.first() } else { page.last() };
            let Some(edge) = edge else { break };
            marker = format!("&marker={}", edge["id"].as_str().unwrap());
            let at = if reverse { 0 } else { pages.len() };
            pages.splice(at..at, page);
        }
        prop_assert_eq!(pages, whole);
    }

    #[test]
    fn any_query_is_answered(text in "\\PC{0,40}", sort in "[a-z_&=%+0-9]{0,30}") {
        for text in [text, format!("sort_key={sort}"), sort] {
            if let Err(error) = Query::parse(Resource::Port, Role::Member, &text) {
                prop_assert!(!error.message.contains('\n'));
            }
        }
    }
}
