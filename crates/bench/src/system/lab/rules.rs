//! `rule_to_enforced_p50_ms`, `rule_to_enforced_p99_ms`: a rule's way to both hosts of a group's members.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anet_api::resource::Resource;
use serde_json::{Value, json};

use super::{Lab, PATIENCE, THREE_HOSTS, percentile};
use crate::error::{BenchError, require};
use crate::figure::Figure;

/// Rules that are made one after the other.
const RULES: u16 = 60;
/// The first of the UDP ports that they open.
const FIRST_PORT: u16 = 20_000;

/// From the request that makes a rule of a group to the first packet that it lets through on both hosts of the group's members,
/// with a packet each millisecond.
pub fn run() -> Result<Vec<Figure>, BenchError> {
    let lab = Lab::up(THREE_HOSTS)?;
    let group = group_of(&lab, "red-web-1")?;
    let mut times = Vec::new();
    for number in 0..RULES {
        let port = FIRST_PORT + number;
        let streams = [
            lab.stream("red-database", "red-web-1", port)?,
            lab.stream("red-database", "red-web-2", port)?,
        ];
        sleep(Duration::from_millis(20));
        require(streams.iter().all(|stream| stream.received() == 0), || {
            "packets arrived before there was a rule".to_owned()
        })?;
        let asked = Instant::now();
        let rule = json!({
            "security_group_id": group, "direction": "ingress", "ethertype": "IPv4", "protocol": "udp",
            "port_range_min": port, "port_range_max": port,
        });
        lab.rest.create(Resource::SecurityGroupRule, rule)?;
        while streams.iter().any(|stream| stream.received() == 0) {
            require(asked.elapsed() < PATIENCE, || format!("port {port} stays closed"))?;
            sleep(Duration::from_micros(100));
        }
        times.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(vec![
        Figure::new("rule_to_enforced_p50_ms", percentile(&times, 50), "ms").mode("60_rules_2_hosts"),
        Figure::new("rule_to_enforced_p99_ms", percentile(&times, 99), "ms").mode("60_rules_2_hosts"),
    ])
}

/// The security group that a guest is in.
fn group_of(lab: &Lab, guest: &str) -> Result<Value, BenchError> {
    let port = &lab.state.guest(guest)?.port;
    let shown = lab.rest.client().show(Resource::Port, port);
    let shown = shown.map_err(|error| BenchError::Void(error.to_string()))?;
    let group = shown.get("security_groups").and_then(|groups| groups.get(0));
    group
        .cloned()
        .ok_or_else(|| BenchError::Void(format!("{guest} is in no security group")))
}
