//! Commands against a controller of the test's own: what is asked of the API, and what people read.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod fake;

use fake::{Fake, run};
use serde_json::{Value, json};

/// A network with a subnet, a group and a port.
fn fabric(name: &str) -> Fake {
    let fake = Fake::new(name);
    fake.ok("network create blue --mtu 1450 --provider-segment 77");
    fake.ok("subnet create blue4 --network blue --subnet-range 10.0.0.0/24 --dns-nameserver 10.0.0.2");
    fake.ok("security-group create web");
    fake.ok(
        "port create web1 --network blue --fixed-ip subnet=blue4,ip-address=10.0.0.5 --security-group web",
    );
    fake
}

#[test]
fn names_become_ids() {
    let fake = fabric("names");
    let port = fake.last("POST");
    assert_eq!(port["port"]["network_id"], "network-1");
    let fixed = json!([{"subnet_id": "subnet-1", "ip_address": "10.0.0.5"}]);
    assert_eq!(port["port"]["fixed_ips"], fixed);
    assert_eq!(port["port"]["security_groups"], json!(["security_group-1"]));
    assert!(
        port["port"].get("admin_state_up").is_none(),
        "what was not said is not sent: {port}"
    );
    fake.ok("security-group rule create web --ingress --protocol tcp --dst-port 80:81 --remote-group web");
    let rule = json!({"security_group_rule": {
        "security_group_id": "security_group-1", "direction": "ingress", "protocol": "tcp",
        "port_range_min": 80, "port_range_max": 81, "remote_group_id": "security_group-1",
    }});
    assert_eq!(fake.last("POST"), rule);
    fake.ok("security-group-rule create web --egress --protocol ipv6-icmp --icmp-type 128");
    let rule = fake.last("POST");
    let rule = &rule["security_group_rule"];
    let parts = json!([rule["ethertype"], rule["direction"], rule["port_range_min"]]);
    assert_eq!(parts, json!(["IPv6", "egress", 128]));
}

#[test]
fn groups_are_looked_for_in_the_owner_of_the_network() {
    let fake = Fake::new("owner");
    let object = |value: Value| value.as_object().unwrap().clone();
    let group = |id: &str, project: &str| object(json!({"id": id, "name": "default", "project_id": project}));
    let network = object(json!({"id": "n", "name": "blue", "project_id": "p2"}));
    {
        let mut state = fake.state.lock().unwrap();
        let groups = vec![group("g1", "p1"), group("g2", "p2")];
        state.objects.insert(anet_api::Resource::SecurityGroup, groups);
        state.objects.insert(anet_api::Resource::Network, vec![network]);
    }
    fake.ok("port create x --network blue --security-group default");
    assert_eq!(fake.last("POST")["port"]["security_groups"], json!(["g2"]));
    fake.ok("security-group rule create g1 --remote-group default");
    assert_eq!(fake.last("POST")["security_group_rule"]["remote_group_id"], "g1");
    fake.ok("port set x --no-security-group --security-group g1");
    assert_eq!(fake.last("PUT")["port"]["security_groups"], json!(["g1"]));
}

#[test]
fn lists_are_tables() {
    let fake = fabric("tables");
    let host = json!({"id": "h1", "name": "h1"}).as_object().unwrap().clone();
    fake.state
        .lock()
        .unwrap()
        .objects
        .insert(anet_api::Resource::Host, vec![host]);
    fake.ok("port create db1 --network blue --host h1");
    let expected = "\
ID      NAME  MAC ADDRESS  FIXED IPS  HOST ID  STATUS
port-1  web1  -            10.0.0.5   -        -
port-2  db1   -            -          h1       -
";
    fake.state
        .lock()
        .unwrap()
        .objects
        .entry(anet_api::Resource::Host)
        .or_default();
    assert_eq!(fake.ok("port list"), expected);
    assert_eq!(fake.ok("port list --name db1 -c id"), "ID\nport-2\n");
    assert_eq!(
        fake.ok("port list --network blue --sort name:desc -c name"),
        "NAME\nweb1\ndb1\n"
    );
    assert_eq!(
        fake.ok("port list --fixed-ip ip-address=10.0.0.5 -c name"),
        "NAME\nweb1\n"
    );
    assert_eq!(fake.ok("port list --disable -c name"), "NAME\n");
    assert_eq!(fake.ok("port list --limit 1 -c name"), "NAME\nweb1\n");
}

