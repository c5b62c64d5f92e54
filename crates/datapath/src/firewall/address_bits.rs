//! IPv4 and IPv6 addresses as numbers, so that one implementation serves both families.

use std::fmt::Debug;
use std::hash::Hash;
use std::net::IpAddr;

use anet_packet::addr::IpPrefix;

/// The bits of an address, first bit of the wire highest.
pub(super) trait AddressBits: Copy + Ord + Hash + Debug + std::ops::BitXor<Output = Self> {
    /// 0.0.0.0 or `::`.
    const ZERO: Self;
    /// 255.255.255.255 or `ffff:…:ffff`.
    const ALL_ONES: Self;
    /// Bits of an address.
    const BITS: u8;

    /// The bits of an address, `None` for one of the other family.
    fn of(address: IpAddr) -> Option<Self>;
    /// Byte `index` in the wire's order, 0 behind the end.
    fn byte(self, index: u8) -> u8;
    /// The first `length` bits; the others are cleared.
    fn truncated(self, length: u8) -> Self;
    /// The next address, `None` behind the last.
    fn successor(self) -> Option<Self>;
    /// As many bits of a secret as an address has.
    fn secret(seed: u64) -> Self;
}

impl AddressBits for u32 {
    const ZERO: Self = 0;
    const ALL_ONES: Self = u32::MAX;
    const BITS: u8 = 32;

    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(a) => Some(a.to_bits()),
            IpAddr::V6(_) => None,
        }
    }

    fn byte(self, index: u8) -> u8 {
        self.to_be_bytes().get(usize::from(index)).copied().unwrap_or(0)
    }

    fn truncated(self, length: u8) -> Self {
        self & !u32::MAX.checked_shr(length.into()).unwrap_or(0)
    }

    fn successor(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn secret(seed: u64) -> Self {
        (mixed(seed) >> 32) as u32
    }
}

impl AddressBits for u128 {
    const ZERO: Self = 0;
    const ALL_ONES: Self = u128::MAX;
    const BITS: u8 = 128;

    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(a) => Some(a.to_bits()),
        }
    }

    fn byte(self, index: u8) -> u8 {
        self.to_be_bytes().get(usize::from(index)).copied().unwrap_or(0)
    }

    fn truncated(self, length: u8) -> Self {
        self & !u128::MAX.checked_shr(length.into()).unwrap_or(0)
    }

    fn successor(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn secret(seed: u64) -> Self {
        u128::from(mixed(seed)) << 64 | u128::from(mixed(!seed))
    }
}

/// First and last address of a prefix of this family.
pub(super) fn bounds<K: AddressBits>(prefix: IpPrefix) -> Option<(K, K)> {
    Some((K::of(prefix.address())?, K::of(prefix.last())?))
}

/// The finaliser of SplitMix64: every bit of the seed reaches every bit of the result.
fn mixed(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
