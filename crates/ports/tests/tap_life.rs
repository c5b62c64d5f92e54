//! A TAP's life: made, attached again, down, renamed, gone; its holder killed.

#![allow(clippy::unwrap_used)]

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use anet_memory::buffer::{Buffer, Pool};
use anet_packet::addr::Mac;
use anet_ports::kernel::tap::{self, Tap, TapIdentity, TapSettings};
use anet_ports::kernel::wait::Waiter;
use anet_ports::{Disposition, Link, Port, PortError, TransmitQueue};
use support::{Namespace, receive_until, skipped};

const MAC: Mac = Mac([2, 0, 0, 0, 0, 0x11]);

/// A guest namespace with a TAP that is up and has an address.
fn guest(address: &str) -> (Namespace, Tap) {
    let namespace = Namespace::new();
    let settings = TapSettings {
        namespace: Some(namespace.path()),
        mac: Some(MAC),
        ..TapSettings::named("tap0")
    };
    let tap = Tap::open(&settings).unwrap();
    namespace.run(&format!("ip addr add {address}/24 dev tap0"));
    namespace.run("ip link set tap0 up");
    (namespace, tap)
}

fn is_arp(buffer: &Buffer) -> bool {
    buffer.head().get(12..14) == Some(&[8, 6])
}

#[test]
fn a_persistent_tap_is_attached_again_after_its_holder() {
    if skipped("a_persistent_tap_is_attached_again_after_its_holder") {
        return;
    }
    let (namespace, mut tap) = guest("10.9.3.1");
    let settings = TapSettings {
        namespace: Some(namespace.path()),
        ..TapSettings::named("tap0")
    };
    let error = Tap::open(&settings).unwrap_err();
    assert!(error.to_string().contains("held by another process"), "{error}");
    tap.set_mtu(1400).unwrap();
    drop(tap);
    let mut again = Tap::open(&settings).unwrap();
    assert_eq!(
        (again.capabilities().mtu, again.mac().unwrap()),
        (1400, MAC),
        "the interface was there all the time"
    );
    let mut queue = again.receive_queue(0).unwrap();
    let sender = namespace.inside(|| std::net::UdpSocket::bind("10.9.3.1:0").unwrap());
    sender.send_to(&[1; 10], "10.9.3.2:9").unwrap();
    receive_until(&mut *queue, &Pool::default(), is_arp);
    again.set_carrier(false).unwrap();
    again.set_carrier(true).unwrap();
    again.remove_when_dropped().unwrap();
    drop((again, queue));
    let gone = namespace.inside(|| {
        anet_ports::kernel::interface::Interfaces::here()
            .unwrap()
            .index("tap0")
    });
    assert!(gone.is_err());
}

#[test]
fn an_interface_that_nobody_wants_any_more_is_found_and_removed_and_no_other() {
    if skipped("an_interface_that_nobody_wants_any_more_is_found_and_removed_and_no_other") {
        return;
    }
    let namespace = Namespace::new();
    let path = namespace.path();
    let settings = TapSettings {
        namespace: Some(path.clone()),
        ..TapSettings::named("tap0")
    };
    let there = || {
        let index = || {
            anet_ports::kernel::interface::Interfaces::here()
                .unwrap()
                .index("tap0")
        };
        namespace.inside(index).is_ok()
    };
    let tap = Tap::attach(&settings).unwrap();
    assert!(tap.is_new() && there());
    drop(tap);
    assert!(!there(), "until it is kept, it goes with its holder");

    let mut tap = Tap::attach(&settings).unwrap();
    let identity = tap.identity().unwrap();
    tap.keep().unwrap();
    let error = tap::remove(Some(&path), "tap0", identity).unwrap_err();
    assert!(error.to_string().contains("held by another process"), "{error}");
    drop(tap);
    let again = Tap::attach(&settings).unwrap();
    assert!(!again.is_new() && again.identity() == Some(identity));
    drop(again);
    for other in [
        TapIdentity {
            index: identity.index + 1,
            ..identity
        },
        TapIdentity {
            namespace: identity.namespace + 1,
            ..identity
        },
    ] {
        assert!(!tap::remove(Some(&path), "tap0", other).unwrap());
    }
    assert!(
        !tap::remove(None, "tap0", identity).unwrap(),
        "not in this namespace"
    );
    assert!(there());
    assert!(tap::remove(Some(&path), "tap0", identity).unwrap());
    assert!(!there());
    assert!(!tap::remove(Some(&path), "tap0", identity).unwrap());

    // Somebody else's, of the same name.
    namespace.run("ip tuntap add dev tap0 mode tap");
    assert!(!tap::remove(Some(&path), "tap0", identity).unwrap());
    assert!(there() && !Tap::attach(&settings).unwrap().is_new());
    assert!(!tap::remove(Some(&path.join("gone")), "tap0", identity).unwrap());
}