#[test]
fn one_object_is_a_list_of_fields() {
    let fake = fabric("fields");
    let expected = "\
FIELD             VALUE
id                subnet-1
cidr              10.0.0.0/24
dns_nameservers   10.0.0.2
                  10.0.0.3
allocation_pools  10.0.0.10-10.0.0.20
";
    fake.ok("subnet set blue4 --dns-nameserver 10.0.0.3 --allocation-pool start=10.0.0.10,end=10.0.0.20");
    let columns = "-c id -c cidr -c dns~nameservers -c allocation~pools";
    assert_eq!(fake.ok(&format!("subnet show blue4 {columns}")), expected);
}

#[test]
fn programs_get_json_and_yaml() {
    let fake = fabric("programs");
    let json: Value = serde_json::from_str(&fake.ok("subnet show subnet-1 -o json")).unwrap();
    assert_eq!(json["cidr"], "10.0.0.0/24");
    let list: Value = serde_json::from_str(&fake.ok("-o json network list")).unwrap();
    assert_eq!(list[0]["provider:segmentation_id"], 77);
    let yaml = fake.ok("network list -o yaml -c name -c mtu");
    assert_eq!(yaml, "- mtu: 1450\n  name: blue\n");
}

#[test]
fn lists_grow_unless_they_are_cleared() {
    let fake = fabric("grow");
    fake.ok("security-group create db");
    fake.ok("port set web1 --security-group db");
    assert_eq!(
        fake.last("PUT")["port"]["security_groups"],
        json!(["security_group-1", "security_group-2"])
    );
    fake.ok("port set web1 --no-security-group --security-group db --disable");
    let expected = json!({"port": {"security_groups": ["security_group-2"], "admin_state_up": false}});
    assert_eq!(fake.last("PUT"), expected);
    fake.ok("port set web1 --no-security-group --no-host --no-fixed-ip --name other");
    let expected =
        json!({"port": {"security_groups": [], "binding:host_id": null, "fixed_ips": [], "name": "other"}});
    assert_eq!(fake.last("PUT"), expected);
    fake.ok("subnet set blue4 --gateway none --no-dhcp");
    assert_eq!(
        fake.last("PUT"),
        json!({"subnet": {"gateway_ip": null, "enable_dhcp": false}})
    );
}

/// What was chosen when the subnet was made is not known any more: nothing is answered as done that is not.
#[test]
fn a_gateway_is_chosen_only_for_a_new_subnet() {
    let fake = fabric("gateway");
    fake.ok("subnet create red4 --network blue --subnet-range 10.1.0.0/24 --gateway auto");
    assert!(fake.last("POST")["subnet"].get("gateway_ip").is_none());
    let (status, error) = fake.fails("subnet set blue4 --gateway auto");
    assert_eq!(status, 2, "{error}");
    assert!(
        error.contains("--gateway: auto is for a new subnet: give an address, or none"),
        "{error}"
    );
}

#[test]
fn foreign_endpoints_have_stations() {
    let fake = fabric("foreign");
    let station = "--station mac-address=02:00:00:00:00:09,ip-address=10.0.0.8,ip-address=fd00::8";
    fake.ok(&format!(
        "foreign-endpoint create gear --network blue --ip-address 192.0.2.9 {station}"
    ));
    let stations = json!([{"mac_address": "02:00:00:00:00:09", "ip_addresses": ["10.0.0.8", "fd00::8"]}]);
    assert_eq!(fake.last("POST")["foreign_endpoint"]["stations"], stations);
    let shown = fake.ok("foreign-endpoint show gear -c stations");
    assert!(shown.contains("02:00:00:00:00:09 10.0.0.8 fd00::8"), "{shown}");
}

