//! One direction of a connection: what the worker that receives it sees, and the words behind it.

use std::sync::atomic::{Ordering, fence};

use super::Witness;
use super::layout::Line;
use super::ticks::Ticks;

/// One direction's half of a connection that was there a moment ago. For the worker that receives this direction;
/// everybody may read. Should the connection end and its entry be used again while a worker still holds this, at most
/// the counters of the new one are off by what that worker writes: times and flags carry the old sequence and are ignored.
#[derive(Clone, Copy)]
pub struct Half<'a> {
    pub(super) words: HalfWords<'a>,
    pub(super) sequence: u32,
    pub(super) epoch: u32,
}

impl Half<'_> {
    /// Counts a packet of `bytes` bytes at `now` (nanoseconds), with its TCP flags (0 for other protocols): a handful of relaxed
    /// loads and stores to one cache line.
    #[inline]
    pub fn touch(&self, now: u64, bytes: u32, tcp_flags: u8) {
        self.words.touch(self.sequence, Ticks::at(now), bytes, tcp_flags);
    }

    /// Says that `worker` now receives this direction: hands the half over.
    pub fn claim(&self, worker: u16) {
        self.words.set_owner(self.sequence, worker);
    }

    /// The worker that last claimed it.
    pub fn owner(&self) -> Option<u16> {
        self.words.owner(self.sequence)
    }

    /// Packets counted.
    pub fn packets(&self) -> u64 {
        self.words.packets()
    }

    /// Bytes counted.
    pub fn bytes(&self) -> u64 {
        self.words.bytes()
    }

    /// All TCP flags that packets of this direction had.
    pub fn tcp_flags(&self) -> u8 {
        self.words.tcp_flags(self.sequence)
    }

    /// What the verdict for this direction rests on; `None` where this process has made none. For the worker that
    /// receives this direction; others ask [`super::Connections::find`], which sees no half-written pair.
    #[inline]
    pub fn witnesses(&self) -> Option<[Witness; 2]> {
        self.words.witnesses(self.epoch)
    }
}

impl std::fmt::Debug for Half<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Half")
            .field("packets", &self.packets())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

/// One of the two lines that packets write.
#[derive(Clone, Copy)]
pub(super) struct HalfWords<'a>(pub(super) &'a Line);

impl HalfWords<'_> {
    const LAST_SEEN: usize = 1;
    const PACKETS: usize = 2;
    const BYTES: usize = 3;
    const FLAGS: usize = 4;
    const WITNESS: usize = 5;
    const EPOCH: usize = 7;

    #[inline]
    fn load(self, word: usize) -> u64 {
        self.0[word].load(Ordering::Relaxed)
    }

    #[inline]
    fn store(self, word: usize, value: u64) {
        self.0[word].store(value, Ordering::Relaxed);
    }

    /// The low half of a word whose high half must be `sequence`: something else is from a worker that was late.
    #[inline]
    fn tagged(self, word: usize, sequence: u32) -> Option<u32> {
        let value = self.load(word);
        ((value >> 32) as u32 == sequence).then_some(value as u32)
    }

    #[inline]
    pub(super) fn sequence(self) -> u32 {
        (self.load(0) >> 32) as u32
    }

    /// One packet more. Plain loads and stores of one line: this half has one writer.
    #[inline]
    pub(super) fn touch(self, sequence: u32, now: Ticks, bytes: u32, tcp_flags: u8) {
        let tag = u64::from(sequence) << 32;
        self.store(Self::LAST_SEEN, tag | u64::from(now.low()));
        self.store(Self::PACKETS, self.load(Self::PACKETS).wrapping_add(1));
        self.store(Self::BYTES, self.load(Self::BYTES).wrapping_add(u64::from(bytes)));
        let seen = self.load(Self::FLAGS);
        let kept = if seen >> 32 == u64::from(sequence) {
            seen
        } else {
            tag
        };
        if seen != kept | u64::from(tcp_flags) {
            self.store(Self::FLAGS, kept | u64::from(tcp_flags));
        }
    }

    /// The lower half of the time.
    pub(super) fn last_seen(self, sequence: u32) -> Option<u32> {
        self.tagged(Self::LAST_SEEN, sequence)
    }

    pub(super) fn set_last_seen(self, sequence: u32, at: Ticks) {
        self.store(Self::LAST_SEEN, u64::from(sequence) << 32 | u64::from(at.low()));
    }

    pub(super) fn packets(self) -> u64 {
        self.load(Self::PACKETS)
    }

    pub(super) fn bytes(self) -> u64 {
        self.load(Self::BYTES)
    }

    pub(super) fn tcp_flags(self, sequence: u32) -> u8 {
        self.tagged(Self::FLAGS, sequence).map_or(0, |flags| flags as u8)
    }

    pub(super) fn owner(self, sequence: u32) -> Option<u16> {
        self.tagged(Self::FLAGS, sequence)
            .and_then(|flags| ((flags >> 16) as u16).checked_sub(1))
    }

    pub(super) fn set_owner(self, sequence: u32, worker: u16) {
        let flags = u64::from(self.tcp_flags(sequence));
        let owner = u64::from(worker.saturating_add(1));
        self.store(Self::FLAGS, u64::from(sequence) << 32 | owner << 16 | flags);
    }

    pub(super) fn created(self) -> u32 {
        self.load(Self::EPOCH) as u32
    }

    pub(super) fn set_created(self, bits: u32) {
        self.store(Self::EPOCH, self.load(Self::EPOCH) >> 32 << 32 | u64::from(bits));
    }

    pub(super) fn witnesses(self, epoch: u32) -> Option<[Witness; 2]> {
        let fresh = (self.load(Self::EPOCH) >> 32) as u32 == epoch;
        fresh.then(|| [Self::WITNESS, Self::WITNESS + 1].map(|word| Witness::from_word(self.load(word))))
    }

    /// Under the shard's lock.
    pub(super) fn set_witnesses(self, epoch: u32, witnesses: [Witness; 2]) {
        let created = u64::from(self.created());
        self.store(Self::EPOCH, created);
        fence(Ordering::Release);
        self.store(Self::WITNESS, witnesses[0].to_word());
        self.store(Self::WITNESS + 1, witnesses[1].to_word());
        self.0[Self::EPOCH].store(u64::from(epoch) << 32 | created, Ordering::Release);
    }
}
