//! Responders: what the host answers in the network's name. ARP, neighbor discovery, router advertisements, DHCPv4,
//! DHCPv6, and echo to the service's own addresses.
//!
//! Each responder is a pure function: a guest's frame and a [`PortView`] of the objects that concern it in, an
//! [`Outcome`] and the reply's bytes out. They stand in the pipeline's `respond` stage, behind `guard` (which has seen
//! to it that the guest sends from its own addresses) and in front of the firewall. They know no tables, hold no
//! state, read no clock, and must not trust a byte: a request is at most [`REQUEST_MAX`] bytes, a reply at most
//! [`REPLY_MAX`], and whatever is wrong is a [`Refusal`].
//!
//! [`answer`] asks the responder whose protocol the frame is. Guests that play a DHCP server or a router are the
//! guard's business; [`classify`] names such frames.

pub mod arp;
pub mod classify;
pub mod dhcp_v4;
pub mod dhcp_v6;
pub mod echo;
mod frame;
pub mod neighbor;
mod owner;
pub mod router_advertisement;
mod view;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};

use anet_memory::buffer::Checksum;
use anet_packet::addr::Mac;
use anet_packet::{Layout, Malformed};

pub use view::{PortView, SubnetView};

/// The MAC of the fabric's own station in every network: gateway, DHCP server, source of router advertisements.
///
/// Locally administered (bit 1 of the first byte), not a group address, and the same on every host, so that a guest
/// that moves keeps its neighbor entries. No port may have it.
pub const SERVICE_MAC: Mac = Mac([0x0a, 0x6e, 0x65, 0x74, 0x00, 0x01]);

/// The IPv4 address of the service in networks without a gateway (RFC 3927 link-local): DHCP's server identifier.
pub const SERVICE_ADDRESS_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Bytes of the longest request that a responder reads, Ethernet header included.
pub const REQUEST_MAX: usize = 1514;

/// Bytes of the longest reply, Ethernet header included. Echo replies are as long as their request.
pub const REPLY_MAX: usize = 1514;

/// A frame that a guest sent, its form checked by [`anet_packet::layout`].
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The frame's head, from the first byte of the Ethernet header; padding behind the packet is allowed.
    pub bytes: &'a [u8],
    /// Where its headers are.
    pub layout: &'a Layout,
    /// What is known of its transport checksum: only [`Checksum::Unknown`] is verified here.
    pub checksum: Checksum,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// No message for a responder: the frame goes on through the pipeline. `out` is empty.
    NotForUs,
    /// `out` holds the frame to deliver to the port that asked.
    Reply(Reply),
    /// It was for us, and the right answer is none. The frame ends here without being a fault.
    Silent(Silence),
    /// The guest announces an address as its own (gratuitous ARP, unsolicited advertisement). Whoever keeps count of
    /// shared addresses takes note; the frame itself goes on to the members of the network.
    Announcement(IpAddr),
    /// The guest asks for an address that nobody in the network is known to have. To be dropped, with that reason.
    Unknown(IpAddr),
    /// Malformed or forbidden. To be dropped, with that reason.
    Refused(Refusal),
}

/// The kind of a reply, for counters and traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reply {
    /// ARP reply.
    Arp,
    /// Neighbor advertisement.
    NeighborAdvertisement,
    /// Router advertisement.
    RouterAdvertisement,
    /// DHCPOFFER.
    DhcpOffer,
    /// DHCPACK, to a request or to an inform.
    DhcpAck,
    /// DHCPNAK: the guest asked for an address that is not its own.
    DhcpNak,
    /// DHCPv6 Advertise.
    DhcpV6Advertise,
    /// DHCPv6 Reply.
    DhcpV6Reply,
    /// DHCPv6 Reply to a Decline: the guest found another user of its address.
    DhcpV6Declined,
    /// ICMP or ICMPv6 echo reply.
    Echo,
}

/// Why a request that was for us gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Silence {
    /// The guest asked for its own address: an answer would be a conflict that is none.
    OwnAddress,
    /// The guest chose another server (RFC 2131, 4.3.2; RFC 8415, 16).
    OtherServer,
    /// DHCPRELEASE: there is no lease to free.
    Released,
    /// DHCPDECLINE: the guest found another user of its address. Worth a counter: it should not happen.
    Declined,
    /// The network has no subnet that is advertised.
    NothingToAdvertise,
    /// DHCPv6 Confirm without an address (RFC 8415, 18.4.3).
    NothingToConfirm,
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The frame's form, or that of a neighbor discovery message, is wrong.
    #[error("malformed: {0}")]
    Malformed(Malformed),
    /// A DHCP message shorter than its fixed part.
    #[error("the message is shorter than its fixed part")]
    Truncated,
    /// Longer than [`REQUEST_MAX`], or not all in the packet's head.
    #[error("the request is longer than 1514 bytes")]
    TooLong,
    /// A field of a fixed header has a value that its RFC forbids.
    #[error("a header field has an illegal value")]
    BadHeader,
    /// UDP, ICMP or ICMPv6 checksum.
    #[error("the checksum is wrong")]
    BadChecksum,
    /// A fragment, or ND or DHCPv6 behind extension headers (RFC 6980).
    #[error("the message is fragmented or stands behind extension headers")]
    Fragmented,
    /// An option runs past its end, or is missing where its RFC demands it.
    #[error("an option is malformed or missing")]
    BadOption,
    /// A source or destination address that such a message must not have.
    #[error("an address in the message is illegal there")]
    BadAddress,
    /// The message has passed a relay; guests are on our link.
    #[error("the message was relayed")]
    Relayed,
    /// The client's hardware address is not the port's: a port has one lease.
    #[error("the client's hardware address is not the port's")]
    ForeignClient,
    /// A message that only a server sends, or of an unknown type.
    #[error("a message of that type is not for a server")]
    UnexpectedMessage,
    /// The subnets have DHCP, but the port has no address in them.
    #[error("the port has no fixed address in a subnet with DHCP")]
    NoAddress,
    /// The reply does not fit [`REPLY_MAX`] or what the client accepts.
    #[error("the reply would be too long")]
    ReplyTooLong,
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Refusal::Malformed(malformed)
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        Outcome::Refused(refusal)
    }
}

/// Asks the responder whose protocol the frame is. `out` is cleared, and holds a frame after [`Outcome::Reply`] only.
///
/// `resolve` gives the MAC of the known station of the port's network that has an address now, local or remote.
pub fn answer(
    request: Request<'_>,
    port: &PortView<'_>,
    resolve: impl Fn(IpAddr) -> Option<Mac>,
    out: &mut Vec<u8>,
) -> Outcome {
    match classify::service(request.layout) {
        Some(classify::Service::Arp) => arp::respond(request, port, resolve, out),
        Some(classify::Service::NeighborDiscovery) => neighbor::respond(request, port, resolve, out),
        Some(classify::Service::DhcpV4) => dhcp_v4::respond(request, port, out),
        Some(classify::Service::DhcpV6) => dhcp_v6::respond(request, port, out),
        Some(classify::Service::Echo) => echo::respond(request, port, resolve, out),
        None => {
            out.clear();
            Outcome::NotForUs
        }
    }
}
