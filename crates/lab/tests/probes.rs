//! The probes on Linux's own bridge and VXLAN, where the right answers are known.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::{IpAddr, SocketAddr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anet_lab::probe::{Attempt, FirstEcho, Listener, PacedUdp, TcpHold, WebPage, attempt, curl, iperf, ping};
use anet_lab::{KernelVxlan, Namespace, missing_for, skip, wire};
use anet_packet::addr::Vni;

struct Pair {
    left: Namespace,
    right: Namespace,
    address: IpAddr,
    _underlay: wire::Bridge,
}

/// Two namespaces that reach each other through kernel VXLAN devices over a switched underlay.
fn vxlan_pair() -> Pair {
    let underlay = wire::Bridge::new("underlay").unwrap();
    let (left, right) = (Namespace::new("left").unwrap(), Namespace::new("right").unwrap());
    for (host, own, other, inner) in [
        (&left, "192.0.2.1", "192.0.2.2", "10.0.0.1/24"),
        (&right, "192.0.2.2", "192.0.2.1", "10.0.0.2/24"),
    ] {
        underlay.join(host, "under", 1600, &format!("{own}/24")).unwrap();
        let device = KernelVxlan::new(host, "vx", Vni::new(7).unwrap(), own.parse().unwrap()).unwrap();
        device.flood_to(other.parse().unwrap()).unwrap();
        device
            .become_station(
                format!("02:00:00:00:00:0{}", &inner[7..8]).parse().unwrap(),
                &[inner],
            )
            .unwrap();
    }
    Pair {
        left,
        right,
        address: "10.0.0.2".parse().unwrap(),
        _underlay: underlay,
    }
}

#[test]
fn tools_and_probes_agree_that_a_good_path_is_good() {
    if let Some(reason) = missing_for(&["ping", "iperf3", "bridge"]) {
        return skip("tools_and_probes_agree_that_a_good_path_is_good", &reason);
    }
    let pair = vxlan_pair();
    assert!(ping(&pair.left, pair.address, 2).unwrap().all_answered());
    let speed = iperf(&pair.left, (&pair.right, pair.address), 5201, 1, &[]).unwrap();
    assert!(speed.bits_per_second > 1e6, "{speed:?}");
    let udp_address = SocketAddr::new(pair.address, 7001);
    let udp = PacedUdp::start(&pair.left, (&pair.right, udp_address), Duration::from_millis(1)).unwrap();
    let hold = TcpHold::start(&pair.left, (&pair.right, SocketAddr::new(pair.address, 7000))).unwrap();
    assert!(hold.is_alive(Duration::from_secs(1)));
    let paced = udp.finish();
    assert!(paced.sent > 0 && paced.lost() == 0, "{paced:?}");
}

#[test]
fn probes_see_loss_silence_and_refusal() {
    if let Some(reason) = missing_for(&["ping", "bridge"]) {
        return skip("probes_see_loss_silence_and_refusal", &reason);
    }
    let pair = vxlan_pair();
    let hold = TcpHold::start(&pair.left, (&pair.right, SocketAddr::new(pair.address, 7000))).unwrap();
    let udp_address = SocketAddr::new(pair.address, 7001);
    let udp = PacedUdp::start(&pair.left, (&pair.right, udp_address), Duration::from_millis(1)).unwrap();
    let (closed, open) = (
        SocketAddr::new(pair.address, 7002),
        SocketAddr::new(pair.address, 7003),
    );
    let listener = Listener::new(&pair.right, open).unwrap();
    assert_eq!(
        attempt(&pair.left, closed, Duration::from_secs(1)).unwrap(),
        Attempt::Refused
    );
    assert_eq!(
        attempt(&pair.left, open, Duration::from_secs(1)).unwrap(),
        Attempt::Connected
    );
    assert_eq!((listener.connections(), listener.connections()), (1, 0));

    pair.right.ip(&["link", "set", "under", "down"]).unwrap();
    std::thread::sleep(Duration::from_millis(250));
    assert!(!hold.is_alive(Duration::from_millis(300)));
    assert_eq!(ping(&pair.left, pair.address, 1).unwrap().received, 0);
    pair.right.ip(&["link", "set", "under", "up"]).unwrap();
    assert!(hold.is_alive(Duration::from_secs(5)), "TCP outlives a pause");
    let paced = udp.finish();
    assert!(
        paced.lost() > 100 && paced.longest_gap > Duration::from_millis(250),
        "{paced:?}"
    );
}

#[test]
fn pages_say_whose_they_are_and_silence_is_no_failure() {
    if let Some(reason) = missing_for(&["curl", "bridge"]) {
        return skip("pages_say_whose_they_are_and_silence_is_no_failure", &reason);
    }
    let pair = vxlan_pair();
    let page = WebPage::serve(&pair.right, 80, "right").unwrap();
    let target = SocketAddr::new(pair.address, 80);
    let patience = Duration::from_millis(700);
    assert_eq!(
        curl(&pair.left, target, patience).unwrap().as_deref(),
        Some("right")
    );
    drop(page);
    assert_eq!(curl(&pair.left, target, patience).unwrap(), None, "refused");
    let nobody = SocketAddr::new("10.0.0.99".parse().unwrap(), 80);
    assert_eq!(curl(&pair.left, nobody, patience).unwrap(), None, "silent");
}

#[test]
fn the_first_echo_is_seen_once_there_is_a_way() {
    if let Some(reason) = missing_for(&["bridge"]) {
        return skip("the_first_echo_is_seen_once_there_is_a_way", &reason);
    }
    let pair = vxlan_pair();
    let IpAddr::V4(address) = pair.address else {
        panic!("an IPv4 address");
    };
    pair.right.ip(&["link", "set", "under", "down"]).unwrap();
    let echo = FirstEcho::start(&pair.left, address, Duration::from_millis(1)).unwrap();
    sleep(Duration::from_millis(100));
    assert!(!echo.is_answered());
    let up = Instant::now();
    pair.right.ip(&["link", "set", "under", "up"]).unwrap();
    assert!(echo.wait(Duration::from_secs(10)).unwrap() > up);
    let silent =
        FirstEcho::start(&pair.left, "10.0.0.99".parse().unwrap(), Duration::from_millis(1)).unwrap();
    assert!(silent.wait(Duration::from_millis(100)).is_err());
}
