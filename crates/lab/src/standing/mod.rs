//! Standing labs: a whole fabric on one machine that stays when its maker has ended, with the real daemons.
//!
//! A lab is a folder and a set of namespaces, both named after it ([`Place`]). What it is made of is in its state file before
//! it is made, and everything that runs runs in one of its namespaces; so whoever takes it down finds all of it, whatever
//! happened to its maker. One command at a time changes a lab ([`Place::lock`]).
//!
//! It must not: leave a process outside the lab's namespaces, signal a process without knowing that it is still the one that
//! was meant, or touch the machine's own network beyond one interface of two addresses, by which the controller is reached.

mod address;
mod build;
mod daemon;
mod guest;
mod identity;
mod management;
mod moving;
mod objects;
mod place;
mod programs;
mod removal;
mod rest;
mod state;
mod underlay;

pub use build::{build, prepare, start_ready};
pub use daemon::{Condition, Who, condition, last_words, signal, start, stop};
pub use guest::{addresses_of, make_by_hand};
pub use identity::ProcessIdentity;
pub use moving::move_guest;
pub use place::{Lock, Place};
pub use programs::{agent_status, attach_by_mac, vswitch_ctl, vswitch_socket};
pub use removal::{remove, remove_all, stop_making};
pub use rest::Rest;
pub use state::{Daemon, GuestState, Phase, State};

/// The management network between controller and agents. Each lab has one of its own, so all have the same range.
pub const MANAGEMENT: &str = "100.64.0.0/16";
