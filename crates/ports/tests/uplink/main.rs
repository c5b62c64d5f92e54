//! The uplink between two namespaces: to itself, and to Linux's own VXLAN device.

// A test that cannot go on says where: that is what `unwrap` does.
#![allow(clippy::unwrap_used)]

mod frames;
mod limits;
mod linux;
mod packets;
mod tcp;
mod underlay;
mod whole;
