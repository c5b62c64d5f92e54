//! Frames on the wire: address types, checked zero-copy views, checksums, the flow key.
//!
//! This crate stands at the bottom of the house: it knows no port, no table and no network. It does no
//! I/O, reads no clock, allocates nothing and holds no `unsafe`. Every accessor of a checked view is free of panics,
//! whatever bytes it is given.
//!
//! A frame's way: [`flow_key`] extracts the key of an ordinary packet in one go; what it leaves goes through
//! [`parse::layout`]. Stages that need more look through a view: [`ethernet`], [`arp`], [`ipv4`], [`ipv6`], [`tcp`],
//! [`udp`], [`icmp`], [`icmpv6`], [`ndp`], [`vxlan`]. Each of them
//! writes headers too; [`build`] puts whole frames together.

pub mod addr;
pub mod arp;
pub mod build;
pub mod checksum;
pub mod ethernet;
mod field;
pub mod flow_key;
pub mod icmp;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
mod malformed;
pub mod ndp;
pub mod parse;
pub mod protocol;
pub mod segment;
pub mod tcp;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tuple;
pub mod udp;
pub mod vxlan;

pub use flow_key::FlowKey;
pub use malformed::Malformed;
pub use parse::{Fragment, Kind, Layout, layout};
pub use tuple::Tuple;
