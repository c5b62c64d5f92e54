//! A layout, its plans as text, and the namespaces it becomes.
#![allow(clippy::unwrap_used, reason = "a test may")]

use anet_lab::fabric::{Fabric, Layout, tcp};
use anet_lab::{Guest, Vswitch, missing_for, probe, skip};
use anet_wire::plan_text;

#[test]
fn plans_survive_their_text_form() {
    let layout = Layout::two_hosts(&[("web", tcp(80))]);
    for host in layout.hosts.iter().filter(|host| !host.foreign) {
        let plan = layout.host_plan(host, |guest| Some(format!("/run/netns/{}", guest.name).into()));
        assert_eq!(plan_text::parse(&plan_text::to_text(&plan)).unwrap(), plan);
    }
}

#[test]
fn hosts_and_foreign_endpoint_share_an_underlay() {
    if let Some(reason) = missing_for(&["ping", "bridge"]) {
        return skip("hosts_and_foreign_endpoint_share_an_underlay", &reason);
    }
    let fabric = Fabric::build(Layout::two_hosts(&[]), plan_text::to_text).unwrap();
    for host in &fabric.layout.hosts {
        let pings = probe::ping(fabric.namespace("host-a"), host.address.into(), 1).unwrap();
        assert!(pings.all_answered(), "{}", host.name);
    }
    assert!(fabric.namespace("linux-50").has_interface("vxlan0"));
}

#[test]
fn guests_of_two_hosts_get_addresses_and_reach_each_other() {
    let name = "guests_of_two_hosts_get_addresses_and_reach_each_other";
    let not_built = Vswitch::program().err().map(|error| error.to_string());
    if let Some(reason) = missing_for(&["ping", "dhclient"]).or(not_built) {
        return skip(name, &reason);
    }
    let mut fabric = Fabric::build(Layout::two_hosts(&[]), plan_text::to_text).unwrap();
    fabric.start(&[]).unwrap();
    for (family, ask) in [Guest::dhcp4, Guest::dhcp6].into_iter().enumerate() {
        for (guest, address) in fabric.configure_by_dhcp(ask) {
            assert_eq!(
                address.unwrap(),
                fabric.layout.addresses(guest)[family],
                "{guest}"
            );
        }
    }
    let counters = fabric
        .vswitch_mut("host-a")
        .ctl(&["-o", "json", "counters"])
        .unwrap();
    let tunnel = r#""tunnel": [{"port": "tunnel", "too_big": 0, "queue_full": 0, "refused": "#;
    assert!(counters.contains(tunnel), "{counters}");
    for (from, to) in [
        ("blue-11", "blue-12"),
        ("blue-11", "blue-13"),
        ("green-13", "green-11"),
        ("linux-50", "blue-14"),
    ] {
        for address in fabric.layout.addresses(to) {
            let pings = probe::ping(fabric.namespace(from), address, 2).unwrap();
            assert!(pings.all_answered(), "{from} to {to} at {address}: {pings:?}");
        }
    }
}
