//! The underlay of a lab: a bridge, or a router, in a namespace of its own.

use super::daemon::go_on;
use super::place::Place;
use crate::description::{Description, Link, UnderlayKind};
use crate::{LabError, Namespace, wire};

/// The interface of a host or machine on the underlay.
pub const INTERFACE: &str = "underlay0";
const BRIDGE: &str = "bridge";

/// Makes it, and wires every host and machine to it. Their namespaces have to be there.
pub fn build(place: &Place, lab: &Description) -> Result<(), LabError> {
    let namespace = place.namespace("underlay");
    namespace.make()?;
    match lab.underlay.kind {
        UnderlayKind::Switched => wire::add_bridge(&namespace, BRIDGE)?,
        UnderlayKind::Routed => {
            namespace.sysctl("net.ipv4.ip_forward", "1")?;
            namespace.sysctl("net.ipv6.conf.all.forwarding", "1")?;
            // A router asks for neighbours by its link-local addresses: they are usable at once.
            namespace.sysctl("net.ipv6.conf.default.accept_dad", "0")?;
        }
    }
    let links = lab.links().map_err(LabError::Refused)?;
    for (number, link) in links.iter().enumerate() {
        go_on()?;
        let member = place.namespace(&link.member);
        connect(
            (&member, &namespace),
            &format!("link-{number}"),
            lab.underlay.mtu,
            link,
        )?;
        if let Some(router) = link.router {
            let (range, router) = (lab.underlay.range().to_string(), router.to_string());
            member.ip(&["route", "add", &range, "via", &router, "dev", INTERFACE])?;
        }
    }
    Ok(())
}

/// One link: addresses at one end, or at both where the far end is a router.
fn connect(
    (member, underlay): (&Namespace, &Namespace),
    far: &str,
    mtu: u16,
    link: &Link,
) -> Result<(), LabError> {
    wire::direct((member, INTERFACE), (underlay, far))?;
    let mtu = mtu.to_string();
    member.ip(&["link", "set", INTERFACE, "mtu", &mtu])?;
    underlay.ip(&["link", "set", far, "mtu", &mtu])?;
    member.add_address(INTERFACE, &format!("{}/{}", link.address, link.length))?;
    match link.router {
        Some(router) => underlay.add_address(far, &format!("{router}/{}", link.length)),
        None => underlay.ip(&["link", "set", far, "master", BRIDGE]).map(drop),
    }
}
