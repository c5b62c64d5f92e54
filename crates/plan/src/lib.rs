//! From what users ask to what each host must do: intent in, one host plan per host and its changes out.
//!
//! Pure: no packets, no I/O, no clock. A host's plan is a function of the intent alone, whatever came in which order: objects that
//! dangle, are wrong, or claim what another one has are left out ([`Problem`]), so that every plan is valid and no host waits
//! for another's mistake. Who admits objects asks [`check_subnet`] first. A change costs what it touches:
//!
//! 1. `put` follows the intent with its [`index`] and notes what the change concerns;
//! 2. [`resolve`] finds again what of that counts, and what in turn follows from it;
//! 3. [`expand`] makes sets of remote groups, [`place`] says which host has what; both mark entries that may be different;
//! 4. [`emit`] looks at those ([`see`]) and answers what is; [`fit`] holds a plan to its limits.
//!
//! [`recompute()`] is the same function written again, whole and simple: what the planner is held against.

mod emit;
mod expand;
mod fabric;
mod fit;
mod index;
mod place;
mod planner;
mod problem;
mod problems;
mod put;
mod recompute;
mod resolve;
mod see;
mod settings;
mod subnet;

pub use planner::{Cost, Planner};
pub use problem::{Object, Problem};
pub use recompute::{recompute, recompute_within};
pub use settings::{Limits, Settings};
pub use subnet::check_subnet;
