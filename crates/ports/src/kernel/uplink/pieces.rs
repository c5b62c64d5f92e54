//! The payload of a packet as it lies: the end of its head, then its chain, piece by piece.

use anet_memory::buffer::{Buffer, ChainSlices, Checksum, NoRoom};
use anet_packet::checksum;

use super::sum;

/// A part of a packet, walked without a copy.
#[derive(Debug, Clone)]
pub(crate) struct Pieces<'a> {
    current: &'a [u8],
    chain: ChainSlices<'a>,
    left: usize,
}

impl<'a> Pieces<'a> {
    /// The packet from byte `from` of its head on; the chain alone where the head is shorter.
    pub fn from(buffer: &'a Buffer, from: usize) -> Self {
        let current = buffer.head().get(from..).unwrap_or_default();
        Self {
            current,
            chain: buffer.chain_slices(),
            left: current.len() + buffer.chain_len(),
        }
    }

    /// Takes the first `n` bytes off: they are returned, the rest stays.
    pub fn split_front(&mut self, n: usize) -> Self {
        let front = Self {
            left: n.min(self.left),
            ..self.clone()
        };
        let mut skip = front.left;
        self.left -= skip;
        while skip > 0 {
            if self.current.is_empty() {
                let Some(next) = self.chain.next() else { break };
                self.current = next;
            }
            let step = skip.min(self.current.len());
            self.current = &self.current[step..];
            skip -= step;
        }
        front
    }

    /// The sum over the bytes, see [`checksum::sum`].
    pub fn sum(self) -> u64 {
        let (mut total, mut len) = (0, 0);
        for piece in self {
            total = checksum::combine(total, len, sum::sum(piece));
            len += piece.len();
        }
        total
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        while self.left > 0 {
            let (piece, rest) = self.current.split_at(self.current.len().min(self.left));
            self.current = rest;
            self.left -= piece.len();
            if !piece.is_empty() {
                return Some(piece);
            }
            self.current = self.chain.next()?;
        }
        None
    }
}

/// Sums what a partial checksum covers and writes the field; [`NoRoom`] where that would lie outside the head.
pub(crate) fn finish_checksum(frame: &mut Buffer) -> Result<(), NoRoom> {
    let Checksum::Partial { start, offset } = frame.meta.checksum else {
        return Ok(());
    };
    let (start, field) = (usize::from(start), usize::from(start) + usize::from(offset));
    if field + 2 > frame.head().len() {
        return Err(NoRoom);
    }
    let sum = Pieces::from(frame, start).sum();
    // UDP's field, the only one at 6, must not become "none" (RFC 768).
    let value = if offset == 6 {
        checksum::complement_udp(sum)
    } else {
        checksum::complement(sum)
    };
    let room = frame.head_mut().get_mut(field..field + 2).ok_or(NoRoom)?;
    room.copy_from_slice(&value.to_be_bytes());
    frame.meta.checksum = Checksum::Valid;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_memory::buffer::Pool;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn pieces_are_the_bytes(
            len in 1usize..9_000, from in 0usize..2_000, sizes in proptest::collection::vec(1usize..3_000, 1..9),
        ) {
            let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let buffer = Pool::default().copy_from(&bytes).unwrap();
            let from = from.min(buffer.head().len());
            let mut pieces = Pieces::from(&buffer, from);
            let mut expected = &bytes[from..];
            for size in sizes {
                let (front, rest) = expected.split_at(size.min(expected.len()));
                let part = pieces.split_front(size);
                prop_assert_eq!(part.clone().flatten().copied().collect::<Vec<_>>(), front);
                prop_assert_eq!(checksum::fold(part.sum()), checksum::fold(checksum::sum(front)));
                expected = rest;
            }
            prop_assert_eq!(pieces.flatten().copied().collect::<Vec<_>>(), expected);
        }
    }
}
