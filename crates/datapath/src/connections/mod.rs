//! The host's connection table: one for all workers, in memory that outlives the process.
//!
//! It stands between the pipeline and the flow caches. A packet that misses its flow cache asks [`Connections::find`],
//! and, when the firewall has allowed it, [`Connections::create`]; both take one shard's lock for a moment. A packet that hits
//! keeps the connection up to date through [`Connections::half`]: plain loads and stores of one cache line, no
//! lock, no read-modify-write, which tells at the same time whether the connection still is the one that the flow knew.
//!
//! A connection is two halves, each written only by the worker that now receives that direction and read relaxed by everybody:
//! the two directions may arrive on different workers. [`layout`](self) (the file of that name) draws an entry. The words may
//! lie in a shared-memory file: a process that comes after a kill finds every connection again ([`Recovered`]),
//! with its [`Witness`]es marked stale, since slots and generations meant something to the old process only.
//!
//! It must not decide (whether a connection is allowed is the pipeline's to say), read a clock, or drop an established connection
//! because there is no room: then there is none for a new one.
//!
//! Locks: one shard, then, briefly inside it, the stripe of a budget or the count of used entries. Nothing waits for a
//! second shard.

mod age;
mod budget;
mod create;
mod evict;
mod half;
mod header;
mod identity;
mod layout;
mod looks;
mod recover;
mod shard;
mod snapshot;
mod statistics;
mod tcp;
mod ticks;
mod timeouts;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anet_memory::words::Words;
use anet_packet::addr::Vni;
use anet_packet::tuple::Tuple;

pub use age::Aged;
pub use create::{CreateError, Created, New};
pub use half::Half;
pub use header::{OpenError, clock_of, file_layout, set_clock, words_for};
pub use identity::PortIdentity;
pub use recover::Recovered;
pub use snapshot::{Connection, Filter, HalfSnapshot};
pub use statistics::{CloseReason, Statistics};
pub use tcp::TcpState;
pub use timeouts::{Progress, Timeouts};

pub use crate::tables::Witness;

use budget::Budgets;
use layout::Entry;
use looks::NextLooks;
use shard::{Hash, Shard, ShardLock};
use statistics::Counters;

/// Names a connection for as long as it lives: an entry that is used again has another sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ConnectionId {
    slot: u32,
    sequence: u32,
}

/// Which way a packet of a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// From the side that sent the first packet.
    Original = 0,
    /// To it.
    Reply = 1,
}

impl Direction {
    /// Both.
    pub const BOTH: [Direction; 2] = [Direction::Original, Direction::Reply];

    /// The other one.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Direction::Original => Direction::Reply,
            Direction::Reply => Direction::Original,
        }
    }
}

/// How a table is kept by this process; nothing of it need be the same in the next one.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Locks, 1 to 65,536; rounded up to a power of two. 64 serve a handful of workers.
    pub shards: usize,
    /// Keys the hash, so that nobody outside can aim at one bucket: random in production.
    pub seed: u64,
    /// The time, in nanoseconds of the clock that all later calls use. Times in the words that lie ahead of it (another
    /// clock wrote them) become this.
    pub now: u64,
}

/// What [`Connections::find`] tells of a connection: a copy, true at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Which connection.
    pub id: ConnectionId,
    /// Which way the packet goes.
    pub direction: Direction,
    /// Where TCP is.
    pub tcp_state: TcpState,
    /// The local port of the side that sent the first packet.
    pub originator: PortIdentity,
    /// The local port of the other side.
    pub responder: PortIdentity,
    /// True where it was picked up in mid-stream.
    pub picked_up: bool,
    /// What the verdict for packets of this direction rests on; `None` where this process has made none.
    pub witnesses: Option<[Witness; 2]>,
}

/// The host's connection table. See the module's page.
#[derive(Debug)]
pub struct Connections {
    words: Words,
    capacity: u32,
    epoch: u32,
    seed: u64,
    shards: Box<[ShardLock]>,
    /// Entries that were ever used, and how many of them the header tells of.
    used: Mutex<create::Used>,
    /// `used` for those who walk the entries.
    walk_end: AtomicU32,
    age_cursor: AtomicU32,
    next_looks: NextLooks,
    evict_cursor: AtomicU32,
    live: AtomicU32,
    /// When, in ticks, a full table had nothing that gives way.
    full_at: AtomicU64,
    budgets: Budgets,
    counters: Counters,
}

impl Connections {
    /// The connection that a packet with this tuple belongs to, in either direction. Takes one shard's lock.
    pub fn find(&self, zone: Vni, tuple: &Tuple) -> Option<Found> {
        let hash = Hash::of(self.seed, zone, tuple);
        let shard = self.shard(hash).lock();
        self.find_in(&shard, hash, zone, tuple)
    }

    fn find_in(&self, shard: &Shard, hash: Hash, zone: Vni, tuple: &Tuple) -> Option<Found> {
        let mut direction = None;
        let slot = shard.find(hash, |slot| {
            let entry = Entry::at(&self.words, slot);
            direction = entry.and_then(|entry| entry.direction_of(entry.commit(), zone, tuple));
            direction.is_some()
        })?;
        self.found(slot, direction?)
    }

