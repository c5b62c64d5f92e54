//! The nouns of the fabric: [`intent`], what users ask for; [`host_plan`], what one host must do; and [`id`]s.
//!
//! Pure data and its validation; no I/O, no clock. Names are Neutron's where Neutron has them.
//!
//! A plan's way: entries ([`entry`]) come in changes ([`changeset`], [`diff`]) → [`state::PlanState`] puts them, checks
//! what they touched ([`validate`], [`limits`]) and keeps the [`digest`] → whoever programs tables takes
//! [`state::Applied`].

pub mod changeset;
pub mod diff;
pub mod digest;
pub mod entry;
pub mod host_plan;
pub mod id;
mod index;
pub mod intent;
pub mod limits;
pub mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod touched;
mod transaction;
pub mod validate;
