//! How much of each noun one host plan may hold: bounds that [`HostPlan::validate`](crate::host_plan::HostPlan::validate) enforces.
//!
//! They exist so that no plan can make a table, a lookup or an answer to a guest unbounded. A plan beyond one of
//! them is refused whole with an error that names the limit; nothing is cut off silently. Who makes plans of an intent makes none
//! that is beyond: it leaves out what does not fit, in the order of ids, for that host alone, and says so as a problem of the host.

/// Networks of a host.
pub const NETWORKS: usize = 4_096;
/// Subnets of one network.
pub const SUBNETS_PER_NETWORK: usize = 64;
/// Endpoints of one network: each gets a copy of every broadcast.
pub const ENDPOINTS_PER_NETWORK: usize = 4_096;
/// Name servers of a subnet: eight IPv6 addresses fill a DHCPv6 option of 128 bytes.
pub const DNS_SERVERS_PER_SUBNET: usize = 8;
/// Host routes of a subnet: at most 9 bytes each, so that they fit one DHCP option 121 of 255 bytes (RFC 3442).
pub const HOST_ROUTES_PER_SUBNET: usize = 28;
/// The shortest DHCP lease, in seconds.
pub const LEASE_SECONDS_MINIMUM: u32 = 60;
/// Bytes of a DPDK device string.
pub const DPDK_DEVICE_BYTES: usize = 255;
/// Ports of a host.
pub const PORTS: usize = 4_096;
/// Fixed addresses of one port or peer.
pub const ADDRESSES_PER_STATION: usize = 64;
/// Allowed address pairs of one port.
pub const ADDRESS_PAIRS_PER_PORT: usize = 64;
/// Security groups of one port.
pub const SECURITY_GROUPS_PER_PORT: usize = 32;
/// Rules of all security groups of one port together.
pub const RULES_PER_PORT: usize = 4_096;
/// Different address sets that the rules of one port's groups name.
pub const ADDRESS_SETS_PER_PORT: usize = 256;
/// Remote tunnel endpoints of a host.
pub const ENDPOINTS: usize = 16_384;
/// Peers of a host.
pub const PEERS: usize = 1_000_000;
/// Security groups of a host.
pub const SECURITY_GROUPS: usize = 16_384;
/// Rules of all groups of a host together.
pub const RULES: usize = 262_144;
/// Address sets of a host.
pub const ADDRESS_SETS: usize = 16_384;
/// Members of one address set.
pub const MEMBERS_PER_ADDRESS_SET: usize = 131_072;
/// Members of all address sets of a host together.
pub const MEMBERS: usize = 2_000_000;
/// Bytes of an interface name (Linux `IFNAMSIZ` without the closing zero).
pub const INTERFACE_NAME_BYTES: usize = 15;
/// Bytes of a network namespace's path.
pub const NETNS_PATH_BYTES: usize = 255;
/// Bytes of a host name (RFC 1123, section 2.1).
pub const HOSTNAME_BYTES: usize = 253;
