//! From a remote address to the prefixes that hold it: one binary search, then from each prefix to the next wider one.

use std::cmp::Reverse;
use std::ops::Range;

use super::address_bits::AddressBits;

/// Stands for "no prefix".
const NONE: u32 = u32::MAX;

/// The prefixes that the rules of one direction and family name.
#[derive(Debug)]
pub(super) struct RemotePrefixes<K> {
    /// Where the innermost prefix changes, rising; the first is address zero. Empty without prefixes.
    starts: Box<[K]>,
    /// The innermost prefix from each start to the next.
    innermost: Box<[u32]>,
    /// Each behind the prefixes that hold it.
    prefixes: Box<[RemotePrefix]>,
    depth: u32,
}

/// One prefix.
#[derive(Debug)]
pub(super) struct RemotePrefix {
    first_bit: u32,
    end_bit: u32,
    /// The next wider prefix, or [`NONE`].
    wider: u32,
}

impl RemotePrefix {
    /// The bits of its rules.
    #[inline]
    pub(super) fn bits(&self) -> Range<u32> {
        self.first_bit..self.end_bit
    }
}

impl<K> Default for RemotePrefixes<K> {
    fn default() -> Self {
        Self {
            starts: [].into(),
            innermost: [].into(),
            prefixes: [].into(),
            depth: 0,
        }
    }
}

impl<K: AddressBits> RemotePrefixes<K> {
    /// The prefixes that hold `address`, narrowest first; at most [`Self::depth`].
    #[inline]
    pub(super) fn holding(&self, address: K) -> impl Iterator<Item = &RemotePrefix> {
        let interval = self
            .starts
            .partition_point(|start| *start <= address)
            .wrapping_sub(1);
        let innermost = self.innermost.get(interval).copied().unwrap_or(NONE);
        std::iter::successors(self.prefixes.get(innermost as usize), |p| {
            self.prefixes.get(p.wider as usize)
        })
    }

    /// Steps of the binary search.
    pub(super) fn steps(&self) -> u32 {
        usize::BITS - self.starts.len().leading_zeros()
    }

    /// How many prefixes hold the same address at most.
    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.innermost) + size_of_val(&*self.prefixes)
    }
}

/// Takes the prefixes in order of first address, of two with the same the wider first, and each only once.
pub(super) struct RemotePrefixBuilder<K> {
    starts: Vec<K>,
    innermost: Vec<u32>,
    prefixes: Vec<RemotePrefix>,
    /// Last address and index of the prefixes that hold the address reached, narrowest last.
    open: Vec<(K, u32)>,
    depth: u32,
}

impl<K: AddressBits> RemotePrefixBuilder<K> {
    pub(super) fn new() -> Self {
        Self {
            starts: Vec::new(),
            innermost: Vec::new(),
            prefixes: Vec::new(),
            open: Vec::new(),
            depth: 0,
        }
    }

    /// A prefix from its first to its last address, with the bits of its rules.
    pub(super) fn push(&mut self, first: K, last: Reverse<K>, bits: Range<u32>) {
        if self.starts.is_empty() {
            self.begin(K::ZERO, NONE);
        }
        self.close(|open_last| open_last < first);
        let index = self.prefixes.len() as u32;
        let wider = self.open.last().map_or(NONE, |(_, wider)| *wider);
        self.prefixes.push(RemotePrefix {
            first_bit: bits.start,
            end_bit: bits.end,
            wider,
        });
        self.open.push((last.0, index));
        self.depth = self.depth.max(self.open.len() as u32);
        self.begin(first, index);
    }

    pub(super) fn finish(mut self) -> RemotePrefixes<K> {
        self.close(|_| true);
        let Self {
            starts,
            innermost,
            prefixes,
            depth,
            ..
        } = self;
        RemotePrefixes {
            starts: starts.into(),
            innermost: innermost.into(),
            prefixes: prefixes.into(),
            depth,
        }
    }

    /// Closes open prefixes, narrowest first, as long as their last address is as asked for.
    fn close(&mut self, ended: impl Fn(K) -> bool) {
        while let Some((last, _)) = self.open.pop_if(|(last, _)| ended(*last)) {
            let wider = self.open.last().map_or(NONE, |(_, wider)| *wider);
            if let Some(behind) = last.successor() {
                self.begin(behind, wider);
            }
        }
    }

    /// From `start` on, the innermost prefix is another. What was said of the same start before does not hold.
    fn begin(&mut self, start: K, innermost: u32) {
        if self.starts.last() == Some(&start) {
            self.innermost.pop();
        } else {
            self.starts.push(start);
        }
        self.innermost.push(innermost);
    }
}
