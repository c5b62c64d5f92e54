//! Processors: what they can do, where they are, and which of them a thread runs on.

use std::io;
use std::sync::OnceLock;

/// Instruction sets that code here has a faster way for. All false where none of them is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// x86-64: 256-bit integer vectors.
    pub avx2: bool,
    /// x86-64: 512-bit vectors with byte and word operations.
    pub avx512bw: bool,
    /// A CRC-32C instruction (x86-64 SSE 4.2, AArch64 CRC).
    pub crc32c: bool,
    /// AES round instructions, for hashing.
    pub aes: bool,
}

/// This processor's features.
#[inline]
pub fn features() -> Features {
    static FEATURES: OnceLock<Features> = OnceLock::new();
    *FEATURES.get_or_init(detect)
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Features {
    use std::arch::is_x86_feature_detected as has;
    Features {
        avx2: has!("avx2"),
        avx512bw: has!("avx512bw"),
        crc32c: has!("sse4.2"),
        aes: has!("aes"),
    }
}

#[cfg(target_arch = "aarch64")]
fn detect() -> Features {
    use std::arch::is_aarch64_feature_detected as has;
    Features {
        crc32c: has!("crc"),
        aes: has!("aes"),
        ..Features::default()
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detect() -> Features {
    Features::default()
}

/// The processors that this thread may run on, in ascending order: what the system has, less what a cgroup or `taskset`
/// took away.
pub fn allowed() -> io::Result<Vec<usize>> {
    // SAFETY: a zeroed set is a legal, empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most the set's size; 0 stands for the calling thread.
    if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: only looks at a bit inside the set, which has CPU_SETSIZE of them.
    Ok((0..libc::CPU_SETSIZE as usize)
        .filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) })
        .collect())
}

/// Ties the calling thread to one processor. `InvalidInput` (or the system's EINVAL) where that is none it may run on.
pub fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: a zeroed set is a legal, empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the bit lies inside the set (checked above).
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the kernel reads the set's size; 0 stands for the calling thread.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The NUMA node of the processor that the calling thread is on, for [`Placement::node`](crate::region::Placement);
/// `None` where the system does not say. Sure only on a pinned thread.
pub fn numa_node() -> Option<u8> {
    let (mut cpu, mut node) = (0_u32, 0_u32);
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the kernel writes two numbers; the third argument is unused since Linux 2.6.24.
    let asked = unsafe { libc::syscall(libc::SYS_getcpu, &raw mut cpu, &raw mut node, nothing) };
    if asked == 0 { u8::try_from(node).ok() } else { None }
}

/// The processor's time stamp: counts at a constant rate, the nominal clock (a "cycle" of figures). For measurements: it is
/// the cheapest clock there is, and neither ordered nor comparable between hosts. 0 where there is none.
#[inline]
pub fn time_stamp() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: reads a counter that every x86-64 processor has; user space may (Linux sets CR4.TSD for no process
        // that has not asked for it).
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        0
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_pinned_thread_has_one_processor() {
        let last = *super::allowed().unwrap().last().unwrap();
        std::thread::spawn(move || {
            super::pin(last).unwrap();
            assert_eq!(super::allowed().unwrap(), [last]);
            assert!(super::pin(1023).is_err() && super::pin(usize::MAX).is_err());
            assert!(super::numa_node().is_none_or(|node| node < 64));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn the_answer_does_not_change() {
        assert_eq!(super::features(), super::features());
    }
}
