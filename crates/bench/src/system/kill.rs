//! `vswitch_kill_gap_ms`, `vswitch_kill_lost_connections`: the switch is killed under traffic and started again at once.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use anet_lab::fabric::Fabric;
use anet_lab::probe::PacedUdp;

use super::{guest, socket, two_hosts};
use crate::error::{BenchError, require};
use crate::figure::Figure;
use crate::statistics::Runs;

const KILLS: usize = 7;
const CONNECTIONS: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(5);

/// Measures both. Paced UDP, a packet each millisecond, and 1,000 TCP connections from a guest of one host to a guest of the
/// other, whose switch is killed; loose pick-up is off, so a connection that was forgotten is dead.
pub fn run() -> Result<Vec<Figure>, BenchError> {
    let mut fabric = two_hosts(&[], &[])?;
    let mut connections = connect(&fabric)?;
    let mut gaps = Vec::new();
    for _ in 0..KILLS {
        gaps.push(kill(&mut fabric)?);
    }
    let lost = connections.iter_mut().map(alive).filter(|alive| !alive).count();
    forget(&mut fabric, &mut connections)?;
    Ok(vec![
        Figure::of_runs("vswitch_kill_gap_ms", Runs::of(gaps), "ms"),
        Figure::new("vswitch_kill_lost_connections", lost as f64, "connections")
            .mode("of_1000_after_7_kills"),
    ])
}

/// Milliseconds of silence.
fn kill(fabric: &mut Fabric) -> Result<f64, BenchError> {
    let (to, address) = guest(fabric, "blue-13");
    let from = guest(fabric, "blue-11").0;
    let clock = PacedUdp::start(from, (to, socket(address, 7001)), Duration::from_millis(1))?;
    sleep(Duration::from_millis(300));
    let vswitch = fabric.vswitch_mut("host-b");
    vswitch.kill9();
    vswitch.start_again()?;
    vswitch.wait_ready()?;
    sleep(Duration::from_millis(500));
    let paced = clock.finish();
    require(paced.received > 500, || {
        format!("{} packets arrived", paced.received)
    })?;
    Ok(paced.longest_gap.as_secs_f64() * 1e3)
}

/// The negative control: a switch that finds no connection file lets none of them live. Where one does, something else keeps
/// connections alive, and their number says nothing about the file.
fn forget(fabric: &mut Fabric, connections: &mut [Pair]) -> Result<(), BenchError> {
    let vswitch = fabric.vswitch_mut("host-b");
    vswitch.kill9();
    std::fs::remove_file(vswitch.file("connections"))
        .map_err(BenchError::system("remove the connection file"))?;
    vswitch.start_again()?;
    vswitch.wait_ready()?;
    for (client, _) in connections.iter_mut() {
        client
            .write_all(b"?")
            .map_err(BenchError::system("write to a connection"))?;
    }
    sleep(Duration::from_secs(1));
    let arrived = |(_, server): &mut Pair| {
        let waits = server.set_nonblocking(true).is_ok();
        !waits || server.read(&mut [0]).is_ok()
    };
    let lived = connections
        .iter_mut()
        .map(arrived)
        .filter(|arrived| *arrived)
        .count();
    require(lived == 0, || {
        format!("{lived} of {CONNECTIONS} connections lived on without their file: the figure is void")
    })
}

type Pair = (TcpStream, TcpStream);

fn connect(fabric: &Fabric) -> Result<Vec<Pair>, BenchError> {
    let (to, address) = guest(fabric, "blue-13");
    let from = guest(fabric, "blue-11").0;
    let what = "open 1,000 connections";
    let listener = to
        .enter(|| TcpListener::bind(socket(address, 7100)))?
        .map_err(BenchError::system(what))?;
    let mut pairs = Vec::new();
    for _ in 0..CONNECTIONS {
        let connect = || TcpStream::connect_timeout(&socket(address, 7100), PATIENCE);
        let client = from.enter(connect)?.map_err(BenchError::system(what))?;
        let (server, _) = listener.accept().map_err(BenchError::system(what))?;
        for end in [&client, &server] {
            end.set_read_timeout(Some(PATIENCE))
                .map_err(BenchError::system(what))?;
        }
        pairs.push((client, server));
    }
    require(pairs.iter_mut().all(alive), || {
        "a connection carried nothing before any kill".to_owned()
    })?;
    Ok(pairs)
}

/// A byte each way.
fn alive((client, server): &mut Pair) -> bool {
    let mut byte = [0];
    let there = client.write_all(b"?").and_then(|()| server.read_exact(&mut byte));
    there
        .and_then(|()| server.write_all(b"!"))
        .and_then(|()| client.read_exact(&mut byte))
        .is_ok()
}
