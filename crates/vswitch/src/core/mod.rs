//! What the daemon decides, without I/O, clock or threads: tables from plans.

pub mod tables;
