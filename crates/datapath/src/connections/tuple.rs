//! The five-tuple of a packet, until the packet crate's own is there.

use std::net::IpAddr;

/// Protocol, addresses and ports as one packet has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// IP protocol number.
    pub protocol: u8,
    /// Source address; of the same family as `destination`.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Source port, or what stands for it.
    pub source_port: u16,
    /// Destination port, or what stands for it.
    pub destination_port: u16,
}

impl Tuple {
    /// The tuple of a packet that goes back.
    pub fn reversed(&self) -> Self {
        Self {
            protocol: self.protocol,
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
        }
    }
}
