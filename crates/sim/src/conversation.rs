//! What two guests say to each other.

use std::net::IpAddr;

use anet_datapath::testing::reference::{Packet, Transport};
use anet_model::host_plan::{Port, PortId};
use anet_packet::addr::Mac;
use anet_packet::tcp::flag;
use anet_packet::testing::FrameBuilder;

/// What they speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer4 {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A guest that speaks, under the addresses that it had when it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// Its port.
    pub id: PortId,
    mac: Mac,
    /// Its address.
    pub address: IpAddr,
}

/// See the module's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Who begins.
    pub client: Speaker,
    /// With whom.
    pub server: Speaker,
    /// By what.
    pub layer4: Layer4,
    /// The client's port and the server's.
    pub ports: (u16, u16),
    /// The server has heard of it: it may answer.
    pub heard: bool,
    /// The client has heard of that.
    pub answered: bool,
    /// What was last said arrived.
    pub flows: bool,
}

impl Conversation {
    /// One between two ports with addresses of one family.
    pub fn between(
        client: (&PortId, &Port),
        server: (&PortId, &Port),
        ipv4: bool,
        layer4: Layer4,
        ports: (u16, u16),
    ) -> Option<Self> {
        let speaker = |(id, port): (&PortId, &Port)| {
            let mut addresses = port.addresses.iter().copied();
            Some(Speaker {
                id: id.clone(),
                mac: port.mac,
                address: addresses.find(|address| address.is_ipv4() == ipv4)?,
            })
        };
        Some(Self {
            client: speaker(client)?,
            server: speaker(server)?,
            layer4,
            ports,
            heard: false,
            answered: false,
            flows: false,
        })
    }

    /// The same as if the server had begun it: where it needs no handshake, its first packet may be an answer that comes when nobody
    /// remembers the question.
    #[must_use]
    pub fn turned(&self) -> Option<Self> {
        (self.layer4 == Layer4::Udp).then(|| Self {
            client: self.server.clone(),
            server: self.client.clone(),
            ports: (self.ports.1, self.ports.0),
            ..self.clone()
        })
    }

    /// Who says something, and who is to hear it.
    pub fn sides(&self, from_client: bool) -> (&Speaker, &Speaker) {
        match from_client {
            true => (&self.client, &self.server),
            false => (&self.server, &self.client),
        }
    }

    /// Notes whether what was said last arrived.
    pub fn note(&mut self, from_client: bool, arrived: bool) {
        match (from_client, arrived) {
            (true, true) => (self.heard, self.answered) = (true, self.answered && self.flows),
            (false, true) => self.answered = true,
            (_, false) => {}
        }
        self.flows = arrived;
    }

    /// What is said next, as the reference reads it and as a frame.
    pub fn next(&self, from_client: bool) -> (Packet, Vec<u8>) {
        let (from, to) = self.sides(from_client);
        let ports = match from_client {
            true => self.ports,
            false => (self.ports.1, self.ports.0),
        };
        // The first word asks, the first answer accepts; then there is only talk, until something does not arrive.
        let syn = match from_client {
            true => !self.flows,
            false => !self.answered,
        };
        let ack = !from_client || !syn;
        let (transport, frame) = match self.layer4 {
            Layer4::Tcp => (
                Transport::Tcp {
                    source: ports.0,
                    destination: ports.1,
                    syn,
                    ack,
                    fin: false,
                    rst: false,
                },
                FrameBuilder::tcp(from.mac, to.mac, from.address, to.address, ports)
                    .flags(flag::SYN * u8::from(syn) | flag::ACK * u8::from(ack)),
            ),
            Layer4::Udp => (
                Transport::Udp {
                    source: ports.0,
                    destination: ports.1,
                },
                FrameBuilder::udp(from.mac, to.mac, from.address, to.address, ports),
            ),
        };
        let packet = Packet {
            macs: (from.mac, to.mac),
            source: from.address,
            destination: to.address,
            transport,
        };
        (packet, frame.payload(20).build())
    }
}
