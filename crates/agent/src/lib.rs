//! A host's part of the control plane: receives its plan, keeps it on disk, brings it into the data plane, reports.
//!
//! ```text
//!  controller ◀─▶ session ─┐                 ┌─▶ disk (desired, applied, attachments)
//!  anet-agent attach ─▶ local ─▶ run ◀─▶ core ┴─▶ vswitch ◀─▶ anet-vswitch's control socket
//! ```
//! [`core`] decides, without I/O; everything else carries out. Silence takes nothing away: without a controller the agent brings
//! up what its disk has and leaves it so.

pub mod command;
pub mod core;
pub mod disk;
pub mod join;
mod local;
mod log;
pub mod run;
mod session;
mod told;
mod vswitch;

/// Name and version, as they stand in hellos.
pub const SOFTWARE: &str = concat!("anet-agent ", env!("CARGO_PKG_VERSION"));
