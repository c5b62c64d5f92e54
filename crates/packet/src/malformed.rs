//! Why a frame is refused by its form alone: a closed list, each reason a drop reason with a counter.

use std::fmt;

/// What is wrong with a frame. A bad packet is a verdict, not an error: nobody logs it, somebody counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Malformed {
    /// Shorter than an Ethernet header, or than its VLAN tag promises.
    EthernetTruncated,
    /// The source MAC is a group address or all zero.
    EthernetSource,
    /// Shorter than an ARP packet for Ethernet and IPv4 (28 bytes).
    ArpTruncated,
    /// ARP for other hardware or protocol types than Ethernet and IPv4, or with other address lengths.
    ArpFormat,
    /// Shorter than an IPv4 header.
    Ipv4Truncated,
    /// EtherType IPv4, another version inside.
    Ipv4Version,
    /// The header length is under 20 bytes, or longer than the packet.
    Ipv4HeaderLength,
    /// The total length is shorter than the header, or longer than the packet.
    Ipv4TotalLength,
    /// The header checksum is wrong.
    Ipv4Checksum,
    /// The source is a multicast, broadcast or loopback address.
    Ipv4Source,
    /// The options do not parse.
    Ipv4Options,
    /// Loose or strict source routing (RFC 7126 advises to drop it).
    Ipv4SourceRoute,
    /// Shorter than an IPv6 header.
    Ipv6Truncated,
    /// EtherType IPv6, another version inside.
    Ipv6Version,
    /// The payload length is longer than the packet.
    Ipv6PayloadLength,
    /// The source is a multicast, loopback or IPv4-mapped address.
    Ipv6Source,
    /// An extension header ends behind the packet.
    Ipv6ExtensionTruncated,
    /// More extension headers than anybody needs, hop-by-hop options that are not first, or two fragment headers.
    Ipv6ExtensionChain,
    /// A routing header of type 0 that is still to be followed (RFC 5095).
    Ipv6SourceRoute,
    /// The headers reach further into the packet than the switch looks.
    HeadersTooLong,
    /// A fragment is empty, has a length that is no multiple of 8 though more follow, or ends behind byte 65,535.
    FragmentBounds,
    /// A fragment that splits the transport header (RFC 1858, RFC 7112).
    FragmentTiny,
    /// Shorter than a TCP header.
    TcpTruncated,
    /// The data offset is under 20 bytes, or behind the packet.
    TcpDataOffset,
    /// Shorter than a UDP header.
    UdpTruncated,
    /// The UDP length is under 8 bytes, or longer than the packet.
    UdpLength,
    /// Shorter than an ICMP header.
    IcmpTruncated,
    /// Shorter than an ICMPv6 header.
    Icmpv6Truncated,
    /// An ICMP error that quotes too little, or nothing that is IP.
    IcmpQuote,
    /// Neighbor discovery that came over a router, has a wrong code, or addresses that RFC 4861 forbids.
    NdpForm,
    /// A neighbor discovery message shorter than its fixed part.
    NdpTruncated,
    /// A neighbor discovery option of length zero, or longer than the message.
    NdpOption,
    /// Shorter than a VXLAN header.
    VxlanTruncated,
    /// A VXLAN header without the I flag.
    VxlanFlags,
}

impl Malformed {
    /// Every reason, in the order of their numbers: `ALL[reason.index()] == reason`.
    pub const ALL: [Malformed; 34] = {
        use Malformed::*;
        [
            EthernetTruncated,
            EthernetSource,
            ArpTruncated,
            ArpFormat,
            Ipv4Truncated,
            Ipv4Version,
            Ipv4HeaderLength,
            Ipv4TotalLength,
            Ipv4Checksum,
            Ipv4Source,
            Ipv4Options,
            Ipv4SourceRoute,
            Ipv6Truncated,
            Ipv6Version,
            Ipv6PayloadLength,
            Ipv6Source,
            Ipv6ExtensionTruncated,
            Ipv6ExtensionChain,
            Ipv6SourceRoute,
            HeadersTooLong,
            FragmentBounds,
            FragmentTiny,
            TcpTruncated,
            TcpDataOffset,
            UdpTruncated,
            UdpLength,
            IcmpTruncated,
            Icmpv6Truncated,
            IcmpQuote,
            NdpForm,
            NdpTruncated,
            NdpOption,
            VxlanTruncated,
            VxlanFlags,
        ]
    };

