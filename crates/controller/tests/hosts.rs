//! Hosts of a real controller: joining, sessions, port status, traces; agents are made of the bus and a plan.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use anet_api::resource::HostState;
use anet_wire::control::trace::TraceVerdict;
use anet_wire::session::ControllerMessage;
use serde_json::json;
use support::agent::{Agent, ask_to_join, secret};
use support::http::Client;
use support::{Controller, id, kind, until};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// A network with a subnet.
fn network(client: &Client) -> String {
    let network = id(&client.post("/v2.0/networks", json!({"network": {}})));
    let subnet = json!({"subnet": {"network_id": network, "cidr": "10.0.0.0/24"}});
    id(&client.post("/v2.0/subnets", subnet));
    network
}

fn port(client: &Client, network: &str, host: &str) -> String {
    id(&client.post(
        "/v2.0/ports",
        json!({"port": {"network_id": network, "binding:host_id": host}}),
    ))
}

fn event(client: &Client, kind: &str) -> bool {
    let events = client.get("/anet/v1/events");
    let events = events.body["events"].as_array().unwrap();
    events.iter().any(|event| event["kind"] == kind)
}

#[test]
fn a_hosts_plan_follows_the_api_and_ports_become_active() {
    let controller = Controller::start("plan");
    let client = controller.client();
    let mut agent = Agent::join(&client, "h1", "192.0.2.1");
    let other = Agent::join(&client, "h2", "192.0.2.2");
    let network = network(&client);
    runtime().block_on(async {
        agent.connect().await;
        let port_id = port(&client, &network, "h1");
        port(&client, &network, "h2");
        agent
            .until(|state| state.plan().peers.len() == 1 && state.plan().ports.len() == 1)
            .await;
        let host = client.get("/anet/v1/hosts/h1");
        assert_eq!(host.body["host"]["status"], json!(HostState::Up));
        let status = || client.get(&format!("/v2.0/ports/{port_id}")).body["port"]["status"].clone();
        assert_eq!(status(), "DOWN");
        agent.report().await;
        until("the port is active", || (status() == "ACTIVE").then_some(()));
        until("the host is in step", || {
            (client.get("/anet/v1/hosts/h1").body["host"]["in_step"] == true).then_some(())
        });
        let unknown = client.post(
            "/v2.0/ports",
            json!({"port": {"network_id": network, "binding:host_id": "h9"}}),
        );
        assert_eq!(kind(&unknown), (404, "HostNotFound"));
        assert_eq!(kind(&client.delete("/anet/v1/hosts/h1")), (409, "HostInUse"));
    });
    drop(other);
}

#[test]
fn an_agent_goes_on_where_it_was_when_the_controller_comes_back() {
    let mut controller = Controller::start("restart");
    let client = controller.client();
    let mut agent = Agent::join(&client, "h1", "192.0.2.1");
    let network = network(&client);
    let runtime = runtime();
    port(&client, &network, "h1");
    runtime.block_on(async {
        agent.connect().await;
        agent.until(|state| state.plan().ports.len() == 1).await;
    });
    controller.kill();
    controller.run_again();
    let before = agent.state.cursor();
    runtime.block_on(async {
        agent.connect().await;
        assert!(matches!(
            agent.hear().await,
            Some(ControllerMessage::Welcome { .. })
        ));
        port(&client, &network, "h1");
        agent.until(|state| state.plan().ports.len() == 2).await;
    });
    assert!(agent.state.cursor().revision > before.revision);
    assert_eq!(agent.state.incarnation(), before.incarnation);
}

