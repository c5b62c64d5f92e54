//! Large segments: one TCP or UDP packet cut into many ([`Cut`]), and many TCP packets merged into one ([`Merge`]).
//!
//! A guest with segmentation offload hands over up to 64 KiB as one packet. It stays whole for as long as it can;
//! where it must be cut (before a wire, or for a receiver without the offload) [`Cut`] writes the headers of each
//! packet, and whoever sends puts them in front of its slice of the payload, which is not copied here. [`Merge`] is
//! the inverse for a batch that came in together, and as strict as Linux's GRO: what it merges, [`Cut`] gives back
//! byte for byte (but for IPv4 identifications of packets that must not be fragmented, see RFC 6864).
//!
//! Everything here works on the frame that carries the segment, from its Ethernet header on; tunnel headers in
//! front of it are the caller's. No payload byte is moved, no memory allocated.

mod cut;
mod layout;
mod merge;

pub use cut::{Cut, CutError, SIZE_MIN};
pub use layout::{Layout, LayoutError, Network, Transport};
pub use merge::{Merge, Merged};

/// The most bytes that an IP packet has: what its length field can say. Whole segments keep to it as well.
pub const PACKET_MAX: usize = 65_535;

#[cfg(test)]
mod tests;