#[test]
fn several_are_deleted_and_what_cannot_be_is_said() {
    let fake = fabric("delete");
    fake.ok("network create red");
    let (status, error) = fake.fails("network delete red nothing blue");
    assert_eq!(
        (status, error.as_str()),
        (1, "anet: there is no network with the id or name `nothing`")
    );
    assert_eq!(fake.ok("network list -c id"), "ID\n");
}

#[test]
fn errors_are_one_line() {
    let fake = fabric("errors");
    let check = |line: &str, status: u8, part: &str| {
        let (found, error) = fake.fails(line);
        assert_eq!(found, status, "{error}");
        assert!(error.starts_with("anet: ") && error.contains(part), "{error}");
    };
    fake.ok("network create blue");
    check(
        "network show blue",
        1,
        "2 networks are named `blue`: give the id of one: network-1, network-2",
    );
    check(
        "port show nothing",
        1,
        "there is no port with the id or name `nothing`",
    );
    check(
        "network create x --mtu 5",
        2,
        "--mtu: '5' is not a whole number from 576 to 65535",
    );
    check(
        "port create x --network network-1 --fixed-ip 10.0.0.1",
        2,
        "subnet=…,ip-address=…",
    );
    check("subnet list -c colour", 2, "there is no column `colour`");
    check("subnet list --sort colour", 1, "sort_key");
    check(
        "security-group rule create web --protocol tcp --dst-port 9:1",
        2,
        "--dst-port",
    );
    check(
        "security-group rule create web --protocol gre --dst-port 9",
        1,
        "SecurityGroupProtocolRequiredWithPorts",
    );
}

#[test]
fn what_is_not_understood_has_status_two() {
    let fake = Fake::new("usage");
    let check = |line: &str, part: &str| {
        let (status, error) = fake.fails(line);
        assert_eq!(status, 2, "{line}");
        assert!(error.starts_with("anet: ") && error.contains(part), "{error}");
    };
    check("network paint", "unrecognized subcommand 'paint'");
    check("network create", "not provided: <NAME>");
    check("port create x", "not provided: --network <NETWORK>");
    check("port set x", "not provided");
    check("host create h", "unrecognized subcommand 'create'");
    check("network create x --colour red", "unexpected argument '--colour'");
    check("network list --limit many", "'many'");
    check("trace x --to 10.0.0.1 --tcp 1 --udp 1", "cannot be used with");
    let (status, out, errors) = fake.run("network");
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(errors.contains("list") && errors.contains("create"), "{errors}");
    let (status, out, _) = run(&["anet", "--help"].map(str::to_string));
    assert_eq!(status, 0);
    assert!(out.contains("security-group") && out.contains("trace"), "{out}");
}

#[test]
fn a_fabric_that_cannot_be_reached_is_named() {
    let words = ["anet", "network", "list", "--config=/nonexistent/client.json"].map(str::to_string);
    let (status, _, errors) = run(&words);
    assert_eq!(status, 1);
    assert!(errors.starts_with("anet: /nonexistent/client.json: "), "{errors}");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let fake = Fake::new("control");
    let network = json!({"id": "n", "name": "a\u{1b}[31m\nb", "subnets": []});
    let network = network.as_object().unwrap().clone();
    fake.state
        .lock()
        .unwrap()
        .objects
        .insert(anet_api::Resource::Network, vec![network]);
    assert_eq!(
        fake.ok("network list"),
        "ID  NAME      SUBNETS\nn   a [31m b  -\n"
    );
}

fn answer(fake: &Fake, request: &str, answer: Value) {
    fake.state
        .lock()
        .unwrap()
        .answers
        .insert(request.to_string(), answer);
}

