//! The daemon's clock: monotonic, in nanoseconds, the same for all processes of one boot.

use nix::time::{ClockId, clock_gettime};

/// A second in nanoseconds.
pub const SECOND: u64 = 1_000_000_000;

/// A millisecond in nanoseconds.
pub const MILLISECOND: u64 = 1_000_000;

/// CLOCK_MONOTONIC now, in nanoseconds. Does not enter the kernel.
pub fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| {
        (time.tv_sec() as u64)
            .wrapping_mul(SECOND)
            .wrapping_add(time.tv_nsec() as u64)
    })
}

/// A name for the clock of this boot, never zero: after the next boot the same numbers mean other times.
pub fn name() -> u64 {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = boot.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).unwrap_or(1).max(1)
}
