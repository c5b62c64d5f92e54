//! Names and addresses that all programs are set up with.

/// The device on the guest's side.
pub const GUEST_DEVICE: &str = "net_null0";
/// The device on the underlay's side; in plain forwarding, the other guest's.
pub const UNDERLAY_DEVICE: &str = "net_null1";
/// How both are made: they hand out nothing by themselves, see `generator/control.c`.
pub const DEVICE_ARGUMENTS: &str = "no-rx=1";

/// The guest.
pub const GUEST_MAC: &str = "02:00:00:00:00:01";
/// Its IPv4 address.
pub const GUEST_IPV4: &str = "10.0.0.11";
/// Its IPv6 address.
pub const GUEST_IPV6: &str = "fd00::11";

/// The first remote station's MAC; the others have the ones that follow.
pub const PEER_MAC: &str = "02:00:00:00:01:00";
/// Its IPv4 address.
pub const PEER_IPV4: &str = "10.0.1.0";
/// Its IPv6 address.
pub const PEER_IPV6: &str = "fd00::1:0";
/// Remote stations in the rounds. A power of two.
pub const PEERS: u32 = 16;

/// The measured program's end of the tunnel.
pub const LOCAL_MAC: &str = "02:00:00:00:02:01";
/// Its address.
pub const LOCAL_IPV4: &str = "192.0.2.1";
/// The far end of the tunnel.
pub const REMOTE_MAC: &str = "02:00:00:00:02:02";
/// Its address.
pub const REMOTE_IPV4: &str = "192.0.2.2";
/// The network's VXLAN identifier.
pub const VNI: u32 = 10;
/// VXLAN's port (RFC 7348).
pub const UDP_PORT: u16 = 4789;

/// Ports at the peers that rules allow.
pub const ALLOWED_PORTS: (u16, u16) = (16_384, 32_767);

/// The MAC of a remote station, from 0.
pub fn peer_mac(number: u32) -> String {
    format!("02:00:00:00:{:02x}:{:02x}", 1 + (number >> 8), number & 0xff)
}

/// Its IPv4 address.
pub fn peer_ipv4(number: u32) -> String {
    format!("10.0.{}.{}", 1 + (number >> 8), number & 0xff)
}

/// Its IPv6 address.
pub fn peer_ipv6(number: u32) -> String {
    format!("fd00::1:{number:x}")
}

/// A device with its arguments, as EAL wants it.
pub fn device(name: &str) -> String {
    format!("{name},{DEVICE_ARGUMENTS}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_peer_is_where_the_others_begin() {
        assert_eq!(
            (peer_mac(0), peer_ipv4(0), peer_ipv6(0)),
            (PEER_MAC.into(), PEER_IPV4.into(), PEER_IPV6.into())
        );
        assert_eq!(peer_mac(257), "02:00:00:00:02:01");
        assert_eq!(peer_ipv4(257), "10.0.2.1");
        assert_eq!(peer_ipv6(257), "fd00::1:101");
    }
}
