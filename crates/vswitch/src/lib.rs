//! The forwarding daemon of a host: it turns a host plan into tables, and packets into verdicts. It knows nothing of
//! controllers.
//!
//! ```text
//!  plan file ─┐                  ┌─▶ core::control ─▶ tables (two copies, one log) ─┐
//!  socket ────┴─▶ daemon (one ───┤                                                  ├─▶ workers ◀─▶ ports
//!                 control thread)└─▶ core::attachments ─▶ ports opened, handed over ─┘
//! ```
//! [`core`] decides, without I/O; [`daemon`] is the control thread and what feeds it; [`workers`] forward; [`command`]
//! is the command line of both `run` and `ctl`.

pub mod clock;
pub mod command;
pub mod core;
pub mod daemon;
pub mod log;
#[cfg(test)]
mod planted;
pub mod workers;

/// Name and version, as they stand in hellos and version reports.
pub const SOFTWARE: &str = concat!("anet-vswitch ", env!("CARGO_PKG_VERSION"));
