//! datapath
pub mod firewall;
