//! Where the kernel puts a packet: the head first, and a spare slab behind it, so that a small packet touches no slab.

use anet_memory::buffer::{Buffer, HEADROOM, Pool, Slab};

/// An empty buffer and the slab that takes what its head cannot.
pub(super) struct Scatter {
    buffer: Buffer,
    slab: Option<Slab>,
}

impl Scatter {
    /// A place for one packet; the slab is the `spare` one, or a new one. `None` where the pool has no buffer; without
    /// a slab only short packets have room.
    #[inline]
    pub(super) fn take(pool: &Pool, spare: &mut Option<Slab>) -> Option<Self> {
        let mut buffer = pool.take()?;
        buffer.reserve(HEADROOM).ok()?;
        Some(Self {
            buffer,
            slab: spare.take().or_else(|| pool.take_slab()),
        })
    }

    /// The two places, in order.
    #[inline]
    pub(super) fn room(&mut self) -> (&mut [u8], &mut [u8]) {
        let slab = self.slab.as_mut().map(Slab::as_mut_slice);
        (self.buffer.tail_mut(), slab.unwrap_or_default())
    }

    /// True where the packet may be longer than a head.
    pub(super) fn has_slab(&self) -> bool {
        self.slab.is_some()
    }

    /// The packet, of whose bytes `len` were put here. The slab goes back to `spare` where it was not needed. `None`
    /// where there is not that much room.
    #[inline]
    pub(super) fn finish(self, len: usize, spare: &mut Option<Slab>) -> Option<Buffer> {
        let Self { mut buffer, slab } = self;
        let head = len.min(buffer.tailroom());
        buffer.set_head_len(head).ok()?;
        match slab {
            Some(slab) if len > head => buffer.attach_chain(slab, len - head).ok()?,
            slab if len == head => *spare = slab,
            _ => return None,
        }
        Some(buffer)
    }

    /// Nothing came: the slab goes back to `spare`.
    #[inline]
    pub(super) fn abandon(self, spare: &mut Option<Slab>) {
        *spare = self.slab;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_memory::buffer::PoolSettings;

    #[test]
    fn the_spare_slab_stays_until_a_long_packet_needs_it() {
        let pool = Pool::new(PoolSettings {
            buffers: 4,
            slabs: 1,
            ..PoolSettings::default()
        })
        .unwrap();
        let mut spare = None;
        let mut place = Scatter::take(&pool, &mut spare).unwrap();
        let head = place.room().0.len();
        place.room().0[..60].fill(3);
        let short = place.finish(60, &mut spare).unwrap();
        assert!(short.head() == [3; 60] && spare.is_some());
        Scatter::take(&pool, &mut spare).unwrap().abandon(&mut spare);
        let mut place = Scatter::take(&pool, &mut spare).unwrap();
        place.room().1[..7].fill(4);
        let long = place.finish(head + 7, &mut spare).unwrap();
        assert!(long.chain_len() == 7 && spare.is_none());
        let mut place = Scatter::take(&pool, &mut spare).unwrap();
        assert!(!place.has_slab() && place.room().1.is_empty());
        assert!(place.finish(head + 1, &mut spare).is_none());
    }
}
