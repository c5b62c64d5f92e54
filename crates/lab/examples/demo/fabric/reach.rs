//! What is allowed passes across hosts; projects do not see each other.

use anet_lab::LabError;
use anet_lab::probe::{iperf, ping};

use super::port;
use super::stage::Stage;
use crate::report::{Row, Seen};

pub const ROWS: &[Row<Stage>] = &[
    Row {
        tried: "ping between guests of three hosts, IPv4 and IPv6, in both projects",
        expected: "every request answered",
        run: |stage| {
            Ok(Seen::all([
                stage.pings("red-web-1", "red-web-2")?,
                stage.pings("red-web-2", "red-database")?,
                stage.pings("blue-web-1", "blue-web-3")?,
            ]))
        },
    },
    Row {
        tried: "`curl` between hosts: web server to web server, and to the database",
        expected: "the page of the guest that was meant",
        run: |stage| {
            let (web, database) = (
                stage.target("red-web-2", port::WEB)?,
                stage.target("red-database", port::DATABASE)?,
            );
            Ok(Seen::all([
                stage.fetch("red-web-1", web, "red-web-2")?,
                stage.fetch("red-web-1", database, "red-database")?,
                stage.fetch("red-web-2", database, "red-database")?,
            ]))
        },
    },
    Row {
        tried: "TCP by iperf3 between hosts, IPv4 and IPv6",
        expected: "data flows",
        run: throughput,
    },
    Row {
        tried: "a guest of each project fetches http://10.0.0.11, which exists in both",
        expected: "each gets its own project's page",
        run: |stage| {
            let address = stage.target("red-web-1", port::WEB)?;
            Ok(Seen::all([
                stage.fetch("red-web-2", address, "red-web-1")?,
                stage.fetch("blue-web-3", address, "blue-web-1")?,
            ]))
        },
    },
    Row {
        tried: "a guest of `blue` pings 10.0.0.12 and fd00:10::12, which only `red` has",
        expected: "no answer",
        run: isolated,
    },
];

fn throughput(stage: &mut Stage) -> Result<Seen, LabError> {
    let (from, to) = (stage.namespace("red-web-1"), stage.namespace("red-web-2"));
    let parts = [false, true].map(|ipv6| {
        let address = stage.address("red-web-2", ipv6)?;
        let speed = iperf(&from, (&to, address), port::KEPT, 1, &[])?.bits_per_second;
        Ok(Seen::new(
            speed > 1e6,
            format!("red-web-1 to {address} {:.2} Gb/s", speed / 1e9),
        ))
    });
    let parts: Result<Vec<_>, LabError> = parts.into_iter().collect();
    Ok(Seen::all(parts?))
}

fn isolated(stage: &mut Stage) -> Result<Seen, LabError> {
    let parts = [false, true].map(|ipv6| {
        let address = stage.address("red-web-2", ipv6)?;
        let pings = ping(&stage.namespace("blue-web-1"), address, 3)?;
        let text = format!("{address}: {} of {} answered", pings.received, pings.sent);
        Ok(Seen::new(pings.received == 0, text))
    });
    let parts: Result<Vec<_>, LabError> = parts.into_iter().collect();
    Ok(Seen::all(parts?))
}
