//! virtio's packet header, as TAP and AF_PACKET put it in front of a frame, and what it means for a buffer's `Meta`.
//!
//! Virtual I/O Device (VIRTIO) 1.2, section 5.1.6: flags, kind of segmentation, header length, segment size, where the
//! checksum starts and is written, and (in the 12-byte form) a count of buffers. Little-endian. A guest writes it, so
//! each value is checked against the packet before anybody believes it.

use anet_memory::buffer::{Buffer, Checksum, Meta, SegmentKind, Segmentation};

/// Bytes of the header without the buffer count: AF_PACKET's.
pub const SHORT_BYTES: usize = 10;
/// Bytes of the header with the buffer count: TAP's as set up here.
pub const LONG_BYTES: usize = 12;

const NEEDS_CHECKSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCP_V4: u8 = 1;
const GSO_TCP_V6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// Place of the checksum in a TCP header (RFC 9293) and in a UDP header (RFC 768).
const TCP_CHECKSUM: u16 = 16;
const UDP_CHECKSUM: u16 = 6;
const ETHERNET_BYTES: u16 = 14;
/// The shortest way to a transport header that can be segmented: Ethernet and IPv4.
const SHORTEST_TO_TRANSPORT: u16 = 34;

/// A header whose values cannot be true of its packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadOffload;

/// What a header says of a frame of `len` bytes, `head_len` of them in the head.
///
/// A segment that is not longer than one packet is an ordinary packet. A large one must have a partial checksum, as the
/// specification demands of a driver. Whether the packet really is of the family and protocol that its kind says is for
/// the parser to find out.
pub fn parse(header: &[u8; SHORT_BYTES], len: usize, head_len: usize) -> Result<Meta, BadOffload> {
    let [flags, kind, ..] = *header;
    let field = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let (header_len, size, start, offset) = (field(2), field(4), field(6), field(8));
    let checksum = checksum_of(flags, start, offset, head_len)?;
    let segmentation = match kind & !GSO_ECN {
        GSO_NONE if kind == GSO_NONE => Segmentation::default(),
        GSO_TCP_V4 => segment(SegmentKind::TcpV4, TCP_CHECKSUM, size, checksum)?,
        GSO_TCP_V6 => segment(SegmentKind::TcpV6, TCP_CHECKSUM, size, checksum)?,
        GSO_UDP_L4 if kind == GSO_UDP_L4 => segment(SegmentKind::Udp, UDP_CHECKSUM, size, checksum)?,
        _ => return Err(BadOffload),
    };
    let meta = Meta {
        checksum,
        ..Meta::default()
    };
    if segmentation.kind == SegmentKind::None || len.saturating_sub(usize::from(start)) <= usize::from(size) {
        return Ok(meta);
    }
    if usize::from(header_len) > len {
        return Err(BadOffload);
    }
    let ecn = kind & GSO_ECN != 0;
    Ok(Meta {
        segmentation: Segmentation { ecn, ..segmentation },
        ..meta
    })
}

fn checksum_of(flags: u8, start: u16, offset: u16, head_len: usize) -> Result<Checksum, BadOffload> {
    if flags & NEEDS_CHECKSUM == 0 {
        return Ok(if flags & DATA_VALID == 0 {
            Checksum::Unknown
        } else {
            Checksum::Valid
        });
    }
    let end = usize::from(start) + usize::from(offset) + 2;
    if start < ETHERNET_BYTES || end > head_len {
        return Err(BadOffload);
    }
    Ok(Checksum::Partial { start, offset })
}

fn segment(kind: SegmentKind, place: u16, size: u16, checksum: Checksum) -> Result<Segmentation, BadOffload> {
    match checksum {
        Checksum::Partial { start, offset }
            if start >= SHORTEST_TO_TRANSPORT && offset == place && size > 0 =>
        {
            Ok(Segmentation {
                kind,
                size,
                ecn: false,
            })
        }
        _ => Err(BadOffload),
    }
}

/// The header that says of a buffer what its `Meta` says. [`BadOffload`] where that cannot be true of it: a partial
/// checksum outside the head, or a segment without one.
pub fn format(buffer: &Buffer) -> Result<[u8; LONG_BYTES], BadOffload> {
    let mut header = [0; LONG_BYTES];
    let Meta {
        checksum,
        segmentation,
        ..
    } = buffer.meta;
    let mut put = |at: usize, value: u16| header[at..at + 2].copy_from_slice(&value.to_le_bytes());
    let (flags, start) = match checksum {
        Checksum::Unknown => (0, None),
        Checksum::Valid => (DATA_VALID, None),
        Checksum::Partial { start, offset } => {
            checksum_of(NEEDS_CHECKSUM, start, offset, buffer.head().len())?;
            put(6, start);
            put(8, offset);
            (NEEDS_CHECKSUM, Some(start))
        }
    };
    let mut kind = match segmentation.kind {
        SegmentKind::None => GSO_NONE,
        SegmentKind::TcpV4 => GSO_TCP_V4,
        SegmentKind::TcpV6 => GSO_TCP_V6,
        SegmentKind::Udp => GSO_UDP_L4,
    };
    if kind != GSO_NONE {
        let start = start.ok_or(BadOffload)?;
        put(
            2,
            start.saturating_add(transport_len(buffer.head(), start, segmentation.kind)?),
        );
        put(4, segmentation.size);
        kind |= if segmentation.ecn && kind != GSO_UDP_L4 {
            GSO_ECN
        } else {
            0
        };
    }
    header[0] = flags;
    header[1] = kind;
    Ok(header)
}

