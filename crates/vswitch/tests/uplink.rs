//! Two hosts and the way that large TCP segments take between them.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anet_lab::probe::TcpHold;
use anet_lab::{Folder, Guest, Namespace, Process, Vswitch, missing_for, skip, wait_for, wire};

const PATIENCE: Duration = Duration::from_secs(10);
const BYTES: usize = 8 << 20;

/// A host with one guest, numbered 1 or 2: underlay address and guest address end with the number.
struct Host {
    vswitch: Vswitch,
    namespace: Namespace,
    guest: Guest,
}

/// Two hosts on one wire. `None`, with the reason printed, where segments cannot leave whole here.
fn hosts(test: &str, six: bool) -> Option<[Host; 2]> {
    if let Some(reason) = missing_for(&[]) {
        skip(test, &reason);
        return None;
    }
    let spaces = [1, 2].map(|_| Namespace::new("host").unwrap());
    wire::direct((&spaces[0], "under"), (&spaces[1], "under")).unwrap();
    let hosts = [1_u8, 2].map(|n| {
        let namespace = spaces[usize::from(n) - 1].clone();
        namespace
            .add_address("under", &format!("{}{}", endpoint(six, n), prefix(six)))
            .unwrap();
        let guest = Guest::new("guest", format!("02:00:00:00:00:{n:02x}").parse().unwrap()).unwrap();
        let plan = plan(six, n, &guest.namespace().path().display().to_string());
        let vswitch = Vswitch::start(&namespace, &plan, &["--uplink", "auto"]).unwrap();
        guest.bring_up().unwrap();
        let address = format!("10.0.0.{n}/24");
        guest.namespace().add_address(Guest::INTERFACE, &address).unwrap();
        Host {
            vswitch,
            namespace,
            guest,
        }
    });
    for host in &hosts {
        if let Err(line) = found_way(&host.vswitch) {
            skip(test, &line);
            return None;
        }
    }
    Some(hosts)
}

/// Waits until the daemon has said how segments leave (the last time that it was started): an error where cut.
fn found_way(vswitch: &Vswitch) -> Result<(), String> {
    let line = wait_for("the way of large segments", PATIENCE, || {
        let log = vswitch.log();
        let line = log.lines().rfind(|line| line.contains("large TCP segments"));
        line.map(str::to_owned)
    });
    let line = line.unwrap();
    if line.contains("leave whole, through anet-") {
        Ok(())
    } else {
        Err(line)
    }
}

fn prefix(six: bool) -> &'static str {
    if six { "/64" } else { "/24" }
}

fn endpoint(six: bool, number: u8) -> String {
    if six {
        format!("fd09::{number}")
    } else {
        format!("10.9.0.{number}")
    }
}

/// The plan of host `n`; guests may receive any TCP.
fn plan(six: bool, n: u8, netns: &str) -> String {
    let other = 3 - n;
    let (ours, theirs) = (endpoint(six, n), endpoint(six, other));
    format!(
        "tunnel: {{address: \"{ours}\"}}\n\
         endpoints:\n  there: {{address: \"{theirs}\"}}\n\
         networks:\n  blue: {{vni: 10, mtu: 1430, endpoints: [there]}}\n\
         subnets:\n  blue-v4: {{network: blue, prefix: 10.0.0.0/24}}\n\
         security_groups:\n  g:\n    rules:\n      out: {{direction: egress, ethertype: IPv4}}\n      \
         in: {{direction: ingress, ethertype: IPv4, protocol: tcp}}\n\
         ports:\n  here: {{network: blue, mac: '02:00:00:00:00:0{n}', addresses: [10.0.0.{n}], \
         security_groups: [g], tap: {{interface: eth0, netns: {netns}}}}}\n\
         peers:\n  there: {{network: blue, mac: '02:00:00:00:00:0{other}', addresses: [10.0.0.{other}], \
         endpoint: there}}\n"
    )
}

/// Sends a pattern from one guest to the other, and checks every byte of it.
fn transfer(from: &Host, to: &Host, number: u8) {
    let listener = to
        .guest
        .namespace()
        .enter(|| TcpListener::bind(format!("10.0.0.{number}:0")).unwrap())
        .unwrap();
    let target = listener.local_addr().unwrap();
    let connect = || TcpStream::connect_timeout(&target, Duration::from_secs(5)).unwrap();
    let mut sender = from.guest.namespace().enter(connect).unwrap();
    let (mut receiver, _) = listener.accept().unwrap();
    let expected: Vec<u8> = (0..BYTES).map(|i| (i % 251 + i / 65_536) as u8).collect();
    for stream in [&sender, &receiver] {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            sender.write_all(&expected).unwrap();
            sender.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut received = Vec::with_capacity(BYTES);
        receiver.read_to_end(&mut received).unwrap();
        assert!(received == expected, "{} bytes, or others", received.len());
    });
}

/// Bytes and packets that a host's uplink TAP has taken.
fn taken(host: &Host) -> (usize, usize) {
    let name = &taps(&host.namespace)[0];
    let count = |what: &str| {
        let path = format!("/sys/class/net/{name}/statistics/rx_{what}");
        let text = host.namespace.run("cat", &[&path]).unwrap();
        text.trim().parse().unwrap()
    };
    (count("bytes"), count("packets"))
}

