//! Whose an address is, as seen from the port that asks: the one question behind ARP, ND and echo.

use std::net::IpAddr;

use anet_packet::addr::Mac;

use super::{PortView, SERVICE_ADDRESS_V4};

/// Whose an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The asking guest's own.
    Asker,
    /// Another station's.
    Station(Mac),
    /// The fabric's own: gateway, DHCP server.
    Service,
}

/// Whose `address` is, where `asker` is the MAC the question came from (the port's own, or one it is allowed to use).
///
/// A station that has the gateway's address (a guest that routes) comes before the service.
pub(super) fn of(
    address: IpAddr,
    asker: Mac,
    port: &PortView<'_>,
    resolve: impl Fn(IpAddr) -> Option<Mac>,
) -> Option<Owner> {
    if address == IpAddr::V6(port.service_mac.link_local()) {
        return Some(Owner::Service);
    }
    if port.addresses.contains(&address) || address == IpAddr::V6(port.mac.link_local()) {
        return Some(Owner::Asker);
    }
    match resolve(address) {
        Some(mac) if mac == asker || mac == port.mac => Some(Owner::Asker),
        Some(mac) if mac == port.service_mac => Some(Owner::Service),
        Some(mac) => Some(Owner::Station(mac)),
        None if is_service(address, port) => Some(Owner::Service),
        None => None,
    }
}

fn is_service(address: IpAddr, port: &PortView<'_>) -> bool {
    port.is_gateway(address) || (address == IpAddr::V4(SERVICE_ADDRESS_V4) && port.lease_v4().is_some())
}