#[test]
fn a_trace_is_told_host_by_host() {
    let fake = fabric("trace");
    let trace = json!({
        "hosts": [
            {"host": "h1", "entered": "port web1", "outcome": "forwarded to endpoint h2", "steps": [
                {"stage": "guard", "what": "10.0.0.5 > 10.0.0.6 tcp 80", "object": "", "outcome": "its own address"},
                {"stage": "firewall_out", "what": "new connection", "object": "rule r1", "outcome": "allowed"},
            ]},
            {"host": "h2", "entered": "tunnel from h1", "outcome": "dropped", "steps": [
                {"stage": "firewall_in", "what": "new connection", "object": "", "outcome": "no rule allows it"},
            ]},
        ],
        "verdict": "dropped", "reason": "firewall_ingress", "object": "port db1",
        "suggestion": "anet security-group rule create db --ingress --protocol tcp --dst-port 80 --remote-ip 10.0.0.5",
    });
    answer(&fake, "POST /anet/v1/trace", trace);
    let (status, out, errors) = fake.run("trace web1 --to 10.0.0.6 --tcp 80");
    let expected = "\
h1, from port web1
  guard         10.0.0.5 > 10.0.0.6 tcp 80           its own address
  firewall_out  new connection              rule r1  allowed
  forwarded to endpoint h2
h2, from tunnel from h1
  firewall_in  new connection    no rule allows it
  dropped
dropped: firewall_ingress by port db1
try: anet security-group rule create db --ingress --protocol tcp --dst-port 80 --remote-ip 10.0.0.5
";
    assert_eq!((status, out.as_str(), errors.as_str()), (1, expected, ""));
    let request = json!({"port_id": "port-1", "destination": "10.0.0.6", "source": null, "protocol": "tcp",
        "source_port": null, "destination_port": 80});
    assert_eq!(fake.last("POST"), request);
    let (_, out, _) = fake.run("trace web1 --to web1 -o json");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["verdict"], "dropped");
    assert_eq!(fake.last("POST")["destination"], "10.0.0.5");
}

#[test]
fn health_says_what_needs_a_look() {
    let fake = Fake::new("health");
    let health = json!({
        "healthy": false, "cluster": "c1", "incarnation": 1, "revision": 42, "software": "anet-controller 0.1.0",
        "parts": [
            {"name": "store", "severity": "info", "message": "writes are durable"},
            {"name": "host h1", "severity": "error", "message": "silent for 9 s"},
        ],
    });
    answer(&fake, "GET /anet/v1/health", health);
    let (status, out, _) = fake.run("health");
    let expected = "\
needs a look: cluster c1, incarnation 1, revision 42, anet-controller 0.1.0
PART     STATE  WHAT
store    ok     writes are durable
host h1  error  silent for 9 s
";
    assert_eq!((status, out.as_str()), (1, expected));
}

#[test]
fn events_are_lines() {
    let fake = Fake::new("events");
    let events = json!({"last": 7, "events": [{
        "sequence": 7, "time": "2026-11-26T05:07:18Z", "severity": "warning", "kind": "host_silent", "host": "h1",
        "message": "not heard for 5 s",
    }]});
    answer(&fake, "GET /anet/v1/events?limit=100", events);
    let expected = "2026-11-26T05:07:18Z  warning  host_silent h1: not heard for 5 s\n";
    assert_eq!(fake.ok("events"), expected);
    assert!(fake.ok("events -o json").contains("\"sequence\": 7"));
}

#[test]
fn a_token_stands_alone() {
    let fake = Fake::new("token");
    let token = json!({"token": "anet1.abc", "expires_at": "2026-11-27T05:07:18Z"});
    answer(&fake, "POST /anet/v1/host-tokens", token);
    assert_eq!(fake.ok("host token --host h1 --valid-for 60"), "anet1.abc\n");
    assert_eq!(fake.last("POST"), json!({"host": "h1", "valid_for_s": 60}));
    // As the controller's refusal of a second joining says it.
    assert_eq!(fake.ok("host token host-1"), "anet1.abc\n");
    assert_eq!(fake.last("POST"), json!({"host": "host-1", "valid_for_s": null}));
    fake.ok("host token");
    assert_eq!(fake.last("POST"), json!({"host": null, "valid_for_s": null}));
    let (status, error) = fake.fails("host token h1 --host h2");
    assert!(status == 2 && error.contains("cannot be used with"), "{error}");
}
