//! A Linux kernel VXLAN device as a peer: nothing but RFC 7348 between it and the fabric.

use anet_lab::probe::ping;
use anet_lab::{KernelVxlan, LabError};
use anet_packet::addr::{Mac, Vni};

use super::stage::Stage;
use crate::report::{Row, Seen};

const MACHINE: &str = "linux";
const MAC: Mac = Mac([2, 0, 0, 0, 0, 0x50]);
const ADDRESSES: [&str; 2] = ["10.0.0.50", "fd00:10::50"];

pub const ROWS: &[Row<Stage>] = &[Row {
    tried: "`anet foreign-endpoint create` for a Linux kernel VXLAN device, then ping both ways, IPv4 and IPv6",
    expected: "every request answered",
    run: linux_joins,
}];

fn linux_joins(stage: &mut Stage) -> Result<Seen, LabError> {
    let links = stage.state.description.links().map_err(LabError::Refused)?;
    let of = |member: &str| {
        links
            .iter()
            .find(|link| link.member == member)
            .map(|link| link.address)
    };
    let unknown = || LabError::Refused("the description has no such member".to_owned());
    let own = of(MACHINE).ok_or_else(unknown)?;
    let project = stage.state.description.projects.get("red").ok_or_else(unknown)?;
    let vni = project.networks.get("red-net").and_then(|network| network.vni);
    let vni = Vni::new(vni.unwrap_or_default()).map_err(|error| LabError::Refused(error.to_string()))?;
    let device = KernelVxlan::new(&stage.namespace(MACHINE), "vxlan0", vni, own)?;
    device.finish_packets()?;
    device.become_station(
        MAC,
        &ADDRESSES
            .map(|address| match address.contains(':') {
                true => format!("{address}/64"),
                false => format!("{address}/24"),
            })
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    )?;
    for host in stage.state.description.hosts.names() {
        device.flood_to(of(host).ok_or_else(unknown)?)?;
    }
    for (name, guest) in stage
        .state
        .guests
        .iter()
        .filter(|(name, _)| name.starts_with("red"))
    {
        let mac = guest.mac.parse().map_err(|_| LabError::NotUnderstood {
            what: format!("the MAC of {name}"),
            found: guest.mac.clone(),
        })?;
        device.forward(mac, of(&guest.host).ok_or_else(unknown)?)?;
    }
    stage.add_foreign_endpoint("red-net", own, (MAC, &ADDRESSES))?;
    let mut parts = Vec::new();
    for (number, address) in ADDRESSES.iter().enumerate() {
        let station = address.parse().map_err(|_| unknown())?;
        for guest in ["red-web-1", "red-web-2"] {
            let there = ping(&stage.namespace(guest), station, 3)?;
            let back = ping(&stage.namespace(MACHINE), stage.address(guest, number == 1)?, 3)?;
            let text = format!(
                "{guest} and {address}: {} of {}, back {} of {}",
                there.received, there.sent, back.received, back.sent
            );
            parts.push(Seen::new(there.all_answered() && back.all_answered(), text));
        }
    }
    Ok(Seen::all(parts))
}
