//! Wires between namespaces, and the underlay: one switched segment that hosts and foreign endpoints share.

use std::time::{Duration, Instant};

use crate::{LabError, Namespace};

/// A veth pair: `left.0` has interface `left.1`, `right.0` has `right.1`. Both ends are up, without addresses.
pub fn direct(left: (&Namespace, &str), right: (&Namespace, &str)) -> Result<(), LabError> {
    let arguments = [
        "link",
        "add",
        left.1,
        "type",
        "veth",
        "peer",
        "name",
        right.1,
        "netns",
        right.0.name(),
    ];
    left.0.ip(&arguments)?;
    left.0.ip(&["link", "set", left.1, "up"])?;
    right.0.ip(&["link", "set", right.1, "up"])?;
    carries(left)
}

/// Waits until the end that came up first has noticed the other: until then the kernel drops what is sent by it.
fn carries((namespace, interface): (&Namespace, &str)) -> Result<(), LabError> {
    let begun = Instant::now();
    while !namespace
        .ip(&["-o", "link", "show", interface])?
        .contains(" state UP ")
    {
        let waited = begun.elapsed();
        if waited > Duration::from_secs(5) {
            let what = format!("the carrier of interface {interface} in {}", namespace.name());
            return Err(LabError::Timeout { what, waited });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A Linux bridge in a namespace of its own, to which others are wired.
#[derive(Debug)]
pub struct Bridge {
    namespace: Namespace,
}

impl Bridge {
    const INTERFACE: &str = "bridge";

    /// A bridge without members.
    pub fn new(role: &str) -> Result<Self, LabError> {
        let namespace = Namespace::new(role)?;
        add_bridge(&namespace, Self::INTERFACE)?;
        Ok(Self { namespace })
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Wires `interface` of a namespace to the bridge and gives it an MTU and an address (`ADDRESS/LENGTH`).
    pub fn join(&self, member: &Namespace, interface: &str, mtu: u16, address: &str) -> Result<(), LabError> {
        // The far end is named after the member's number, which is unique in this process.
        let number = member.name().split('-').nth(2).unwrap_or_default();
        let far = format!("to-{number}-{interface}");
        let far = &far[..far.len().min(15)];
        direct((member, interface), (&self.namespace, far))?;
        let mtu = mtu.to_string();
        member.ip(&["link", "set", interface, "mtu", &mtu])?;
        self.namespace
            .ip(&["link", "set", far, "mtu", &mtu, "master", Self::INTERFACE])?;
        member.add_address(interface, address)
    }
}

/// Makes a bridge device inside a namespace, up, and forwarding from the first frame.
pub fn add_bridge(namespace: &Namespace, interface: &str) -> Result<(), LabError> {
    namespace.ip(&[
        "link",
        "add",
        interface,
        "type",
        "bridge",
        "forward_delay",
        "0",
        "mcast_snooping",
        "0",
    ])?;
    namespace.ip(&["link", "set", interface, "up"]).map(drop)
}
