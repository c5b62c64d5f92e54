//! What a controller costs: `cargo run --release -p anet-controller --example controller_cost -- PATH-OF-anet-controller`.
//!
//! Prints the time from the request for a port to its changeset at the host, by one client on one connection, and the controller's memory
//! with 10,000 ports on 100 hosts.
#![allow(clippy::unwrap_used, reason = "a measurement that fails may panic")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use serde_json::json;
use support::agent::Agent;
use support::http::Client;
use support::{Controller, id};

const PORTS: usize = 10_000;
const HOSTS: usize = 100;
const AT_ONCE: usize = 25;
const MEASURED: usize = 300;

fn main() {
    let controller = Controller::start("cost");
    let client = controller.client();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    latency(&runtime, &client);
    fill(&client);
    println!(
        "controller_rss_mb_10k_ports {:.1}",
        resident(controller.process())
    );
    let begin = Instant::now();
    assert_eq!(
        client.get("/v2.0/ports").body["ports"].as_array().unwrap().len(),
        PORTS + MEASURED
    );
    println!("list_10k_ports_ms {:.1}", begin.elapsed().as_secs_f64() * 1e3);
    let before = processor_seconds(controller.process());
    std::thread::sleep(std::time::Duration::from_secs(5));
    let idle = (processor_seconds(controller.process()) - before) / 5.0 * 100.0;
    println!("controller_idle_cpu_percent {idle:.2}");
}

fn network(client: &Client, cidr: &str) -> String {
    let network = id(&client.post("/v2.0/networks", json!({"network": {}})));
    id(&client.post(
        "/v2.0/subnets",
        json!({"subnet": {"network_id": network, "cidr": cidr}}),
    ));
    network
}

/// From the request to the changeset at the host.
fn latency(runtime: &tokio::runtime::Runtime, client: &Client) {
    let mut agent = Agent::join(client, "latency", "192.0.2.1");
    let network = network(client, "10.0.0.0/16");
    runtime.block_on(agent.connect());
    let body = json!({"port": {"network_id": network, "binding:host_id": "latency"}}).to_string();
    let mut connection = client.connect().unwrap();
    let mut times = Vec::new();
    for count in 1..=MEASURED {
        let begin = Instant::now();
        client.send_on(&mut connection, "POST", "/v2.0/ports", &body);
        runtime.block_on(agent.until(|state| state.plan().ports.len() == count));
        times.push(begin.elapsed().as_secs_f64() * 1e3);
        client.receive_on(&mut connection);
    }
    times.sort_by(f64::total_cmp);
    println!("post_to_changeset_p50_ms {:.2}", times[times.len() / 2]);
    println!("post_to_changeset_p99_ms {:.2}", times[times.len() * 99 / 100]);
}

/// Ports in networks of 100, each network on ten hosts.
fn fill(client: &Client) {
    for host in 0..HOSTS {
        let tunnel = format!("198.51.100.{host}");
        Agent::join(client, &format!("h{host}"), &tunnel);
    }
    let begin = Instant::now();
    for group in 0..PORTS / 100 {
        let network = network(client, "10.0.0.0/24");
        for first in (0..100).step_by(AT_ONCE) {
            let port = |number: usize| {
                let host = format!("h{}", (group + number % 10) % HOSTS);
                json!({"network_id": network, "binding:host_id": host})
            };
            let ports: Vec<_> = (first..first + AT_ONCE).map(port).collect();
            let reply = client.post("/v2.0/ports", json!({"ports": ports}));
            assert_eq!(reply.status, 201, "{reply:?}");
        }
    }
    println!(
        "ports_a_second {:.0}",
        PORTS as f64 / begin.elapsed().as_secs_f64()
    );
}

fn resident(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

fn processor_seconds(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
