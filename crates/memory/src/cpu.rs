//! What this processor can do, asked once.

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

#[cfg(test)]
mod tests {
    #[test]
    fn the_answer_does_not_change() {
        assert_eq!(super::features(), super::features());
    }
}
