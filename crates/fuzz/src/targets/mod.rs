//! The targets, and legal inputs to begin with.

pub mod api;
pub mod connection_file;
pub mod control;
pub mod parser;
pub mod pipeline;
pub mod plan_text;
pub mod segments;