#[test]
fn a_token_used_twice_is_refused_and_told() {
    let controller = Controller::start("tokens");
    let client = controller.client();
    let secret = secret(&client, None);
    let (first, _) = ask_to_join(&client, "h1", &secret, "192.0.2.1");
    assert_eq!(first.status, 200, "{first:?}");
    let (second, _) = ask_to_join(&client, "h2", &secret, "192.0.2.2");
    assert_eq!(kind(&second), (403, "JoinTokenRefused"));
    assert!(second.body.to_string().contains("used already, by host h1"));
    let (guessed, _) = ask_to_join(&client, "h3", "guessed", "192.0.2.3");
    assert_eq!(guessed.status, 403);
    assert!(event(&client, "refused") && event(&client, "host-joined"));
    assert_eq!(
        client.get("/anet/v1/hosts").body["hosts"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn who_guesses_tokens_gets_nothing_signed_and_fills_no_list() {
    let controller = Controller::start("guesses");
    let client = controller.client();
    Agent::join(&client, "h1", "192.0.2.1");
    let mut nobody = client.clone();
    nobody.token.clear();
    for guess in 0..40 {
        let body =
            json!({"secret": format!("guess-{guess}"), "host": format!("g{guess}"), "csr": "none at all"});
        let refused = nobody.post("/anet/v1/join", body);
        assert_eq!(kind(&refused), (403, "JoinTokenRefused"), "the token comes first");
    }
    let events = client.get("/anet/v1/events").body["events"].clone();
    let kinds: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    assert_eq!(kinds, ["host-joined", "refused"], "{events}");
    until("the count is told", || {
        let events = client.get("/anet/v1/events?after=2").body["events"].clone();
        let message = events[0]["message"].as_str()?.to_owned();
        assert!(
            message.starts_with("39 more in ") && message.contains("host g39"),
            "{message}"
        );
        Some(())
    });
    let log = controller.log();
    let lines: Vec<_> = log.lines().collect();
    assert!(
        lines[0].starts_with("anet-controller: host-joined: host h1: joined with key "),
        "{log}"
    );
    assert!(
        lines[1].starts_with("anet-controller: refused: host g0 wanted to join: "),
        "{log}"
    );
    assert_eq!(lines.len(), 3, "{log}");
    let wrong = json!({"secret": secret(&client, None), "host": "h2", "csr": "none at all"});
    assert_eq!(nobody.post("/anet/v1/join", wrong).status, 400);
}

#[test]
fn two_agents_of_one_host_and_one_that_joined_before_are_sent_away() {
    let controller = Controller::start("identity");
    let client = controller.client();
    let mut first = Agent::join(&client, "h1", "192.0.2.1");
    let mut copy = Agent::join(&client, "h2", "192.0.2.2");
    copy.name = "h1".to_owned();
    copy.credentials = first.credentials.clone();
    copy.instance = 2;
    runtime().block_on(async {
        first.connect().await;
        assert!(matches!(first.hear().await, Some(ControllerMessage::Welcome { .. })));
        first.until(|state| state.plan().tunnel.is_some()).await;
        copy.connect().await;
        let heard = copy.hear().await;
        assert!(matches!(&heard, Some(ControllerMessage::Farewell { retry: true, .. })), "{heard:?}");
        for _ in 0..4 {
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            first.report().await;
        }
        until("it is told", || event(&client, "two-hosts-with-one-identity").then_some(()));
        let secret = secret(&client, Some("h1"));
        let mut anew = Agent::join_with(&client, "h1", &secret, "192.0.2.1");
        let heard = loop {
            match first.hear().await {
                Some(ControllerMessage::Changeset(_)) => {}
                other => break other,
            }
        };
        assert!(
            matches!(&heard, Some(ControllerMessage::Farewell { reason, retry: false }) if reason.contains("joined again elsewhere")),
            "{heard:?}"
        );
        anew.connect().await;
        anew.until(|state| state.plan().tunnel.is_some()).await;
    });
}

#[test]
fn a_trace_goes_over_both_hosts_and_says_what_to_do() {
    let controller = Controller::start("trace");
    let client = controller.client();
    let (mut one, mut two) = (
        Agent::join(&client, "h1", "192.0.2.1"),
        Agent::join(&client, "h2", "192.0.2.2"),
    );
    let network = network(&client);
    let (source, _) = (port(&client, &network, "h1"), port(&client, &network, "h2"));
    let ask =
        json!({"port_id": source, "destination": "10.0.0.3", "protocol": "tcp", "destination_port": 80});
    runtime().block_on(async {
        one.connect().await;
        two.connect().await;
        one.until(|state| state.plan().ports.len() == 1).await;
        two.until(|state| state.plan().ports.len() == 1).await;
        let asking = client.clone();
        let asked = tokio::task::spawn_blocking(move || asking.post("/anet/v1/trace", ask));
        one.answer_trace(TraceVerdict::Forwarded {
            to: vec!["endpoint h2".to_owned()],
        })
        .await;
        two.answer_trace(TraceVerdict::Dropped {
            reason: "firewall_ingress".to_owned(),
            object: String::new(),
        })
        .await;
        let reply = asked.await.unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.body["verdict"], "dropped");
        assert_eq!(reply.body["hosts"].as_array().unwrap().len(), 2);
        let suggestion = reply.body["suggestion"].as_str().unwrap();
        assert!(
            suggestion
                .contains("--ingress --ethertype IPv4 --protocol tcp --dst-port 80 --remote-ip 10.0.0.2/32"),
            "{suggestion}"
        );
    });
}

#[test]
fn a_restored_store_begins_history_anew() {
    let mut controller = Controller::start("restored");
    let client = controller.client();
    let mut agent = Agent::join(&client, "h1", "192.0.2.1");
    let network = network(&client);
    let runtime = runtime();
    controller.kill();
    let store = std::path::Path::new(&controller.data()).join("store.redb");
    let old = std::fs::read(&store).unwrap();
    controller.run_again();
    port(&client, &network, "h1");
    runtime.block_on(async {
        agent.connect().await;
        agent.until(|state| state.plan().ports.len() == 1).await;
    });
    controller.kill();
    std::fs::write(&store, old).unwrap();
    controller.run_again();
    runtime.block_on(async {
        agent.connect().await;
        agent.until(|state| state.incarnation() == 2).await;
    });
    assert!(agent.state.plan().ports.is_empty());
    assert!(event(&client, "incarnation-minted"));
}