    fn found(&self, slot: u32, direction: Direction) -> Option<Found> {
        let entry = Entry::at(&self.words, slot)?;
        let commit = entry.commit();
        let key = entry.key(commit)?;
        Some(Found {
            id: ConnectionId {
                slot,
                sequence: commit.sequence(),
            },
            direction,
            tcp_state: commit.tcp_state(),
            originator: key.originator,
            responder: key.responder,
            picked_up: key.picked_up,
            witnesses: entry.half(direction).witnesses(self.epoch),
        })
    }

    /// The half of a connection that packets of `direction` keep up to date, or `None` where the connection is gone.
    /// Takes no lock; loads one word of the line that [`Half::touch`] writes.
    #[inline]
    pub fn half(&self, id: ConnectionId, direction: Direction) -> Option<Half<'_>> {
        let words = Entry::at(&self.words, id.slot)?.half(direction);
        (words.sequence() == id.sequence).then_some(Half {
            words,
            sequence: id.sequence,
            epoch: self.epoch,
        })
    }

    /// Asks the processor for the line that [`Half::touch`] will write.
    #[inline]
    pub fn prefetch(&self, id: ConnectionId, direction: Direction) {
        anet_memory::prefetch::write(&self.words, layout::half_word(id.slot, direction));
    }

    /// Asks the processor for all that [`Self::close`] will touch of the entry.
    pub fn prefetch_entry(&self, id: ConnectionId) {
        anet_memory::prefetch::write(&self.words, layout::entry_word(id.slot));
        for direction in Direction::BOTH {
            self.prefetch(id, direction);
        }
    }

    /// True while the connection lives: one load and a compare.
    #[inline]
    pub fn is_valid(&self, id: ConnectionId, direction: Direction) -> bool {
        self.half(id, direction).is_some()
    }

    /// Says what the verdict for packets of this direction rests on: its source side, its destination side. Takes one
    /// shard's lock, so that no late worker can vouch for a connection that has taken the place of its own. False where the connection is gone.
    pub fn set_witnesses(&self, id: ConnectionId, direction: Direction, witnesses: [Witness; 2]) -> bool {
        let set =
            |_: &mut Shard, entry: Entry<'_>, _| entry.half(direction).set_witnesses(self.epoch, witnesses);
        self.with_entry(id, set).is_some()
    }

    /// Tells of a packet's TCP flags and returns the state after it, or `None` where the connection is gone. Needed for
    /// packets with SYN, FIN or RST, and for all packets while the state is not [settled](TcpState::is_settled).
    /// Takes one shard's lock if, and only if, the state changes.
    pub fn tcp_observe(&self, id: ConnectionId, direction: Direction, flags: u8) -> Option<TcpState> {
        let commit = Entry::at(&self.words, id.slot)?.commit();
        if !commit.is_committed() || commit.sequence() != id.sequence {
            return None;
        }
        if commit.tcp_state().after(direction, flags) == commit.tcp_state() {
            return Some(commit.tcp_state());
        }
        self.with_entry(id, |_, entry, _| {
            let state = entry.commit().tcp_state().after(direction, flags);
            entry.set_tcp_state(id.slot, state);
            self.next_looks.recall(id.slot);
            state
        })
    }

    /// Ends a connection at once. False where it was gone already.
    pub fn close(&self, id: ConnectionId, reason: CloseReason) -> bool {
        let closed = self.with_entry(id, |shard, entry, hash| {
            self.release(shard, entry, hash, id.slot);
            shard.add_free([id.slot]);
        });
        if closed.is_some() {
            self.counters.closed(reason);
        }
        closed.is_some()
    }

    /// Connections there are.
    pub fn len(&self) -> usize {
        self.live.load(Ordering::Relaxed) as usize
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Connections there can be.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// The table as it lies in its file.
    pub fn words(&self) -> &[AtomicU64] {
        &self.words
    }

    /// Which opening of the table this is; witnesses of an earlier one are stale.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Connections that count in a port's budget.
    pub fn count_of(&self, port: PortIdentity) -> u32 {
        self.budgets.count(port)
    }

    /// What has happened since the table was opened.
    pub fn statistics(&self) -> Statistics {
        self.counters.snapshot()
    }

    /// Bytes of process memory that the index takes, beside 192 bytes in the words for each entry ever used,
    /// and 8 of this process.
    pub fn index_memory(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().memory())
            .sum::<usize>()
            + size_of_val(&*self.shards)
    }

    fn shard(&self, hash: Hash) -> &ShardLock {
        &self.shards[hash.shard(self.shards.len())]
    }

    /// Runs `action` on a connection under its shard's lock; `None` where it is gone.
    fn with_entry<R>(
        &self,
        id: ConnectionId,
        action: impl FnOnce(&mut Shard, Entry<'_>, Hash) -> R,
    ) -> Option<R> {
        let entry = Entry::at(&self.words, id.slot)?;
        let (commit, key) = entry.read()?;
        if commit.sequence() != id.sequence {
            return None;
        }
        let hash = Hash::of(self.seed, key.zone, &key.tuple);
        let mut shard = self.shard(hash).lock();
        entry.is(id.sequence).then(|| action(&mut shard, entry, hash))
    }

    /// Under the shard's lock: takes a connection out of index, budget and count. The slot is the caller's then.
    fn release(&self, shard: &mut Shard, entry: Entry<'_>, hash: Hash, slot: u32) {
        shard.remove(hash, slot);
        if let Some(key) = entry.key(entry.commit()) {
            self.budgets.give_back(key.payer());
        }
        entry.free();
        self.live.fetch_sub(1, Ordering::Relaxed);
    }

    fn used(&self) -> std::sync::MutexGuard<'_, create::Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
