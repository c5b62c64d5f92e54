//! The API of a real controller: what it grants, what it refuses, and its bounds.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::io::Write;
use std::sync::Barrier;

use serde_json::{Value, json};
use support::http::{Client, read_reply};
use support::{Controller, id, kind};

fn network(client: &Client, name: &str) -> String {
    id(&client.post("/v2.0/networks", json!({"network": {"name": name}})))
}

fn subnet(client: &Client, network: &str, cidr: &str) -> String {
    id(&client.post(
        "/v2.0/subnets",
        json!({"subnet": {"network_id": network, "cidr": cidr}}),
    ))
}

fn port(client: &Client, network: &str) -> support::http::Reply {
    client.post("/v2.0/ports", json!({"port": {"network_id": network}}))
}

#[test]
fn objects_are_made_read_changed_and_deleted() {
    let controller = Controller::start("objects");
    let client = controller.client();
    let network = network(&client, "blue");
    let subnet = subnet(&client, &network, "10.0.0.0/24");
    let port = id(&port(&client, &network));
    let shown = client.get(&format!("/v2.0/ports/{port}"));
    assert_eq!(shown.body["port"]["fixed_ips"][0]["ip_address"], "10.0.0.2");
    assert_eq!(shown.body["port"]["status"], "DOWN");
    let listed = client.get(&format!("/v2.0/ports?network_id={network}&fields=id"));
    assert_eq!(listed.body["ports"], json!([{"id": port}]));
    let changed = client.put(
        &format!("/v2.0/networks/{network}"),
        json!({"network": {"name": "green"}}),
    );
    assert_eq!(changed.body["network"]["name"], "green");
    assert_eq!(client.get("/v2.0/networks?name=blue").body["networks"], json!([]));
    let used = client.delete(&format!("/v2.0/networks/{network}"));
    assert_eq!(kind(&used), (409, "NetworkInUse"));
    assert!(used.body.to_string().contains(&port));
    for path in [
        format!("/v2.0/ports/{port}"),
        format!("/v2.0/subnets/{subnet}"),
        format!("/v2.0/networks/{network}"),
    ] {
        assert_eq!(client.delete(&path).status, 204, "{path}");
        assert_eq!(client.get(&path).status, 404, "{path}");
    }
    let groups = client.get("/v2.0/security-groups");
    assert_eq!(groups.body["security_groups"][0]["name"], "default");
    assert_eq!(
        groups.body["security_groups"][0]["security_group_rules"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
}

#[test]
fn a_change_of_what_has_changed_since_is_refused() {
    let controller = Controller::start("if-match");
    let client = controller.client();
    let path = format!("/v2.0/networks/{}", network(&client, "a"));
    let ask = |method, revision: &str, name: &str| {
        let body = match method {
            "PUT" => json!({"network": {"name": name}}).to_string(),
            _ => String::new(),
        };
        client.ask(method, &path, &[("If-Match", revision)], &body)
    };
    assert_eq!(
        kind(&ask("PUT", "revision_number=77", "b")),
        (412, "RevisionNumberConstraintFailed")
    );
    assert_eq!(client.get(&path).body["network"]["name"], "a");
    assert_eq!(ask("PUT", "revision_number=0", "b").status, 200);
    assert_eq!(ask("PUT", "revision_number=0", "c").status, 412);
    assert_eq!(ask("PUT", "*", "c").status, 200);
    assert_eq!(ask("PUT", "\"x\"", "d").status, 400);
    assert_eq!(ask("DELETE", "revision_number=1", "").status, 412);
    assert_eq!(ask("DELETE", "revision_number=2", "").status, 204);
    assert_eq!(ask("DELETE", "revision_number=2", "").status, 404);
}

#[test]
fn ids_in_paths_may_be_encoded() {
    let controller = Controller::start("encoded");
    let client = controller.client();
    let made = client.post(
        "/v2.0/projects",
        json!({"project": {"id": "a:b_c.d-e", "name": "a"}}),
    );
    assert_eq!(made.status, 201, "{made:?}");
    for id in ["a:b_c.d-e", "a%3Ab_c.d-e", "a%3ab%5Fc%2Ed%2De"] {
        assert_eq!(client.get(&format!("/v2.0/projects/{id}")).status, 200, "{id}");
    }
    let file = std::path::Path::new(&controller.data()).join("client.json");
    let configuration = anet_api::client::Configuration::read(&file).unwrap();
    let library = anet_api::client::Client::new(&configuration).unwrap();
    library.show(anet_api::Resource::Project, "a:b_c.d-e").unwrap();
    for (path, status) in [
        ("a+b", 404),
        ("a%2Fb", 404),
        ("a%", 400),
        ("a%zz", 400),
        ("%ff", 400),
    ] {
        assert_eq!(
            client.get(&format!("/v2.0/projects/{path}")).status,
            status,
            "{path}"
        );
    }
    library.delete(anet_api::Resource::Project, "a:b_c.d-e").unwrap();
}

#[test]
fn the_clients_own_library_finds_and_uses_it() {
    let controller = Controller::start("library");
    let file = std::path::Path::new(&controller.data()).join("client.json");
    let configuration = anet_api::client::Configuration::read(&file).unwrap();
    let client = anet_api::client::Client::new(&configuration).unwrap();
    let attributes = json!({"name": "blue"}).as_object().unwrap().clone();
    let made = client.create(anet_api::Resource::Network, attributes).unwrap();
    assert_eq!(
        client
            .list(anet_api::Resource::Network, &[("name", "blue")])
            .unwrap(),
        [made]
    );
}

#[test]
fn projects_see_their_own() {
    let controller = Controller::start("projects");
    let admin = controller.client();
    for project in ["red", "blue"] {
        let made = admin.post(
            "/v2.0/projects",
            json!({"project": {"id": project, "name": project}}),
        );
        assert_eq!(made.status, 201, "{made:?}");
    }
    let (red, blue) = (controller.member("red"), controller.member("blue"));
    let network = network(&red, "n");
    subnet(&red, &network, "10.0.0.0/24");
    assert_eq!(blue.get("/v2.0/networks").body["networks"], json!([]));
    assert_eq!(blue.get(&format!("/v2.0/networks/{network}")).status, 404);
    assert_eq!(kind(&port(&blue, &network)), (404, "NetworkNotFound"));
    assert_eq!(blue.delete(&format!("/v2.0/networks/{network}")).status, 404);
    assert_eq!(red.get("/anet/v1/events").status, 403);
    assert_eq!(red.post("/anet/v1/host-tokens", json!({})).status, 403);
    assert!(
        red.get(&format!("/v2.0/networks/{network}")).body["network"]
            .get("provider:segmentation_id")
            .is_none()
    );
    assert_eq!(
        admin.get("/v2.0/networks").body["networks"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let mut nobody = red.clone();
    nobody.token = "guessed".to_owned();
    assert_eq!(nobody.get("/v2.0/networks").status, 401);
    nobody.token.clear();
    assert_eq!(nobody.get("/v2.0/networks").status, 401);
    for path in [
        "/",
        "/v2.0",
        "/v2.0/",
        "/v2.0/extensions",
        "/v2.0/extensions/security-group",
    ] {
        assert_eq!(nobody.get(path).status, 200, "{path}");
    }
    assert_eq!(
        nobody.get("/v2.0/extensions/router").status,
        401,
        "what is not there is not listed"
    );
}

#[test]
fn an_idempotency_key_makes_one_object() {
    let controller = Controller::start("idempotency");
    let client = controller.client();
    let ask = |key: &str, name: &str| {
        let body = json!({"network": {"name": name}}).to_string();
        client.ask("POST", "/v2.0/networks", &[("Idempotency-Key", key)], &body)
    };
    let (first, again) = (ask("k1", "a"), ask("k1", "a"));
    assert_eq!(first.status, 201);
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(kind(&ask("k1", "b")), (409, "IdempotencyKeyConflict"));
    assert_ne!(id(&ask("k2", "a")), id(&first));
    assert_eq!(
        client.get("/v2.0/networks").body["networks"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_delete_that_is_sent_again_is_answered_as_done() {
    let controller = Controller::start("delete-again");
    let client = controller.client();
    let path = format!("/v2.0/networks/{}", network(&client, "a"));
    let delete = |key| {
        client
            .ask("DELETE", &path, &[("Idempotency-Key", key)], "")
            .status
    };
    assert_eq!((delete("k1"), delete("k1"), delete("k2")), (204, 204, 404));
}

#[test]
fn of_many_who_race_for_the_last_address_one_gets_it() {
    let controller = Controller::start("race");
    let client = controller.client();
    let network = network(&client, "n");
    subnet(&client, &network, "10.0.0.0/30");
    let barrier = Barrier::new(4);
    let replies: Vec<u16> = std::thread::scope(|scope| {
        let racer = || {
            barrier.wait();
            port(&client, &network).status
        };
        let racers: Vec<_> = (0..4).map(|_| scope.spawn(racer)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!(
        replies.iter().filter(|status| **status == 201).count(),
        1,
        "{replies:?}"
    );
    assert_eq!(
        replies.iter().filter(|status| **status == 409).count(),
        3,
        "{replies:?}"
    );
}

#[test]
fn what_is_too_large_too_deep_or_broken_is_refused() {
    let controller = Controller::start("bounds");
    let client = controller.client();
    let large = format!("{{\"network\": {{\"name\": \"{}\"}}}}", "x".repeat(1024 * 1024));
    assert_eq!(client.ask("POST", "/v2.0/networks", &[], &large).status, 413);
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    for body in [
        deep.as_str(),
        "{",
        "\u{0}",
        r#"{"network": {"name": "a", "name": "b"}}"#,
        "[]",
        r#"{"network": {"nmae": "a"}}"#,
    ] {
        let reply = client.ask("POST", "/v2.0/networks", &[], body);
        assert_eq!(reply.status, 400, "{body:.40}: {reply:?}");
        assert!(reply.body["NeutronError"]["message"].is_string());
    }
    assert_eq!(
        client
            .ask("POST", "/v2.0/networks", &[("Content-Encoding", "gzip")], "x")
            .status,
        415
    );
    assert_eq!(client.ask("PATCH", "/v2.0/networks", &[], "").status, 405);
    assert_eq!(client.get("/v2.0/routers").status, 404);
    assert_eq!(client.get("/anet/v2").status, 404);
    assert_eq!(client.put("/v2.0/security-group-rules/x", json!({})).status, 405);
    assert_eq!(
        client.get("/v2.0/networks").body,
        json!({"networks": Value::Array(Vec::new())})
    );
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let controller = Controller::start("slow");
    let client = controller.client();
    let mut slow = client.connect().unwrap();
    let head = format!(
        "POST /v2.0/networks HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Auth-Token: {}\r\nContent-Length: 100\r\n\r\n{{",
        client.token
    );
    slow.write_all(head.as_bytes()).unwrap();
    assert_eq!(
        client.get("/v2.0/networks").status,
        200,
        "others are served meanwhile"
    );
    assert_eq!(read_reply(&mut slow).unwrap().status, 408);
}
