//! The management network of a lab: a bridge that joins the controller and all hosts, and the two addresses by which this
//! machine reaches the controller. The controller has one address, which everybody uses.

use std::net::Ipv4Addr;
use std::process::Command;

use super::MANAGEMENT;
use super::daemon::go_on;
use super::place::Place;
use super::state::State;
use crate::{LabError, Namespace, output_of, wire};

/// The interface of the controller and of a host on the management network.
pub const INTERFACE: &str = "management0";
/// The controller's interface towards this machine.
const ACCESS: &str = "access0";
const BRIDGE: &str = "bridge";

/// The number of a member on the management network; the controller's comes first.
fn address(number: usize) -> Ipv4Addr {
    let first = MANAGEMENT
        .parse::<anet_packet::addr::IpPrefix>()
        .map(|range| range.address());
    match first {
        Ok(std::net::IpAddr::V4(first)) => {
            Ipv4Addr::from_bits(first.to_bits() + 1 + u32::try_from(number).unwrap_or_default())
        }
        _ => Ipv4Addr::UNSPECIFIED,
    }
}

/// Makes it. The controller's and all hosts' namespaces have to be there.
pub fn build(place: &Place, state: &State) -> Result<(), LabError> {
    let namespace = place.namespace("management");
    namespace.make()?;
    wire::add_bridge(&namespace, BRIDGE)?;
    let members = std::iter::once("controller").chain(state.description.hosts.names());
    for (number, name) in members.enumerate() {
        go_on()?;
        join(&place.namespace(name), &namespace, number)?;
        if number > 0 {
            let controller = format!("{}/32", state.controller_address());
            place
                .namespace(name)
                .ip(&["route", "add", &controller, "dev", INTERFACE])?;
        }
    }
    give_access(place, state)
}

fn join(member: &Namespace, management: &Namespace, number: usize) -> Result<(), LabError> {
    let far = format!("link-{number}");
    wire::direct((member, INTERFACE), (management, &far))?;
    management.ip(&["link", "set", &far, "master", BRIDGE])?;
    let length = MANAGEMENT.split('/').nth(1).unwrap_or("16");
    member.add_address(INTERFACE, &format!("{}/{length}", address(number)))
}

/// A wire between this machine and the controller. It goes with the controller's namespace.
fn give_access(place: &Place, state: &State) -> Result<(), LabError> {
    let (controller, interface) = (place.namespace("controller"), place.interface());
    let ip = |arguments: &[&str]| output_of(Command::new("ip").args(arguments)).map(drop);
    let peer = ["peer", "name", ACCESS, "netns", controller.name()];
    ip(&[&["link", "add", &interface, "type", "veth"][..], &peer].concat())?;
    let near = format!("{}/31", state.near_address);
    ip(&["address", "add", &near, "dev", &interface])?;
    ip(&["link", "set", &interface, "up"])?;
    controller.add_address(ACCESS, &format!("{}/31", state.controller_address()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn members_are_numbered_within_the_range() {
        assert_eq!(super::address(0).to_string(), "100.64.0.1");
        assert_eq!(super::address(300).to_string(), "100.64.1.45");
    }
}
