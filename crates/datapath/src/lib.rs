//! A burst of packets through the pipeline against a published table set.

pub mod connections;
pub mod firewall;
pub mod respond;
