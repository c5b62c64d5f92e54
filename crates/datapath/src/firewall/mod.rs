//! The firewall's lookups: which rule of a port's security groups allows a packet, and which addresses a set holds.
//!
//! Asked by the pipeline on a flow's first packet and when a rule change makes it ask again; never on a hit.
//! Pure tables: no connection, no counter and no verdict lives here.
//!
//! ```text
//!            protocol, port | ICMP type+code                  remote address
//!                         │                                        │
//!              [layer4]   ▼                            [remote]    ▼
//!   protocol → port page → class                intervals → innermost prefix ─parent▶ … ─▶ ::/0
//!                         │                                        │        [address_sets] sets of the rules
//!              [classes]  ▼                                        ▼                       ▼
//!   class → bit per rule that matches layer 4       one range of bits per prefix, one per set
//!                         └───────────▶ first bit in each range ◀──┴───────────────────────┘
//!                                               │
//!                                   the lowest rule in compiled order
//! ```
//!
//! # Why no bitmap per remote prefix
//! A rule names exactly one remote. Bits are therefore ordered by remote first and by the rules' order second, so that
//! "the rules for this remote" is a range and not a second bitmap: nothing is ANDed over the whole width, memory for
//! remotes is linear in the rules, and the work is bounded by how deep prefixes nest (33 in IPv4, 129 in IPv6) and by
//! the number of sets, not by the number of rules. See [`Cost`] for the bound.

mod address_bits;
mod address_sets;
mod classes;
mod cost;
mod layer4;
mod policy;
mod remote;
#[cfg(test)]
mod tests;

pub use address_sets::{AddressSetError, AddressSets, MAX_SET_INDEX};
pub use cost::{Cost, MAX_POLICY_BYTES, MAX_RULES, MAX_SETS, PolicyTooLarge};
pub use policy::{Policy, Query};
