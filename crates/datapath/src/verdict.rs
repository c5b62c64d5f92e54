//! What becomes of a packet, and the closed list of reasons for a drop.

use std::fmt;

use anet_packet::Malformed;

/// Why a packet was dropped. Closed: each has a counter, a text, a stage, and a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DropReason {
    /// The frame breaks its protocol's format.
    Malformed,
    /// The outer headers are not VXLAN to this host.
    NotVxlan,
    /// The underlay marked congestion on a packet whose sender does not understand it (RFC 6040 section 4.2).
    CongestionNotCapable,
    /// The VNI is of no network on this host.
    UnknownVni,
    /// The outer source is not an endpoint of the VNI.
    UnknownEndpoint,
    /// No such port, or the port is administratively down.
    PortDown,
    /// The port's quarantine: its packets panicked a worker.
    Quarantined,
    /// The source MAC is a group address or zero.
    SourceMacInvalid,
    /// The source MAC is not one of the port's.
    SpoofedMac,
    /// The IPv4 source is not one of the port's.
    SpoofedIpv4,
    /// The IPv6 source is not one of the port's.
    SpoofedIpv6,
    /// An ARP sender address is not one of the port's.
    SpoofedArp,
    /// A neighbour advertisement's or solicitation's address is not one of the port's.
    SpoofedNd,
    /// A frame from the overlay bears the MAC of a port of this host.
    SourceIsLocal,
    /// A frame from the overlay bears the MAC of a station behind another endpoint.
    SourceIsElsewhere,
    /// A DHCP server's message from a guest.
    DhcpServerFromGuest,
    /// A router advertisement or redirect from a guest.
    RouterAdvertisementFromGuest,
    /// Neither IPv4, IPv6 nor ARP; ports with port security send nothing else.
    EtherTypeForbidden,
    /// A VLAN tag, which no port carries yet.
    VlanTagged,
    /// A link-local group that bridges do not forward (IEEE 802.1D, 01:80:c2:00:00:0x).
    ReservedMulticast,
    /// The port's budget of ARP, ND, DHCP, broadcast and multicast is spent.
    ControlBudget,
    /// The port's budget of new flows is spent.
    NewFlowBudget,
    /// An ARP or ND request for an address that nobody in the network has.
    UnknownTarget,
    /// A DHCP message that is not answered (another server's, malformed, a release).
    DhcpUnanswered,
    /// No station of the network has the destination MAC.
    UnknownDestination,
    /// The destination is the port it came from.
    Hairpin,
    /// No rule of the source port's groups allows it out.
    FirewallEgress,
    /// No rule of the destination port's groups allows it in.
    FirewallIngress,
    /// A later fragment whose first one is not known, and no rule for any protocol allows it.
    FragmentWithoutFirst,
    /// TCP in mid-stream without a connection, and loose pick-up is off.
    NotAConnection,
    /// An ICMP error about no known connection.
    UnrelatedError,
    /// The connection table is full.
    ConnectionTableFull,
    /// The port's budget of connections is spent.
    ConnectionBudget,
    /// Larger than the network's MTU.
    TooBig,
    /// The network has no local tunnel endpoint or the remote one is gone.
    NoTunnel,
    /// No buffer for the packet, a copy or a reply.
    NoBuffer,
    /// Broadcast or multicast to a network without other members.
    NoMembers,
    /// Lost in front of the switch, where the system can tell.
    ReceiveQueueFull,
}

impl DropReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [DropReason; 38] = {
        use DropReason::*;
        [
            Malformed,
            NotVxlan,
            CongestionNotCapable,
            UnknownVni,
            UnknownEndpoint,
            PortDown,
            Quarantined,
            SourceMacInvalid,
            SpoofedMac,
            SpoofedIpv4,
            SpoofedIpv6,
            SpoofedArp,
            SpoofedNd,
            SourceIsLocal,
            SourceIsElsewhere,
            DhcpServerFromGuest,
            RouterAdvertisementFromGuest,
            EtherTypeForbidden,
            VlanTagged,
            ReservedMulticast,
            ControlBudget,
            NewFlowBudget,
            UnknownTarget,
            DhcpUnanswered,
            UnknownDestination,
            Hairpin,
            FirewallEgress,
            FirewallIngress,
            FragmentWithoutFirst,
            NotAConnection,
            UnrelatedError,
            ConnectionTableFull,
            ConnectionBudget,
            TooBig,
            NoTunnel,
            NoBuffer,
            NoMembers,
            ReceiveQueueFull,
        ]
    };

    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The number: an index into [`DropReason::ALL`].
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// From a number.
    pub fn from_index(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }

    /// The name in counters, CLI and API.
    pub const fn name(self) -> &'static str {
        self.texts().0
    }

    /// A sentence for people: what happened and what to look at.
    pub const fn explanation(self) -> &'static str {
        self.texts().1
    }

    const fn texts(self) -> (&'static str, &'static str) {
        TEXTS[self.index()]
    }
}