/// Bytes of the transport header at `start`: the kernel wants to know how far the headers go.
fn transport_len(head: &[u8], start: u16, kind: SegmentKind) -> Result<u16, BadOffload> {
    if kind == SegmentKind::Udp {
        return Ok(8);
    }
    let data_offset = head.get(usize::from(start) + 12).ok_or(BadOffload)? >> 4;
    let len = u16::from(data_offset) * 4;
    if len < 20 || usize::from(start) + usize::from(len) > head.len() {
        Err(BadOffload)
    } else {
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_memory::buffer::Pool;
    use proptest::prelude::*;

    fn header(flags: u8, kind: u8, fields: [u16; 4]) -> [u8; SHORT_BYTES] {
        let mut header = [0; SHORT_BYTES];
        (header[0], header[1]) = (flags, kind);
        for (place, field) in header[2..].chunks_exact_mut(2).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        header
    }

    fn check(flags: u8, kind: u8, fields: [u16; 4], expected: Result<(Checksum, Segmentation), BadOffload>) {
        let found = parse(&header(flags, kind, fields), 4000, 1984);
        let expected = expected.map(|(checksum, segmentation)| Meta {
            ingress: 0,
            checksum,
            segmentation,
        });
        assert_eq!(found, expected, "{flags} {kind} {fields:?}");
    }

    #[test]
    fn what_a_kernel_says_is_understood() {
        let none = Segmentation::default();
        let tcp = Checksum::Partial {
            start: 34,
            offset: 16,
        };
        let cut = |kind, ecn| Segmentation {
            kind,
            size: 1448,
            ecn,
        };
        check(0, 0, [0; 4], Ok((Checksum::Unknown, none)));
        check(2, 0, [0; 4], Ok((Checksum::Valid, none)));
        check(1, 0, [0, 0, 34, 16], Ok((tcp, none)));
        check(
            1,
            1,
            [66, 1448, 34, 16],
            Ok((tcp, cut(SegmentKind::TcpV4, false))),
        );
        check(
            1,
            0x84,
            [66, 1448, 34, 16],
            Ok((tcp, cut(SegmentKind::TcpV6, true))),
        );
        let udp = Checksum::Partial { start: 34, offset: 6 };
        check(1, 5, [42, 1448, 34, 6], Ok((udp, cut(SegmentKind::Udp, false))));
        check(1, 1, [66, 3966, 34, 16], Ok((tcp, none)));
    }

    #[test]
    fn what_cannot_be_true_is_refused() {
        for (flags, kind, fields) in [
            (1, 0, [0, 0, 1982, 1]), // checksum written behind the head
            (1, 0, [0, 0, 0xffff, 0xffff]),
            (1, 0, [0, 0, 13, 0]),      // sums the Ethernet header
            (1, 1, [66, 0, 34, 16]),    // segments of nothing
            (0, 1, [66, 1448, 34, 16]), // a segment without partial checksum
            (1, 1, [66, 1448, 34, 6]),  // TCP with UDP's checksum place
            (1, 5, [66, 1448, 34, 16]),
            (1, 1, [66, 1448, 33, 16]),   // no room for an IP header
            (1, 1, [4001, 1448, 34, 16]), // headers longer than the packet
            (1, 3, [42, 1448, 34, 6]),    // UDP fragmentation offload, which is not asked for
            (1, 0x80, [0; 4]),
            (1, 0x85, [42, 1448, 34, 6]),
            (0, 77, [0; 4]),
        ] {
            check(flags, kind, fields, Err(BadOffload));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_header_is_an_answer_that_can_be_said_again(bytes: [u8; SHORT_BYTES], len in 0_usize..70_000) {
            let pool = Pool::default();
            let mut frame = vec![0x50; len];
            if len > 12 {
                frame[12] = 8;
            }
            let Some(mut buffer) = pool.copy_from(&frame[..len.min(65_000)]) else { return Ok(()) };
            if let Ok(meta) = parse(&bytes, buffer.len(), buffer.head().len()) {
                buffer.meta = meta;
                if let Ok(header) = format(&buffer) {
                    let again = parse(header.first_chunk().unwrap(), buffer.len(), buffer.head().len());
                    prop_assert_eq!(again, Ok(meta));
                }
            }
        }
    }
}
