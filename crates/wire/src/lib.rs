//! What daemons say to each other, and the text form of a host plan.
//!
//! [`control`]: requests and answers on the vswitch's control socket, as plain types; [`session`]: what a host's agent and
//! a controller say to each other; [`codec`]: the same as protobuf messages; [`frame`]: messages on a stream. Protobuf names and the text form's keys stay inside this crate. Every byte
//! that comes in is hostile: an error that names the field, never a panic, never memory without bound.

pub use anet_model::digest;

pub mod client;
pub mod codec;
pub mod control;
pub mod frame;
pub mod plan_text;
pub mod session;
