//! Guests get their addresses from the switch, by the DHCP clients that people use.

use std::net::IpAddr;

use anet_lab::fabric::Fabric;
use anet_lab::{Guest, LabError};

use crate::report::{Row, Seen};

pub const ROWS: &[Row<Fabric>] = &[
    Row {
        tried: "all six guests run `dhclient -4`",
        expected: "each gets the address that its host's plan gives it",
        run: |fabric| Ok(configure(fabric, 0, Guest::dhcp4)),
    },
    Row {
        tried: "all six guests run `dhclient -6`",
        expected: "each gets the address that its host's plan gives it",
        run: |fabric| Ok(configure(fabric, 1, Guest::dhcp6)),
    },
];

/// `family`: 0 for IPv4, 1 for IPv6.
fn configure(
    fabric: &mut Fabric,
    family: usize,
    ask: impl Fn(&mut Guest) -> Result<IpAddr, LabError> + Sync,
) -> Seen {
    let answers = fabric.configure_by_dhcp(ask);
    Seen::all(answers.into_iter().map(|(guest, answer)| match answer {
        Ok(address) => Seen::new(
            address == fabric.layout.addresses(guest)[family],
            format!("{guest} {address}"),
        ),
        Err(error) => Seen::new(false, format!("{guest}: {error}")),
    }))
}
