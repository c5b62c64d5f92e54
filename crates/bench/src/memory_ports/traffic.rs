//! Connections between the stations of a [`Fabric`](super::fabric::Fabric), their frames, and the order they are played in.

use anet_datapath::interface::Interface;
use anet_packet::addr::Mac;
use anet_packet::tcp::flag;
use anet_packet::testing::FrameBuilder;

use super::fabric::{Fabric, LOCAL_ENDPOINT, PEERS, PORTS, Station, endpoint_of, port_of_rule, vni};
use super::random::Random;

/// Packets of a burst.
pub const BURST: usize = anet_datapath::burst::BURST;
/// Bytes of a guest's frame, without its check sequence.
const FRAME: usize = 64;

/// Between whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Two guests of this host: both directions are delivered.
    Local,
    /// A guest opens it to a peer: out encapsulated, back decapsulated.
    Out,
    /// A peer opens it to a guest.
    In,
}

/// Which end sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who opened the connection.
    Client,
    /// Who answers.
    Server,
}

/// One connection.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// Who opens it.
    pub client: Station,
    /// Who answers.
    pub server: Station,
    /// The rule that allows it.
    pub rule: usize,
    client_port: u16,
    is_tcp: bool,
}

impl Connection {
    /// The connection of a number on a path; numbers give different connections. Every other one is TCP.
    pub fn new(number: usize, path: Path, rules: usize) -> Self {
        let pair = number % (PORTS * PEERS);
        let (one, other) = (pair % PORTS, pair / PORTS);
        let (client, server) = match path {
            Path::Local => (
                Station::Local(one),
                Station::Local((one + 1 + other % (PORTS - 1)) % PORTS),
            ),
            Path::Out => (Station::Local(one), Station::Remote(other)),
            Path::In => (Station::Remote(other), Station::Local(one)),
        };
        let turn = number / (PORTS * PEERS);
        // Pairs 240 and up share their stations with lower ones where both are local: a port range of their own.
        let apart = if path == Path::Local {
            other / (PORTS - 1)
        } else {
            0
        };
        Self {
            client,
            server,
            rule: turn / 2 % rules,
            client_port: 2048 + (turn * 2 + apart) as u16,
            is_tcp: turn % 2 == 1,
        }
    }

    /// A number for the rule and the protocol, as frames carry it: see [`Frame::tag`].
    pub fn tag(&self) -> u16 {
        self.rule as u16 * 2 + u16::from(self.is_tcp)
    }

    /// True for TCP, false for UDP.
    pub fn is_tcp(&self) -> bool {
        self.is_tcp
    }

    /// Who sends.
    pub fn sender(&self, side: Side) -> Station {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }

    fn ends(&self, side: Side) -> (Station, Station, (u16, u16)) {
        let (client, server) = (self.client_port, port_of_rule(self.rule));
        match side {
            Side::Client => (self.client, self.server, (client, server)),
            Side::Server => (self.server, self.client, (server, client)),
        }
    }

    /// A packet in the middle of the connection, as it comes in: of a peer with its outer headers.
    pub fn frame(&self, side: Side) -> Frame {
        self.frame_with(side, flag::ACK)
    }

    fn frame_with(&self, side: Side, flags: u8) -> Frame {
        let (from, to, ports) = self.ends(side);
        let (macs, addresses) = ((from.mac(), to.mac()), (from.address(), to.address()));
        let inner = if self.is_tcp {
            FrameBuilder::tcp(macs.0, macs.1, addresses.0, addresses.1, ports)
                .flags(flags)
                .payload(FRAME - 54)
        } else {
            FrameBuilder::udp(macs.0, macs.1, addresses.0, addresses.1, ports).payload(FRAME - 42)
        };
        match from {
            Station::Local(_) => Frame::of(&inner.build(), self.tag()),
            Station::Remote(peer) => Frame::of(&encapsulated(peer, ports.0, &inner.build()), self.tag()),
        }
    }

    /// The packets that open it: who sends, and what.
    pub fn opening(&self) -> Vec<(Station, Frame)> {
        let packet = |side, flags| (self.sender(side), self.frame_with(side, flags));
        if self.is_tcp {
            vec![
                packet(Side::Client, flag::SYN),
                packet(Side::Server, flag::SYN | flag::ACK),
                packet(Side::Client, flag::ACK),
            ]
        } else {
            vec![packet(Side::Client, 0), packet(Side::Server, 0)]
        }
    }
}

fn encapsulated(peer: usize, entropy: u16, inner: &[u8]) -> Vec<u8> {
    let macs = (Mac([2, 9, 9, 9, 9, 1]), Mac([2, 9, 9, 9, 9, 2]));
    let addresses = (endpoint_of(peer).into(), LOCAL_ENDPOINT.into());
    FrameBuilder::udp(macs.0, macs.1, addresses.0, addresses.1, (entropy | 0xc000, 4789))
        .vxlan(vni(), inner)
        .build()
}

/// A frame as it lies in memory: two cache lines.
#[derive(Clone, Copy)]
#[repr(C, align(128))]
pub struct Frame {
    bytes: [u8; 124],
    length: u16,
    /// The [tag](Connection::tag) of its connection.
    pub tag: u16,
}

impl Frame {
    fn of(frame: &[u8], tag: u16) -> Self {
        let mut bytes = [0; 124];
        bytes[..frame.len()].copy_from_slice(frame);
        Self {
            bytes,
            length: frame.len() as u16,
            tag,
        }
    }

    /// The frame's bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&self.bytes)
    }
}

/// Frames of one worker in the order in which they are played, cut into bursts of one interface.
#[derive(Default)]
pub struct Replay {
    frames: Vec<Frame>,
    bursts: Vec<(Interface, u32)>,
}

impl Replay {
    /// In random order: interfaces take turns at random, and each has its frames in random order.
    pub fn shuffled(packets: Vec<(Interface, Frame)>, random: &mut Random) -> Self {
        let mut queues: Vec<(Interface, Vec<Frame>)> = Vec::new();
        for (interface, frame) in packets {
            match queues.iter_mut().find(|(i, _)| *i == interface) {
                Some((_, queue)) => queue.push(frame),
                None => queues.push((interface, vec![frame])),
            }
        }
        let mut turns: Vec<usize> = Vec::new();
        for (number, (_, queue)) in queues.iter_mut().enumerate() {
            random.shuffle(queue);
            turns.extend(std::iter::repeat_n(number, queue.len().div_ceil(BURST)));
        }
        random.shuffle(&mut turns);
        let mut replay = Self::default();
        for turn in turns {
            let (interface, queue) = &mut queues[turn];
            let rest = queue.len().saturating_sub(BURST);
            replay.frames.extend(queue.drain(rest..));
            replay.bursts.push((*interface, replay.frames.len() as u32));
        }
        replay
    }

    /// The bursts, in order.
    pub fn bursts(&self) -> impl Iterator<Item = (Interface, &[Frame])> {
        let starts = std::iter::once(0).chain(self.bursts.iter().map(|(_, end)| *end));
        self.bursts
            .iter()
            .zip(starts)
            .map(|((interface, end), start)| (*interface, &self.frames[start as usize..*end as usize]))
    }

    /// Packets.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// True without a packet.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

/// A packet of each direction of each connection, with where it comes in.
pub fn both_ways(fabric: &Fabric, connections: &[Connection]) -> Vec<(Interface, Frame)> {
    let packet =
        |connection: &Connection, side| (fabric.interface(connection.sender(side)), connection.frame(side));
    connections
        .iter()
        .flat_map(|c| [packet(c, Side::Client), packet(c, Side::Server)])
        .collect()
}
