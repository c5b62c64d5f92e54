//! An imaginary packet's way through the pipeline, asked for and told.

use std::net::IpAddr;

use anet_model::host_plan::{EndpointId, NetworkId, PortId};
use anet_packet::addr::Mac;

/// What to send, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceRequest {
    /// Where it comes in.
    pub from: TraceSource,
    /// The packet; from the tunnel: the inner one.
    pub packet: TracePacket,
}

/// Where a traced packet comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceSource {
    /// From the guest of a local port.
    Port(PortId),
    /// Out of the tunnel.
    Tunnel {
        /// The remote endpoint that sent it.
        endpoint: EndpointId,
        /// The network in whose segment it is.
        network: NetworkId,
    },
}

/// A packet to trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TracePacket {
    /// A whole Ethernet frame, 14 to [`TracePacket::FRAME_MAXIMUM`] bytes.
    Frame(Vec<u8>),
    /// The fields that matter; the rest is made up as the guest would.
    Fields(TraceFields),
}

impl TracePacket {
    /// Bytes of the largest frame to trace.
    pub const FRAME_MAXIMUM: usize = 9_216;
}

/// Fields of an IP packet to trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceFields {
    /// Source address; where `None` the first one of the destination's family that the port has or, from the tunnel, that a
    /// station behind the endpoint has. From the tunnel, the source MAC is that of the station with this address.
    pub source: Option<IpAddr>,
    /// Destination address.
    pub destination: IpAddr,
    /// Destination MAC; what the guest would learn by ARP or ND where `None`.
    pub destination_mac: Option<Mac>,
    /// Layer 4.
    pub protocol: TraceProtocol,
}

/// Layer 4 of a packet to trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceProtocol {
    /// A TCP segment with SYN.
    Tcp {
        /// Source port; an ephemeral one where `None`.
        source_port: Option<u16>,
        /// Destination port.
        destination_port: u16,
    },
    /// A UDP datagram.
    Udp {
        /// Source port; an ephemeral one where `None`.
        source_port: Option<u16>,
        /// Destination port.
        destination_port: u16,
    },
    /// An ICMP or, to an IPv6 destination, ICMPv6 message.
    Icmp {
        /// Type; echo request of the family where `None`.
        kind: Option<u8>,
        /// Code, 0 where `None`.
        code: Option<u8>,
    },
}

/// One step of a trace: what one stage looked at and what it decided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TraceStep {
    /// The stage, by its name in the pipeline.
    pub stage: String,
    /// What it looked at.
    pub what: String,
    /// The object that decided, such as `rule web-ssh`; empty where there is none.
    pub object: String,
    /// What came out.
    pub outcome: String,
}

/// The packet's fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceVerdict {
    /// It left the switch.
    Forwarded {
        /// Where to: ports and endpoints, as texts such as `port web1` or `endpoint host2`.
        to: Vec<String>,
    },
    /// The switch answered it.
    Answered {
        /// With what, such as `ARP reply`.
        with: String,
    },
    /// It was dropped.
    Dropped {
        /// The reason, out of the closed list of drop reasons.
        reason: String,
        /// The rule or object that it names; empty where there is none.
        object: String,
    },
}

/// The answer to a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceReport {
    /// Stages in the order in which the packet met them.
    pub steps: Vec<TraceStep>,
    /// What became of it.
    pub verdict: TraceVerdict,
}
