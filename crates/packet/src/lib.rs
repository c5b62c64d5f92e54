//! Frames on the wire: address types, checked zero-copy views, checksums, the flow key.
//!
//! This crate stands at the bottom of the house: it knows no port, no table and no network. It does no
//! I/O, reads no clock and holds no `unsafe`. Every accessor of a checked view is free of panics,
//! whatever bytes it is given.

pub mod addr;
