//! What the daemon decides, without I/O, clock or threads: which plan is applied, tables from plans, which ports are to
//! be open, the frame of a trace, what is told of the tables.

pub mod attachments;
pub mod control;
pub mod frame;
pub mod tables;
pub mod tunnel_frame;
