//! How a connection lies in the shared words: three cache lines an entry, behind one line of header.
//!
//! ```text
//! line 0   word 0  commit     sequence 32 | checksum 24 | flags 8 (committed, IPv6, picked up, TCP state)
//!          word 1  key        zone 24 | protocol 8 | originator's port 16 | responder's port, or ICMP's type, 16
//!          word 2-3, 4-5      originator's address, responder's address
//!          word 6, 7          the identities of the local ports on either side, 0 where it is remote
//! line 1   the half originator → responder, line 2 the half responder → originator:
//!          word 0  sequence 32 | 0             the entry's, so that a flow checks and touches one line only
//!          word 1  sequence 32 | last seen 32  in ticks
//!          word 2  packets
//!          word 3  bytes
//!          word 4  sequence 32 | owner 16 | 0 | TCP flags seen 8
//!          word 5-6  witnesses: slot 32 | generation 32
//!          word 7  epoch 32 of the witnesses | created 32 in ticks: the lower half here, the upper half in line 2
//! ```
//! Line 0 and the first words of the halves are written under the shard's lock only. A process that is killed while it
//! writes leaves an entry without its committed flag, or, had anything else damaged it, one whose checksum is
//! wrong: either is recognised at the next start. A word is never torn.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use anet_packet::addr::Vni;
use anet_packet::tuple::Tuple;
use anet_packet::{icmp, icmpv6};

use super::half::HalfWords;
use super::identity::PortIdentity;
use super::tcp::TcpState;
use super::ticks::Ticks;
use super::{ConnectionId, Direction};

/// Words of a cache line.
pub(super) const LINE: usize = 8;
/// Words in front of the first entry.
pub(super) const HEADER: usize = LINE;
/// Words of an entry.
pub(super) const ENTRY: usize = 3 * LINE;
/// Changes whenever a word of the header or an entry changes its meaning.
pub(super) const VERSION: u64 = 1;
/// `aNETconn`.
pub(super) const MAGIC: u64 = u64::from_be_bytes(*b"aNETconn");

const COMMITTED: u64 = 1;
const IPV6: u64 = 1 << 1;
const PICKED_UP: u64 = 1 << 2;
const STATE_SHIFT: u32 = 3;
const CHECKSUM_SHIFT: u32 = 8;

/// One cache line of the table.
pub(super) type Line = [AtomicU64; LINE];

/// Word 0 of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Commit(pub(super) u64);

impl Commit {
    fn new(key: &Key, slot: u32, sequence: u32, state: TcpState) -> Self {
        let ipv6 = if key.tuple.family == 6 { IPV6 } else { 0 };
        let picked_up = if key.picked_up { PICKED_UP } else { 0 };
        let flags = COMMITTED | ipv6 | picked_up | (u64::from(state.code()) << STATE_SHIFT);
        let checksum = checksum(&key.words(), slot, sequence, flags);
        Self(u64::from(sequence) << 32 | checksum << CHECKSUM_SHIFT | flags)
    }

    pub(super) const fn free(sequence: u32) -> Self {
        Self((sequence as u64) << 32)
    }

    pub(super) const fn sequence(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) const fn is_committed(self) -> bool {
        self.0 & COMMITTED != 0
    }

    pub(super) fn tcp_state(self) -> TcpState {
        TcpState::from_code((self.0 >> STATE_SHIFT) as u8 & 0xf)
    }

    const fn is_ipv6(self) -> bool {
        self.0 & IPV6 != 0
    }
}

/// What is written once when a connection is made, and never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) zone: Vni,
    /// As the originator sends.
    pub(super) tuple: Tuple,
    pub(super) originator: PortIdentity,
    pub(super) responder: PortIdentity,
    pub(super) picked_up: bool,
}

impl Key {
    /// The port whose budget the connection counts in: the originator's, or, where that is remote, the responder's.
    pub(super) fn payer(&self) -> PortIdentity {
        if self.originator.is_remote() {
            self.responder
        } else {
            self.originator
        }
    }

    fn words(&self) -> [u64; 7] {
        let [s0, s1] = halves_of(self.tuple.source);
        let [d0, d1] = halves_of(self.tuple.destination);
        [
            ports_word(self.zone, &self.tuple),
            s0,
            s1,
            d0,
            d1,
            self.originator.get(),
            self.responder.get(),
        ]
    }
}

/// Set in ICMP's second port word where the originator is who answers an echo.
const ANSWERS: u16 = 1 << 8;

fn is_echo(icmp_type: u8) -> bool {
    matches!(icmp_type, icmp::kind::ECHO_REQUEST | icmpv6::kind::ECHO_REQUEST)
}

