//! Which local port a side of a connection belongs to.

/// A stable name of a local port, the same after a restart: 64 bits, a hash of the port's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PortIdentity(u64);

impl PortIdentity {
    /// A side that is no port of this host.
    pub const REMOTE: PortIdentity = PortIdentity(0);

    /// The identity of the port with this id. The same text gives the same identity in every process and version
    /// (FNV-1a, finished with a multiply-xor): the connection file is read by processes that come later. Never [`Self::REMOTE`].
    pub fn of(id: &str) -> Self {
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
        Self(super::layout::mix(hash).max(1))
    }

    /// From a number that [`Self::get`] gave.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// True for [`Self::REMOTE`].
    pub const fn is_remote(self) -> bool {
        self.0 == 0
    }
}