    /// Its place in [`Self::ALL`], for a table of counters.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The counter's name: lower case, words joined by `_`.
    pub const fn name(self) -> &'static str {
        self.describe().0
    }

    /// What is wrong, as a user reads it in a trace.
    pub const fn text(self) -> &'static str {
        self.describe().1
    }

    const fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::EthernetTruncated => ("ethernet_truncated", "shorter than an Ethernet header"),
            Self::EthernetSource => ("ethernet_source", "the source MAC is a group address or zero"),
            Self::ArpTruncated => ("arp_truncated", "shorter than an ARP packet"),
            Self::ArpFormat => ("arp_format", "ARP for something else than Ethernet and IPv4"),
            Self::Ipv4Truncated => ("ipv4_truncated", "shorter than an IPv4 header"),
            Self::Ipv4Version => ("ipv4_version", "EtherType IPv4 with another IP version inside"),
            Self::Ipv4HeaderLength => (
                "ipv4_header_length",
                "IPv4 header length below 20 or past the packet",
            ),
            Self::Ipv4TotalLength => (
                "ipv4_total_length",
                "IPv4 total length below the header or past the packet",
            ),
            Self::Ipv4Checksum => ("ipv4_checksum", "wrong IPv4 header checksum"),
            Self::Ipv4Source => ("ipv4_source", "IPv4 source is multicast, broadcast or loopback"),
            Self::Ipv4Options => ("ipv4_options", "IPv4 options that do not parse"),
            Self::Ipv4SourceRoute => ("ipv4_source_route", "IPv4 source routing"),
            Self::Ipv6Truncated => ("ipv6_truncated", "shorter than an IPv6 header"),
            Self::Ipv6Version => ("ipv6_version", "EtherType IPv6 with another IP version inside"),
            Self::Ipv6PayloadLength => ("ipv6_payload_length", "IPv6 payload length past the packet"),
            Self::Ipv6Source => ("ipv6_source", "IPv6 source is multicast, loopback or IPv4-mapped"),
            Self::Ipv6ExtensionTruncated => (
                "ipv6_extension_truncated",
                "an IPv6 extension header ends past the packet",
            ),
            Self::Ipv6ExtensionChain => (
                "ipv6_extension_chain",
                "IPv6 extension headers too many or misplaced",
            ),
            Self::Ipv6SourceRoute => ("ipv6_source_route", "IPv6 routing header type 0"),
            Self::HeadersTooLong => ("headers_too_long", "headers reach further than the switch looks"),
            Self::FragmentBounds => ("fragment_bounds", "a fragment's length or offset cannot be"),
            Self::FragmentTiny => ("fragment_tiny", "a fragment splits the transport header"),
            Self::TcpTruncated => ("tcp_truncated", "shorter than a TCP header"),
            Self::TcpDataOffset => ("tcp_data_offset", "TCP data offset below 20 or past the packet"),
            Self::UdpTruncated => ("udp_truncated", "shorter than a UDP header"),
            Self::UdpLength => ("udp_length", "UDP length below 8 or past the packet"),
            Self::IcmpTruncated => ("icmp_truncated", "shorter than an ICMP header"),
            Self::Icmpv6Truncated => ("icmpv6_truncated", "shorter than an ICMPv6 header"),
            Self::IcmpQuote => ("icmp_quote", "an ICMP error quotes too little of a packet"),
            Self::NdpForm => (
                "ndp_form",
                "neighbor discovery with forbidden hop limit, code or addresses",
            ),
            Self::NdpTruncated => ("ndp_truncated", "shorter than its neighbor discovery message"),
            Self::NdpOption => (
                "ndp_option",
                "a neighbor discovery option of no length or past the message",
            ),
            Self::VxlanTruncated => ("vxlan_truncated", "shorter than a VXLAN header"),
            Self::VxlanFlags => ("vxlan_flags", "a VXLAN header without a valid VNI"),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::Malformed;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_has_its_place_and_a_name_of_its_own() {
        for (place, reason) in Malformed::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place, "{reason:?}");
        }
        assert_eq!(
            Malformed::VxlanFlags.index() + 1,
            Malformed::ALL.len(),
            "the last variant ends the list"
        );
        let names: BTreeSet<_> = Malformed::ALL.iter().map(|r| r.name()).collect();
        let texts: BTreeSet<_> = Malformed::ALL.iter().map(|r| r.to_string()).collect();
        assert_eq!(
            (names.len(), texts.len()),
            (Malformed::ALL.len(), Malformed::ALL.len())
        );
    }
}
