//! Where a packet comes in and goes out.

use std::fmt;

/// An interface of the switch: a guest's port, an uplink, or, as the source in a flow key, a tunnel membership.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Interface(u32);

/// What an [`Interface`] number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterfaceKind {
    /// A guest's port: an index into [`crate::tables::Tables::ports`].
    Port(u32),
    /// The underlay: frames with their outer headers.
    Uplink,
    /// A remote endpoint's membership of a network; an index into [`crate::tables::Tables::memberships`].
    Membership(u32),
}

impl Interface {
    const MEMBERSHIP: u32 = 1 << 31;

    /// The underlay.
    pub const UPLINK: Interface = Interface(u32::MAX);
    /// More ports than this a host cannot have.
    pub const MAX_PORTS: u32 = 4096;

    /// A guest's port by its index in the tables.
    #[inline]
    pub const fn port(index: u32) -> Self {
        debug_assert!(index < Self::MAX_PORTS);
        Self(index)
    }

    /// A tunnel membership by its index in the tables.
    #[inline]
    pub const fn membership(index: u32) -> Self {
        Self(index | Self::MEMBERSHIP)
    }

    /// The number, as buffers carry it in `meta.ingress` and flow keys in their first word.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// From a buffer's `meta.ingress`.
    #[inline]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// What it stands for.
    #[inline]
    pub const fn kind(self) -> InterfaceKind {
        match self.0 {
            u32::MAX => InterfaceKind::Uplink,
            n if n & Self::MEMBERSHIP != 0 => InterfaceKind::Membership(n & !Self::MEMBERSHIP),
            n => InterfaceKind::Port(n),
        }
    }
}

impl fmt::Debug for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(f)
    }
}