/// The port words. Of ICMP's two ports one follows from the type ([`Tuple`] says how), which takes its place.
fn ports_word(zone: Vni, tuple: &Tuple) -> u64 {
    let kind = u16::from(tuple.icmp_type);
    let (first, second) = match tuple.is_icmp() {
        true if is_echo(tuple.icmp_type) && tuple.destination_port != kind << 8 => {
            (tuple.destination_port, kind | ANSWERS)
        }
        true => (tuple.source_port, kind),
        false => (tuple.source_port, tuple.destination_port),
    };
    u64::from(zone.get()) << 40 | u64::from(tuple.protocol) << 32 | u64::from(first) << 16 | u64::from(second)
}

fn tuple_of(ports: u64, source: [u64; 2], destination: [u64; 2], family: u8) -> Tuple {
    let address = |[high, low]: [u64; 2]| u128::from(high) << 64 | u128::from(low);
    let (first, second) = ((ports >> 16) as u16, ports as u16);
    let mut tuple = Tuple {
        source: address(source),
        destination: address(destination),
        source_port: first,
        destination_port: second,
        family,
        protocol: (ports >> 32) as u8,
        icmp_type: 0,
    };
    if tuple.is_icmp() {
        tuple.icmp_type = second as u8;
        let answerer = if is_echo(tuple.icmp_type) {
            second << 8
        } else {
            first
        };
        let answers = second & ANSWERS != 0;
        (tuple.source_port, tuple.destination_port) = if answers {
            (answerer, first)
        } else {
            (first, answerer)
        };
    }
    tuple
}

const fn halves_of(address: u128) -> [u64; 2] {
    [(address >> 64) as u64, address as u64]
}

/// A bijection that spreads every bit (the finisher of splitmix64).
pub(super) const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// 24 bits over everything else of line 0, and where it lies.
fn checksum(key: &[u64; 7], slot: u32, sequence: u32, flags: u64) -> u64 {
    let start = mix(u64::from(slot) << 32 | u64::from(sequence)) ^ flags;
    let sum = key.iter().fold(start, |sum, word| {
        mix(sum.rotate_left(5) ^ word).wrapping_add(MAGIC)
    });
    mix(sum) >> 40
}

/// The first word of an entry.
pub(super) const fn entry_word(slot: u32) -> usize {
    HEADER + slot as usize * ENTRY
}

/// The first word of a half.
#[inline]
pub(super) const fn half_word(slot: u32, direction: Direction) -> usize {
    entry_word(slot) + (1 + direction as usize) * LINE
}

/// One entry's three lines.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) shared: &'a Line,
    pub(super) halves: [&'a Line; 2],
}

impl<'a> Entry<'a> {
    /// The entry in `slot`, or `None` behind the last.
    #[inline]
    pub(super) fn at(words: &'a [AtomicU64], slot: u32) -> Option<Self> {
        let start = entry_word(slot);
        let lines: &[Line; 3] = words.get(start..start + ENTRY)?.as_chunks().0.try_into().ok()?;
        Some(Self {
            shared: &lines[0],
            halves: [&lines[1], &lines[2]],
        })
    }

    #[inline]
    pub(super) fn commit(self) -> Commit {
        Commit(self.shared[0].load(Ordering::Acquire))
    }

    /// True while it holds the connection of this sequence.
    #[inline]
    pub(super) fn is(self, sequence: u32) -> bool {
        let commit = self.commit();
        commit.is_committed() && commit.sequence() == sequence
    }

