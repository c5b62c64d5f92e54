//! The kernel back end: ports that need nothing but Linux, and sleep when nothing happens.
//!
//! [`tap`] (we hold the descriptor), [`packet`] (somebody else holds it, we hold the net device), and [`uplink`]. Each
//! feature of the kernel is probed, never assumed, and an error says which is missing and what to do ([`probe`]).

pub mod interface;
pub mod netns;
pub mod packet;
mod packet_queue;
pub mod probe;
mod scatter;
pub mod tap;
mod tap_queue;
pub mod uplink;
pub mod vnet_header;
pub mod wait;
