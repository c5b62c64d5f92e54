//! The daemon is killed, and comes back to find every connection.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use anet_lab::LabError;
use anet_lab::fabric::Fabric;
use anet_lab::probe::{PacedUdp, TcpHold};

use super::port;
use crate::report::{Row, Seen};

/// Longer than this nobody should wait, even on a machine that is busy with other things.
const LONGEST_GAP: Duration = Duration::from_secs(2);

pub const ROWS: &[Row<Fabric>] = &[Row {
    tried: "kill -9 of the vswitch under a running TCP connection, and a start",
    expected: "the connection lives on; traffic pauses for less than 2 s",
    run: killed_under_traffic,
}];

fn killed_under_traffic(fabric: &mut Fabric) -> Result<Seen, LabError> {
    let address = fabric.layout.addresses("blue-13")[0];
    let to = |port| (fabric.namespace("blue-13"), SocketAddr::new(address, port));
    let from = fabric.namespace("blue-11");
    let connection = TcpHold::start(from, to(port::TCP_KEPT))?;
    let clock = PacedUdp::start(from, to(port::UDP_KEPT), Duration::from_millis(1))?;
    sleep(Duration::from_millis(300));

    let vswitch = fabric.vswitch_mut("host-b");
    let before = vswitch.pid();
    vswitch.kill9();
    vswitch.start_again()?;
    vswitch.wait_ready()?;
    let after = vswitch.pid();
    let alive = connection.is_alive(Duration::from_secs(5));
    sleep(Duration::from_millis(300));
    let paced = clock.finish();
    let gap = paced.longest_gap.as_millis();
    Ok(Seen::all([
        Seen::new(
            before != after,
            format!("process {before} was killed, {after} took over"),
        ),
        Seen::new(
            alive,
            if alive {
                "the connection lives"
            } else {
                "the connection is dead"
            },
        ),
        Seen::new(
            paced.longest_gap < LONGEST_GAP,
            format!("silence of {gap} ms, {} packets lost", paced.lost()),
        ),
    ]))
}