    /// The line that packets of `direction` keep up to date.
    #[inline]
    pub(super) fn half(self, direction: Direction) -> HalfWords<'a> {
        HalfWords(self.halves[direction as usize])
    }

    #[inline]
    pub(super) fn protocol(self) -> u8 {
        (self.shared[1].load(Ordering::Relaxed) >> 32) as u8
    }

    /// The ports of both sides, as they stand there.
    pub(super) fn ports(self) -> [PortIdentity; 2] {
        [6, 7].map(|word: usize| PortIdentity::from_raw(self.shared[word].load(Ordering::Relaxed)))
    }

    /// Without a lock: commit word and key as they were at one moment, or `None` where there is no connection or it
    /// is being written.
    pub(super) fn read(self) -> Option<(Commit, Key)> {
        let commit = self.commit();
        let key = if commit.is_committed() {
            self.key(commit)?
        } else {
            return None;
        };
        fence(Ordering::Acquire);
        let again = Commit(self.shared[0].load(Ordering::Relaxed));
        (again.is_committed() && again.sequence() == commit.sequence()).then_some((again, key))
    }

    /// Under the shard's lock: the key as it stands there, whether or not it is damaged; `None` for an illegal zone.
    pub(super) fn key(self, commit: Commit) -> Option<Key> {
        let word = |i: usize| self.shared[i].load(Ordering::Relaxed);
        let family = if commit.is_ipv6() { 6 } else { 4 };
        let ports = word(1);
        let tuple = tuple_of(ports, [word(2), word(3)], [word(4), word(5)], family);
        Some(Key {
            zone: Vni::new((ports >> 40) as u32).ok()?,
            tuple,
            originator: PortIdentity::from_raw(word(6)),
            responder: PortIdentity::from_raw(word(7)),
            picked_up: commit.0 & PICKED_UP != 0,
        })
    }

    /// Under the shard's lock: which way a packet with this tuple goes on this connection, `None` where it is of another.
    pub(super) fn direction_of(self, commit: Commit, zone: Vni, tuple: &Tuple) -> Option<Direction> {
        let key = self.key(commit)?;
        if key.zone != zone {
            None
        } else if key.tuple == *tuple {
            Some(Direction::Original)
        } else if key.tuple == tuple.reversed() {
            Some(Direction::Reply)
        } else {
            None
        }
    }

    /// Under the shard's lock: writes a new connection into a free entry. The commit word comes last.
    pub(super) fn write(self, slot: u32, key: &Key, state: TcpState, created: Ticks) -> ConnectionId {
        let sequence = self.commit().sequence().max(1);
        self.withdraw(sequence);
        for (word, value) in self.shared[1..].iter().zip(key.words()) {
            word.store(value, Ordering::Relaxed);
        }
        for half in self.halves {
            half[0].store(u64::from(sequence) << 32, Ordering::Relaxed);
            half[1..].iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
        self.set_created(created);
        self.shared[0].store(Commit::new(key, slot, sequence, state).0, Ordering::Release);
        ConnectionId { slot, sequence }
    }

    /// Under the shard's lock: makes the entry free, and ids that point at it stale.
    pub(super) fn free(self) {
        let next = self.commit().sequence().wrapping_add(1).max(1);
        self.withdraw(next);
        for half in self.halves {
            half[0].store(u64::from(next) << 32, Ordering::Relaxed);
        }
    }

    fn withdraw(self, sequence: u32) {
        self.shared[0].store(Commit::free(sequence).0, Ordering::Relaxed);
        fence(Ordering::Release);
    }

    /// Under the shard's lock. One word, so that it is never seen without its checksum.
    pub(super) fn set_tcp_state(self, slot: u32, state: TcpState) {
        let commit = self.commit();
        if let Some(key) = self.key(commit) {
            let commit = Commit::new(&key, slot, commit.sequence(), state);
            self.shared[0].store(commit.0, Ordering::Release);
        }
    }

    pub(super) fn created(self) -> Ticks {
        let [low, high] = Direction::BOTH.map(|direction| u64::from(self.half(direction).created()));
        Ticks(high << 32 | low)
    }

    fn set_created(self, at: Ticks) {
        self.half(Direction::Original).set_created(at.low());
        self.half(Direction::Reply).set_created((at.0 >> 32) as u32);
    }

    /// When this direction's last packet went by, if there was one. Never before the connection was made.
    pub(super) fn last_seen(self, direction: Direction, now: Ticks) -> Option<Ticks> {
        let low = self.half(direction).last_seen(self.commit().sequence())?;
        Some(Ticks::restore(low, now).max(self.created()))
    }

    /// At start, should another clock have written the entry's times: they become `now`. A half's time that seems to lie before
    /// the connection was made is one that lies ahead.
    pub(super) fn set_clock(self, now: Ticks) {
        let (sequence, created) = (self.commit().sequence(), self.created());
        for half in Direction::BOTH.map(|direction| self.half(direction)) {
            let seen = half.last_seen(sequence);
            if seen.is_some_and(|low| created > now || Ticks::restore(low, now) < created) {
                half.set_last_seen(sequence, now);
            }
        }
        self.set_created(created.min(now));
    }

    /// True where no connection is, nor was one cut short in any way but those that a kill leaves.
    pub(super) fn is_free(self) -> bool {
        let commit = self.commit();
        let unused = || {
            self.halves
                .iter()
                .all(|half| half[0].load(Ordering::Relaxed) == 0)
        };
        commit == Commit::free(commit.sequence()) && (commit.sequence() != 0 || unused())
    }

    /// True where the checksum holds and both halves are of this connection. To be asked at start only.
    pub(super) fn is_whole(self, slot: u32) -> bool {
        let commit = self.commit();
        let Some(key) = self.key(commit) else { return false };
        let bits = |word: &AtomicU64| word.load(Ordering::Relaxed);
        // Bits that the key does not have are damage, too.
        let readable = self.shared[1..].iter().map(bits).eq(key.words());
        let expected = Commit::new(&key, slot, commit.sequence(), commit.tcp_state());
        let first_words = self.halves.map(|half| bits(&half[0]));
        let halves = first_words == [u64::from(commit.sequence()) << 32; 2];
        commit.is_committed() && commit.sequence() != 0 && commit == expected && readable && halves
    }
}
