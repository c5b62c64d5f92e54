//! A Linux kernel VXLAN device as a peer: nothing but RFC 7348 between it and us.

use anet_lab::fabric::Fabric;

use super::reach::{pings, tcp};
use crate::report::{Row, Seen};

pub const ROWS: &[Row<Fabric>] = &[
    Row {
        tried: "ping between guests and a Linux kernel VXLAN device, both ways, IPv4 and IPv6",
        expected: "every request answered",
        run: |fabric| {
            let (own, foreign) = ("blue-11", "linux-50");
            pings(fabric, &[(own, foreign), (foreign, own), (foreign, "blue-13")])
        },
    },
    Row {
        tried: "TCP by iperf3 between a guest and the Linux device, both ways",
        expected: "data flows",
        run: |fabric| {
            Ok(Seen::all([
                tcp(fabric, "blue-11", "linux-50", 0)?,
                tcp(fabric, "linux-50", "blue-11", 0)?,
            ]))
        },
    },
];
