//! A packet's way through the fabric, asked for and told: `POST /anet/v1/trace`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Where it is asked for.
pub const TRACE_PATH: &str = "/anet/v1/trace";

/// Which packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceRequest {
    /// The id of the port whose guest sends it.
    pub port_id: String,
    /// Where it is sent to.
    pub destination: IpAddr,
    /// From where; the port's own address of that family where `None`.
    #[serde(default)]
    pub source: Option<IpAddr>,
    /// Layer 4.
    #[serde(flatten)]
    pub protocol: TraceProtocol,
}

/// Layer 4 of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "protocol", rename_all = "lowercase")]
pub enum TraceProtocol {
    /// A TCP segment with SYN.
    Tcp {
        /// Source port; an ephemeral one where `None`.
        #[serde(default)]
        source_port: Option<u16>,
        /// Destination port.
        destination_port: u16,
    },
    /// A UDP datagram.
    Udp {
        /// Source port; an ephemeral one where `None`.
        #[serde(default)]
        source_port: Option<u16>,
        /// Destination port.
        destination_port: u16,
    },
    /// An ICMP or, to an IPv6 destination, ICMPv6 message.
    Icmp {
        /// Type; echo request where `None`.
        #[serde(default)]
        icmp_type: Option<u8>,
        /// Code; 0 where `None`.
        #[serde(default)]
        icmp_code: Option<u8>,
    },
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The hosts it met, in order, each with what happened there.
    pub hosts: Vec<HostTrace>,
    /// Its fate.
    pub verdict: Verdict,
    /// For a packet that was dropped: the reason out of the closed list of drop reasons.
    #[serde(default)]
    pub reason: Option<String>,
    /// Where it ended, or what dropped or answered it, such as `port web2` or `rule 5f…`.
    #[serde(default)]
    pub object: Option<String>,
    /// What to do about it.
    #[serde(default)]
    pub suggestion: Option<String>,
}

/// A packet's fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It reached a guest, or a foreign endpoint.
    Delivered,
    /// A host answered it.
    Answered,
    /// It was dropped.
    Dropped,
    /// A host on its way could not be asked.
    Unknown,
}

/// What one host did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostTrace {
    /// The host.
    pub host: String,
    /// By which way it came in: `port ID` or `tunnel from HOST`.
    pub entered: String,
    /// The stages it met.
    pub steps: Vec<TraceStep>,
    /// How it left, such as `forwarded to endpoint host2`; or why the host could not say.
    pub outcome: String,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TraceStep {
    /// Its name in the pipeline.
    pub stage: String,
    /// What it looked at.
    #[serde(default)]
    pub what: String,
    /// The object that decided; empty where there is none.
    #[serde(default)]
    pub object: String,
    /// What came out.
    #[serde(default)]
    pub outcome: String,
}
