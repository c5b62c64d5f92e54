//! The buffers of a burst, one by one, to whoever takes them.

use super::Buffer;

/// Hands the first `count` buffers of a burst over, in their order, each as a whole. As a loop over [`Vec::drain`] does, but that
/// asks of each whether there is one by looking into it: what is copied in pieces for that, the processor cannot give to the
/// next that reads it before it is written, for a dozen cycles a packet.
///
/// Should `take` panic, the rest of them is dropped; what lies behind them stays in the burst.
#[inline(always)]
pub fn hand_over(burst: &mut Vec<Buffer>, count: usize, mut take: impl FnMut(Buffer)) {
    let length = burst.len();
    // SAFETY: shorter than it was; the buffers behind are the rest's to give or to drop.
    unsafe { burst.set_len(0) };
    let mut rest = Rest {
        next: 0,
        count: count.min(length),
        length,
        burst,
    };
    while rest.next < rest.count {
        // SAFETY: one of the burst's buffers, which is read once: the next one is counted before anything else happens.
        let buffer = unsafe { rest.burst.as_ptr().add(rest.next).read() };
        rest.next += 1;
        take(buffer);
    }
}

/// Buffers `next..count` are to be handed over, `count..length` stay; the burst itself says that it is empty.
struct Rest<'b> {
    burst: &'b mut Vec<Buffer>,
    next: usize,
    count: usize,
    length: usize,
}

impl Drop for Rest<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let stay = self.length - self.count;
        if self.next < self.count || stay > 0 {
            self.put_back(stay);
        }
    }
}

impl Rest<'_> {
    #[cold]
    fn put_back(&mut self, stay: usize) {
        let base = self.burst.as_mut_ptr();
        for index in self.next..self.count {
            // SAFETY: within the burst, and not read yet.
            unsafe { base.add(index).drop_in_place() };
        }
        // SAFETY: the last `stay` of what was in the burst, moved to its beginning, where nothing is left.
        unsafe {
            std::ptr::copy(base.add(self.count), base, stay);
            self.burst.set_len(stay);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::super::Pool;
    use super::*;

    fn burst(pool: &Pool, length: u8) -> Vec<Buffer> {
        let frames = (0..length).map(|n| pool.copy_from(&[n; 60]).expect("a buffer"));
        frames.collect()
    }

    fn first_bytes(burst: &[Buffer]) -> Vec<u8> {
        burst.iter().map(|buffer| buffer.head()[0]).collect()
    }

    #[test]
    fn each_is_handed_over_once_and_the_others_stay() {
        let pool = Pool::default();
        let all = pool.statistics().buffers_free;
        for (length, count) in [(0, 0), (0, 3), (1, 1), (9, 0), (9, 4), (9, 9), (9, 99)] {
            let mut burst = burst(&pool, length);
            let mut taken = Vec::new();
            hand_over(&mut burst, count, |buffer| taken.push(buffer));
            let split = count.min(usize::from(length)) as u8;
            assert_eq!(first_bytes(&taken), (0..split).collect::<Vec<_>>());
            assert_eq!(first_bytes(&burst), (split..length).collect::<Vec<_>>());
            drop((burst, taken));
            assert_eq!(pool.statistics().buffers_free, all);
        }
    }

    #[test]
    fn nothing_is_lost_or_given_back_twice_where_the_taker_panics() {
        let pool = Pool::default();
        let all = pool.statistics().buffers_free;
        for at in 0..5 {
            let mut burst = burst(&pool, 7);
            let mut taken = Vec::new();
            let end = catch_unwind(AssertUnwindSafe(|| {
                hand_over(&mut burst, 5, |buffer| {
                    assert!(taken.len() < at, "planted");
                    taken.push(buffer);
                });
            }));
            assert!(end.is_err());
            assert_eq!((first_bytes(&burst), taken.len()), (vec![5, 6], at));
            assert_eq!(pool.statistics().buffers_free, all - 2 - at);
            drop((burst, taken));
            assert_eq!(pool.statistics().buffers_free, all);
        }
    }
}
