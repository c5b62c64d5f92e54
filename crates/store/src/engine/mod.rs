//! What a transaction, a reading, a lease and a watch mean, written once for the back ends that keep their data themselves.
//!
//! Pure: no clock, no thread, no file. Data is reached through [`Tables`] and [`TablesMut`]; an error of theirs in the midst of
//! a change leaves it half done, and whoever keeps the tables drops the whole change.

mod deadlines;
mod leases;
mod memory;
mod reading;
mod tables;
mod transact;
mod watching;

pub(crate) use deadlines::Deadlines;
pub(crate) use leases::{grant, renew, revoke};
pub(crate) use memory::MemoryTables;
pub(crate) use reading::range;
pub(crate) use tables::{Position, Tables, TablesMut, Visit, event_bytes};
pub(crate) use transact::transact;
pub(crate) use watching::{compact, next_batch, trim};
