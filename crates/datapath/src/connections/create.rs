//! How a connection is made, and where its entry comes from.

use std::sync::atomic::Ordering;

use anet_packet::addr::Vni;
use anet_packet::protocol;
use anet_packet::tuple::Tuple;

use super::budget::Taken;
use super::evict::Seeker;
use super::header::Header;
use super::layout::{Entry, Key};
use super::shard::{Hash, Shard};
use super::ticks::Ticks;
use super::{ConnectionId, Connections, Direction, PortIdentity, TcpState};

/// Fresh entries that a shard takes at a time.
const BATCH: u32 = 16;
/// Fresh entries that the header tells of ahead of their use.
const MARK_STEP: u32 = 1024;
/// What the maker of a connection knows beside zone and tuple.
#[derive(Debug, Clone, Copy)]
pub struct New {
    /// The local port that sent the packet, or [`PortIdentity::REMOTE`].
    pub originator: PortIdentity,
    /// The local port that gets it, or [`PortIdentity::REMOTE`].
    pub responder: PortIdentity,
    /// Connections that the port which pays may have: the originator's, or, where that is remote, the responder's.
    pub limit: u32,
    /// TCP flags of the packet; 0 for other protocols.
    pub tcp_flags: u8,
    /// True where TCP is picked up in mid-stream: the connection counts as established.
    pub picked_up: bool,
    /// Nanoseconds.
    pub now: u64,
}

/// A connection that is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// Which.
    pub id: ConnectionId,
    /// Which way the packet goes: [`Direction::Reply`] only where another worker was faster with a packet of the other side.
    pub direction: Direction,
    /// False where it was there already.
    pub is_new: bool,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// Every entry is in use, and none of those looked at was half open or over.
    #[error("the connection table is full ({capacity} connections): a larger connection file holds more")]
    TableFull {
        /// Connections there can be.
        capacity: u32,
    },
    /// The port has as many connections as it may have, and none of those looked at was half open or over.
    #[error("the port has its {limit} connections: raise its budget, or end some")]
    PortBudget {
        /// What it may have.
        limit: u32,
    },
}

/// How far entries were ever used.
#[derive(Debug)]
pub(super) struct Used {
    /// The first entry never used.
    pub(super) next: u32,
    /// What the header says: never less than `next`.
    pub(super) mark: u32,
}

impl Connections {
    /// The connection of this packet: a new one, or the one that is there (two workers may meet here with packets of
    /// both directions: both get the same). Takes one shard's lock.
    pub fn create(&self, zone: Vni, tuple: &Tuple, new: New) -> Result<Created, CreateError> {
        let hash = Hash::of(self.seed, zone, tuple);
        let mut shard = self.shard(hash).lock();
        if let Some(found) = self.find_in(&shard, hash, zone, tuple) {
            return Ok(Created {
                id: found.id,
                direction: found.direction,
                is_new: false,
            });
        }
        let (originator, responder) = (new.originator, new.responder);
        let key = Key {
            zone,
            tuple: *tuple,
            originator,
            responder,
            picked_up: new.picked_up,
        };
        let number = hash.shard(self.shards.len());
        let mut seeker = Seeker {
            shard: &mut shard,
            number,
            now: Ticks::at(new.now),
        };
        self.reserve(&mut seeker, key.payer(), new.limit)?;
        let Some((slot, entry)) = self.take_slot(&mut seeker) else {
            self.budgets.give_back(key.payer());
            self.counters.refused_full.add(1);
            return Err(CreateError::TableFull {
                capacity: self.capacity,
            });
        };
        let is_tcp = tuple.protocol == protocol::TCP;
        let state = if is_tcp {
            TcpState::first(new.tcp_flags, new.picked_up)
        } else {
            TcpState::None
        };
        let id = entry.write(slot, &key, state, Ticks::at(new.now));
        self.next_looks.recall(slot);
        shard.insert(hash, slot);
        self.live.fetch_add(1, Ordering::Relaxed);
        self.counters.created.add(1);
        Ok(Created {
            id,
            direction: Direction::Original,
            is_new: true,
        })
    }

    /// Takes one connection of the port's budget, at the cost of a half-open one of its own if need be.
    fn reserve(&self, seeker: &mut Seeker<'_>, payer: PortIdentity, limit: u32) -> Result<(), CreateError> {
        let mut taken = self.budgets.take(payer, limit, seeker.now);
        if taken == Taken::Spent {
            match self.evict(seeker, Some(payer)) {
                Some(slot) => seeker.shard.add_free([slot]),
                None => self.budgets.exhausted(payer, seeker.now),
            }
            taken = self.budgets.take(payer, limit, seeker.now);
        }
        if taken == Taken::Granted {
            return Ok(());
        }
        self.counters.refused_budget.add(1);
        Err(CreateError::PortBudget { limit })
    }

    fn take_slot(&self, seeker: &mut Seeker<'_>) -> Option<(u32, Entry<'_>)> {
        let own = seeker.shard.take_free().or_else(|| self.take_fresh(seeker.shard));
        let slot = own
            .or_else(|| self.take_elsewhere(seeker.number))
            .or_else(|| self.make_room(seeker))?;
        Some((slot, Entry::at(&self.words, slot)?))
    }

    /// Moves some never used entries into the shard and takes one.
    fn take_fresh(&self, shard: &mut Shard) -> Option<u32> {
        let mut used = self.used();
        let (first, end) = (used.next, (used.next + BATCH.min(self.capacity - used.next)));
        if end > used.mark {
            used.mark = end
                .checked_next_multiple_of(MARK_STEP)
                .map_or(self.capacity, |mark| mark.min(self.capacity));
            Header::of(&self.words).set_mark(used.mark);
        }
        used.next = end;
        // Behind a damaged mark there may be entries that nobody has found again: they are nobody's connections.
        let unfound = (first..end)
            .filter_map(|slot| Entry::at(&self.words, slot))
            .filter(|entry| !entry.is_free());
        unfound.for_each(|entry| entry.free());
        self.walk_end.store(end, Ordering::Relaxed);
        drop(used);
        shard.add_free(first..end);
        shard.take_free()
    }

    /// Evicts; not more than one failure a millisecond, since looking costs.
    fn make_room(&self, seeker: &mut Seeker<'_>) -> Option<u32> {
        if self.full_at.load(Ordering::Relaxed) == seeker.now.0 {
            return None;
        }
        let evicted = self.evict(seeker, None);
        if evicted.is_none() {
            self.full_at.store(seeker.now.0, Ordering::Relaxed);
        }
        evicted
    }

    /// Takes a free entry of another shard.
    fn take_elsewhere(&self, own: usize) -> Option<u32> {
        if self.len() >= self.capacity() {
            return None;
        }
        let mut others = (own + 1..self.shards.len()).chain(0..own);
        others.find_map(|other| self.shards[other].try_lock()?.take_free())
    }
}
