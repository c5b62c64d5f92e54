//! Buffers of the pool and buffers that are lent.

use super::*;
use crate::pool::{HEAD_BYTES, SLAB_BYTES};

fn bytes(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i % 251) as u8).collect()
}

#[test]
fn a_frame_of_any_length_comes_out_as_it_went_in() {
    let pool = Pool::default();
    let head = HEAD_BYTES - HEADROOM;
    for len in [
        0,
        1,
        60,
        head - 1,
        head,
        head + 1,
        9000,
        65_549,
        head + SLAB_BYTES,
    ] {
        let frame = bytes(len);
        let buffer = pool.copy_from(&frame).unwrap();
        assert_eq!((buffer.len(), buffer.head().len()), (len, len.min(head)));
        assert_eq!(buffer.to_vec(), frame);
        assert_eq!(pool.duplicate(&buffer).unwrap().to_vec(), frame);
    }
}

#[test]
fn prepend_and_trim_move_the_checksum_positions() {
    let pool = Pool::default();
    let mut buffer = pool.copy_from(&bytes(100)).unwrap();
    buffer.meta.checksum = Checksum::Partial {
        start: 34,
        offset: 16,
    };
    buffer.prepend(50).unwrap().fill(0xee);
    assert_eq!(
        buffer.meta.checksum,
        Checksum::Partial {
            start: 84,
            offset: 16
        }
    );
    assert_eq!(
        (buffer.len(), buffer.head()[0], buffer.headroom()),
        (150, 0xee, HEADROOM - 50)
    );
    buffer.trim_front(50).unwrap();
    assert_eq!(
        buffer.meta.checksum,
        Checksum::Partial {
            start: 34,
            offset: 16
        }
    );
    buffer.trim_front(40).unwrap();
    assert_eq!(buffer.meta.checksum, Checksum::Unknown);
    assert_eq!(buffer.head(), &bytes(100)[40..]);
}

#[test]
fn no_room_is_an_error_and_changes_nothing() {
    let pool = Pool::default();
    let mut buffer = pool.copy_from(&bytes(100)).unwrap();
    assert_eq!(buffer.prepend(HEADROOM + 1).err(), Some(NoRoom));
    assert_eq!(buffer.prepend(1 << 20).err(), Some(NoRoom));
    assert_eq!(buffer.trim_front(101), Err(NoRoom));
    assert_eq!(buffer.set_head_len(HEAD_BYTES - HEADROOM + 1), Err(NoRoom));
    assert_eq!(buffer.reserve(0), Err(NoRoom));
    assert_eq!(buffer.copy_range(99, &mut [0; 2]), Err(NoRoom));
    assert_eq!(buffer.copy_range(usize::MAX, &mut [0; 2]), Err(NoRoom));
    assert_eq!(buffer.to_vec(), bytes(100));
    buffer.prepend(4).unwrap();
    buffer.meta.checksum = Checksum::Partial {
        start: u16::MAX,
        offset: 0,
    };
    assert_eq!(buffer.prepend(1).err(), Some(NoRoom));
    assert_eq!(buffer.len(), 104);
}

#[test]
fn truncation_reaches_into_chain_and_head() {
    let pool = Pool::default();
    let frame = bytes(9000);
    let mut buffer = pool.copy_from(&frame).unwrap();
    buffer.truncate(10_000);
    assert_eq!(buffer.len(), 9000);
    for len in [8999, 2000, 1984, 1983, 1, 0] {
        buffer.truncate(len);
        assert_eq!(buffer.to_vec(), &frame[..len], "{len}");
    }
    assert_eq!(
        pool.statistics().slabs_free,
        PoolSettings::default().slabs as usize
    );
}

#[test]
fn a_back_end_fills_head_and_slab_by_itself() {
    let pool = Pool::default();
    let mut buffer = pool.take().unwrap();
    buffer.reserve(HEADROOM + 2).unwrap();
    let room = buffer.tail_mut().len();
    buffer.tail_mut().fill(1);
    buffer.set_head_len(room).unwrap();
    let mut slab = pool.take_slab().unwrap();
    slab.as_mut_slice()[..10].fill(2);
    buffer.attach_chain(slab, 10).unwrap();
    assert_eq!(
        (buffer.head().len(), buffer.chain_len(), buffer.headroom()),
        (room, 10, HEADROOM + 2)
    );
    let mut across = [0; 4];
    buffer.copy_range(room - 2, &mut across).unwrap();
    assert_eq!(across, [1, 1, 2, 2]);
    assert!(buffer.append(&[1]).is_err(), "behind a chain nothing can be put");
    let (slab, len) = buffer.detach_chain().unwrap();
    assert_eq!((slab.as_slice()[9], len, buffer.len()), (2, 10, room));
    let other = Pool::default();
    assert!(
        other.take().unwrap().attach_chain(slab, 10).is_err(),
        "a slab belongs to its pool's buffers"
    );
}

#[repr(C)]
struct Lender {
    origin: Origin,
    returned: std::cell::Cell<(u32, u32)>,
}

unsafe fn returned(origin: NonNull<Origin>, packets: u32, chains: u32) {
    // SAFETY: the origin is the first field of the test's lender, which lives on its stack.
    let lender = unsafe { origin.cast::<Lender>().as_ref() };
    lender.returned.set((
        lender.returned.get().0 + packets,
        lender.returned.get().1 + chains,
    ));
}

/// A chain whose segments are nodes of two bytes, linked in memory that the test holds.
#[repr(C)]
struct Node {
    data: [u8; 2],
    next: Option<NonNull<Node>>,
}

static LENDER: Foreign = Foreign {
    // SAFETY: called with what the test lent.
    release: |origin, _, chain| unsafe { returned(origin, 1, u32::from(chain.is_some())) },
    // SAFETY: as above.
    release_chain: |origin, _| unsafe { returned(origin, 0, 1) },
    segment: |_, chain| {
        // SAFETY: chains of this origin are nodes of the test.
        let node = unsafe { chain.cast::<Node>().as_ref() };
        Segment {
            data: NonNull::from(&node.data).cast(),
            len: 2,
            next: node.next.map(NonNull::cast),
        }
    },
};

#[test]
fn a_back_end_can_lend_memory_of_its_own() {
    let lender = Lender {
        origin: Origin::foreign(&LENDER),
        returned: Default::default(),
    };
    let mut slot = bytes(256);
    let last = Node {
        data: [3, 4],
        next: None,
    };
    let first = Node {
        data: [1, 2],
        next: Some(NonNull::from(&last)),
    };
    let lend = |slot: &mut [u8]| Parts {
        slot: NonNull::from(slot).cast(),
        capacity: 256,
        start: 128,
        head_len: 64,
        chain: Some((NonNull::from(&first).cast(), 3)),
        origin: NonNull::from(&lender).cast(),
        meta: Meta::default(),
    };
    // SAFETY: slot, nodes and lender outlive the buffer, and nobody else uses them meanwhile.
    let mut buffer = unsafe { Buffer::from_parts(lend(&mut slot)) };
    let mut expected = bytes(256)[128..192].to_vec();
    expected.extend([1, 2, 3]);
    assert_eq!(buffer.to_vec(), expected);
    assert_eq!(Pool::default().duplicate(&buffer).unwrap().to_vec(), expected);
    assert!(buffer.detach_chain().is_none());
    buffer.truncate(64);
    assert_eq!(lender.returned.get(), (0, 1));
    drop(buffer);
    assert_eq!(lender.returned.get(), (1, 1));
}