fn taps(namespace: &Namespace) -> Vec<String> {
    let text = namespace.ip(&["-o", "link", "show"]).unwrap();
    let names = text.lines().filter_map(|line| line.split(": ").nth(1));
    names
        .filter(|name| name.starts_with("anet-"))
        .map(str::to_owned)
        .collect()
}

fn check(test: &str, six: bool) {
    let Some([one, two]) = hosts(test, six) else {
        return;
    };
    transfer(&one, &two, 2);
    let (bytes, packets) = taken(&one);
    assert!(
        bytes > BYTES / 2 && bytes / packets > 10_000,
        "{packets} packets, {bytes} bytes"
    );
    transfer(&two, &one, 1);
    assert!(taken(&two).0 > BYTES / 2);
    let counters = one.vswitch.ctl(&["counters", "--output", "json"]).unwrap();
    let (_, rest) = counters
        .split_once("\"whole\":")
        .unwrap_or_else(|| panic!("{counters}"));
    let whole: String = rest
        .trim_start()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    // One was the trial's.
    assert!(whole.parse::<usize>().unwrap() + 1 >= packets, "{counters}");
}

#[test]
fn segments_cross_whole_over_an_ipv4_underlay() {
    check("segments_cross_whole_over_an_ipv4_underlay", false);
}

#[test]
fn segments_cross_whole_over_an_ipv6_underlay() {
    check("segments_cross_whole_over_an_ipv6_underlay", true);
}

#[test]
fn killed_it_finds_its_device_again_and_without_a_tunnel_it_goes() {
    let test = "killed_it_finds_its_device_again_and_without_a_tunnel_it_goes";
    let Some([mut one, two]) = hosts(test, false) else {
        return;
    };
    let target = "10.0.0.2:80".parse().unwrap();
    let hold = TcpHold::start(one.guest.namespace(), (two.guest.namespace(), target)).unwrap();
    let before = taps(&one.namespace);
    for times in 2..5 {
        one.vswitch.kill9();
        one.vswitch.start_again().unwrap();
        one.vswitch.wait_ready().unwrap();
        let said = || (one.vswitch.log().matches("leave whole").count() == times).then_some(());
        wait_for("the way of large segments", PATIENCE, said).unwrap();
        wait_for("the trial's device to go", PATIENCE, || {
            (taps(&one.namespace) == before).then_some(())
        })
        .unwrap();
    }
    let (bytes, _) = taken(&one);
    transfer(&one, &two, 2);
    assert!(taken(&one).0 - bytes > BYTES / 2);
    assert!(hold.is_alive(PATIENCE), "a connection is lost");
    // Also where the tunnel left the plan while no switch ran.
    one.vswitch.kill9();
    one.vswitch.write_plan("{}\n").unwrap();
    one.vswitch.start_again().unwrap();
    one.vswitch.wait_ready().unwrap();
    wait_for("the uplink TAP to go", PATIENCE, || {
        taps(&one.namespace).is_empty().then_some(())
    })
    .unwrap();
    two.vswitch.replace_plan("{}\n").unwrap();
    wait_for("the other's to go", PATIENCE, || {
        taps(&two.namespace).is_empty().then_some(())
    })
    .unwrap();
}

#[test]
fn where_it_may_not_segments_are_cut_and_the_log_says_why() {
    let test = "where_it_may_not_segments_are_cut_and_the_log_says_why";
    if let Some(reason) = missing_for(&["setpriv"]) {
        return skip(test, &reason);
    }
    let namespace = Namespace::new("host").unwrap();
    namespace.ip(&["link", "set", "lo", "up"]).unwrap();
    namespace.add_address("lo", "10.9.0.1/32").unwrap();
    let folder = Folder::new().unwrap();
    let plan = folder
        .write("plan.yaml", "tunnel: {address: 10.9.0.1}\n")
        .unwrap();
    for (way, line) in [
        (
            "auto",
            "port tunnel: large TCP segments are cut here and leave by UDP sockets: ",
        ),
        ("tap", "large segments cannot leave whole: "),
    ] {
        let mut command = namespace.command("setpriv");
        command.args(["--bounding-set", "-bpf,-sys_admin,-net_admin"]);
        command.arg(Vswitch::program().unwrap());
        command.args(["run", "--uplink", way, "--plan"]).arg(&plan);
        command.arg("--control").arg(folder.file(way));
        command.arg("--connections").arg(folder.file("connections"));
        let mut process = Process::spawn(way, command, &folder).unwrap();
        let log = process.log_path().to_owned();
        let said = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains(line));
        process.wait_ready(PATIENCE, said).unwrap();
        let text = process.log();
        let line = text.lines().find(|text| text.contains(line)).unwrap();
        assert!(line.contains("CAP_NET_ADMIN"), "{line}");
        assert_eq!(text.contains("port tunnel is attached"), way == "auto");
    }
}
