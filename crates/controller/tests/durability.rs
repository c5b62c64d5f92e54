//! SIGKILL in the midst of writes: what was acknowledged is there, and nothing is half there.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use support::{Controller, id};

/// Writes in all, and the kills among them.
const WRITES: usize = 500;
const KILLS: [usize; 2] = [150, 350];
const WRITERS: usize = 4;

#[test]
fn a_killed_controller_loses_nothing_that_it_acknowledged() {
    let mut controller = Controller::start("kill");
    let client = controller.client();
    let network = id(&client.post("/v2.0/networks", json!({"network": {}})));
    let subnet = json!({"subnet": {"network_id": network, "cidr": "10.0.0.0/16"}});
    id(&client.post("/v2.0/subnets", subnet));
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let acknowledged = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= WRITES {
                        return;
                    }
                    let key = format!("write-{number}");
                    let body = json!({"port": {"network_id": network, "name": key}}).to_string();
                    // A request that broke off is sent again, under its key, until there is an answer.
                    let reply = loop {
                        match client.try_ask("POST", "/v2.0/ports", &[("Idempotency-Key", &key)], &body) {
                            Ok(reply) if reply.status != 503 => break reply,
                            _ => std::thread::sleep(std::time::Duration::from_millis(20)),
                        }
                    };
                    assert!(acknowledged.lock().unwrap().insert((key, id(&reply))));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for kill in KILLS {
            support::until("writes go on", || {
                (done.load(Ordering::Relaxed) >= kill).then_some(())
            });
            controller.kill();
            controller.run_again();
        }
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    let reply = client.get("/v2.0/ports?fields=id&fields=name&fields=fixed_ips");
    let ports = reply.body["ports"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let found: BTreeSet<_> = ports
        .iter()
        .map(|port| (text(&port["name"]), text(&port["id"])))
        .collect();
    assert_eq!(
        found, acknowledged,
        "each write once, and each as it was acknowledged"
    );
    let addresses: BTreeSet<_> = ports
        .iter()
        .map(|port| port["fixed_ips"][0]["ip_address"].to_string())
        .collect();
    assert_eq!(addresses.len(), WRITES, "no address twice");
}
