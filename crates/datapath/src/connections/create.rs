//! How a connection is made, and where its entry comes from.

use std::sync::atomic::Ordering;

use anet_packet::addr::Vni;
use anet_packet::protocol;
use anet_packet::tuple::Tuple;

use super::header::Header;
use super::layout::{Entry, Key, Ticks};
use super::shard::{Hash, Shard};
use super::timeouts::Life;
use super::{ConnectionId, Connections, Direction, PortIdentity, TcpState};

/// Fresh entries that a shard takes at a time.
const BATCH: u32 = 16;
/// Fresh entries that the header tells of ahead of their use.
const MARK_STEP: u32 = 1024;
/// Entries looked at for one that gives way.
const CANDIDATES: u32 = 32;

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
        self.reserve(&mut shard, hash, key.payer(), new.limit)?;
        let Some((slot, entry)) = self.take_slot(&mut shard, hash) else {
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
    fn reserve(
        &self,
        shard: &mut Shard,
        hash: Hash,
        payer: PortIdentity,
        limit: u32,
    ) -> Result<(), CreateError> {
        if self.budgets.take(payer, limit) {
            return Ok(());
        }
        if let Some(slot) = self.evict(shard, hash, Some(payer)) {
            shard.add_free([slot]);
            if self.budgets.take(payer, limit) {
                return Ok(());
            }
        }
        self.counters.refused_budget.add(1);
        Err(CreateError::PortBudget { limit })
    }

    fn take_slot(&self, shard: &mut Shard, hash: Hash) -> Option<(u32, Entry<'_>)> {
        let slot = shard
            .take_free()
            .or_else(|| self.take_fresh(shard))
            .or_else(|| self.take_elsewhere(shard, hash))?;
        Some((slot, Entry::at(&self.words, slot)?))
    }

    /// Moves some never used entries into the shard and takes one.
    fn take_fresh(&self, shard: &mut Shard) -> Option<u32> {
        let mut used = self.used();
        let (first, end) = (used.next, (used.next + BATCH.min(self.capacity - used.next)));
        if end > used.mark {
            used.mark = end.next_multiple_of(MARK_STEP).min(self.capacity);
            Header::of(&self.words).set_mark(used.mark);
        }
        used.next = end;
        self.walk_end.store(end, Ordering::Relaxed);
        drop(used);
        shard.add_free(first..end);
        shard.take_free()
    }

    /// Takes a free entry of another shard, or one that gives way.
    fn take_elsewhere(&self, shard: &mut Shard, hash: Hash) -> Option<u32> {
        if self.len() < self.capacity() {
            let own = hash.shard(self.shards.len());
            let others = (own + 1..self.shards.len()).chain(0..own);
            let mut free = others.filter_map(|other| self.shards[other].try_lock()?.take_free());
            if let Some(slot) = free.next() {
                return Some(slot);
            }
        }
        self.evict(shard, hash, None)
    }

    /// Ends a connection that gives way (of `payer`, if one is named) among the next few, and returns its slot. `shard` is
    /// the caller's, of `hash`; others are only tried.
    fn evict(&self, shard: &mut Shard, hash: Hash, payer: Option<PortIdentity>) -> Option<u32> {
        let end = self.walk_end.load(Ordering::Relaxed).max(1);
        let start = self.evict_cursor.fetch_add(CANDIDATES, Ordering::Relaxed);
        (0..CANDIDATES.min(end))
            .map(|i| start.wrapping_add(i) % end)
            .find(|&slot| {
                let evicted = self.evict_slot(shard, hash, payer, slot);
                self.counters.evicted.add(u64::from(evicted));
                evicted
            })
    }

    fn evict_slot(&self, shard: &mut Shard, hash: Hash, payer: Option<PortIdentity>, slot: u32) -> bool {
        let Some(entry) = Entry::at(&self.words, slot) else {
            return false;
        };
        let Some((commit, key)) = entry.read() else {
            return false;
        };
        if payer.is_some_and(|payer| payer != key.payer()) || !Life::of(entry).progress.gives_way() {
            return false;
        }
        let its_hash = Hash::of(self.seed, key.zone, &key.tuple);
        let its_shard = its_hash.shard(self.shards.len());
        if its_shard == hash.shard(self.shards.len()) {
            return self.release_if(shard, entry, its_hash, slot, commit.sequence());
        }
        let Some(mut other) = self.shards[its_shard].try_lock() else {
            return false;
        };
        self.release_if(&mut other, entry, its_hash, slot, commit.sequence())
    }

    /// Under the shard's lock: releases the connection if it still is the one that was looked at.
    fn release_if(&self, shard: &mut Shard, entry: Entry<'_>, hash: Hash, slot: u32, sequence: u32) -> bool {
        let commit = entry.commit();
        let same =
            commit.is_committed() && commit.sequence() == sequence && Life::of(entry).progress.gives_way();
        if same {
            self.release(shard, entry, hash, slot);
        }
        same
    }
}
