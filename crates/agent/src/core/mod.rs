//! What the agent decides, without I/O, clock or threads: an [`Agent`] takes one [`Input`] at a time and answers with
//! [`Output`]s, which whoever drives it carries out in order.
//!
//! ```text
//!  changeset ─▶ for us? fits? ─▶ on disk (desired) ─▶ in the data plane ─▶ read back ─▶ on disk (applied) ─▶ acknowledged
//! ```
//! One changeset, or all that have come meanwhile, is on this way at a time; whatever breaks off is begun anew from what
//! was written down. The data plane gets the controller's plan with this host's attachments filled in ([`attachments`], [`claims`]).
//! Where nothing can be written, only what closes is carried out ([`closing`]).

mod agent;
mod attach;
pub mod attachments;
pub mod claims;
pub mod closing;
pub mod delta;
mod io;
mod parts;
mod plane;
mod restore;
mod session;
mod status;
mod work;

pub use agent::Agent;
pub use attachments::{Holder, Kept};
pub use io::{
    AppliedRecord, Asked, Identity, Input, LocalRequest, Output, PlaneAnswer, Record, Restored, Said, Ticket,
};
pub use status::{PortStatus, Status, Waiting};
