//! The forwarding daemon of a host: it turns a host plan into tables, and packets into verdicts. It knows nothing of
//! controllers.

pub mod core;
