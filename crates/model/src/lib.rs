//! The nouns of the fabric. Today: [`host_plan`], what one host must do, and [`id`]s.
//!
//! Pure data and its validation; no I/O, no clock. Names are Neutron's where Neutron has them.

pub mod changeset;
pub mod host_plan;
pub mod id;