/// Name and explanation of each reason, in the order of [`DropReason::ALL`].
const TEXTS: [(&str, &str); DropReason::COUNT] = [
    ("malformed", "the frame breaks its protocol's format"),
    (
        "not_vxlan",
        "the frame from the underlay is not VXLAN to this host's tunnel endpoint",
    ),
    (
        "congestion_not_capable",
        "the underlay marked congestion on a packet whose sender is not ECN-capable",
    ),
    ("unknown_vni", "no network on this host has the frame's VNI"),
    (
        "unknown_endpoint",
        "the outer source is not an endpoint of the network; add it to the plan if it should be",
    ),
    ("port_down", "the port is unknown or administratively down"),
    (
        "quarantined",
        "packets of this port made a worker panic; it is closed for a while",
    ),
    ("source_mac_invalid", "the source MAC is a group address or zero"),
    (
        "spoofed_mac",
        "the source MAC is not the port's nor one of its allowed address pairs",
    ),
    (
        "spoofed_ipv4",
        "the IPv4 source is not the port's nor one of its allowed address pairs",
    ),
    (
        "spoofed_ipv6",
        "the IPv6 source is not the port's nor one of its allowed address pairs",
    ),
    ("spoofed_arp", "the ARP sender is not the port's MAC and address"),
    (
        "spoofed_nd",
        "the neighbour discovery message speaks for an address that is not the port's",
    ),
    (
        "source_is_local",
        "a frame from the overlay bears the MAC of a port of this host",
    ),
    (
        "source_is_elsewhere",
        "a frame from the overlay bears the MAC of a station that the plan has behind another endpoint",
    ),
    ("dhcp_server_from_guest", "guests may not answer as DHCP servers"),
    (
        "router_advertisement_from_guest",
        "guests may not send router advertisements or redirects",
    ),
    (
        "ether_type_forbidden",
        "a port with port security sends IPv4, IPv6 and ARP only",
    ),
    (
        "vlan_tagged",
        "the frame is VLAN-tagged and the port is not a trunk",
    ),
    (
        "reserved_multicast",
        "bridges do not forward this link-local group",
    ),
    (
        "control_budget",
        "the port's budget of broadcast, multicast, ARP, ND and DHCP is spent",
    ),
    ("new_flow_budget", "the port's budget of new flows is spent"),
    (
        "unknown_target",
        "nobody in the network has the address asked for",
    ),
    (
        "dhcp_unanswered",
        "a DHCP message that this host has no answer to",
    ),
    (
        "unknown_destination",
        "nobody in the network has the destination MAC",
    ),
    ("hairpin", "the destination is the port that it came from"),
    (
        "firewall_egress",
        "no rule of the source port's security groups allows it; add an egress rule",
    ),
    (
        "firewall_ingress",
        "no rule of the destination port's security groups allows it; add an ingress rule",
    ),
    (
        "fragment_without_first",
        "a later fragment that came before its packet's first one, or long after it, and no rule for any protocol allows it",
    ),
    (
        "not_a_connection",
        "TCP in mid-stream that belongs to no known connection (loose pick-up is off)",
    ),
    ("unrelated_error", "an ICMP error about no known connection"),
    ("connection_table_full", "the host's connection table is full"),
    ("connection_budget", "the port's budget of connections is spent"),
    ("too_big", "larger than the network's MTU"),
    (
        "no_tunnel",
        "this host has no tunnel endpoint, or the remote one is gone from the plan",
    ),
    (
        "no_buffer",
        "the worker's pool had no buffer for the packet, a copy or a reply",
    ),
    (
        "no_members",
        "broadcast or multicast in a network without other members",
    ),
    (
        "receive_queue_full",
        "lost in front of the switch: the worker did not come round before the system's queue was full",
    ),
];

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Malformed> for DropReason {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::EthernetSource => DropReason::SourceMacInvalid,
            _ => DropReason::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_list_is_closed_and_every_reason_has_its_own_name() {
        let names: HashSet<_> = DropReason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), DropReason::COUNT);
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert_eq!(DropReason::from_index(index), Some(*reason));
            assert!(!reason.explanation().is_empty());
        }
    }
}
