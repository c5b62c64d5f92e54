//! Copies of connections for those who look: `ctl connections`, the conntrack table of an operator.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use anet_packet::addr::Vni;
use anet_packet::tuple::Tuple;

use super::layout::Entry;
use super::ticks::Ticks;
use super::timeouts::Life;
use super::{ConnectionId, Connections, Direction, PortIdentity, Progress, TcpState};

/// A copy of a connection. Zone, tuple and ports are of one moment; counters may be a packet apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its name while it lives.
    pub id: ConnectionId,
    /// The network.
    pub zone: Vni,
    /// As the originator sends.
    pub tuple: Tuple,
    /// The originator's local port.
    pub originator: PortIdentity,
    /// The responder's local port.
    pub responder: PortIdentity,
    /// Where TCP is.
    pub tcp_state: TcpState,
    /// How far it has come.
    pub progress: Progress,
    /// True where it was picked up in mid-stream.
    pub picked_up: bool,
    /// When it was made, in nanoseconds, to about a millisecond.
    pub created: u64,
    /// What went which way, by [`Direction`].
    pub halves: [HalfSnapshot; 2],
}

/// What went one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HalfSnapshot {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// All TCP flags seen.
    pub tcp_flags: u8,
    /// When the last packet went by, in nanoseconds, to about a millisecond; `None` before the first.
    pub last_seen: Option<u64>,
    /// The worker that receives this direction.
    pub owner: Option<u16>,
}

/// Which connections are wanted: all conditions that are given must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filter {
    /// Of this network.
    pub zone: Option<Vni>,
    /// With this port on either side.
    pub port: Option<PortIdentity>,
    /// Of this IP protocol.
    pub protocol: Option<u8>,
    /// With this address on either side.
    pub address: Option<IpAddr>,
}

impl Filter {
    /// True where the connection is wanted.
    pub fn matches(&self, connection: &Connection) -> bool {
        let Connection {
            zone,
            tuple,
            originator,
            responder,
            ..
        } = connection;
        self.zone.is_none_or(|wanted| wanted == *zone)
            && self
                .port
                .is_none_or(|wanted| wanted == *originator || wanted == *responder)
            && self.protocol.is_none_or(|wanted| wanted == tuple.protocol)
            && self.address.is_none_or(|wanted| {
                wanted == tuple.source_address() || wanted == tuple.destination_address()
            })
    }
}

impl Connections {
    /// Copies of the connections that match, one after the other, without a lock: what is made or ended meanwhile may
    /// be missing or there, but none is a mixture of two.
    pub fn iter(&self, now: u64, filter: Filter) -> impl Iterator<Item = Connection> + '_ {
        let end = self.walk_end.load(Ordering::Relaxed);
        (0..end)
            .filter_map(move |slot| self.copy(slot, now))
            .filter(move |copy| filter.matches(copy))
    }

    /// A copy of one connection, or `None` where it is gone.
    pub fn get(&self, id: ConnectionId, now: u64) -> Option<Connection> {
        self.copy(id.slot, now).filter(|copy| copy.id == id)
    }

    fn copy(&self, slot: u32, now: u64) -> Option<Connection> {
        let entry = Entry::at(&self.words, slot)?;
        let (commit, key) = entry.read()?;
        let now = Ticks::at(now);
        let life = Life::of(entry, now);
        let sequence = commit.sequence();
        let copy = Connection {
            id: ConnectionId { slot, sequence },
            zone: key.zone,
            tuple: key.tuple,
            originator: key.originator,
            responder: key.responder,
            tcp_state: life.state,
            progress: life.progress,
            picked_up: key.picked_up,
            created: entry.created().nanoseconds(),
            halves: Direction::BOTH.map(|direction| copy_half(entry, direction, sequence, now)),
        };
        let (again, _) = entry.read()?;
        (again.sequence() == sequence).then_some(copy)
    }
}

fn copy_half(entry: Entry<'_>, direction: Direction, sequence: u32, now: Ticks) -> HalfSnapshot {
    let half = entry.half(direction);
    HalfSnapshot {
        packets: half.packets(),
        bytes: half.bytes(),
        tcp_flags: half.tcp_flags(sequence),
        last_seen: entry.last_seen(direction, now).map(Ticks::nanoseconds),
        owner: half.owner(sequence),
    }
}
