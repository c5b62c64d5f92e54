//! Who reaches whom: on a host, across hosts, in both families; and who does not.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use anet_lab::LabError;
use anet_lab::fabric::Fabric;
use anet_lab::probe::{Attempt, Listener, attempt, iperf, ping};

use super::port;
use crate::report::{Row, Seen};

pub const ROWS: &[Row<Fabric>] = &[
    Row {
        tried: "ping between two guests of one host, IPv4 and IPv6",
        expected: "every request answered",
        run: |fabric| pings(fabric, &[("blue-11", "blue-12")]),
    },
    Row {
        tried: "ping between guests of two hosts, over VXLAN, IPv4 and IPv6, in both networks",
        expected: "every request answered",
        run: |fabric| {
            pings(
                fabric,
                &[
                    ("blue-11", "blue-13"),
                    ("blue-14", "blue-12"),
                    ("green-11", "green-13"),
                ],
            )
        },
    },
    Row {
        tried: "TCP by iperf3 between two guests of one host, IPv4 and IPv6",
        expected: "data flows",
        run: |fabric| Seen::both_families(|family| tcp(fabric, "blue-11", "blue-12", family)),
    },
    Row {
        tried: "TCP by iperf3 between guests of two hosts, IPv4 and IPv6",
        expected: "data flows",
        run: |fabric| Seen::both_families(|family| tcp(fabric, "blue-11", "blue-13", family)),
    },
    Row {
        tried: "a guest of each network connects to 10.0.0.13, which exists in both",
        expected: "each reaches its own network's guest, and only that one",
        run: same_address_twice,
    },
    Row {
        tried: "a guest of `green` pings 10.0.0.12 and fd00:10::12, which only `blue` has",
        expected: "no answer",
        run: |fabric| {
            let addresses = fabric.layout.addresses("blue-12");
            let parts = addresses.map(|address| {
                let pings = ping(fabric.namespace("green-11"), address, 3)?;
                Ok(Seen::new(
                    pings.received == 0,
                    format!("{address}: {} of {} answered", pings.received, pings.sent),
                ))
            });
            Ok(Seen::all(
                parts.into_iter().collect::<Result<Vec<_>, LabError>>()?,
            ))
        },
    },
];

impl Seen {
    /// The same in IPv4 (0) and IPv6 (1).
    pub fn both_families(run: impl Fn(usize) -> Result<Seen, LabError>) -> Result<Seen, LabError> {
        Ok(Seen::all([run(0)?, run(1)?]))
    }
}

/// Pings in both families, for each pair.
pub fn pings(fabric: &Fabric, pairs: &[(&str, &str)]) -> Result<Seen, LabError> {
    let mut parts = Vec::new();
    for (from, to) in pairs {
        for address in fabric.layout.addresses(to) {
            let pings = ping(fabric.namespace(from), address, 3)?;
            let text = format!("{from} to {to} ({address}) {} of {}", pings.received, pings.sent);
            parts.push(Seen::new(pings.all_answered(), text));
        }
    }
    Ok(Seen::all(parts))
}

/// One second of TCP; `family` is 0 for IPv4, 1 for IPv6.
pub fn tcp(fabric: &Fabric, from: &str, to: &str, family: usize) -> Result<Seen, LabError> {
    let address = fabric.layout.addresses(to)[family];
    let speed = iperf(
        fabric.namespace(from),
        (fabric.namespace(to), address),
        port::IPERF,
        1,
        &[],
    )?;
    let gigabits = speed.bits_per_second / 1e9;
    Ok(Seen::new(
        speed.bits_per_second > 1e6,
        format!("{from} to {address} {gigabits:.2} Gb/s"),
    ))
}

fn same_address_twice(fabric: &mut Fabric) -> Result<Seen, LabError> {
    let address = SocketAddr::new(fabric.layout.addresses("blue-13")[0], port::WHO);
    let blue = Listener::new(fabric.namespace("blue-13"), address)?;
    let green = Listener::new(fabric.namespace("green-13"), address)?;
    let mut parts = Vec::new();
    for (from, own, other) in [("blue-11", &blue, &green), ("green-11", &green, &blue)] {
        let outcome = attempt(fabric.namespace(from), address, Duration::from_secs(3))?;
        // The client is through as soon as it has the server's answer; the server a moment later.
        sleep(Duration::from_millis(200));
        let counts = (own.connections(), other.connections());
        let ok = outcome == Attempt::Connected && counts == (1, 0);
        let text = format!(
            "{from}: {outcome:?}, {} in its own network, {} in the other",
            counts.0, counts.1
        );
        parts.push(Seen::new(ok, text));
    }
    Ok(Seen::all(parts))
}
