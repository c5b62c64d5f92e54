//! `tcp_local_vs_linux_bridge`, `tcp_vs_linux_vxlan_sockets`, `tcp_vs_linux_vxlan_tunnel_gso`: TCP between two guests,
//! through us and through Linux.
//!
//! `iperf3 -C cubic`, in turn, the ratio pair by pair. On either side sender and receiver have a processor each, as guests
//! have; our workers are not pinned, and run where the scheduler puts them. Our guests are on TAPs, Linux's on veth pairs in a bridge. Between
//! hosts, ours goes through the UDP sockets alone, or large segments whole through the uplink TAP, and Linux's through its
//! VXLAN device, over the same kind of underlay.

use std::net::IpAddr;

use anet_lab::{Namespace, probe, wire};
use anet_memory::cpu;

use super::{guest, two_hosts};
use crate::error::BenchError;
use crate::figure::Figure;
use crate::statistics::Runs;

const PAIRS: usize = 12;
const SECONDS: u32 = 1;
const PORT: u16 = 5201;
const UNDERLAY_MTU: u16 = 1500;

/// Two guests of one host.
pub fn local() -> Result<Vec<Figure>, BenchError> {
    let fabric = two_hosts(&[], &[])?;
    let host = Namespace::new("linux")?;
    wire::add_bridge(&host, "br0")?;
    let peers = [linux_guest(&host, 1)?, linux_guest(&host, 2)?];
    let ours = (guest(&fabric, "blue-11").0, guest(&fabric, "blue-12"));
    compare(
        "tcp_local_vs_linux_bridge",
        ours,
        (&peers[0].0, (&peers[1].0, peers[1].1)),
    )
}

/// Two guests of two hosts.
pub fn across() -> Result<Vec<Figure>, BenchError> {
    let underlay = wire::Bridge::new("linux-under")?;
    let hosts = [Namespace::new("linux-a")?, Namespace::new("linux-b")?];
    let mut peers = Vec::new();
    for (number, host) in (1_u8..).zip(&hosts) {
        peers.push(linux_host(&underlay, host, number)?);
    }
    let linux = (&peers[0].0, (&peers[1].0, peers[1].1));
    let mut figures = Vec::new();
    for (name, uplink) in [
        ("tcp_vs_linux_vxlan_sockets", "sockets"),
        ("tcp_vs_linux_vxlan_tunnel_gso", "tap"),
    ] {
        let fabric = two_hosts(&[], &["--uplink", uplink])?;
        let ours = (guest(&fabric, "blue-11").0, guest(&fabric, "blue-13"));
        let log = fabric.vswitch("host-a").log();
        if let Some(line) = log.lines().find(|line| line.contains("cannot leave whole")) {
            eprintln!("anet-bench: {name} is left out: {line}");
            continue;
        }
        figures.extend(compare(name, ours, linux)?);
    }
    Ok(figures)
}

/// A host with a VXLAN device and a guest in a bridge.
fn linux_host(
    underlay: &wire::Bridge,
    host: &Namespace,
    number: u8,
) -> Result<(Namespace, IpAddr), BenchError> {
    let (local, remote) = (format!("192.0.2.{number}"), format!("192.0.2.{}", 3 - number));
    underlay.join(host, "under0", UNDERLAY_MTU, &format!("{local}/24"))?;
    wire::add_bridge(host, "br0")?;
    let device = [
        "link", "add", "vx0", "type", "vxlan", "id", "7", "local", &local, "remote", &remote,
    ];
    host.ip(&[&device[..], &["dstport", "4789", "noudpcsum"]].concat())?;
    host.ip(&["link", "set", "vx0", "master", "br0", "up"])?;
    linux_guest(host, number)
}

/// A guest on a veth pair in the bridge of a host.
fn linux_guest(host: &Namespace, number: u8) -> Result<(Namespace, IpAddr), BenchError> {
    let guest = Namespace::new(&format!("linux-guest{number}"))?;
    let port = format!("port{number}");
    wire::direct((host, &port), (&guest, "eth0"))?;
    host.ip(&["link", "set", &port, "master", "br0", "up"])?;
    // As our guests have it.
    guest.ip(&["link", "set", "eth0", "mtu", "1450"])?;
    let address = IpAddr::from([10, 0, 0, number]);
    guest.add_address("eth0", &format!("{address}/24"))?;
    Ok((guest, address))
}

type Way<'w> = (&'w Namespace, (&'w Namespace, IpAddr));

fn compare(name: &'static str, ours: Way<'_>, linux: Way<'_>) -> Result<Vec<Figure>, BenchError> {
    let processors = cpu::allowed().map_err(BenchError::system("which processors there are"))?;
    let gbits = |way: Way<'_>, round: usize| -> Result<f64, BenchError> {
        let place = placement(&processors, round);
        let arguments: Vec<&str> = place.iter().flat_map(|place| ["--affinity", place]).collect();
        Ok(probe::iperf(way.0, way.1, PORT, SECONDS, &arguments)?.bits_per_second / 1e9)
    };
    // The first run of each warms up and does not count.
    gbits(ours, 0)?;
    gbits(linux, 0)?;
    let mut pairs = Vec::new();
    for round in 0..PAIRS {
        // Whoever comes second finds what the first has left behind: in turn.
        pairs.push(if round % 4 < 2 {
            (gbits(ours, round)?, gbits(linux, round)?)
        } else {
            let linux = gbits(linux, round)?;
            (gbits(ours, round)?, linux)
        });
    }
    let ratios = Runs::of(pairs.iter().map(|(ours, linux)| ours / linux));
    let ours = Runs::of(pairs.iter().map(|(ours, _)| *ours)).median;
    let linux = Runs::of(pairs.iter().map(|(_, linux)| *linux)).median;
    let mode = match placement(&processors, 0) {
        Some(_) => "gbit_s_guests_on_two_processors",
        None => "gbit_s_all_on_one_processor",
    };
    Ok(vec![
        Figure::of_runs(name, ratios, "ratio")
            .sides(ours, linux)
            .mode(mode),
    ])
}

/// Where a round's sender and receiver run, as iperf3 takes it: on the first two processors, and the other way round every other
/// time. `None` where there is one only.
fn placement(processors: &[usize], round: usize) -> Option<String> {
    let [first, second, ..] = processors else {
        return None;
    };
    Some(match round % 2 {
        0 => format!("{first},{second}"),
        _ => format!("{second},{first}"),
    })
}

#[cfg(test)]
mod tests {
    use super::placement;

    #[test]
    fn sender_and_receiver_never_share_a_processor_and_change_places() {
        let places = |processors: &[usize]| [0, 1, 2].map(|round| placement(processors, round));
        let expected = ["4,6", "6,4", "4,6"].map(|place| Some(place.to_owned()));
        assert_eq!(places(&[4, 6, 7]), expected);
        assert_eq!(places(&[3]), [None, None, None]);
    }
}
