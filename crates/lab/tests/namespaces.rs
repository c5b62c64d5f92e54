//! The lab's own parts, with the kernel's bridge between them.

use std::time::Duration;

use anet_lab::{Namespace, missing_for, probe, skip, wait_for, wire};

#[test]
fn two_namespaces_on_a_wire_ping_each_other_and_go_away() {
    if let Some(reason) = missing_for(&["ping"]) {
        return skip("two_namespaces_on_a_wire_ping_each_other_and_go_away", &reason);
    }
    let left = Namespace::new("left").unwrap();
    let right = Namespace::new("right").unwrap();
    let path = right.path();
    wire::direct((&left, "eth0"), (&right, "eth0")).unwrap();
    left.add_address("eth0", "192.0.2.1/24").unwrap();
    right.add_address("eth0", "192.0.2.2/24").unwrap();
    assert!(
        probe::ping(&left, "192.0.2.2".parse().unwrap(), 2)
            .unwrap()
            .all_answered()
    );
    drop(right);
    assert!(!path.exists());
    let gone = || (!left.has_interface("eth0")).then_some(());
    wait_for("a wire to go with its other end", Duration::from_secs(5), gone).unwrap();
}

#[test]
fn a_panic_leaves_no_namespace_and_no_process_behind() {
    if let Some(reason) = missing_for(&[]) {
        return skip("a_panic_leaves_no_namespace_and_no_process_behind", &reason);
    }
    let path = std::sync::Mutex::new(None);
    let outcome = std::panic::catch_unwind(|| {
        let namespace = Namespace::new("doomed").unwrap();
        let mut sleeper = namespace.command("sleep").arg("100").spawn().unwrap();
        std::thread::spawn(move || sleeper.wait());
        *path.lock().unwrap() = Some(namespace.path());
        panic!("planted");
    });
    assert!(outcome.is_err());
    assert!(
        !path
            .into_inner()
            .unwrap_or_else(|e| e.into_inner())
            .expect("was made")
            .exists()
    );
}

#[test]
fn sockets_made_inside_belong_to_the_namespace() {
    if let Some(reason) = missing_for(&[]) {
        return skip("sockets_made_inside_belong_to_the_namespace", &reason);
    }
    let namespace = Namespace::new("inside").unwrap();
    namespace.add_address("lo", "198.51.100.7/32").unwrap();
    let bind = || std::net::TcpListener::bind("198.51.100.7:0");
    assert!(bind().is_err(), "the address is not the machine's");
    assert!(namespace.enter(bind).unwrap().is_ok());
}
