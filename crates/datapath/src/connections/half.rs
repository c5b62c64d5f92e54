//! One direction of a connection, for the worker that receives it.

use super::Witness;
use super::layout::HalfWords;
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