#[test]
fn an_interface_that_is_down_or_gone_is_an_outcome() {
    if skipped("an_interface_that_is_down_or_gone_is_an_outcome") {
        return;
    }
    let (namespace, mut tap) = guest("10.9.4.1");
    let (mut input, mut output) = (tap.receive_queue(0).unwrap(), tap.transmit_queue().unwrap());
    let (pool, mut burst) = (Pool::default(), Vec::new());
    let send = |output: &mut dyn TransmitQueue| {
        let mut burst: Vec<_> = (0..3).map(|_| pool.copy_from(&[2; 60]).unwrap()).collect();
        let outcome = output.transmit(&mut burst);
        assert!(burst.is_empty());
        (outcome.sent, outcome.dropped_error, outcome.error)
    };
    assert!(matches!(send(&mut *output), (3, 0, None)));
    assert_eq!(tap.link().unwrap(), Link { up: true, mtu: 1500 });
    tap.set_up(false).unwrap();
    namespace.run("ip link set tap0 mtu 1300");
    assert_eq!(
        (tap.link().unwrap(), tap.capabilities().mtu),
        (Link { up: false, mtu: 1300 }, 1300)
    );
    let (sent, dropped, error) = send(&mut *output);
    assert_eq!((sent, dropped), (0, 3));
    assert!(matches!(error, Some(PortError::Down { .. })), "{error:?}");
    assert_eq!(
        input.receive(&Pool::default(), &mut burst, 8).unwrap(),
        0,
        "silence, not an error"
    );
    tap.set_up(true).unwrap();
    assert!(
        matches!(send(&mut *output), (3, 0, None)),
        "up again without a new queue"
    );
    namespace.run("ip link set tap0 name other0");
    assert_eq!(tap.link().unwrap(), Link { up: true, mtu: 1300 });
    namespace.run("ip link del other0");
    assert!(matches!(tap.link(), Err(PortError::Gone { .. })));
    let (_, dropped, error) = send(&mut *output);
    assert_eq!(
        (dropped, error.map(|e| e.disposition())),
        (3, Some(Disposition::Detach))
    );
    let waiter = Waiter::new().unwrap();
    waiter.add(input.wait_descriptor().unwrap(), 1).unwrap();
    let mut ready = Vec::new();
    waiter.wait(Some(Duration::from_secs(5)), &mut ready).unwrap();
    assert_eq!(ready, [1], "a sleeper is told");
    let mut burst = Vec::new();
    let error = input.receive(&Pool::default(), &mut burst, 8).unwrap_err();
    assert_eq!(error.disposition(), Disposition::Detach, "{error}");
}

#[test]
fn a_name_that_is_taken_or_illegal_is_explained() {
    if skipped("a_name_that_is_taken_or_illegal_is_explained") {
        return;
    }
    let namespace = Namespace::new();
    let open = |name: &str| {
        Tap::open(&TapSettings {
            namespace: Some(namespace.path()),
            ..TapSettings::named(name)
        })
        .unwrap_err()
        .to_string()
    };
    assert!(open("lo").contains("is not a TAP"), "{}", open("lo"));
    assert!(open("a-name-that-is-too-long").contains("not an interface name"));
    assert!(open("").contains("not an interface name"));
    let settings = TapSettings {
        namespace: Some("/run/netns/none-such".into()),
        ..TapSettings::named("tap0")
    };
    assert!(
        Tap::open(&settings)
            .unwrap_err()
            .to_string()
            .contains("ip netns list")
    );
    namespace.run("ip tuntap add dev many mode tap multi_queue");
    let settings = TapSettings {
        namespace: Some(namespace.path()),
        ..TapSettings::named("many")
    };
    assert!(
        Tap::open(&settings).is_ok(),
        "one that was made with several queues is attached all the same"
    );
}

#[test]
fn child_that_holds_a_tap_and_is_killed() {
    let Ok(path) = std::env::var("ANET_PORTS_TAP_CHILD") else {
        return;
    };
    let settings = TapSettings {
        namespace: Some(path.into()),
        ..TapSettings::named("tap0")
    };
    let tap = Tap::open(&settings).unwrap();
    println!("attached {}", tap.name());
    std::thread::sleep(Duration::from_secs(30));
}

#[test]
fn a_killed_holder_takes_no_interface_away() {
    if skipped("a_killed_holder_takes_no_interface_away") {
        return;
    }
    use std::io::{BufRead, BufReader};
    let namespace = Namespace::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_holds_a_tap_and_is_killed", "--nocapture"])
        .env("ANET_PORTS_TAP_CHILD", namespace.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines
            .map_while(Result::ok)
            .any(|line| line.contains("attached tap0"))
    );
    namespace.run("ip link set tap0 up");
    child.kill().unwrap();
    child.wait().unwrap();
    let settings = TapSettings {
        namespace: Some(namespace.path()),
        ..TapSettings::named("tap0")
    };
    let tap = Tap::open(&settings).unwrap();
    let interfaces = namespace.inside(|| anet_ports::kernel::interface::Interfaces::here().unwrap());
    assert!(interfaces.is_up(tap.name()).unwrap(), "it stayed, and stayed up");
}
