//! What a pool hands out and takes back.

use super::*;

fn small(buffers: u32, slabs: u32) -> Pool {
    Pool::new(PoolSettings {
        buffers,
        slabs,
        ..PoolSettings::default()
    })
    .unwrap()
}

#[test]
fn an_empty_pool_says_none_and_counts_it() {
    let pool = small(2, 1);
    let (a, b) = (pool.take().unwrap(), pool.copy_from(&[1; 60]).unwrap());
    assert!(pool.take().is_none() && pool.copy_from(&[1; 60]).is_none());
    assert_eq!(
        pool.statistics(),
        PoolStatistics {
            buffers_free: 0,
            slabs_free: 1,
            exhausted: 2
        }
    );
    drop((a, b));
    assert_eq!(pool.statistics().buffers_free, 2);
}

#[test]
fn a_long_frame_that_finds_no_slab_gives_its_head_back() {
    let pool = small(2, 1);
    let held = pool.copy_from(&[7; 9000]).unwrap();
    assert!(pool.copy_from(&[7; 9000]).is_none());
    assert!(pool.duplicate(&held).is_none());
    assert_eq!(
        (pool.statistics().buffers_free, pool.statistics().slabs_free),
        (1, 0)
    );
    drop(held);
    assert_eq!(
        (pool.statistics().buffers_free, pool.statistics().slabs_free),
        (2, 1)
    );
    assert!(
        pool.copy_from(&vec![7; HEAD_BYTES + SLAB_BYTES]).is_none(),
        "longer than head and slab"
    );
    assert_eq!(
        (pool.statistics().buffers_free, pool.statistics().slabs_free),
        (2, 1)
    );
}

#[test]
fn buffers_outlive_the_handles() {
    let pool = small(4, 2);
    let (long, short) = (
        pool.copy_from(&[3; 5000]).unwrap(),
        pool.clone().copy_from(&[4; 60]).unwrap(),
    );
    let slab = pool.take_slab().unwrap();
    drop(pool);
    assert_eq!(long.to_vec(), [3; 5000]);
    drop(long);
    drop(slab);
    assert_eq!(short.head(), [4; 60]);
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no madvise")]
fn idle_memory_can_be_given_back() {
    let pool = small(2, 2);
    drop(pool.copy_from(&[9; 60_000]).unwrap());
    pool.release_idle();
    let slab = pool.take_slab().unwrap();
    assert!(slab.as_slice().iter().all(|byte| *byte == 0));
}

#[test]
fn the_same_warm_slot_goes_round() {
    let pool = small(64, 0);
    let first = pool.take().unwrap().into_parts();
    // SAFETY: the very parts of a moment ago.
    drop(unsafe { Buffer::from_parts(Parts { ..first }) });
    let again = pool.take().unwrap().into_parts();
    assert_eq!(again.slot, first.slot);
    // SAFETY: the very parts of a moment ago.
    drop(unsafe { Buffer::from_parts(again) });
}
