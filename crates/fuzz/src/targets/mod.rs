//! The targets, and legal inputs to begin with.

pub mod api;
pub mod connection_file;
pub mod control;
pub mod parser;
pub mod pipeline;
pub mod plan_text;
pub mod segments;
pub mod session;

/// Their names, which are those of the folders of their corpora.
pub const NAMES: [&str; 8] = [
    "api",
    "connection_file",
    "control",
    "parser",
    "pipeline",
    "plan_text",
    "segments",
    "session",
];
