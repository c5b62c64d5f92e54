//! What is not allowed is blocked and explained; a rule that is added once is there on all hosts.

use std::net::SocketAddr;
use std::time::Instant;

use anet_lab::LabError;

use super::port;
use super::stage::Stage;
use crate::report::{Row, Seen};

pub const ROWS: &[Row<Stage>] = &[
    Row {
        tried: "the database's guest opens TCP port 8080 of a web server, which no rule allows; then `anet trace`, and what it \
                says to try",
        expected: "silence; the trace names the stage and what would allow it; that done it is open, and undone closed again",
        run: blocked_and_explained,
    },
    Row {
        tried: "a web server asks the database for something else than port 5432",
        expected: "silence",
        run: |stage| {
            let target = stage.target("red-database", port::WEB)?;
            stage.is_silent("red-web-1", target)
        },
    },
    Row {
        tried: "`anet security-group-rule create` once: TCP port 8080 to the group `web` of project `red`",
        expected: "open on all hosts of `red` within a second, and still closed in `blue`",
        run: one_rule_everywhere,
    },
];

fn blocked_and_explained(stage: &mut Stage) -> Result<Seen, LabError> {
    let target = stage.target("red-web-2", port::CLOSED)?;
    let silent = stage.is_silent("red-database", target)?;
    let from = stage.state.guest("red-database")?.port.clone();
    let (to, tcp) = (target.ip().to_string(), target.port().to_string());
    let trace = stage.anet_says(&["trace", &from, "--to", &to, "--tcp", &tcp])?;
    let explained = trace.contains("firewall") && trace.to_lowercase().contains("dropped");
    let advised = as_advised(stage, &trace, target)?;
    let trace = Seen::new(explained, format!("anet trace:\n{trace}"));
    Ok(Seen::all([silent, trace, advised]))
}

/// Does what the trace says to try, and takes it back.
fn as_advised(stage: &Stage, trace: &str, target: SocketAddr) -> Result<Seen, LabError> {
    let advice = trace
        .lines()
        .find_map(|line| line.trim().strip_prefix("try: anet "));
    let Some(advice) = advice else {
        return Ok(Seen::new(false, "it says nothing to try"));
    };
    let words: Vec<&str> = advice.split_whitespace().chain(["-o", "json"]).collect();
    let made = stage.anet(&words)?;
    let made: Option<serde_json::Value> = serde_json::from_str(&made).ok();
    let Some(rule) = made.as_ref().and_then(|rule| rule["id"].as_str()) else {
        return Ok(Seen::new(false, format!("no rule came of: anet {advice}")));
    };
    stage.wait_open("red-database", target)?;
    stage.anet(&["security-group-rule", "delete", rule])?;
    stage.wait_silent("red-database", target)?;
    Ok(Seen::new(
        true,
        "tried: open, and with the rule deleted silent again",
    ))
}

fn one_rule_everywhere(stage: &mut Stage) -> Result<Seen, LabError> {
    let targets = [
        stage.target("red-web-1", port::CLOSED)?,
        stage.target("red-web-2", port::CLOSED)?,
    ];
    let before = Seen::all([
        stage.is_silent("red-database", targets[0])?,
        stage.is_silent("red-database", targets[1])?,
    ]);
    let group = stage.group("red", "web")?;
    let added = Instant::now();
    stage.anet(&[
        "security-group-rule",
        "create",
        &group,
        "--ingress",
        "--ethertype",
        "IPv4",
        "--protocol",
        "tcp",
        "--dst-port",
        &port::CLOSED.to_string(),
    ])?;
    let mut after = vec![before];
    for target in targets {
        stage.wait_open("red-database", target)?;
    }
    let took = added.elapsed();
    for (target, name) in targets.iter().zip(["red-web-1", "red-web-2"]) {
        after.push(stage.fetch("red-database", *target, name)?);
    }
    let text = format!(
        "both open {:.0} ms after the command began",
        took.as_secs_f64() * 1e3
    );
    after.push(Seen::new(took.as_secs_f32() < 1.0, text));
    after.push(stage.is_silent("blue-web-3", targets[0])?);
    Ok(Seen::all(after))
}
