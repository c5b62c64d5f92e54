//! A guest of a standing lab: a namespace with a TAP of its own, which the switch of whatever host it is on holds. So its
//! interface, addresses and sockets stay when it moves, as those of a virtual machine do.

use std::net::IpAddr;
use std::time::Duration;

use anet_packet::addr::Mac;

use super::daemon::{detached_client, go_on, spawn, wait_ready};
use super::place::Place;
use super::state::GuestState;
use crate::description::{Description, GuestOf};
use crate::{Guest, LabError, Namespace, dhcp, wait_for};

/// How long an interface or a lease may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes a guest's namespace and interface. Nobody holds the interface's other end yet.
pub(super) fn make(place: &Place, name: &str) -> Result<(), LabError> {
    go_on()?;
    let namespace = place.namespace(name);
    namespace.make()?;
    dhcp::prepare(&namespace)?;
    let tap = [
        "tuntap",
        "add",
        "dev",
        Guest::INTERFACE,
        "mode",
        "tap",
        "vnet_hdr",
    ];
    namespace.ip(&tap).map(drop)
}

/// Makes a guest that no description has, with an interface of this MAC and address (`ADDRESS/LENGTH`), up and set by hand. It goes
/// with the lab. Nobody holds the interface's other end yet.
pub fn make_by_hand(place: &Place, name: &str, mac: Mac, address: &str) -> Result<Namespace, LabError> {
    make(place, name)?;
    let namespace = place.namespace(name);
    let mac = mac.to_string();
    namespace.ip(&["link", "set", Guest::INTERFACE, "address", &mac])?;
    namespace.add_address(Guest::INTERFACE, address)?;
    Ok(namespace)
}

/// Gives the interface its port's MAC and brings it up.
pub(super) fn bring_up(namespace: &Namespace, guest: &GuestState) -> Result<(), LabError> {
    namespace
        .ip(&["link", "set", Guest::INTERFACE, "address", &guest.mac, "up"])
        .map(drop)
}

/// Waits until the guest has the addresses of its port: by DHCP, or set by hand where a subnet has none.
pub(super) fn configure(
    place: &Place,
    lab: &Description,
    guest: GuestOf<'_>,
    state: &GuestState,
) -> Result<(), LabError> {
    let namespace = place.namespace(guest.name);
    let mut families = Vec::new();
    for address in &state.addresses {
        let subnets = lab
            .network_of(guest)
            .into_iter()
            .flat_map(|network| network.subnets.iter());
        let of = subnets.map(|(_, subnet)| subnet);
        let subnet = of
            .filter(|subnet| subnet.cidr.is_some_and(|cidr| cidr.contains(*address)))
            .last();
        match subnet {
            Some(subnet) if subnet.dhcp == Some(false) => {
                let length = subnet.cidr.map_or(32, |cidr| cidr.length());
                namespace.add_address(Guest::INTERFACE, &format!("{address}/{length}"))?;
            }
            _ if address.is_ipv4() => families.push(("-4", *address)),
            _ => families.push(("-6", *address)),
        }
    }
    // A client asks for one address; further ones of a family would be the guest's own affair.
    families.dedup_by_key(|(family, _)| *family);
    std::thread::scope(|scope| {
        let asking: Vec<_> = families
            .iter()
            .map(|(family, address)| scope.spawn(|| ask(place, guest.name, family, *address)))
            .collect();
        asking.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

/// Starts a DHCP client, which stays, and waits until the address is there.
fn ask(place: &Place, name: &str, family: &str, expected: IpAddr) -> Result<(), LabError> {
    let namespace = place.namespace(name);
    if family == "-6" {
        let what = format!("a link-local address of guest {name}: does a switch hold its interface?");
        let link_local = || dhcp::address(&namespace, Guest::INTERFACE, "-6", "link");
        wait_for(&what, PATIENCE, link_local)?;
    }
    let command = detached_client(&namespace, family, &place.member_folder(name))?;
    let log = place.member_folder(name).join(format!("dhclient{family}.log"));
    let client = format!("dhclient {family} of {name}");
    let process = spawn(command, &log, &client)?;
    wait_ready((&client, process, &log), PATIENCE, || {
        let found = dhcp::global_addresses(&namespace, Guest::INTERFACE).contains(&expected);
        let complete = family == "-4" || dhcp::knows_its_link(&namespace, Guest::INTERFACE);
        (found && complete).then_some(())
    })
}

/// The addresses that a guest's interface has now.
pub fn addresses_of(place: &Place, name: &str) -> Vec<IpAddr> {
    dhcp::global_addresses(&place.namespace(name), Guest::INTERFACE)
}
