//! A fault in the pipeline of a daemon with real guests. The daemon is this test program itself, which has the planted
//! fault that no shipped program has: a child of it obeys the same command line as `anet-vswitch`.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anet_lab::probe::{PacedUdp, ping};
use anet_lab::{Folder, Guest, Namespace, Vswitch, missing_for, skip, wait_for};

use crate::planted::MAGIC;

const PATIENCE: Duration = Duration::from_secs(10);
/// Holds a child's command line, a word a line.
const ARGUMENTS: &str = "ANET_TEST_COMMAND_LINE";
/// What the daemon says when it closes a port.
const QUARANTINED: &str = "port p1: its packets keep panicking a worker";

/// No test: what the child does. Without a command line there is nothing to do.
#[test]
fn daemon_in_a_child() {
    let Ok(words) = std::env::var(ARGUMENTS) else {
        return;
    };
    let words = words.lines().map(Into::into);
    let status = crate::command::obey(std::iter::once("anet-vswitch".into()).chain(words));
    assert_eq!(
        format!("{status:?}"),
        format!("{:?}", std::process::ExitCode::SUCCESS)
    );
}

/// A program that takes the arguments of `anet-vswitch`.
fn program(folder: &Folder) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\n{ARGUMENTS}=$(printf '%s\\n' \"$@\")\nexport {ARGUMENTS}\n\
         exec '{}' --exact planted::tests::daemon_in_a_child --nocapture --quiet\n",
        this.display()
    );
    let path = folder.write("anet-vswitch", &script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, executable).unwrap();
    path
}

fn address(guest: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, guest])
}

fn plan(guests: &[Guest]) -> String {
    let mut text = String::from(
        "networks:\n  blue: {vni: 10, mtu: 1400, endpoints: []}\n\
         subnets:\n  blue-v4: {network: blue, prefix: 10.0.0.0/24}\nports:\n",
    );
    for (n, guest) in (1..).zip(guests) {
        text += &format!(
            "  p{n}: {{network: blue, mac: '{}', addresses: [10.0.0.{n}], security_groups: [all], \
             tap: {{interface: eth0, netns: {}}}}}\n",
            guest.mac(),
            guest.namespace().path().display()
        );
    }
    text + "security_groups:\n  all:\n    rules:\n      out: {direction: egress, ethertype: IPv4}\n      \
            in: {direction: ingress, ethertype: IPv4}\n"
}

/// Sends one packet out of a guest that panics the worker that looks at it.
fn plant(guest: &Guest) {
    let sent = guest.namespace().enter(|| {
        let socket = UdpSocket::bind((address(1), 0))?;
        socket.send_to(MAGIC, (address(2), 9))
    });
    sent.unwrap().unwrap();
}

/// Panics of all workers.
fn panics(vswitch: &Vswitch) -> u64 {
    let counters = vswitch.ctl(&["-o", "json", "counters"]).unwrap();
    let numbers = counters.split("\"panics\": ").skip(1);
    let number = |rest: &str| rest.split(['}', ',']).next()?.parse::<u64>().ok();
    numbers.filter_map(number).sum()
}

#[test]
fn a_panic_of_a_real_daemon_costs_a_burst_and_too_many_cost_the_port() {
    let name = "a_panic_of_a_real_daemon_costs_a_burst_and_too_many_cost_the_port";
    if let Some(reason) = missing_for(&["ping"]) {
        return skip(name, &reason);
    }
    let (folder, host) = (Folder::new().unwrap(), Namespace::new("host").unwrap());
    let guest = |n: u8| Guest::new("guest", format!("02:00:00:00:00:{n:02x}").parse().unwrap()).unwrap();
    let guests: Vec<Guest> = (1..=3).map(guest).collect();
    let vswitch =
        Vswitch::start_program(&program(&folder), &host, &plan(&guests), &["--workers", "2"]).unwrap();
    for (n, guest) in (1..).zip(&guests) {
        guest.bring_up().unwrap();
        guest
            .namespace()
            .add_address(Guest::INTERFACE, &format!("10.0.0.{n}/24"))
            .unwrap();
    }
    let pings = |from: usize, to: u8| {
        ping(guests[from - 1].namespace(), address(to), 1)
            .unwrap()
            .all_answered()
    };
    assert!(pings(1, 2) && pings(3, 2));
    let target = SocketAddr::new(address(2), 80);
    let others = PacedUdp::start(
        guests[2].namespace(),
        (guests[1].namespace(), target),
        Duration::from_millis(1),
    )
    .unwrap();

    for planted in 1..=2 {
        plant(&guests[0]);
        wait_for("a panic", PATIENCE, || {
            (panics(&vswitch) == planted).then_some(())
        })
        .unwrap();
        assert!(pings(1, 2), "the port itself works on: a burst was lost, no more");
    }
    assert!(!vswitch.log().contains(QUARANTINED));
    let third = Instant::now();
    plant(&guests[0]);
    wait_for("the event", PATIENCE, || {
        vswitch.log().contains(QUARANTINED).then_some(())
    })
    .unwrap();
    let told_after = third.elapsed();
    assert!(told_after < Duration::from_secs(1), "{told_after:?}");
    let log = vswitch.log();
    assert_eq!(
        log.matches("a planted fault").count(),
        3,
        "each panic is told: {log}"
    );
    let ports = vswitch.ctl(&["-o", "json", "ports"]).unwrap();
    assert!(
        ports.contains(r#""port": "p1", "link": "quarantined""#),
        "{ports}"
    );
    assert_eq!(ports.matches(r#""link": "up""#).count(), 2, "{ports}");
    assert!(!pings(1, 2), "its packets are dropped");
    let drops = vswitch.ctl(&["drops"]).unwrap();
    assert!(drops.contains("quarantined"), "{drops}");
    let paced = others.finish();
    assert_eq!(paced.lost(), 0, "other ports lose nothing: {paced:?}");
}
